//! Secret bytes, which are wiped on drop, redacted in `Debug`, and compared in constant time.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// Secret bytes of a fixed length. They are wiped when dropped, cannot be cloned, and are never
/// printed or serialized.
///
/// The buffer is allocated once at its exact length and never grows, so no reallocation leaves an
/// unwiped copy behind. Comparing two values of the same length takes the same time wherever they
/// differ.
///
/// # Examples
/// ```
/// use strongroom::SecretBytes;
///
/// let secret = SecretBytes::copy_from_slice(b"correct horse");
/// assert_eq!(secret.expose_secret(), b"correct horse");
/// assert_eq!(format!("{secret:?}"), "SecretBytes(13 bytes)"); // never the content
/// assert_eq!(secret, SecretBytes::from_vec(b"correct horse".to_vec())); // in constant time
/// assert_eq!((secret.len(), secret.is_empty()), (13, false));
///
/// let mut buffer = SecretBytes::zeroed(32);
/// buffer.expose_secret_mut().copy_from_slice(&[7; 32]);
/// assert_eq!(buffer.into_zeroizing_vec()[..], [7; 32]); // the vector is wiped, too
/// ```
pub struct SecretBytes(Box<[u8]>);

impl SecretBytes {
    /// Copies the bytes. The caller still owns the original and should wipe it.
    pub fn copy_from_slice(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// Creates `length` zero bytes, to be filled through [`SecretBytes::expose_secret_mut`].
    pub fn zeroed(length: usize) -> Self {
        Self(vec![0; length].into_boxed_slice())
    }

    /// Converts a vector without leaving a copy. If its capacity exceeds its length, the bytes move
    /// to an exact allocation and the old one is wiped.
    pub fn from_vec(mut bytes: Vec<u8>) -> Self {
        if bytes.len() == bytes.capacity() {
            return Self(bytes.into_boxed_slice());
        }
        let exact = Self::copy_from_slice(&bytes);
        bytes.zeroize();
        exact
    }

    /// Returns the bytes. The caller is responsible for every copy of them.
    pub fn expose_secret(&self) -> &[u8] {
        &self.0
    }

    /// Returns the bytes for writing in place.
    pub fn expose_secret_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// Returns the number of bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns `true` if there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Converts the bytes into a vector that is wiped when dropped.
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
