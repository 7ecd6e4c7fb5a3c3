//! Material under a wrapping key.

use subtle::ConstantTimeEq;

use crate::algorithm::{WrappingAlgorithm, WrappingKeySpec};
use crate::crypto::{CryptoBackend, CryptoError, KeyPairKind, KeyWrapMode, PrivateKey, RsaOaep, text_form};
use crate::error::{Error, ErrorKind, Result};
use crate::key::KeySpec;
use crate::provider::key_pair_kind;
use crate::secret::SecretBytes;

/// The most bytes of wrapped material, and of an import token, as in the API of AWS KMS. RSA-4096 under RSA-4096 has 2,896.
///
/// Far longer input would not be wrapped by everybody as the standard has it: `openssl enc -id-aes256-wrap-pad` wraps in
/// pieces from 8 KiB on.
pub(crate) const MAX_WRAPPED_MATERIAL: usize = 6_144;

/// Bytes of the AES key that wraps the material in the two-step algorithms.
const AES_KEY_LENGTH: usize = 32;

/// The fewest bytes that AES-KWP writes (RFC 5649, section 4.1).
const MIN_KEY_WRAP: usize = 16;

/// What the backends call a wrapping key.
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

/// Refuses a way of wrapping into which the material of a key does not fit.
///
/// RSA private keys need the two-step algorithms, and so does one of P-521 under RSA-2048. The service documents the
/// two-step algorithms for private keys only; here they wrap every kind of material, as Vault and PKCS#11 do it.
///
/// # Errors
/// [`Validation`](ErrorKind::Validation), with the algorithms that do.
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
        "the material of a {spec} key is too long for {algorithm} under {wrapping}: take RSA_AES_KEY_WRAP_SHA_256"
    );
    Err(Error::new(ErrorKind::Validation, text))
}

/// Unwraps material.
///
/// # Errors
/// - [`InvalidCiphertext`](ErrorKind::InvalidCiphertext) with one text for every reason, in every backend, but for what
///   is visible without any key: a length that no such wrapping has, and text in the place of bytes.
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
        let text = "the key material does not unwrap with the wrapping key and the algorithm of the import token: wrap it \
                    again with both, and with one hash function for label and mask of RSA-OAEP";
        Error::new(ErrorKind::InvalidCiphertext, text)
    })
}

/// Rejects text, and a length that no such wrapping has. Both are visible to everybody, without any key.
fn check_form(algorithm: WrappingAlgorithm, kind: KeyPairKind, wrapped: &[u8]) -> Result<()> {
    let modulus = kind.modulus_bits().unwrap_or_default() / 8;
    let fits = |length: usize| match has_two_steps(algorithm) {
        false => length == modulus,
        true => length >= modulus + MIN_KEY_WRAP && (length - modulus).is_multiple_of(8),
    };
    let found = match (text_form(wrapped), wrapped.strip_suffix(b"\n")) {
        (Some(form), _) => format!(": {form}"),
        (None, _) if fits(wrapped.len()) => return Ok(()),
        (None, Some(front)) if fits(front.len()) => ": it ends with a line end, remove that".to_owned(),
        (None, _) => String::new(),
    };
    let wanted = match has_two_steps(algorithm) {
        false => format!("{modulus} bytes"),
        true => format!("{modulus} bytes and behind them a multiple of 8, from {MIN_KEY_WRAP} on"),
    };
    let text = format!("material wrapped with {algorithm} has {wanted}, and here are {}{found}", wrapped.len());
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
    // Both steps are done whatever the first one says, so that no time tells which of them failed.
    let opened = key.decrypt(oaep(algorithm), wrapped_key).ok().filter(|opened| opened.len() == AES_KEY_LENGTH);
    let is_key = u8::from(opened.is_some());
    let aes_key = opened.unwrap_or_else(|| SecretBytes::zeroed(AES_KEY_LENGTH));
    let material = backend.key_wrap().unwrap(KeyWrapMode::Padded, aes_key.expose_secret(), wrapped_material);
    if bool::from(is_key.ct_eq(&1)) { material } else { Err(CryptoError::NotAuthentic) }
}
