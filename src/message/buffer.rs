//! Output buffers.

use zeroize::Zeroize;

/// Sets the length of a vector that is about to be overwritten, without clearing its contents. If
/// the capacity is too small, the vector is replaced by a new one, whose zeroed memory costs
/// nothing.
pub(crate) fn prepare(bytes: &mut Vec<u8>, length: usize) {
    if bytes.capacity() < length {
        *bytes = vec![0; length];
    } else {
        bytes.resize(length, 0);
    }
}

/// Like [`prepare`], but for plaintext: a replaced vector is wiped.
pub(crate) fn prepare_secret(bytes: &mut Vec<u8>, length: usize) {
    if bytes.capacity() < length {
        bytes.zeroize();
    }
    prepare(bytes, length);
}
