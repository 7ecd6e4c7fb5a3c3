//! Checks of values, descriptions and patterns.

use regex_lite::RegexBuilder;

use super::error::ParameterError;
use super::kinds::StoredTier;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::SecretBytes;

/// Maximum length of a description and of a pattern, in characters.
const MAX_TEXT: usize = 1_024;
/// Maximum size of a compiled pattern, in bytes. It bounds the time of a match, which depends on the
/// product of this size and the length of the value: less than a second.
const MAX_COMPILED: usize = 128 << 10;
/// Maximum depth of groups in a pattern.
const MAX_DEPTH: u32 = 32;
/// The only data type.
pub(super) const DATA_TYPE: &str = "text";

/// Returns the text of a value.
pub(super) fn text_of(value: &SecretBytes) -> Result<&str> {
    std::str::from_utf8(value.expose_secret())
        .map_err(|_| Error::new(ErrorKind::Integrity, "the stored value of a parameter is not UTF-8"))
}

/// Checks the rules for values that do not depend on the tier.
pub(super) fn check_value(value: &str) -> Result<()> {
    let most = StoredTier::Advanced.max_value();
    if value.is_empty() || value.len() > most {
        return Err(invalid(format!("the value of a parameter must have 1 to {most} bytes, not {}", value.len())));
    }
    if value.trim().starts_with("{{") && value.trim().ends_with("}}") {
        let text = "a parameter cannot refer to another one: the value must not be wrapped in {{ and }}";
        return Err(invalid(text.to_owned()));
    }
    Ok(())
}

pub(super) fn check_text(what: &str, text: &str) -> Result<()> {
    if text.chars().nth(MAX_TEXT).is_some() {
        return Err(invalid(format!("{what} must have at most {MAX_TEXT} characters")));
    }
    Ok(())
}

pub(super) fn check_data_type(data_type: &str) -> Result<()> {
    if data_type == DATA_TYPE {
        return Ok(());
    }
    Err(invalid(format!("unsupported data type: only {DATA_TYPE} is supported")))
}

/// Checks that a value matches a pattern as a whole. An empty pattern allows every value.
pub(super) fn check_pattern(name: &str, pattern: &str, value: &str) -> Result<()> {
    if pattern.is_empty() {
        return Ok(());
    }
    check_text("the allowed pattern", pattern)?;
    let compiled = RegexBuilder::new(pattern).size_limit(MAX_COMPILED).nest_limit(MAX_DEPTH).build();
    compiled.map_err(|error| ParameterError::InvalidAllowedPattern { reason: error.to_string() })?;
    let whole =
        RegexBuilder::new(&format!(r"\A(?:{pattern})\z")).size_limit(MAX_COMPILED).nest_limit(MAX_DEPTH + 1).build();
    let whole = whole.map_err(|error| ParameterError::InvalidAllowedPattern { reason: error.to_string() })?;
    match whole.is_match(value) {
        true => Ok(()),
        false => Err(ParameterError::PatternMismatch { name: name.to_owned() }.into()),
    }
}

fn invalid(text: String) -> Error {
    Error::new(ErrorKind::Validation, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_bounds_and_no_references() {
        for good in ["a", " ", "{{a}", "{a}", "a {{b}} c", "é", &"x".repeat(8_192)] {
            assert!(check_value(good).is_ok(), "{good:.20}");
        }
        for bad in ["", "{{a}}", "{{}}", "  {{ssm:a}} ", &"x".repeat(8_193), &"é".repeat(4_097)] {
            assert!(check_value(bad).is_err(), "{bad:.20}");
        }
    }

    #[test]
    fn a_pattern_matches_the_whole_value() {
        let exception = |pattern: &str, value: &str| {
            let error = check_pattern("/a", pattern, value).err()?;
            error.downcast_ref::<ParameterError>().map(ParameterError::exception_name)
        };
        for (pattern, value) in [
            (r"\d+", "123"),
            (r"^\d+$", "123"),
            ("a|bc", "bc"),
            ("", "anything"),
            (".*", ""),
            ("[a-zA-Z0-9]{1,1000}", "a1"),
        ] {
            assert_eq!(exception(pattern, value), None, "{pattern} {value}");
        }
        for (pattern, value) in [(r"\d+", "123x"), (r"^\d+$", "123\n"), ("a|bc", "abc"), ("a", "b")] {
            assert_eq!(exception(pattern, value), Some("ParameterPatternMismatchException"), "{pattern} {value}");
        }
        let deep = "(".repeat(40) + "a" + &")".repeat(40);
        // The last of these would be valid only within the group that is added around a pattern.
        for pattern in ["(", "[", r"\p{Greek}", "(?=a)", "(a{1000}){1000}", "((a?){50}){50}", &deep, "a)|(b"] {
            assert_eq!(exception(pattern, "a"), Some("InvalidAllowedPatternException"), "{pattern:.20}");
        }
        assert_eq!(
            check_pattern("/a", &"a".repeat(1_025), "a").map_err(|error| error.kind()),
            Err(ErrorKind::Validation)
        );
    }
}
