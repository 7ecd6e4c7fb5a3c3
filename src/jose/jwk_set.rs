//! JSON Web Key Sets.

use std::fmt;

use serde::Serialize;

use super::Jwk;

/// A JSON Web Key Set (RFC 7517, section 5): the public keys that an issuer publishes, usually at
/// `/.well-known/jwks.json` with the media type `application/jwk-set+json`. Serializes with serde,
/// and displays as JSON.
///
/// When you move the alias of a signing key to a new key, publish both public keys until the last
/// token of the old key has expired.
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::jose::{Jwk, JwkSet};
/// use strongroom::key::{KeySpec, KeyUsage};
/// use strongroom::request::CreateKeyRequest;
///
/// let kms = Kms::in_memory()?;
/// let create = || kms.create_key(CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::SignVerify));
/// let keys = [create()?, create()?];
/// let set: JwkSet = keys.iter().map(|key| kms.get_public_key(key.arn())?.to_jwk()).collect::<strongroom::Result<_>>()?;
/// assert_eq!(set.keys().len(), 2);
/// assert!(set.to_string().starts_with(r#"{"keys":[{"kty":"EC","#));
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JwkSet {
    keys: Vec<Jwk>,
}

impl JwkSet {
    /// Returns the keys, in the order in which they were added.
    pub fn keys(&self) -> &[Jwk] {
        &self.keys
    }
}

/// Keys that are already in the set are not added again.
impl Extend<Jwk> for JwkSet {
    fn extend<I: IntoIterator<Item = Jwk>>(&mut self, keys: I) {
        for key in keys {
            if !self.keys.contains(&key) {
                self.keys.push(key);
            }
        }
    }
}

impl FromIterator<Jwk> for JwkSet {
    fn from_iter<I: IntoIterator<Item = Jwk>>(keys: I) -> Self {
        let mut set = Self::default();
        set.extend(keys);
        set
    }
}

impl fmt::Display for JwkSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}
