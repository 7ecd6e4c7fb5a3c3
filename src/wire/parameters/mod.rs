//! The API of the parameter store, as clients of AWS Systems Manager call it.

mod error;
pub(crate) mod fuzzing;
mod operations;

use zeroize::Zeroize;

use self::error::{reply_for, reply_for_refusal};
use super::answer::{Answer, Item};
use super::constraints::parameters as constraints;
use super::encoding::to_json;
use super::failure::{Failure, Outcome, Refusal};
use super::json;
use super::members::Members;
use super::reply::Reply;
use super::value::Object;
use crate::audit::Action;
use crate::error::ErrorKind;
use crate::key::ParameterOperation;
use crate::kms::Kms;
use crate::parameters::Parameters;
use crate::text::sanitize_for_error;

/// The name in the audit trail of operations that the parameter store does not have.
const UNKNOWN: &str = "UnknownOperation";

/// Members that the event of a refused request contains if they are known, and their names there.
const NOTED: [(&str, &str); 4] = [("Name", "name"), ("Path", "path"), ("ResourceId", "resourceId"), ("KeyId", "keyId")];

/// Performs one call of the parameter store as the principal of a handle, and returns the reply to
/// send.
///
/// `operation` is the name after `AmazonSSM.` in the header `X-Amz-Target`, and `body` is the complete
/// body of the request, of at most 1 MiB. The service in the scope of the signature is `ssm`. The
/// rest of the exchange is that of [`call`](super::call()).
///
/// # Examples
/// ```
/// use strongroom::{Kms, wire};
///
/// let kms = Kms::in_memory()?;
/// let body = br#"{"Name": "/shop/db", "Value": "correct horse", "Type": "SecureString"}"#;
/// assert_eq!(wire::call_parameters(&kms, "PutParameter", body).status(), 200);
///
/// let reply = wire::call_parameters(&kms, "GetParameter", br#"{"Name": "/shop/db", "WithDecryption": true}"#);
/// let answer: serde_json::Value = serde_json::from_slice(reply.body()).unwrap();
/// assert_eq!(answer["Parameter"]["Value"], "correct horse");
///
/// let missing = wire::call_parameters(&kms, "GetParameter", br#"{"Name": "/shop/mail"}"#);
/// assert_eq!((missing.status(), missing.error_code()), (400, Some("ParameterNotFound")));
/// # Ok::<(), strongroom::Error>(())
/// ```
pub fn call_parameters(kms: &Kms, operation: &str, body: &[u8]) -> Reply {
    let Ok(known) = ParameterOperation::parse(operation) else {
        let name = sanitize_for_error(operation);
        let text = format!("'{name}' is not an operation of the parameter store");
        let refusal = Refusal { message: None, ..Refusal::new(ErrorKind::UnknownOperation, text) };
        return refuse(kms, Action::UnsupportedParameter(UNKNOWN), &[("operation", &name)], refusal);
    };
    match json::parse(body) {
        Ok(members) => {
            let outcome = match constraints::check(operation, &members) {
                Ok(()) => run(kms, known, &members),
                Err(rejection) => Err(rejection.into()),
            };
            reply(kms, known, Some(&members), outcome)
        }
        Err(rejection) => reply(kms, known, None, Err(rejection.into())),
    }
}

fn run(kms: &Kms, operation: ParameterOperation, members: &Object<'_>) -> Outcome<Answer> {
    let (parameters, request) = (Parameters::new(kms), Members::new(members));
    match operation {
        ParameterOperation::PutParameter => operations::put_parameter(&parameters, request),
        ParameterOperation::GetParameter => operations::get_parameter(&parameters, request),
        ParameterOperation::GetParameters => operations::get_parameters(&parameters, request),
        ParameterOperation::GetParametersByPath => operations::get_parameters_by_path(&parameters, request),
        ParameterOperation::GetParameterHistory => operations::get_parameter_history(&parameters, request),
        ParameterOperation::DescribeParameters => operations::describe_parameters(&parameters, request),
        ParameterOperation::DeleteParameter => operations::delete_parameter(&parameters, request),
        ParameterOperation::DeleteParameters => operations::delete_parameters(&parameters, request),
        ParameterOperation::LabelParameterVersion => operations::label_parameter_version(&parameters, request),
        ParameterOperation::UnlabelParameterVersion => operations::unlabel_parameter_version(&parameters, request),
        ParameterOperation::AddTagsToResource => operations::add_tags_to_resource(&parameters, request),
        ParameterOperation::RemoveTagsFromResource => operations::remove_tags_from_resource(&parameters, request),
        ParameterOperation::ListTagsForResource => operations::list_tags_for_resource(&parameters, request),
    }
}

fn reply(kms: &Kms, operation: ParameterOperation, members: Option<&Object<'_>>, outcome: Outcome<Answer>) -> Reply {
    match outcome {
        Ok(mut answer) => {
            let body = to_json(&answer);
            wipe(&mut answer);
            Reply::new(200, None, body)
        }
        Err(Failure::Recorded(error)) => reply_for(&error),
        Err(Failure::Refused(refusal)) => {
            let text = |name| {
                let members = members.filter(|_| constraints::has_member(operation.as_str(), name))?;
                members.text(name).ok().flatten()
            };
            let noted: Vec<_> = NOTED.iter().filter_map(|(name, noted)| Some((*noted, text(name)?))).collect();
            refuse(kms, Action::Parameter(operation), &noted, refusal)
        }
    }
}

/// Records a refusal, and replies with it or with the failure to record it.
fn refuse(kms: &Kms, action: Action, parameters: &[(&'static str, &str)], refusal: Refusal) -> Reply {
    let recorded = kms.refuse_request(action, parameters, refusal.error.clone());
    if recorded.kind() == refusal.error.kind() { reply_for_refusal(refusal) } else { reply_for(&recorded) }
}

/// Wipes the texts of an answer, which contain the values of parameters.
fn wipe(answer: &mut Answer) {
    answer.members.iter_mut().for_each(|(_, item)| wipe_item(item));
}

fn wipe_item(item: &mut Item) {
    match item {
        Item::Text(std::borrow::Cow::Owned(text)) => text.zeroize(),
        Item::List(items) => items.iter_mut().for_each(wipe_item),
        Item::Structure(answer) => wipe(answer),
        _ => {}
    }
}
