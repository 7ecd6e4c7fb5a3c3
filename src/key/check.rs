//! Checks against a key spec: unsupported usages and algorithms, and inputs that are too long.

use super::{KeySpec, KeyUsage, MAX_PLAINTEXT_BYTES};
use crate::algorithm::{
    EncapsulationAlgorithm, EncryptionAlgorithm, KeyAgreementAlgorithm, MacAlgorithm, SigningAlgorithm,
};
use crate::error::{Error, ErrorKind, Result};

/// The maximum size of a message to sign, verify, or authenticate in one call. For longer messages,
/// sign the digest.
pub const MAX_MESSAGE_BYTES: usize = 4096;

/// Rejects a usage that keys of the spec cannot have.
///
/// # Errors
/// - [`Validation`](ErrorKind::Validation) if keys of the spec cannot have the usage.
///
/// # Examples
/// ```
/// use strongroom::key::{KeySpec, KeyUsage, check_usage};
///
/// check_usage(KeySpec::EccNistP256, KeyUsage::KeyAgreement)?;
/// let error = check_usage(KeySpec::Rsa2048, KeyUsage::KeyAgreement).unwrap_err();
/// assert_eq!(error.to_string(), "KeyUsage KEY_AGREEMENT is not compatible with KeySpec RSA_2048");
/// # Ok::<(), strongroom::Error>(())
/// ```
pub fn check_usage(spec: KeySpec, usage: KeyUsage) -> Result<()> {
    if spec.usages().contains(&usage) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Validation, format!("KeyUsage {usage} is not compatible with KeySpec {spec}")))
}

/// Rejects an algorithm that keys of the spec do not support, and a plaintext that is empty or too
/// long.
///
/// # Errors
/// - [`InvalidKeyUsage`](ErrorKind::InvalidKeyUsage) if keys of the spec do not support the
///   algorithm.
/// - [`Validation`](ErrorKind::Validation) if the plaintext is empty or too long.
///
/// # Examples
/// ```
/// use strongroom::ErrorKind;
/// use strongroom::algorithm::EncryptionAlgorithm::{RsaesOaepSha256, SymmetricDefault};
/// use strongroom::key::{KeySpec, check_plaintext};
///
/// assert!(check_plaintext(KeySpec::SymmetricDefault, SymmetricDefault, 4_096).is_ok());
/// let kind = |spec, algorithm, length| check_plaintext(spec, algorithm, length).unwrap_err().kind();
/// assert_eq!(kind(KeySpec::SymmetricDefault, SymmetricDefault, 4_097), ErrorKind::Validation);
/// assert_eq!(kind(KeySpec::Rsa2048, RsaesOaepSha256, 191), ErrorKind::Validation); // 190 at most
/// assert_eq!(kind(KeySpec::Rsa2048, SymmetricDefault, 1), ErrorKind::InvalidKeyUsage);
/// # Ok::<(), strongroom::Error>(())
/// ```
pub fn check_plaintext(spec: KeySpec, algorithm: EncryptionAlgorithm, length: usize) -> Result<()> {
    let limit = spec.max_plaintext(algorithm).ok_or_else(|| incompatible(algorithm.as_str(), spec))?;
    check_plaintext_length(length)?;
    if length > limit {
        let message =
            format!("Algorithm {algorithm} and key spec {spec} cannot encrypt data larger than {limit} bytes.");
        return Err(Error::new(ErrorKind::Validation, message));
    }
    Ok(())
}

/// Rejects a plaintext that no key encrypts, because it is empty or too long.
pub(crate) fn check_plaintext_length(length: usize) -> Result<()> {
    if (1..=MAX_PLAINTEXT_BYTES).contains(&length) {
        return Ok(());
    }
    let message = format!(
        "the plaintext must have 1 to {MAX_PLAINTEXT_BYTES} bytes, not {length}: an Envelope encrypts any length"
    );
    Err(Error::new(ErrorKind::Validation, message))
}

