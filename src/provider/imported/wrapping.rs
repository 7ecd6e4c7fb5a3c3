//! Unwrapping of imported key material.

use subtle::ConstantTimeEq;

use crate::algorithm::{WrappingAlgorithm, WrappingKeySpec};
use crate::crypto::{CryptoBackend, CryptoError, KeyPairKind, KeyWrapMode, PrivateKey, RsaOaep, text_form};
use crate::error::{Error, ErrorKind, Result};
use crate::key::KeySpec;
use crate::provider::key_pair_kind;
use crate::secret::SecretBytes;

/// Maximum length of wrapped material and of an import token, in bytes, as in the AWS KMS API.
/// RSA-4096 wrapped under RSA-4096 has 2,896 bytes.
///
/// Not every tool wraps much longer input as the standard specifies:
/// `openssl enc -id-aes256-wrap-pad` wraps input of 8 KiB and more in pieces.
pub(crate) const MAX_WRAPPED_MATERIAL: usize = 6_144;

/// Length in bytes of the AES key that wraps the material in the two-step algorithms.
const AES_KEY_LENGTH: usize = 32;

/// Minimum output length of AES-KWP in bytes (RFC 5649, section 4.1).
const MIN_KEY_WRAP: usize = 16;

/// Returns the crypto backends' name for a wrapping key spec.
pub(crate) const fn public_key_kind(spec: WrappingKeySpec) -> KeyPairKind {
    match spec {
        WrappingKeySpec::Rsa2048 => KeyPairKind::Rsa2048,
        WrappingKeySpec::Rsa3072 => KeyPairKind::Rsa3072,
        WrappingKeySpec::Rsa4096 => KeyPairKind::Rsa4096,
    }
}

const fn oaep(algorithm: WrappingAlgorithm) -> RsaOaep {
    match algorithm {
        WrappingAlgorithm::RsaesOaepSha1 | WrappingAlgorithm::RsaAesKeyWrapSha1 => RsaOaep::Sha1,
        WrappingAlgorithm::RsaesOaepSha256 | WrappingAlgorithm::RsaAesKeyWrapSha256 => RsaOaep::Sha256,
    }
}

const fn has_two_steps(algorithm: WrappingAlgorithm) -> bool {
    matches!(algorithm, WrappingAlgorithm::RsaAesKeyWrapSha1 | WrappingAlgorithm::RsaAesKeyWrapSha256)
}

/// Rejects a wrapping algorithm that cannot hold the material of a key.
///
/// RSA private keys require the two-step algorithms, and so does a P-521 private key under
/// RSA-2048. AWS KMS documents the two-step algorithms for private keys only. Here they wrap every
/// kind of material, as in Vault and PKCS#11.
///
/// # Errors
/// - [`Validation`](ErrorKind::Validation) with the algorithms that can hold it.
pub(crate) fn check_fit(spec: KeySpec, wrapping: WrappingKeySpec, algorithm: WrappingAlgorithm) -> Result<()> {
    let fits = has_two_steps(algorithm)
        || match key_pair_kind(spec) {
            None => true,
            Some(KeyPairKind::Rsa2048 | KeyPairKind::Rsa3072 | KeyPairKind::Rsa4096) => false,
            Some(KeyPairKind::EccP521) => wrapping != WrappingKeySpec::Rsa2048,
            Some(_) => true,
        };
    if fits {
        return Ok(());
    }
    let text = format!(
        "the material of a {spec} key is too long for {algorithm} under {wrapping}: use RSA_AES_KEY_WRAP_SHA_256"
    );
    Err(Error::new(ErrorKind::Validation, text))
}

/// Unwraps material.
///
/// # Errors
/// - [`InvalidCiphertext`](ErrorKind::InvalidCiphertext) if the material cannot be unwrapped. The
///   message is the same for every reason and backend. Only defects that are visible without any
///   key are reported separately: an impossible length, or text instead of binary data.
pub(crate) fn unwrap(
    backend: &CryptoBackend,
    algorithm: WrappingAlgorithm,
    key: &dyn PrivateKey,
    wrapped: &[u8],
) -> Result<SecretBytes> {
    check_form(algorithm, key.kind(), wrapped)?;
    let unwrapped = match has_two_steps(algorithm) {
        false => key.decrypt(oaep(algorithm), wrapped),
        true => unwrap_in_two_steps(backend, algorithm, key, wrapped),
    };
    unwrapped.map_err(|_| {
        let text = "cannot unwrap the key material with the wrapping key and the algorithm of the import token: \
                    wrap it again with both, using the same hash function for the label and the mask of RSA-OAEP";
        Error::new(ErrorKind::InvalidCiphertext, text)
    })
}

/// Rejects text and impossible lengths. Both are visible to anyone, without any key.
fn check_form(algorithm: WrappingAlgorithm, kind: KeyPairKind, wrapped: &[u8]) -> Result<()> {
    let modulus = kind.modulus_bits().unwrap_or_default() / 8;
    let fits = |length: usize| match has_two_steps(algorithm) {
        false => length == modulus,
        true => length >= modulus + MIN_KEY_WRAP && (length - modulus).is_multiple_of(8),
    };
    let found = match (text_form(wrapped), wrapped.strip_suffix(b"\n")) {
        (Some(form), _) => format!(": {form}"),
        (None, _) if fits(wrapped.len()) => return Ok(()),
        (None, Some(front)) if fits(front.len()) => ": it ends with a line ending, which must be removed".to_owned(),
        (None, _) => String::new(),
    };
    let wanted = match has_two_steps(algorithm) {
        false => format!("{modulus} bytes"),
        true => format!("{modulus} bytes followed by a multiple of 8, at least {MIN_KEY_WRAP}"),
    };
    let text = format!("material wrapped with {algorithm} must have {wanted}, not {}{found}", wrapped.len());
    Err(Error::new(ErrorKind::InvalidCiphertext, text))
}

/// `RSA-OAEP(AES key) ‖ AES-KWP(AES key, material)`.
fn unwrap_in_two_steps(
    backend: &CryptoBackend,
    algorithm: WrappingAlgorithm,
    key: &dyn PrivateKey,
    wrapped: &[u8],
) -> Result<SecretBytes, CryptoError> {
    let modulus = key.kind().modulus_bits().unwrap_or_default() / 8;
    let (wrapped_key, wrapped_material) = wrapped.split_at_checked(modulus).ok_or(CryptoError::NotAuthentic)?;
    // Both steps always run, so timing does not reveal which of them failed.
    let opened = key.decrypt(oaep(algorithm), wrapped_key).ok().filter(|opened| opened.len() == AES_KEY_LENGTH);
    let is_key = u8::from(opened.is_some());
    let aes_key = opened.unwrap_or_else(|| SecretBytes::zeroed(AES_KEY_LENGTH));
    let material = backend.key_wrap().unwrap(KeyWrapMode::Padded, aes_key.expose_secret(), wrapped_material);
    if bool::from(is_key.ct_eq(&1)) { material } else { Err(CryptoError::NotAuthentic) }
}
