//! Key policies. A key has one, whose name is `default`.

use crate::error::ErrorKind;
use crate::kms::{Kms, PutKeyPolicyRequest};
use crate::policy::PolicyDocument;
use crate::wire::answer::{Answer, text};
use crate::wire::failure::{Outcome, Refusal};
use crate::wire::members::Members;

pub(in crate::wire) fn put_key_policy(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    check_name(request)?;
    let call = PutKeyPolicyRequest::new(request.required_text("KeyId")?, request.required_text("Policy")?)
        .bypass_policy_lockout_safety_check_if(request.flag("BypassPolicyLockoutSafetyCheck")?);
    kms.put_key_policy(call)?;
    Ok(None)
}

pub(in crate::wire) fn get_key_policy(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    check_name(request)?;
    let policy = kms.get_key_policy(request.required_text("KeyId")?)?;
    Ok(Some(Answer::new().with("Policy", policy).with("PolicyName", PolicyDocument::KEY_POLICY_NAME)))
}

pub(in crate::wire) fn list_key_policies(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    let page = kms.list_key_policies(request.required_text("KeyId")?, request.page()?)?;
    Ok(Some(Answer::page("PolicyNames", page, text)))
}

fn check_name(request: Members<'_>) -> Outcome<()> {
    match request.text("PolicyName")? {
        None | Some(PolicyDocument::KEY_POLICY_NAME) => Ok(()),
        Some(_) => Err(Refusal::new(ErrorKind::NotFound, "No such policy exists").into()),
    }
}
