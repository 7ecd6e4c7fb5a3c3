//! What operations take that need nothing but a key.

use crate::kms::pipeline::grant_tokens::GrantToken;
use crate::kms::request::key_reference::KeyReference;

/// What [`Kms::describe_key`](crate::Kms::describe_key) and [`Kms::get_public_key`](crate::Kms::get_public_key) take where
/// there is more to say than the key.
///
/// # Examples
/// ```
/// use strongroom::policy::GrantTerms;
/// use strongroom::{AccountId, CreateGrantRequest, KeyRequest, Kms, Operation, Principal};
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?.key_id();
/// let bob = Principal::user(AccountId::default(), "bob")?;
/// let terms = GrantTerms::new(bob.clone(), [Operation::DescribeKey])?;
/// let token = kms.create_grant(CreateGrantRequest::new(key, terms))?.grant_token;
/// let described = kms.as_principal(bob)?.describe_key(KeyRequest::new(key).grant_tokens(&[token]))?;
/// assert_eq!(described.key_id(), key);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct KeyRequest<'a, K> {
    pub(in crate::kms) key: K,
    pub(in crate::kms) grant_tokens: &'a [GrantToken],
}

impl<'a, K: KeyReference> KeyRequest<'a, K> {
    /// Names the key.
    pub const fn new(key: K) -> Self {
        Self { key, grant_tokens: &[] }
    }

    /// Names grants that may allow the call, 10 at most.
    #[must_use]
    pub const fn grant_tokens(mut self, tokens: &'a [GrantToken]) -> Self {
        self.grant_tokens = tokens;
        self
    }
}

/// A [`KeyRequest`], or the name of a key alone: anything that is a [`KeyReference`].
pub trait IntoKeyRequest<'a> {
    /// What names the key.
    type Key: KeyReference;

    /// The request.
    fn into_key_request(self) -> KeyRequest<'a, Self::Key>;
}

impl<K: KeyReference> IntoKeyRequest<'_> for K {
    type Key = K;

    fn into_key_request(self) -> KeyRequest<'static, K> {
        KeyRequest::new(self)
    }
}

impl<'a, K: KeyReference> IntoKeyRequest<'a> for KeyRequest<'a, K> {
    type Key = K;

    fn into_key_request(self) -> Self {
        self
    }
}
