//! Errors of the library as exceptions of AWS.

use std::borrow::Cow;

use super::answer::Answer;
use super::encoding::to_json;
use super::failure::Refusal;
use super::reply::Reply;
use crate::error::{Error, ErrorKind, Fault};
use crate::key::{Operation, UnsuitableClass};
use crate::store::StoreError;

/// An exception of AWS.
struct Exception {
    code: &'static str,
    status: u16,
    message: Option<Cow<'static, str>>,
}

const INTERNAL: &str = "The request was rejected because an internal exception occurred. The request can be retried.";
const TIMEOUT: &str = "The system timed out while trying to fulfill the request. The request can be retried.";
const UNAVAILABLE: &str = "The request was rejected because the specified KMS key was not available. \
                           You can retry the request.";
const NOT_CONNECTED: &str = "The custom key store could not be connected to its cluster. DescribeCustomKeyStores \
                             returns the ConnectionErrorCode.";

/// Creates the reply for an error that an operation of the KMS recorded.
pub(super) fn reply_for(operation: Option<Operation>, error: &Error) -> Reply {
    match (operation, error.kind()) {
        (Some(Operation::ConnectCustomKeyStore | Operation::UpdateCustomKeyStore), ErrorKind::KeyUnavailable) => {
            refused(ErrorKind::CustomKeyStoreInvalidState, Some(NOT_CONNECTED.into()))
        }
        // As recorded from AWS, these have no text. That of the library is in the audit trail.
        (_, ErrorKind::InvalidCiphertext | ErrorKind::InvalidSignature | ErrorKind::InvalidMac)
        | (_, ErrorKind::NotAuthorized)
        | (Some(Operation::DeriveSharedSecret), ErrorKind::Validation) => refused(error.kind(), None),
        (_, ErrorKind::UnsupportedOperation) if error.downcast_ref::<UnsuitableClass>().is_some() => {
            refused(error.kind(), None)
        }
        // The library names the failure of the provider, which is no business of the client.
        (_, ErrorKind::InvalidState) if is_unavailable(error) => {
            refused(ErrorKind::InvalidState, Some("The custom key store of the KMS key is unavailable.".into()))
        }
        (_, ErrorKind::CustomKeyStoreInvalidState) if is_unavailable(error) => {
            refused(ErrorKind::CustomKeyStoreInvalidState, Some("The custom key store is not connected.".into()))
        }
        _ => exception(error).reply(),
    }
}

/// Creates the reply for a refusal.
pub(super) fn reply_for_refusal(refusal: Refusal) -> Reply {
    refused(refusal.error.kind(), refusal.message)
}

fn refused(kind: ErrorKind, message: Option<Cow<'static, str>>) -> Reply {
    Exception { code: kind.aws_name(), status: kind.http_status(), message }.reply()
}

/// Returns the exception for a kind. Exceptions that are faults of the server have no details: they
/// could describe the store or the HSMs.
fn exception(error: &Error) -> Exception {
    let kind = error.kind();
    let (code, message) = match (kind, kind.fault()) {
        (_, Fault::Client) => (kind.aws_name(), error.to_string().into()),
        (ErrorKind::KeyUnavailable, Fault::Server) => (kind.aws_name(), UNAVAILABLE.into()),
        (ErrorKind::Store, Fault::Server) if is_timeout(error) => ("DependencyTimeoutException", TIMEOUT.into()),
        (_, Fault::Server) => (kind.aws_name(), INTERNAL.into()),
    };
    Exception { code, status: kind.http_status(), message: Some(message) }
}

/// Returns `true` if the store may work again without intervention.
fn is_timeout(error: &Error) -> bool {
    let failure: Option<&StoreError> = error.downcast_ref();
    failure.is_some_and(|failure| {
        failure.is_ambiguous()
            || matches!(failure, StoreError::Busy(_) | StoreError::Unreachable(_) | StoreError::Fenced { .. })
    })
}

/// Returns `true` if the state of a key was refused because its provider cannot be reached.
fn is_unavailable(error: &Error) -> bool {
    let cause: Option<&Error> = error.downcast_ref();
    cause.is_some_and(|cause| cause.kind() == ErrorKind::KeyUnavailable)
}

