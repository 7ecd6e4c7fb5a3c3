//! Key derivation with SP 800-108r1, section 4.1: HMAC in counter mode.
//!
//! The published crates for it bind the hash function as a type and would bypass the backend. A block
//! is one call of the backend's HMAC, so the function only concatenates blocks.

use crate::crypto::{CryptoBackend, DigestAlgorithm};
use crate::secret::SecretBytes;

/// Derives `length` bytes. Block `i`, from 1, is the MAC of
/// `u32 i ‖ label ‖ 0 ‖ context ‖ u32 length in bits`.
pub(super) fn derive(
    backend: &CryptoBackend,
    algorithm: DigestAlgorithm,
    key: &SecretBytes,
    (label, context): (&[u8], &[u8]),
    length: u16,
) -> SecretBytes {
    let bits = (u32::from(length) * 8).to_be_bytes();
    let key = backend.mac().bind(algorithm, key.expose_secret());
    let mut derived = SecretBytes::zeroed(usize::from(length));
    for (counter, chunk) in (1_u32..).zip(derived.expose_secret_mut().chunks_mut(algorithm.output_length())) {
        let block = key.authenticate(&[&counter.to_be_bytes(), label, &[0], context, &bits]);
        chunk.copy_from_slice(&block.expose_secret()[..chunk.len()]);
    }
    derived
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The blocks are those of OpenSSL:
    /// `openssl kdf -keylen 64 -kdfopt mac:HMAC -kdfopt digest:SHA256 -kdfopt hexkey:00..1f
    /// -kdfopt hexsalt:6c6162656c -kdfopt hexinfo:636f6e74657874 KBKDF`
    #[test]
    fn blocks_are_those_of_openssl() {
        let key: Vec<u8> = (0..32).collect();
        let key = SecretBytes::from_vec(key);
        let backend = CryptoBackend::default();
        let derive = |length| derive(&backend, DigestAlgorithm::Sha256, &key, (b"label", b"context"), length);
        assert_eq!(
            hex::encode(derive(32).expose_secret()),
            "303790cfe363abe9682dbfff5941f23b32addc96da72f4c7e5b20e9f59a4e570"
        );
        let two = "a96742dab629385c2fda3ab31ff80ae5ab8f18d61a903f75d4cb97422e3b9586\
                   4f650329d558a492707fde746725067868d9647d1a5d07f510bb09aa8d05efaa";
        assert_eq!(hex::encode(derive(64).expose_secret()), two);
    }
}
