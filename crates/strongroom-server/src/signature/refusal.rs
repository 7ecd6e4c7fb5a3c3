//! Refusals of signatures, with the names and texts of AWS.

use std::fmt;

/// The kinds of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalKind {
    /// The request is not signed.
    MissingAuthenticationToken,
    /// The signature is malformed, or leaves a part of the request uncovered.
    IncompleteSignature,
    /// The signature is wrong, for another Region or service, or too old. SDKs correct their clock
    /// by the header `Date` and try again.
    InvalidSignature,
    /// The access key or the session token is unknown.
    UnrecognizedClient,
    /// The credentials have expired.
    ExpiredToken,
}

impl RefusalKind {
    /// Returns the name of the exception in the JSON protocol.
    pub const fn exception(self) -> &'static str {
        match self {
            Self::MissingAuthenticationToken => "MissingAuthenticationTokenException",
            Self::IncompleteSignature => "IncompleteSignatureException",
            Self::InvalidSignature => "InvalidSignatureException",
            Self::UnrecognizedClient => "UnrecognizedClientException",
            Self::ExpiredToken => "ExpiredTokenException",
        }
    }

    /// Returns the code in the query protocol of STS.
    pub const fn query_code(self) -> &'static str {
        match self {
            Self::MissingAuthenticationToken => "MissingAuthenticationToken",
            Self::IncompleteSignature => "IncompleteSignature",
            Self::InvalidSignature => "SignatureDoesNotMatch",
            Self::UnrecognizedClient => "InvalidClientTokenId",
            Self::ExpiredToken => "ExpiredToken",
        }
    }
}

/// The reason why a request is not accepted. Contains neither a signature nor a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    kind: RefusalKind,
    message: String,
    access_key_id: Option<String>,
}

impl Refusal {
    pub(super) fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), access_key_id: None }
    }

    pub(super) fn incomplete(message: impl Into<String>) -> Self {
        Self::new(RefusalKind::IncompleteSignature, message)
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(RefusalKind::InvalidSignature, message)
    }

    pub(super) fn mismatch() -> Self {
        Self::invalid(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
             Access Key and signing method. Consult the service documentation for details.",
        )
    }

    pub(super) fn unrecognized() -> Self {
        Self::new(RefusalKind::UnrecognizedClient, "The security token included in the request is invalid.")
    }

    /// Adds the access key ID that the request names.
    pub(super) fn naming(mut self, access_key_id: &str) -> Self {
        self.access_key_id = Some(access_key_id.to_owned());
        self
    }

    /// Returns the access key ID that the request names. The request does not prove that its sender
    /// has the access key, or that it exists.
    pub fn access_key_id(&self) -> Option<&str> {
        self.access_key_id.as_deref()
    }

    /// Returns the kind.
    pub const fn kind(&self) -> RefusalKind {
        self.kind
    }

    /// Returns the text for the caller.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.exception(), self.message)
    }
}

impl std::error::Error for Refusal {}
