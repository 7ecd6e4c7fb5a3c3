//! Condition operators and their names.

use super::super::parse_error::PolicyParseError;
use super::key::Arity;
use super::value::ValueType;
use crate::text::sanitize_for_error;

/// A comparison of two ordered values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// Returns `true` if the comparison holds between a value of the request and one of the policy.
    pub(super) fn holds<T: PartialOrd>(self, given: T, wanted: T) -> bool {
        match self {
            Self::Equal => given == wanted,
            Self::Less => given < wanted,
            Self::LessOrEqual => given <= wanted,
            Self::Greater => given > wanted,
            Self::GreaterOrEqual => given >= wanted,
        }
    }
}

/// The kind of comparison that an operator performs, before negation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Text,
    TextIgnoreCase,
    TextLike,
    Arn,
    Number(Comparison),
    Date(Comparison),
    Bool,
    Null,
}

/// The rule for combining the values of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantifier {
    /// The key has at most one value.
    Single,
    /// Every value must pass. An empty set of values passes.
    ForAll,
    /// At least one value must pass.
    ForAny,
}

/// A parsed operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operator {
    pub(super) family: Family,
    pub(super) negated: bool,
    pub(super) quantifier: Quantifier,
    /// `true` if a request without the value passes.
    pub(super) if_exists: bool,
}

impl Operator {
    /// Parses the name of an operator. Case is significant.
    pub(super) fn parse(name: &str) -> Result<Self, PolicyParseError> {
        let (quantifier, rest) = match name.split_once(':') {
            Some(("ForAllValues", rest)) => (Quantifier::ForAll, rest),
            Some(("ForAnyValue", rest)) => (Quantifier::ForAny, rest),
            _ => (Quantifier::Single, name),
        };
        let (if_exists, base) = match rest.strip_suffix("IfExists") {
            Some(base) => (true, base),
            None => (false, rest),
        };
        let unsupported =
            || PolicyParseError::new(format!("the operator '{}' is not supported", sanitize_for_error(name)));
        let (family, negated) = base_operator(base).ok_or_else(unsupported)?;
        if family == Family::Null && (if_exists || quantifier != Quantifier::Single) {
            return Err(unsupported());
        }
        Ok(Self { family, negated, quantifier, if_exists })
    }

    /// Rejects an operator that cannot compare the values of a key, or whose quantifier does not
    /// suit their number.
    pub(super) fn check_key(self, value_type: ValueType, arity: Arity) -> Result<(), PolicyParseError> {
        let fits = match self.family {
            Family::Null => return Ok(()),
            Family::Text | Family::TextIgnoreCase | Family::TextLike => {
                matches!(value_type, ValueType::Text | ValueType::Arn)
            }
            Family::Arn => value_type == ValueType::Arn,
            Family::Number(_) => matches!(value_type, ValueType::Number | ValueType::Epoch),
            Family::Date(_) => matches!(value_type, ValueType::Date | ValueType::Epoch),
            Family::Bool => value_type == ValueType::Bool,
        };
        if !fits {
            return Err(PolicyParseError::new("the operator does not match the type of the key"));
        }
        match (arity, self.quantifier) {
            (Arity::Multi, Quantifier::Single) => {
                Err(PolicyParseError::new("the key has several values: use ForAllValues or ForAnyValue"))
            }
            // Such a condition holds for every request without the value, which is rarely intended.
            (Arity::Single, Quantifier::ForAll | Quantifier::ForAny) => Err(PolicyParseError::new(
                "the key has one value: ForAllValues and ForAnyValue are overly permissive with it",
            )),
            _ => Ok(()),
        }
    }
}

/// Returns the family of an operator, and `true` if the operator is negated.
fn base_operator(name: &str) -> Option<(Family, bool)> {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
    Some(match name {
        "StringEquals" => (Family::Text, false),
        "StringNotEquals" => (Family::Text, true),
        "StringEqualsIgnoreCase" => (Family::TextIgnoreCase, false),
        "StringNotEqualsIgnoreCase" => (Family::TextIgnoreCase, true),
        "StringLike" => (Family::TextLike, false),
        "StringNotLike" => (Family::TextLike, true),
        // AWS treats both the same.
        "ArnEquals" | "ArnLike" => (Family::Arn, false),
        "ArnNotEquals" | "ArnNotLike" => (Family::Arn, true),
        "NumericEquals" => (Family::Number(Equal), false),
        "NumericNotEquals" => (Family::Number(Equal), true),
        "NumericLessThan" => (Family::Number(Less), false),
        "NumericLessThanEquals" => (Family::Number(LessOrEqual), false),
        "NumericGreaterThan" => (Family::Number(Greater), false),
        "NumericGreaterThanEquals" => (Family::Number(GreaterOrEqual), false),
        "DateEquals" => (Family::Date(Equal), false),
        "DateNotEquals" => (Family::Date(Equal), true),
        "DateLessThan" => (Family::Date(Less), false),
        "DateLessThanEquals" => (Family::Date(LessOrEqual), false),
        "DateGreaterThan" => (Family::Date(Greater), false),
        "DateGreaterThanEquals" => (Family::Date(GreaterOrEqual), false),
        "Bool" => (Family::Bool, false),
        "Null" => (Family::Null, false),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() -> Result<(), PolicyParseError> {
        let operator = Operator::parse("ForAllValues:StringNotLikeIfExists")?;
        let expected =
            Operator { family: Family::TextLike, negated: true, quantifier: Quantifier::ForAll, if_exists: true };
        assert_eq!(operator, expected);
        Ok(())
    }

    #[test]
    fn unknown_names_are_refused() {
        for name in [
            "",
            "stringequals",
            "StringEqual",
            "IfExists",
            "ForAllValues:",
            "ForAllValues:Null",
            "NullIfExists",
            "forallvalues:StringEquals",
            "ForAllValues:ForAnyValue:StringEquals",
            "IpAddress",
            "NotIpAddress",
            "BinaryEquals",
            "StringEqualsIfExistsIfExists",
            "ForSomeValues:StringEquals",
        ] {
            assert!(Operator::parse(name).is_err(), "{name}");
        }
    }
}
