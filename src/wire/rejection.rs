//! Refusals of a request by its form, before any operation of the KMS sees it.

use std::borrow::Cow;

/// The exception for a body that is not JSON, or a member of the wrong JSON type.
pub(super) const SERIALIZATION: &str = "SerializationException";

/// The exception for a request that violates constraints of the AWS model.
pub(super) const VALIDATION: &str = "ValidationException";

/// The exception for an operation that the service does not have.
pub(super) const UNKNOWN_OPERATION: &str = "UnknownOperationException";

/// A request that is refused because of its form. No text of it contains a value of a sensitive
/// member, of a blob, or of an encryption context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rejection {
    code: &'static str,
    message: Option<Cow<'static, str>>,
    detail: Option<String>,
}

impl Rejection {
    /// A body that cannot be parsed. AWS answers it without a message; the detail is for the audit
    /// trail.
    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self { code: SERIALIZATION, message: None, detail: Some(detail.into()) }
    }

    /// An operation that AWS KMS does not have.
    pub(super) const fn unknown_operation() -> Self {
        Self { code: UNKNOWN_OPERATION, message: None, detail: None }
    }

    /// A member of the wrong JSON type, with the text of AWS, which does not name the member.
    pub(super) fn wrong_type(message: impl Into<Cow<'static, str>>) -> Self {
        Self { code: SERIALIZATION, message: Some(message.into()), detail: None }
    }

    /// A violated constraint, with the text of AWS.
    pub(super) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self { code: VALIDATION, message: Some(message.into()), detail: None }
    }

    /// Adds the path of the member to the text for the audit trail.
    #[must_use]
    pub(super) fn at(mut self, path: &str) -> Self {
        self.detail = self.message.as_ref().map(|message| format!("{path}: {message}"));
        self
    }

    /// Returns the name of the exception.
    pub(super) const fn code(&self) -> &'static str {
        self.code
    }

    /// Returns the message for the client, if AWS has one.
    pub(super) fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// Returns the text for the audit trail, which says more than the message.
    pub(super) fn detail(&self) -> &str {
        self.detail.as_deref().or(self.message.as_deref()).unwrap_or_default()
    }
}