impl Exception {
    fn reply(self) -> Reply {
        let body = Answer::new().with("__type", self.code).with_some("message", self.message.map(Cow::into_owned));
        Reply::new(self.status, Some(self.code), to_json(&body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{AccountId, Locality};
    use crate::key::{KeyArn, KeyId, Origin, Refusal as KeyRefusal, SpecClass};

    fn parts(reply: &Reply) -> (u16, &'static str, Option<String>) {
        let body: serde_json::Value = serde_json::from_slice(reply.body()).expect("a reply is JSON");
        let code = reply.error_code().expect("an error");
        assert_eq!(body["__type"], code);
        (reply.status(), code, body.get("message").map(|text| text.as_str().expect("a text").to_owned()))
    }

    #[test]
    fn every_kind_of_error_has_an_exception_and_failures_of_the_server_have_no_details() {
        for &kind in ErrorKind::ALL {
            let reply = reply_for(Some(Operation::Encrypt), &Error::new(kind, "slot 3 of /var/lib/tokens"));
            let (status, code, message) = parts(&reply);
            let faults = ["KMSInternalException", "KeyUnavailableException", "DependencyTimeoutException"];
            assert_eq!(status, if faults.contains(&code) { 500 } else { 400 }, "{kind}");
            assert_eq!(code, kind.aws_name());
            if status == 500 {
                assert!(!message.unwrap_or_default().contains("slot"), "{kind}");
            }
        }
    }

    #[test]
    fn texts_are_those_of_aws_and_absent_where_aws_has_none() {
        let text = |operation, kind| parts(&reply_for(Some(operation), &Error::new(kind, "a text"))).2;
        assert_eq!(text(Operation::Decrypt, ErrorKind::InvalidCiphertext), None);
        assert_eq!(text(Operation::Verify, ErrorKind::InvalidSignature), None);
        assert_eq!(text(Operation::VerifyMac, ErrorKind::InvalidMac), None);
        assert_eq!(text(Operation::CreateAlias, ErrorKind::NotAuthorized), None);
        assert_eq!(text(Operation::DeriveSharedSecret, ErrorKind::Validation), None);
        assert_eq!(text(Operation::Encrypt, ErrorKind::Validation).as_deref(), Some("a text"));
    }

    /// AWS KMS names the origin of a key that does not support an operation, but not its class.
    #[test]
    fn the_class_of_a_key_has_no_text() {
        let key = KeyArn::new(Locality::default(), AccountId::default(), KeyId::from_bytes([1; 16]));
        let text = |refusal: KeyRefusal| parts(&reply_for(Some(Operation::GetPublicKey), &refusal.error(&key)));
        let refused = text(KeyRefusal::Class(SpecClass::Symmetric));
        assert_eq!(refused, (400, "UnsupportedOperationException", None));
        let refused = text(KeyRefusal::Origin(Origin::Hsm)).2;
        assert_eq!(refused, Some(format!("{key} origin is AWS_CLOUDHSM which is not valid for this operation.")));
    }

    #[test]
    fn an_unreachable_dependency_is_told_from_a_failure() {
        let code = |operation, error: Error| parts(&reply_for(Some(operation), &error)).1;
        let timeouts = [StoreError::Busy("locked".into()), StoreError::Unreachable("refused".into())];
        for error in timeouts.into_iter().chain([StoreError::Ambiguous("lost".into())]) {
            assert_eq!(code(Operation::CreateKey, error.into()), "DependencyTimeoutException");
        }
        assert_eq!(code(Operation::CreateKey, StoreError::Full("disk".into()).into()), "KMSInternalException");
        let down = || Error::new(ErrorKind::KeyUnavailable, "token of slot 3 does not answer");
        assert_eq!(code(Operation::Encrypt, down()), "KeyUnavailableException");
        assert_eq!(code(Operation::ConnectCustomKeyStore, down()), "CustomKeyStoreInvalidStateException");
        let in_store = Error::new(ErrorKind::InvalidState, "cannot use it: token of slot 3").with_source(down());
        let (status, code, message) = parts(&reply_for(Some(Operation::Encrypt), &in_store));
        assert_eq!((status, code), (400, "KMSInvalidStateException"));
        assert!(!message.unwrap_or_default().contains("slot"));
    }
}
