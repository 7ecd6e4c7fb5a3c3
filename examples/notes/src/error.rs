//! Errors as clients see them: a status and a text that contains no value.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use strongroom::ErrorKind;

/// A failed request.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    text: String,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    pub(crate) fn bad_request(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is no such note")
    }

    /// Reports the cause to the operator, and a text without details to the client.
    fn logged(status: StatusCode, text: &str, cause: &dyn std::error::Error) -> Self {
        let mut line = format!("{text}: {cause}");
        let mut next = cause.source();
        while let Some(cause) = next {
            line.push_str(&format!(": {cause}"));
            next = cause.source();
        }
        eprintln!("{line}");
        Self::new(status, text)
    }
}

/// The errors of strongroom name table and column, and contain no value.
impl From<strongroom::Error> for ApiError {
    fn from(error: strongroom::Error) -> Self {
        let (status, text) = match error.kind() {
            ErrorKind::Disabled | ErrorKind::InvalidState | ErrorKind::NotFound => {
                (StatusCode::GONE, "the keys of this tenant are disabled or deleted")
            }
            ErrorKind::InvalidCiphertext | ErrorKind::IncorrectKey => {
                (StatusCode::INTERNAL_SERVER_ERROR, "a stored value was altered, or belongs elsewhere")
            }
            ErrorKind::Audit | ErrorKind::Closed | ErrorKind::Conflict | ErrorKind::Io | ErrorKind::Store => {
                (StatusCode::SERVICE_UNAVAILABLE, "the keys are unavailable, try again")
            }
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "the keys cannot be used"),
        };
        Self::logged(status, text, &error)
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        let (status, text) = match error {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => {
                (StatusCode::SERVICE_UNAVAILABLE, "the database is unavailable, try again")
            }
            sqlx::Error::ColumnDecode { .. } => {
                (StatusCode::INTERNAL_SERVER_ERROR, "a stored value was altered, or belongs elsewhere")
            }
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "the database failed"),
        };
        Self::logged(status, text, &error)
    }
}

impl From<tokio::task::JoinError> for ApiError {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::logged(StatusCode::INTERNAL_SERVER_ERROR, "the request failed", &error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "error": self.text }).to_string();
        (self.status, [("content-type", "application/json")], body).into_response()
    }
}
