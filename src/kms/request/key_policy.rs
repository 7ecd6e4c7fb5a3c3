//! Parameters of key policy operations.

use super::key_reference::KeyReference;

/// Parameters for [`Kms::put_key_policy`](crate::Kms::put_key_policy).
///
/// # Examples
/// ```
/// use strongroom::request::PutKeyPolicyRequest;
/// use strongroom::{ErrorKind, Kms};
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?.key_id();
/// let policy = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow",
///     "Principal": {"AWS": "arn:aws:iam::000000000000:user/alice"}, "Action": "kms:*", "Resource": "*"}}"#;
/// let request = PutKeyPolicyRequest::new(key, policy);
/// let refused = kms.put_key_policy(request.clone()).unwrap_err(); // it locks the caller out
/// assert_eq!(refused.kind(), ErrorKind::MalformedPolicyDocument);
/// kms.put_key_policy(request.bypass_policy_lockout_safety_check())?;
/// assert_eq!(kms.get_key_policy(key).unwrap_err().kind(), ErrorKind::AccessDenied);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PutKeyPolicyRequest<'a, K> {
    pub(in crate::kms) key: K,
    pub(in crate::kms) policy: &'a str,
    pub(in crate::kms) bypass_lockout_check: bool,
}

impl<'a, K: KeyReference> PutKeyPolicyRequest<'a, K> {
    /// Replaces the policy of a key with a document of up to 32,768 bytes.
    pub const fn new(key: K, policy: &'a str) -> Self {
        Self { key, policy, bypass_lockout_check: false }
    }

    /// Accepts a policy even if it locks out the caller (`BypassPolicyLockoutSafetyCheck`). This
    /// may be irreversible.
    #[must_use]
    pub const fn bypass_policy_lockout_safety_check(mut self) -> Self {
        self.bypass_lockout_check = true;
        self
    }

    /// [Accepts](Self::bypass_policy_lockout_safety_check) a policy that locks out the caller if
    /// `bypass` is `true`, for callers that pass on a flag.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::request::PutKeyPolicyRequest;
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?.key_id();
    /// let policy = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow",
    ///     "Principal": {"AWS": "arn:aws:iam::000000000000:user/alice"}, "Action": "kms:*", "Resource": "*"}}"#;
    /// let request = PutKeyPolicyRequest::new(key, policy);
    /// assert!(kms.put_key_policy(request.clone().bypass_policy_lockout_safety_check_if(false)).is_err());
    /// assert!(kms.put_key_policy(request.bypass_policy_lockout_safety_check_if(true)).is_ok());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[must_use]
    pub const fn bypass_policy_lockout_safety_check_if(mut self, bypass: bool) -> Self {
        self.bypass_lockout_check = bypass;
        self
    }
}
