//! Bytes that must not leak: wiped on drop, redacted in `Debug`, compared in constant time.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// Secret bytes of a fixed length: wiped when dropped, not cloneable, never printed or serialized.
///
/// The buffer is allocated once at its exact length and never grows, so that no unwiped copy is left behind by a
/// reallocation. Equality takes the same time wherever two values of one length differ.
///
/// # Examples
/// ```
/// use strongroom::SecretBytes;
///
/// let secret = SecretBytes::copy_from_slice(b"correct horse");
/// assert_eq!(secret.expose_secret(), b"correct horse");
/// assert_eq!(format!("{secret:?}"), "SecretBytes(13 bytes)");
/// ```
pub struct SecretBytes(Box<[u8]>);

impl SecretBytes {
    /// Copies the bytes; the caller keeps, and should wipe, the original.
    pub fn copy_from_slice(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// Makes `length` zero bytes to be filled in by [`SecretBytes::expose_secret_mut`].
    pub fn zeroed(length: usize) -> Self {
        Self(vec![0; length].into_boxed_slice())
    }

    /// Takes over a vector without leaving a copy: if its capacity is larger than its length, the bytes move to an
    /// exact allocation and the old one is wiped.
    pub fn from_vec(mut bytes: Vec<u8>) -> Self {
        if bytes.len() == bytes.capacity() {
            return Self(bytes.into_boxed_slice());
        }
        let exact = Self::copy_from_slice(&bytes);
        bytes.zeroize();
        exact
    }

    /// The bytes themselves. Whoever calls this is responsible for every copy made of them.
    pub fn expose_secret(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, to be written in place.
    pub fn expose_secret_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Hands the bytes to a vector that is wiped when dropped.
    pub fn into_zeroizing_vec(mut self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(std::mem::take(&mut self.0).into_vec())
    }
}

impl Drop for SecretBytes {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ConstantTimeEq for SecretBytes {
    fn ct_eq(&self, other: &Self) -> subtle::Choice {
        self.0.ct_eq(&other.0)
    }
}

impl PartialEq for SecretBytes {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl Eq for SecretBytes {}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretBytes({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_only_the_length() {
        assert_eq!(format!("{:?}", SecretBytes::copy_from_slice(&[0xAB; 3])), "SecretBytes(3 bytes)");
    }

    #[test]
    fn equality_is_by_content() {
        assert_eq!(SecretBytes::copy_from_slice(b"a"), SecretBytes::from_vec(vec![b'a']));
        assert_ne!(SecretBytes::copy_from_slice(b"a"), SecretBytes::copy_from_slice(b"b"));
        assert_ne!(SecretBytes::copy_from_slice(b"a"), SecretBytes::copy_from_slice(b"aa"));
    }

    #[test]
    fn a_vector_with_spare_capacity_is_reallocated_exactly() {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(b"key");
        let secret = SecretBytes::from_vec(bytes);
        assert_eq!(secret.into_zeroizing_vec().capacity(), 3);
    }
}
