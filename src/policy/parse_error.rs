//! Parse errors of policy documents, with the location of the fault.

use std::fmt;

use crate::error::{Error, ErrorKind};

/// The error returned for an invalid policy document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PolicyParseError(String);

impl PolicyParseError {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Adds the part of the document that contains the fault.
    pub(super) fn within(self, part: impl fmt::Display) -> Self {
        Self(format!("{part}: {}", self.0))
    }
}

impl From<PolicyParseError> for Error {
    fn from(malformed: PolicyParseError) -> Self {
        Self::new(ErrorKind::MalformedPolicyDocument, format!("malformed policy document: {}", malformed.0))
    }
}
