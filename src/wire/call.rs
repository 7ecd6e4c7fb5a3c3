//! The steps of a call: find the operation, parse the body, check its members, answer it.

use super::answer::Answer;
use super::encoding::to_json;
use super::error::{reply_for, reply_for_refusal};
use super::failure::{Failure, Outcome, Refusal};
use super::members::Members;
use super::reply::Reply;
use super::route::{self, Route};
use super::value::Object;
use super::{constraints, json};
use crate::audit::Action;
use crate::error::ErrorKind;
use crate::key::Operation;
use crate::kms::Kms;
use crate::secret::SecretBytes;
use crate::text::sanitize_for_error;

/// The name in the audit trail of operations that AWS KMS does not have.
const UNKNOWN: &str = "UnknownOperation";

/// Members that the event of a refused request contains if they are known, and their names there.
const NOTED: [(&str, &str); 7] = [
    ("KeyId", "keyId"),
    ("SourceKeyId", "sourceKeyId"),
    ("DestinationKeyId", "destinationKeyId"),
    ("TargetKeyId", "targetKeyId"),
    ("AliasName", "aliasName"),
    ("GrantId", "grantId"),
    ("CustomKeyStoreId", "customKeyStoreId"),
];

/// Performs one call of the AWS KMS API as the principal of a handle, and returns the reply to send.
///
/// `operation` is the name after `TrentService.` in the header `X-Amz-Target`, and `body` is the
/// complete body of the request, of at most 1 MiB. Every problem is a reply, never a panic. The call
/// runs on the current thread, which it blocks like the methods of [`Kms`].
///
/// # Examples
/// ```
/// use strongroom::{Kms, wire};
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?;
/// let body = format!(r#"{{"KeyId": "{}", "Plaintext": "NDcxMQ=="}}"#, key.key_id());
/// let reply = wire::call(&kms, "Encrypt", body.as_bytes());
/// assert_eq!((reply.status(), reply.error_code()), (200, None));
/// let answer: serde_json::Value = serde_json::from_slice(reply.body()).unwrap();
/// assert_eq!(answer["KeyId"], key.arn().to_string());
/// assert_eq!(answer["EncryptionAlgorithm"], "SYMMETRIC_DEFAULT");
///
/// let refused = wire::call(&kms, "Encrypt", br#"{"KeyId": 5}"#);
/// assert_eq!((refused.status(), refused.error_code()), (400, Some("SerializationException")));
/// # Ok::<(), strongroom::Error>(())
/// ```
pub fn call(kms: &Kms, operation: &str, body: &[u8]) -> Reply {
    let Some(route) = route::find(operation) else {
        let name = sanitize_for_error(operation);
        let text = format!("'{name}' is not an operation of AWS KMS");
        let refusal = Refusal { message: None, ..Refusal::new(ErrorKind::UnknownOperation, text) };
        return refuse(kms, None, Action::Unsupported(UNKNOWN), &[("operation", &name)], refusal);
    };
    match json::parse(body) {
        Ok(members) => answer(kms, route, &members),
        Err(rejection) => reply(kms, route, None, Err(rejection.into())),
    }
}

fn answer(kms: &Kms, route: &Route, members: &Object<'_>) -> Reply {
    let outcome = match constraints::check(route.name, members) {
        Ok(()) => run(kms, route, members),
        Err(rejection) => Err(rejection.into()),
    };
    reply(kms, route, Some(members), outcome)
}

fn run(kms: &Kms, route: &Route, members: &Object<'_>) -> Outcome<Option<Answer>> {
    match route.handler {
        Some((_, handler)) => handler(kms, Members::new(members)),
        None => {
            let text = format!("{} is not supported.", route.name);
            Err(Refusal::new(ErrorKind::UnsupportedOperation, text).into())
        }
    }
}

fn reply(kms: &Kms, route: &Route, members: Option<&Object<'_>>, outcome: Outcome<Option<Answer>>) -> Reply {
    let operation = route.handler.map(|(operation, _)| operation);
    match outcome {
        Ok(Some(answer)) => Reply::new(200, None, to_json(&answer)),
        Ok(None) => Reply::new(200, None, SecretBytes::zeroed(0)),
        Err(Failure::Recorded(error)) => reply_for(operation, &error),
        Err(Failure::Refused(refusal)) => {
            let action = operation.map_or(Action::Unsupported(route.name), Action::Call);
            let text = |name| {
                let members = members.filter(|_| constraints::has_member(route.name, name))?;
                members.text(name).ok().flatten()
            };
            let noted: Vec<_> = NOTED.iter().filter_map(|(name, noted)| Some((*noted, text(name)?))).collect();
            refuse(kms, operation, action, &noted, refusal)
        }
    }
}

/// Records a refusal, and replies with it or with the failure to record it.
fn refuse(
    kms: &Kms,
    operation: Option<Operation>,
    action: Action,
    parameters: &[(&'static str, &str)],
    refusal: Refusal,
) -> Reply {
    let recorded = kms.refuse_request(action, parameters, refusal.error.clone());
    if recorded.kind() == refusal.error.kind() { reply_for_refusal(refusal) } else { reply_for(operation, &recorded) }
}
