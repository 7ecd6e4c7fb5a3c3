//! Requests about the policies of keys.

use super::key_reference::KeyReference;

/// What [`Kms::put_key_policy`](crate::Kms::put_key_policy) takes.
#[derive(Clone, Debug)]
pub struct PutKeyPolicyRequest<'a, K> {
    pub(in crate::kms) key: K,
    pub(in crate::kms) policy: &'a str,
    pub(in crate::kms) bypass_lockout_check: bool,
}

impl<'a, K: KeyReference> PutKeyPolicyRequest<'a, K> {
    /// Replaces the policy of a key by a document of at most 32,768 bytes.
    pub const fn new(key: K, policy: &'a str) -> Self {
        Self { key, policy, bypass_lockout_check: false }
    }

    /// Takes a policy also if it locks out whoever puts it (`BypassPolicyLockoutSafetyCheck`). There may be no way back.
    #[must_use]
    pub const fn bypass_policy_lockout_safety_check(mut self) -> Self {
        self.bypass_lockout_check = true;
        self
    }
}
