//! Requests to the parameter store, as policies test them.

use crate::clock::Timestamp;
use crate::identity::{AccountId, Locality, Principal};
use crate::key::{ParameterOperation, Tag, TagSet};

/// A request to the parameter store (feature `parameters`), as policies test it.
///
/// # Examples
/// ```
/// use strongroom::identity::{AccountId, Locality, Principal};
/// use strongroom::key::ParameterOperation;
/// use strongroom::policy::{ParameterPolicyRequest, PolicyDocument, evaluate_parameter};
/// use strongroom::Timestamp;
///
/// let account = AccountId::parse("111122223333")?;
/// let (alice, locality) = (Principal::user(account, "alice")?, Locality::default());
/// let own = [PolicyDocument::identity_policy(
///     r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ssm:GetParameter*",
///         "Resource": "arn:aws:ssm:*:*:parameter/shop/*"}}"#,
/// )?];
/// let request = |arn| {
///     let (operation, now) = (ParameterOperation::GetParameter, Timestamp::from_unix_millis(0));
///     ParameterPolicyRequest::new(&alice, operation, &locality, now, arn)
/// };
/// let inside = request("arn:aws:ssm:local:111122223333:parameter/shop/db");
/// assert!(evaluate_parameter(&inside, &own)?.is_allowed());
/// let outside = request("arn:aws:ssm:local:111122223333:parameter/billing/db");
/// assert!(!evaluate_parameter(&outside, &own)?.is_allowed());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ParameterPolicyRequest<'a> {
    /// The requesting principal.
    pub principal: &'a Principal,
    /// The requested operation.
    pub operation: ParameterOperation,
    /// The account that owns the parameters.
    pub account: AccountId,
    /// The partition and region.
    pub locality: &'a Locality,
    /// The time of the request.
    pub time: Timestamp,
    /// The ARN of the parameter, or of the path of GetParametersByPath. It ends with `:*` for an
    /// operation on all parameters.
    pub resource_arn: &'a str,
    /// The tags of the parameter, if it exists: `aws:ResourceTag/<key>`, `ssm:resourceTag/<key>`.
    pub tags: Option<&'a TagSet>,
    /// The tags that the request adds: `aws:RequestTag/<key>`, `aws:TagKeys`.
    pub request_tags: &'a [Tag],
    /// The keys of the tags that the request removes: `aws:TagKeys`.
    pub tag_keys: &'a [&'a str],
    /// `true` if PutParameter may create a version of an existing parameter: `ssm:Overwrite`.
    pub overwrite: Option<bool>,
    /// `true` if GetParametersByPath returns parameters at every level: `ssm:Recursive`.
    pub recursive: Option<bool>,
}

impl<'a> ParameterPolicyRequest<'a> {
    /// Creates a request for an operation in the account of the principal.
    pub const fn new(
        principal: &'a Principal,
        operation: ParameterOperation,
        locality: &'a Locality,
        time: Timestamp,
        resource_arn: &'a str,
    ) -> Self {
        Self {
            account: principal.account(),
            principal,
            operation,
            locality,
            time,
            resource_arn,
            tags: None,
            request_tags: &[],
            tag_keys: &[],
            overwrite: None,
            recursive: None,
        }
    }
}
