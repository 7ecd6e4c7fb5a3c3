//! Message authentication with HMAC.

use std::fmt::Debug;

use subtle::ConstantTimeEq;

use super::{DigestAlgorithm, DigestValue};

/// The MAC part of a backend: HMAC (RFC 2104, FIPS 198-1).
pub trait Mac: Debug + Send + Sync {
    /// Name of the library behind it.
    fn library(&self) -> &'static str;

    /// Prepares a key of any length, once for many calls. It is wiped when the result is dropped.
    fn bind(&self, algorithm: DigestAlgorithm, key: &[u8]) -> Box<dyn MacKey>;
}

/// A MAC key that is ready for use.
pub trait MacKey: Send + Sync {
    /// The MAC of the concatenation of `parts`, as long as the hash's output.
    fn authenticate(&self, parts: &[&[u8]]) -> DigestValue;

    /// Whether `tag` is the whole MAC of the concatenation of `parts`; takes the same time wherever they differ.
    fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        self.authenticate(parts).as_ref().ct_eq(tag).into()
    }
}
