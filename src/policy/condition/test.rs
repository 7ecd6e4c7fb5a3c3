//! The right-hand side of a condition: the values of the policy, prepared for comparison.

use super::super::parse_error::PolicyParseError;
use super::super::pattern::Pattern;
use super::super::resources::ArnPattern;
use super::operator::{Comparison, Family};
use super::value::{Value, ValueType};
use crate::clock::Timestamp;
use crate::text::sanitize_for_error;

/// The largest value up to which all integers are represented exactly: 2^53.
const MAX_NUMBER: f64 = 9_007_199_254_740_992.0;

/// Values of the policy, at least one of which must match.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Test {
    Text(Box<[Box<str>]>),
    TextIgnoreCase(Box<[Box<str>]>),
    TextLike(Box<[Pattern]>),
    Arn(Box<[ArnPattern]>),
    Number(Comparison, Box<[f64]>),
    Time(Comparison, Box<[Timestamp]>),
    Bool(Box<[bool]>),
    /// `true` if the value must be absent.
    Null(bool),
}

impl Test {
    /// Parses the values that an operator compares with those of a type.
    pub(super) fn parse(family: Family, value_type: ValueType, values: &[String]) -> Result<Self, PolicyParseError> {
        if let Some(text) = values.iter().find(|text| text.contains("${")) {
            return Err(PolicyParseError::new(format!(
                "'{}' has a policy variable, which is not supported",
                sanitize_for_error(text)
            )));
        }
        Ok(match family {
            Family::Text => Self::Text(values.iter().map(|text| text.as_str().into()).collect()),
            Family::TextIgnoreCase => Self::TextIgnoreCase(values.iter().map(|text| text.as_str().into()).collect()),
            Family::TextLike => Self::TextLike(values.iter().map(|text| Pattern::new(text)).collect()),
            Family::Arn => Self::Arn(all(values, "an ARN", ArnPattern::parse)?),
            // Seconds since 1970 are compared as points in time.
            Family::Number(how) if value_type == ValueType::Epoch => {
                Self::Time(how, all(values, "an integer number of seconds", parse_epoch)?)
            }
            Family::Number(how) => Self::Number(how, all(values, "a number", parse_number)?),
            Family::Date(how) => Self::Time(how, all(values, "a date (ISO 8601) or seconds since 1970", parse_date)?),
            Family::Bool => Self::Bool(all(values, "true or false", parse_bool)?),
            Family::Null => match all(values, "true or false", parse_bool)?.as_ref() {
                [absent] => Self::Null(*absent),
                _ => return Err(PolicyParseError::new("Null requires exactly one value, true or false")),
            },
        })
    }

    /// Returns the number of pattern characters that may be compared at every position of a value.
    pub(super) fn search_length(&self) -> usize {
        match self {
            Self::TextLike(patterns) => patterns.iter().map(Pattern::search_length).sum(),
            // ARNs are short, and everything else is compared only once.
            _ => 0,
        }
    }

    /// Returns `true` if a value of the request matches one of the policy's values.
    pub(super) fn passes(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Self::Text(wanted), Value::Text(given)) => wanted.iter().any(|wanted| **wanted == *given),
            (Self::TextIgnoreCase(wanted), Value::Text(given)) => {
                wanted.iter().any(|wanted| is_same_but_for_case(wanted, given))
            }
            (Self::TextLike(wanted), Value::Text(given)) => wanted.iter().any(|wanted| wanted.matches(given)),
            (Self::Arn(wanted), Value::Text(given)) => wanted.iter().any(|wanted| wanted.matches(given)),
            (Self::Number(how, wanted), Value::Number(given)) => {
                wanted.iter().any(|wanted| how.holds(f64::from(given), *wanted))
            }
            (Self::Time(how, wanted), Value::Time(given)) => wanted.iter().any(|wanted| how.holds(given, *wanted)),
            (Self::Bool(wanted), Value::Bool(given)) => wanted.contains(&given),
            // `Operator::check_key` rejects all other combinations of operator and key.
            _ => false,
        }
    }
}

fn all<T>(values: &[String], what: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Box<[T]>, PolicyParseError> {
    let parsed = |text: &String| {
        parse(text).ok_or_else(|| PolicyParseError::new(format!("'{}' is not {what}", sanitize_for_error(text))))
    };
    values.iter().map(parsed).collect()
}

fn is_same_but_for_case(one: &str, other: &str) -> bool {
    one.chars().flat_map(char::to_lowercase).eq(other.chars().flat_map(char::to_lowercase))
}

fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn parse_number(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let number: f64 = text.parse().ok().filter(|_| plain)?;
    (number.abs() <= MAX_NUMBER).then_some(number)
}

fn parse_epoch(text: &str) -> Option<Timestamp> {
    let seconds: i64 = text.parse().ok()?;
    seconds.checked_mul(1000).map(Timestamp::from_unix_millis)
}

/// Parses a date, a date with a time and a UTC offset, or seconds since 1970. Exactly four digits
/// are rejected because they could also be a year.
fn parse_date(text: &str) -> Option<Timestamp> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return parse_epoch(text).filter(|_| digits.len() != 4);
    }
    let time = match text.len() {
        10 => format!("{text}T00:00:00Z").parse::<jiff::Timestamp>().ok()?,
        _ => text.parse::<jiff::Timestamp>().ok()?,
    };
    Some(Timestamp::from_unix_millis(time.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_three_forms() {
        let rows = [
            ("2020-04-01T00:00:01Z", Some(1_585_699_201_000)),
            ("2020-04-01T02:00:01+02:00", Some(1_585_699_201_000)),
            ("2020-04-01T00:00:01.5Z", Some(1_585_699_201_500)),
            ("2020-04-01", Some(1_585_699_200_000)),
            ("1585699201", Some(1_585_699_201_000)),
            ("-1", Some(-1_000)),
            ("0", Some(0)),
            ("2020", None),
            ("2020-04", None),
            ("2020-04-01T00:00:01", None),
            ("2020-13-01", None),
            ("9223372036854775807", None),
            ("tomorrow", None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(parse_date(text).map(Timestamp::unix_millis), expected, "{text}");
        }
    }

    #[test]
    fn numbers_are_exact() {
        assert_eq!(parse_number("90"), Some(90.0));
        assert_eq!(parse_number("-0.5"), Some(-0.5));
        for text in ["", "inf", "NaN", "0x10", "9007199254740993e3", "1 ", "ninety"] {
            assert_eq!(parse_number(text), None, "{text}");
        }
    }

    #[test]
    fn case_is_overlooked_beyond_ascii() {
        assert!(is_same_but_for_case("ÉCOLE", "école"));
        assert!(!is_same_but_for_case("ecole", "école"));
    }
}
