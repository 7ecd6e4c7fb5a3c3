//! Decisions about requests to the parameter store.

use super::document::PolicyDocument;
use super::effect::Effect;
use super::evaluate::{PolicyEvaluation, StatementName};
use super::parameter_request::ParameterPolicyRequest;
use crate::error::Result;

/// Evaluates a request to the parameter store. A statement that denies the operation always takes
/// precedence. Otherwise, the root of the account may perform it, and every other principal if one of
/// its policies allows it. Parameters have no resource policies, and grants do not apply to them.
///
/// # Errors
/// - [`Internal`](crate::ErrorKind::Internal) if a condition cannot be evaluated.
///
/// # Examples
/// ```
/// use strongroom::identity::{AccountId, Locality, Principal};
/// use strongroom::key::ParameterOperation;
/// use strongroom::policy::{ParameterPolicyRequest, PolicyEvaluation, evaluate_parameter};
/// use strongroom::Timestamp;
///
/// let (root, locality) = (Principal::root(AccountId::default()), Locality::default());
/// let (operation, now) = (ParameterOperation::DescribeParameters, Timestamp::from_unix_millis(0));
/// let request = ParameterPolicyRequest::new(&root, operation, &locality, now, "arn:aws:ssm:local:000000000000:*");
/// assert_eq!(evaluate_parameter(&request, &[])?, PolicyEvaluation::AllowedToAccount);
/// # Ok::<(), strongroom::Error>(())
/// ```
pub fn evaluate_parameter<'a>(
    request: &ParameterPolicyRequest<'_>,
    identity_policies: &'a [PolicyDocument],
) -> Result<PolicyEvaluation<'a>> {
    if let Some(statement) = find(request, identity_policies, Effect::Deny)? {
        return Ok(PolicyEvaluation::DeniedByIdentityPolicy(statement));
    }
    if request.principal.account() != request.account {
        return Ok(PolicyEvaluation::NotAllowedByIdentityPolicy);
    }
    if request.principal.is_account_root() {
        return Ok(PolicyEvaluation::AllowedToAccount);
    }
    let allowed = find(request, identity_policies, Effect::Allow)?;
    Ok(allowed.map_or(PolicyEvaluation::NotAllowedByIdentityPolicy, PolicyEvaluation::AllowedByIdentityPolicy))
}

fn find<'a>(
    request: &ParameterPolicyRequest<'_>,
    documents: &'a [PolicyDocument],
    effect: Effect,
) -> Result<Option<StatementName<'a>>> {
    for document in documents {
        for (place, statement) in document.statements().iter().enumerate() {
            if statement.effect() == effect && statement.applies_to_parameter(request)? {
                return Ok(Some(StatementName::new(place, statement)));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::clock::Timestamp;
    use crate::identity::{AccountId, Locality, Principal};
    use crate::key::{ParameterOperation, Tag, TagSet};

    fn decide<'a>(document: &str, change: impl FnOnce(&mut ParameterPolicyRequest<'a>)) -> Result<bool> {
        static LOCALITY: LazyLock<Locality> = LazyLock::new(Locality::default);
        static ALICE: LazyLock<Principal> = LazyLock::new(|| Principal::user(AccountId::default(), "alice").unwrap());
        let now = Timestamp::from_unix_millis(0);
        let arn = "arn:aws:ssm:local:000000000000:parameter/shop/db";
        let mut request: ParameterPolicyRequest<'a> =
            ParameterPolicyRequest::new(&ALICE, ParameterOperation::PutParameter, &LOCALITY, now, arn);
        change(&mut request);
        let documents = [PolicyDocument::identity_policy(document)?];
        Ok(evaluate_parameter(&request, &documents)?.is_allowed())
    }

    fn document(condition: &str) -> String {
        let condition = if condition.is_empty() { String::new() } else { format!(r#", "Condition": {condition}"#) };
        format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "ssm:PutParameter",
                "Resource": "arn:aws:ssm:*:*:parameter/shop/*"{condition}}}}}"#
        )
    }

    #[test]
    fn each_operation_needs_its_own_action() -> Result<()> {
        assert!(decide(&document(""), |_| {})?);
        for &operation in ParameterOperation::ALL {
            let allowed = decide(&document(""), |request| request.operation = operation)?;
            assert_eq!(allowed, operation == ParameterOperation::PutParameter, "{operation}");
        }
        let keys = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}}"#;
        assert!(!decide(keys, |_| {})?);
        Ok(())
    }

    #[test]
    fn conditions_test_tags_and_arguments() -> Result<()> {
        let overwrite = document(r#"{"Bool": {"ssm:Overwrite": "false"}}"#);
        assert!(!decide(&overwrite, |_| {})?);
        assert!(decide(&overwrite, |request| request.overwrite = Some(false))?);
        assert!(!decide(&overwrite, |request| request.overwrite = Some(true))?);
        let tags = TagSet::from_tags([Tag::new("team", "shop")?])?;
        for name in ["aws:ResourceTag/team", "ssm:resourceTag/team"] {
            let tagged = document(&format!(r#"{{"StringEquals": {{"{name}": "shop"}}}}"#));
            assert!(!decide(&tagged, |_| {})?);
            assert!(decide(&tagged, |request| request.tags = Some(&tags))?);
        }
        let request_tags = [Tag::new("team", "shop")?];
        let tag_keys = document(r#"{"ForAllValues:StringEquals": {"aws:TagKeys": "team"}}"#);
        assert!(decide(&tag_keys, |request| request.request_tags = &request_tags)?);
        assert!(!decide(&tag_keys, |request| request.tag_keys = &["stage"])?);
        // A condition about keys has no value here, so that the statement does not apply.
        let about_keys = document(r#"{"StringEquals": {"kms:ViaService": "ssm.local.amazonaws.com"}}"#);
        assert!(!decide(&about_keys, |_| {})?);
        Ok(())
    }

    #[test]
    fn a_denial_takes_precedence_even_for_the_root() -> Result<()> {
        let denied = r#"{"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "*", "Resource": "*"},
            {"Effect": "Deny", "Action": "ssm:Put*", "Resource": "*"}]}"#;
        assert!(!decide(denied, |_| {})?);
        assert!(decide(denied, |request| request.operation = ParameterOperation::GetParameter)?);
        let root = Principal::root(AccountId::default());
        assert!(!decide(denied, |request| request.principal = &root)?);
        let other = AccountId::parse("111122223333")?;
        assert!(!decide(&document(""), |request| request.account = other)?);
        Ok(())
    }
}
