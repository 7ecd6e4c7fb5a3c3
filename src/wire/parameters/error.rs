//! Errors of the parameter store as exceptions of AWS.

use std::borrow::Cow;

use crate::error::{Error, ErrorKind, Fault};
use crate::parameters::ParameterError;
use crate::wire::answer::Answer;
use crate::wire::encoding::to_json;
use crate::wire::failure::Refusal;
use crate::wire::reply::Reply;

const INTERNAL: &str = "An error occurred on the server side.";

/// Creates the reply for an error that an operation recorded. Failures of the server have no details.
pub(super) fn reply_for(error: &Error) -> Reply {
    let reason: Option<&ParameterError> = error.downcast_ref();
    let kind = error.kind();
    match (reason, kind) {
        _ if kind.fault() == Fault::Server => exception("InternalServerError", 500, Some(INTERNAL.into())),
        (Some(reason), _) => exception(reason.exception_name(), 400, Some(error.to_string().into())),
        (None, ErrorKind::AccessDenied) => exception("AccessDeniedException", 400, Some(error.to_string().into())),
        (None, ErrorKind::Conflict) => exception("TooManyUpdates", 400, Some(error.to_string().into())),
        (None, ErrorKind::Validation | ErrorKind::Tag | ErrorKind::LimitExceeded | ErrorKind::InvalidState) => {
            exception("ValidationException", 400, Some(error.to_string().into()))
        }
        // The stored value cannot be decrypted, for which the request is not to blame.
        (None, _) => exception("InternalServerError", 500, Some(INTERNAL.into())),
    }
}

/// Creates the reply for a refusal.
pub(super) fn reply_for_refusal(refusal: Refusal) -> Reply {
    let reason: Option<&ParameterError> = refusal.error.downcast_ref();
    let code = match (reason, refusal.error.kind()) {
        (Some(reason), _) => reason.exception_name(),
        (None, ErrorKind::Tag) => "ValidationException",
        (None, kind) => kind.aws_name(),
    };
    exception(code, 400, refusal.message)
}

fn exception(code: &'static str, status: u16, message: Option<Cow<'static, str>>) -> Reply {
    let body = Answer::new().with("__type", code).with_some("message", message.map(Cow::into_owned));
    Reply::new(status, Some(code), to_json(&body))
}
