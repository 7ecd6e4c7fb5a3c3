//! The reply to a call.

use std::fmt;

use crate::secret::SecretBytes;

/// The reply to a call, for the transport that received it.
///
/// The body may contain a plaintext. It is wiped when the reply is dropped, and `Debug` shows only
/// its length.
///
/// # Examples
/// ```
/// use strongroom::{Kms, wire};
///
/// let kms = Kms::in_memory()?;
/// let reply = wire::call(&kms, "DescribeKey", br#"{"KeyId": "alias/missing"}"#);
/// assert_eq!((reply.status(), reply.error_code()), (400, Some("NotFoundException")));
/// let body: serde_json::Value = serde_json::from_slice(reply.body()).unwrap();
/// assert_eq!(body["__type"], "NotFoundException");
/// let body = reply.into_body(); // for the transport, and still wiped
/// assert!(!body.is_empty());
/// # Ok::<(), strongroom::Error>(())
/// ```
pub struct Reply {
    status: u16,
    error_code: Option<&'static str>,
    body: SecretBytes,
}

impl Reply {
    /// The value of the header `Content-Type` of every reply and every request.
    pub const CONTENT_TYPE: &'static str = "application/x-amz-json-1.1";

    /// Creates a reply.
    pub(super) const fn new(status: u16, error_code: Option<&'static str>, body: SecretBytes) -> Self {
        Self { status, error_code, body }
    }

    /// Returns the status of the HTTP response: 200, 400 if the request was refused, or 500 if the
    /// KMS failed.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Returns the name of the exception, such as `NotFoundException`, or `None` for an answer. It
    /// may be sent as the header `x-amzn-errortype`; the body contains it too.
    pub const fn error_code(&self) -> Option<&'static str> {
        self.error_code
    }

    /// Returns the body: a JSON object, or nothing for an operation without an answer.
    pub fn body(&self) -> &[u8] {
        self.body.expose_secret()
    }

    /// Returns the body as a value that is still wiped when dropped.
    pub fn into_body(self) -> SecretBytes {
        self.body
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("error_code", &self.error_code)
            .field("body", &self.body)
            .finish()
    }
}