/// Rejects an encryption algorithm that keys of the spec do not support.
///
/// # Errors
/// - [`InvalidKeyUsage`](ErrorKind::InvalidKeyUsage) if keys of the spec do not support the
///   algorithm.
///
/// # Examples
/// ```
/// use strongroom::algorithm::EncryptionAlgorithm::RsaesOaepSha256;
/// use strongroom::key::{KeySpec, check_encryption_algorithm};
///
/// assert!(check_encryption_algorithm(KeySpec::Rsa4096, RsaesOaepSha256).is_ok());
/// assert!(check_encryption_algorithm(KeySpec::SymmetricDefault, RsaesOaepSha256).is_err());
/// ```
pub fn check_encryption_algorithm(spec: KeySpec, algorithm: EncryptionAlgorithm) -> Result<()> {
    check_listed(spec.encryption_algorithms(KeyUsage::EncryptDecrypt), algorithm, algorithm.as_str(), spec)
}

/// Rejects a signing algorithm that keys of the spec do not support.
///
/// # Errors
/// - [`InvalidKeyUsage`](ErrorKind::InvalidKeyUsage) if keys of the spec do not support the
///   algorithm.
///
/// # Examples
/// ```
/// use strongroom::algorithm::SigningAlgorithm::EcdsaSha384;
/// use strongroom::key::{KeySpec, check_signing_algorithm};
///
/// assert!(check_signing_algorithm(KeySpec::EccNistP384, EcdsaSha384).is_ok());
/// assert!(check_signing_algorithm(KeySpec::EccNistP256, EcdsaSha384).is_err()); // one hash per curve
/// ```
pub fn check_signing_algorithm(spec: KeySpec, algorithm: SigningAlgorithm) -> Result<()> {
    check_listed(spec.signing_algorithms(KeyUsage::SignVerify), algorithm, algorithm.as_str(), spec)
}

/// Rejects a MAC algorithm that keys of the spec do not support.
///
/// # Errors
/// - [`InvalidKeyUsage`](ErrorKind::InvalidKeyUsage) if keys of the spec do not support the
///   algorithm.
///
/// # Examples
/// ```
/// use strongroom::algorithm::MacAlgorithm::HmacSha256;
/// use strongroom::key::{KeySpec, check_mac_algorithm};
///
/// assert!(check_mac_algorithm(KeySpec::Hmac256, HmacSha256).is_ok());
/// assert!(check_mac_algorithm(KeySpec::Hmac512, HmacSha256).is_err());
/// ```
pub fn check_mac_algorithm(spec: KeySpec, algorithm: MacAlgorithm) -> Result<()> {
    check_listed(spec.mac_algorithms(KeyUsage::GenerateVerifyMac), algorithm, algorithm.as_str(), spec)
}

/// Rejects a key agreement algorithm that keys of the spec do not support.
///
/// # Errors
/// - [`InvalidKeyUsage`](ErrorKind::InvalidKeyUsage) if keys of the spec do not support the
///   algorithm.
///
/// # Examples
/// ```
/// use strongroom::algorithm::KeyAgreementAlgorithm::Ecdh;
/// use strongroom::key::{KeySpec, check_agreement_algorithm};
///
/// assert!(check_agreement_algorithm(KeySpec::EccNistP521, Ecdh).is_ok());
/// assert!(check_agreement_algorithm(KeySpec::EccSecgP256k1, Ecdh).is_err());
/// ```
pub fn check_agreement_algorithm(spec: KeySpec, algorithm: KeyAgreementAlgorithm) -> Result<()> {
    check_listed(spec.key_agreement_algorithms(KeyUsage::KeyAgreement), algorithm, algorithm.as_str(), spec)
}

/// Rejects an encapsulation algorithm that keys of the spec do not support.
///
/// # Errors
/// - [`InvalidKeyUsage`](ErrorKind::InvalidKeyUsage) if keys of the spec do not support the
///   algorithm.
///
/// # Examples
/// ```
/// use strongroom::algorithm::EncapsulationAlgorithm::MlKem;
/// use strongroom::key::{KeySpec, check_encapsulation_algorithm};
///
/// assert!(check_encapsulation_algorithm(KeySpec::MlKem512, MlKem).is_ok());
/// assert!(check_encapsulation_algorithm(KeySpec::MlDsa44, MlKem).is_err());
/// ```
pub fn check_encapsulation_algorithm(spec: KeySpec, algorithm: EncapsulationAlgorithm) -> Result<()> {
    let listed = spec.encapsulation_algorithms(KeyUsage::EncapsulateDecapsulate);
    check_listed(listed, algorithm, algorithm.as_str(), spec)
}

