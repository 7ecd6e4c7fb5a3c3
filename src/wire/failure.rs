//! Reasons for which a request has no answer.

use std::borrow::Cow;

use super::rejection::{Rejection, SERIALIZATION};
use crate::error::{Error, ErrorKind};

/// A request without an answer. The variants distinguish failures that the audit trail contains from
/// those that it lacks, so that each is recorded exactly once.
pub(super) enum Failure {
    /// An operation of the KMS failed or refused the request, and recorded it.
    Recorded(Error),
    /// The request was refused before an operation of the KMS saw it.
    Refused(Refusal),
}

/// A request that this module refuses, and that the audit trail does not know yet.
pub(super) struct Refusal {
    /// The error, whose text is for the audit trail.
    pub(super) error: Error,
    /// The message for the client, if there is one.
    pub(super) message: Option<Cow<'static, str>>,
}

/// The result of an operation: its answer, or `None` if the operation has none.
pub(super) type Outcome<T> = Result<T, Failure>;

impl Refusal {
    /// Creates a refusal whose text is both for the client and for the audit trail.
    pub(super) fn new(kind: ErrorKind, text: impl Into<Cow<'static, str>>) -> Self {
        let text = text.into();
        Self { error: Error::new(kind, text.clone()), message: Some(text) }
    }
}

/// Marks errors that no operation of the KMS has recorded.
pub(super) trait Unrecorded<T> {
    /// Converts an error into a refusal.
    fn or_refuse(self) -> Outcome<T>;
}

impl<T> Unrecorded<T> for crate::error::Result<T> {
    fn or_refuse(self) -> Outcome<T> {
        self.map_err(|error| {
            let message = Some(error.to_string().into());
            Failure::Refused(Refusal { error, message })
        })
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Recorded(error)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Self {
        let kind = if rejection.code() == SERIALIZATION { ErrorKind::Serialization } else { ErrorKind::Validation };
        let message = rejection.message().map(|message| Cow::Owned(message.to_owned()));
        Self::Refused(Refusal { error: Error::new(kind, rejection.detail().to_owned()), message })
    }
}
