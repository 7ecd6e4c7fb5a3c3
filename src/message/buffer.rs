//! Output buffers.

use zeroize::Zeroize;

/// Makes a vector `length` bytes long without clearing what is there: it is about to be overwritten. A vector that is
/// too small gives way to a fresh one, whose zeros cost nothing.
pub(crate) fn prepare(bytes: &mut Vec<u8>, length: usize) {
    if bytes.capacity() < length {
        *bytes = vec![0; length];
    } else {
        bytes.resize(length, 0);
    }
}

/// The same for plaintext: a vector that gives way is wiped.
pub(crate) fn prepare_secret(bytes: &mut Vec<u8>, length: usize) {
    if bytes.capacity() < length {
        bytes.zeroize();
    }
    prepare(bytes, length);
}