/// Rejects a message that is empty or longer than [`MAX_MESSAGE_BYTES`].
///
/// # Errors
/// - [`Validation`](ErrorKind::Validation) if the message is empty or too long.
///
/// # Examples
/// ```
/// use strongroom::ErrorKind;
/// use strongroom::key::{MAX_MESSAGE_BYTES, check_message_length};
///
/// assert!(check_message_length(&[0; MAX_MESSAGE_BYTES]).is_ok());
/// assert_eq!(check_message_length(&[]).unwrap_err().kind(), ErrorKind::Validation);
/// ```
pub fn check_message_length(message: &[u8]) -> Result<()> {
    let length = message.len();
    let advice = match length {
        1..=MAX_MESSAGE_BYTES => return Ok(()),
        0 => "",
        _ => ": KmsSigner and KmsMac accept longer ones",
    };
    let text = format!("the message must have 1 to {MAX_MESSAGE_BYTES} bytes, not {length}{advice}");
    Err(Error::new(ErrorKind::Validation, text))
}

fn check_listed<A: PartialEq>(listed: &[A], algorithm: A, name: &str, spec: KeySpec) -> Result<()> {
    if listed.contains(&algorithm) { Ok(()) } else { Err(incompatible(name, spec)) }
}

fn incompatible(algorithm: &str, spec: KeySpec) -> Error {
    let text = format!("Algorithm {algorithm} is incompatible with key spec {spec}.");
    Error::new(ErrorKind::InvalidKeyUsage, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_usage_is_refused_in_the_words_of_the_service() {
        let error = check_usage(KeySpec::Hmac256, KeyUsage::EncryptDecrypt).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Validation);
        assert_eq!(error.to_string(), "KeyUsage ENCRYPT_DECRYPT is not compatible with KeySpec HMAC_256");
    }

    #[test]
    fn plaintext_is_at_least_one_byte_and_at_most_what_the_algorithm_takes() {
        for &spec in KeySpec::ALL {
            for &algorithm in EncryptionAlgorithm::ALL {
                let Some(limit) = spec.max_plaintext(algorithm) else {
                    let error = check_plaintext(spec, algorithm, 1).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::InvalidKeyUsage, "{spec} {algorithm}");
                    continue;
                };
                for (length, fits) in [(0, false), (1, true), (limit, true), (limit + 1, false), (usize::MAX, false)] {
                    assert_eq!(check_plaintext(spec, algorithm, length).is_ok(), fits, "{spec} {algorithm} {length}");
                }
            }
        }
        let error = check_plaintext(KeySpec::Rsa2048, EncryptionAlgorithm::RsaesOaepSha256, 191).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Algorithm RSAES_OAEP_SHA_256 and key spec RSA_2048 cannot encrypt data larger than 190 bytes."
        );
        let error = check_plaintext(KeySpec::Rsa4096, EncryptionAlgorithm::SymmetricDefault, 1).unwrap_err();
        assert_eq!(error.to_string(), "Algorithm SYMMETRIC_DEFAULT is incompatible with key spec RSA_4096.");
    }

    #[test]
    fn an_algorithm_of_another_spec_is_refused_in_the_words_of_the_service() {
        let error = check_mac_algorithm(KeySpec::Hmac256, MacAlgorithm::HmacSha512).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidKeyUsage);
        assert_eq!(error.to_string(), "Algorithm HMAC_SHA_512 is incompatible with key spec HMAC_256.");
        for &spec in KeySpec::ALL {
            for &algorithm in SigningAlgorithm::ALL {
                let listed = spec.signing_algorithms(KeyUsage::SignVerify).contains(&algorithm);
                assert_eq!(check_signing_algorithm(spec, algorithm).is_ok(), listed, "{spec} {algorithm}");
            }
            let agrees = spec.usages().contains(&KeyUsage::KeyAgreement);
            assert_eq!(check_agreement_algorithm(spec, KeyAgreementAlgorithm::Ecdh).is_ok(), agrees, "{spec}");
            let encapsulates = spec.usages().contains(&KeyUsage::EncapsulateDecapsulate);
            let checked = check_encapsulation_algorithm(spec, EncapsulationAlgorithm::MlKem);
            assert_eq!(checked.is_ok(), encapsulates, "{spec}");
        }
    }

    #[test]
    fn a_message_has_1_to_4096_bytes() {
        for (length, fits) in [(0, false), (1, true), (4096, true), (4097, false)] {
            assert_eq!(check_message_length(&vec![0; length]).is_ok(), fits, "{length}");
        }
    }
}
