//! The `Effect` element of a statement.

use super::parse_error::PolicyParseError;
use crate::text::sanitize_for_error;

/// The effect of a statement on the requests that it applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Allow,
    Deny,
}

impl Effect {
    /// Parses the value of the element.
    pub(super) fn parse(text: &str) -> Result<Self, PolicyParseError> {
        match text {
            "Allow" => Ok(Self::Allow),
            "Deny" => Ok(Self::Deny),
            _ => Err(PolicyParseError::new(format!("must be Allow or Deny, not '{}'", sanitize_for_error(text)))),
        }
    }
}
