//! AES-GCM from one buffer into another, for versions of `aws-lc-rs` that cannot do it.

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};
use aws_lc_rs::error::Unspecified;

/// Supplies `LessSafeKey::seal_out_of_place_scatter`, which `aws-lc-rs` has since 1.18. Where the
/// library has the method, Rust prefers it to this one, which copies the plaintext first.
#[allow(dead_code, reason = "unused if the library has the method")]
pub(super) trait SealOutOfPlace {
    fn seal_out_of_place_scatter(
        &self,
        nonce: Nonce,
        associated_data: Aad<&[u8]>,
        plaintext: &[u8],
        ciphertext: &mut [u8],
        further_plaintext: &[u8],
        further_ciphertext_and_tag: &mut [u8],
    ) -> Result<(), Unspecified>;
}

impl SealOutOfPlace for LessSafeKey {
    fn seal_out_of_place_scatter(
        &self,
        nonce: Nonce,
        associated_data: Aad<&[u8]>,
        plaintext: &[u8],
        ciphertext: &mut [u8],
        further_plaintext: &[u8],
        further_ciphertext_and_tag: &mut [u8],
    ) -> Result<(), Unspecified> {
        if plaintext.len() != ciphertext.len() {
            return Err(Unspecified);
        }
        ciphertext.copy_from_slice(plaintext);
        self.seal_in_place_scatter(nonce, associated_data, ciphertext, further_plaintext, further_ciphertext_and_tag)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::aead::{AES_256_GCM, UnboundKey};

    use super::*;

    #[test]
    fn sealing_with_a_copy_gives_the_bytes_of_the_other_backend() -> Result<(), crate::crypto::CryptoError> {
        use crate::crypto::{AeadAlgorithm, RUST_CRYPTO};

        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).expect("32 bytes"));
        let reference = RUST_CRYPTO.aead().bind(AeadAlgorithm::Aes256Gcm, &[7; 32])?;
        for length in [0, 1, 15, 16, 17, 4096] {
            let plaintext = vec![0xA5; length];
            let (mut ours, mut theirs, mut tag) = (vec![0; length], vec![0; length], [0; 16]);
            let expected = reference.seal(&[1; 12], b"aad", &plaintext, &mut theirs)?;
            let nonce = Nonce::assume_unique_for_key([1; 12]);
            let aad = || Aad::from(&b"aad"[..]);
            SealOutOfPlace::seal_out_of_place_scatter(&key, nonce, aad(), &plaintext, &mut ours, &[], &mut tag)
                .expect("buffers of the same length");
            assert_eq!((ours, tag), (theirs, expected), "{length}");
            let nonce = Nonce::assume_unique_for_key([1; 12]);
            let mut short = vec![0xEE; length + 1];
            let refused =
                SealOutOfPlace::seal_out_of_place_scatter(&key, nonce, aad(), &plaintext, &mut short, &[], &mut tag);
            assert!(refused.is_err() && short == vec![0xEE; length + 1], "{length}");
        }
        Ok(())
    }
}
