//! Access keys in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use strongroom::Kms;
use strongroom::identity::Principal;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// An access key with its secret. `Debug` does not show the secret.
pub struct AccessKey {
    id: String,
    secret: Zeroizing<String>,
    token_hash: Option<[u8; 32]>,
    expires: Option<SystemTime>,
    handle: Kms,
}

impl AccessKey {
    /// Creates an access key whose requests are calls of `handle`, a narrowed handle.
    pub fn new(id: impl Into<String>, secret: Zeroizing<String>, handle: Kms) -> Self {
        Self { id: id.into(), secret, token_hash: None, expires: None, handle }
    }

    /// Requires a session token with this SHA-256 hash.
    #[must_use]
    pub fn token_hash(mut self, hash: Option<[u8; 32]>) -> Self {
        self.token_hash = hash;
        self
    }

    /// Sets the time from which the access key is refused.
    #[must_use]
    pub fn expires(mut self, time: Option<SystemTime>) -> Self {
        self.expires = time;
        self
    }

    /// Returns the access key ID.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the principal as which requests act.
    pub fn principal(&self) -> &Principal {
        self.handle.principal()
    }

    /// Returns the handle of the principal.
    pub const fn handle(&self) -> &Kms {
        &self.handle
    }

    /// Returns the secret, for the signer.
    pub(crate) fn expose_secret(&self) -> &str {
        &self.secret
    }

    /// Returns `true` if the token is the one of this access key, or if there is none and the
    /// access key has none. Compares in constant time.
    pub(crate) fn has_token(&self, token: Option<&str>) -> bool {
        match (&self.token_hash, token) {
            (None, None) => true,
            (Some(expected), Some(token)) => {
                let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
                hash.ct_eq(expected).into()
            }
            (None, Some(_)) | (Some(_), None) => false,
        }
    }

    pub(crate) fn is_expired(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey").field("id", &self.id).field("principal", self.principal()).finish_non_exhaustive()
    }
}

/// A set of access keys.
#[derive(Debug, Default)]
pub struct AccessKeys {
    by_id: BTreeMap<String, AccessKey>,
}

impl AccessKeys {
    /// Returns the access key with this ID.
    pub fn find(&self, id: &str) -> Option<&AccessKey> {
        self.by_id.get(id)
    }

    /// Returns the number of access keys.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Returns `true` if there are no access keys.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}

impl FromIterator<AccessKey> for AccessKeys {
    fn from_iter<I: IntoIterator<Item = AccessKey>>(keys: I) -> Self {
        Self { by_id: keys.into_iter().map(|key| (key.id.clone(), key)).collect() }
    }
}
