//! The refusal of a document, and where in it the fault is.

use std::fmt;

use crate::error::{Error, ErrorKind};

/// What is wrong with a policy document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PolicyParseError(String);

impl PolicyParseError {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Says in which part of the document the fault is.
    pub(super) fn within(self, part: impl fmt::Display) -> Self {
        Self(format!("{part}: {}", self.0))
    }
}

impl From<PolicyParseError> for Error {
    fn from(malformed: PolicyParseError) -> Self {
        Self::new(ErrorKind::MalformedPolicyDocument, format!("malformed policy document: {}", malformed.0))
    }
}
