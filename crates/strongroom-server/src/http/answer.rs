//! Answers of the server, before they become responses.

use bytes::Bytes;
use hyper::StatusCode;
use strongroom::wire::Reply;

use super::body;
use crate::signature::Refusal;
use crate::sts;

pub(super) const JSON: &str = Reply::CONTENT_TYPE;
const XML: &str = "text/xml";
const TEXT: &str = "text/plain; charset=utf-8";

/// The exception of a request that may be sent again.
pub(super) const THROTTLING: &str = "ThrottlingException";
/// The time after which a throttled client may try again, in milliseconds.
const RETRY_AFTER_MILLIS: u32 = 100;

/// The protocol of a request, which determines the form of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// AWS JSON 1.1, for KMS.
    Json,
    /// The query protocol, for STS.
    Query,
}

/// An answer, and what the log says about it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    pub(super) body: Bytes,
    /// The exception, or `None` for success.
    pub(super) error: Option<String>,
    pub(super) access_key_id: Option<String>,
    pub(super) principal: Option<String>,
    pub(super) operation: Option<String>,
    /// Ends the connection, because the body of the request was not read.
    pub(super) close: bool,
    /// The methods that the path allows, if the request has another one.
    pub(super) allow: Option<&'static str>,
    /// Time after which a client may try again, in milliseconds.
    pub(super) retry_after: Option<u32>,
}

impl Answer {
    pub(super) fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            content_type,
            body: body.into(),
            error: None,
            access_key_id: None,
            principal: None,
            operation: None,
            close: false,
            allow: None,
            retry_after: None,
        }
    }

    pub(super) fn text(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self::new(status, TEXT, body)
    }

    pub(super) fn xml(body: String) -> Self {
        Self::new(StatusCode::OK, XML, body)
    }

    /// Returns an answer of the KMS.
    pub(super) fn of_kms(reply: Reply) -> Self {
        let status = StatusCode::from_u16(reply.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let error = reply.error_code().map(str::to_owned);
        Self { error, ..Self::new(status, JSON, body::secret(reply.into_body())) }
    }

    /// Returns an exception in the form of the protocol.
    pub(super) fn exception(protocol: Protocol, status: StatusCode, name: &str, message: &str, id: &str) -> Self {
        let answer = match protocol {
            Protocol::Json => {
                let body = serde_json::json!({"__type": name, "message": message}).to_string();
                Self::new(status, JSON, body)
            }
            Protocol::Query => Self::new(status, XML, sts::error(status.is_server_error(), name, message, id)),
        };
        Self { error: Some(name.to_owned()), ..answer }
    }

    /// Returns the exception for a failure of the server, under the name that the called service uses.
    pub(super) fn failure(protocol: Protocol, name: &str, message: &str, id: &str) -> Self {
        Self::exception(protocol, StatusCode::INTERNAL_SERVER_ERROR, name, message, id)
    }

    /// Returns the refusal of a signature. AWS uses status 400 in the JSON protocol, and 403 in the
    /// query protocol.
    pub(super) fn refusal(protocol: Protocol, refusal: &Refusal, id: &str) -> Self {
        let kind = refusal.kind();
        let (status, name) = match protocol {
            Protocol::Json => (StatusCode::BAD_REQUEST, kind.exception()),
            Protocol::Query => (StatusCode::FORBIDDEN, kind.query_code()),
        };
        Self::exception(protocol, status, name, refusal.message(), id)
    }

    /// Returns the refusal of a request that the server cannot process now. Clients of AWS try again.
    pub(super) fn throttled(protocol: Protocol, id: &str) -> Self {
        let answer = Self::exception(protocol, StatusCode::BAD_REQUEST, THROTTLING, "Rate exceeded", id);
        Self { retry_after: Some(RETRY_AFTER_MILLIS), ..answer }
    }

    pub(super) fn closing(mut self) -> Self {
        self.close = true;
        self
    }
}
