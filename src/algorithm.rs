//! The algorithms of the key model, by their wire names: encryption, signing, MAC, key agreement, key
//! encapsulation, and wrapping.
//!
//! | enum | used by |
//! |---|---|
//! | [`EncryptionAlgorithm`] | [`Kms::encrypt`](crate::Kms::encrypt), [`Kms::decrypt`](crate::Kms::decrypt), [`Kms::re_encrypt`](crate::Kms::re_encrypt) |
//! | [`SigningAlgorithm`], [`MessageType`] | [`Kms::sign`](crate::Kms::sign), [`Kms::verify`](crate::Kms::verify) |
//! | [`MacAlgorithm`] | [`Kms::generate_mac`](crate::Kms::generate_mac), [`Kms::verify_mac`](crate::Kms::verify_mac) |
//! | [`KeyAgreementAlgorithm`] | [`Kms::derive_shared_secret`](crate::Kms::derive_shared_secret) |
//! | [`EncapsulationAlgorithm`] | [`Kms::encapsulate`](crate::Kms::encapsulate), [`Kms::decapsulate`](crate::Kms::decapsulate) |
//! | [`WrappingAlgorithm`], [`WrappingKeySpec`] | [`Kms::get_parameters_for_import`](crate::Kms::get_parameters_for_import) |
//!
//! This module contains only names and facts. The [`KeySpec`](crate::key::KeySpec) of a key
//! determines which of them it supports. [`crate::crypto`] implements the algorithms.
//!
//! # Examples
//! ```
//! use strongroom::algorithm::{MacAlgorithm, SigningAlgorithm};
//! use strongroom::key::{KeySpec, KeyUsage};
//!
//! let algorithm = SigningAlgorithm::parse("ECDSA_SHA_256")?;
//! assert!(KeySpec::EccNistP256.signing_algorithms(KeyUsage::SignVerify).contains(&algorithm));
//! assert_eq!(MacAlgorithm::HmacSha256.to_string(), "HMAC_SHA_256");
//! assert!(SigningAlgorithm::parse("MD5").is_err());
//! # Ok::<(), strongroom::Error>(())
//! ```

use crate::error::{Error, ErrorKind, Result};
use crate::text::string_enum;

string_enum! {
    /// Algorithms for encryption under a key.
    pub enum EncryptionAlgorithm as "encryption algorithm" {
        /// AES-256-GCM under a symmetric key. The ciphertext identifies its key.
        SymmetricDefault => "SYMMETRIC_DEFAULT",
        /// RSA-OAEP with SHA-1 for label and mask (RFC 8017, section 7.1). For systems that do not
        /// support SHA-256.
        RsaesOaepSha1 => "RSAES_OAEP_SHA_1",
        /// RSA-OAEP with SHA-256 for label and mask.
        RsaesOaepSha256 => "RSAES_OAEP_SHA_256",
    }
}

string_enum! {
    /// Algorithms for signing.
    pub enum SigningAlgorithm as "signing algorithm" {
        /// RSASSA-PSS with SHA-256 and a salt as long as the hash (RFC 8017, section 8.1).
        RsassaPssSha256 => "RSASSA_PSS_SHA_256",
        /// RSASSA-PSS with SHA-384.
        RsassaPssSha384 => "RSASSA_PSS_SHA_384",
        /// RSASSA-PSS with SHA-512.
        RsassaPssSha512 => "RSASSA_PSS_SHA_512",
        /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, section 8.2).
        RsassaPkcs1V15Sha256 => "RSASSA_PKCS1_V1_5_SHA_256",
        /// RSASSA-PKCS1-v1_5 with SHA-384.
        RsassaPkcs1V15Sha384 => "RSASSA_PKCS1_V1_5_SHA_384",
        /// RSASSA-PKCS1-v1_5 with SHA-512.
        RsassaPkcs1V15Sha512 => "RSASSA_PKCS1_V1_5_SHA_512",
        /// ECDSA with SHA-256 (FIPS 186-5, section 6). Signatures are encoded in DER.
        EcdsaSha256 => "ECDSA_SHA_256",
        /// ECDSA with SHA-384.
        EcdsaSha384 => "ECDSA_SHA_384",
        /// ECDSA with SHA-512.
        EcdsaSha512 => "ECDSA_SHA_512",
        /// Ed25519 over the message itself (RFC 8032, section 5.1).
        Ed25519Sha512 => "ED25519_SHA_512",
        /// Ed25519ph, over the SHA-512 digest of the message.
        Ed25519PhSha512 => "ED25519_PH_SHA_512",
        /// ML-DSA, of the parameter set of the key (FIPS 204, section 5.2), with an empty context.
        MlDsaShake256 => "ML_DSA_SHAKE_256",
    }
}

impl SigningAlgorithm {
    /// Returns the message types that the algorithm accepts.
    ///
    /// # Examples
    /// ```
    /// use strongroom::algorithm::{MessageType, SigningAlgorithm};
    ///
    /// assert_eq!(SigningAlgorithm::EcdsaSha256.message_types(), [MessageType::Raw, MessageType::Digest]);
    /// assert_eq!(SigningAlgorithm::Ed25519Sha512.message_types(), [MessageType::Raw]);
    /// assert_eq!(SigningAlgorithm::MlDsaShake256.message_types(), [MessageType::Raw, MessageType::ExternalMu]);
    /// ```
    pub const fn message_types(self) -> &'static [MessageType] {
        match self {
            Self::Ed25519Sha512 => &[MessageType::Raw],
            Self::Ed25519PhSha512 => &[MessageType::Digest],
            Self::MlDsaShake256 => &[MessageType::Raw, MessageType::ExternalMu],
            Self::RsassaPssSha256
            | Self::RsassaPssSha384
            | Self::RsassaPssSha512
            | Self::RsassaPkcs1V15Sha256
            | Self::RsassaPkcs1V15Sha384
            | Self::RsassaPkcs1V15Sha512
            | Self::EcdsaSha256
            | Self::EcdsaSha384
            | Self::EcdsaSha512 => &[MessageType::Raw, MessageType::Digest],
        }
    }

    /// Returns the required length of a [`MessageType::Digest`], in bytes. For ML-DSA, it is the
    /// length of a [`MessageType::ExternalMu`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::algorithm::SigningAlgorithm;
    ///
    /// assert_eq!(SigningAlgorithm::RsassaPssSha384.digest_length(), 48);
    /// ```
    pub const fn digest_length(self) -> usize {
        match self {
            Self::RsassaPssSha256 | Self::RsassaPkcs1V15Sha256 | Self::EcdsaSha256 => 32,
            Self::RsassaPssSha384 | Self::RsassaPkcs1V15Sha384 | Self::EcdsaSha384 => 48,
            Self::RsassaPssSha512
            | Self::RsassaPkcs1V15Sha512
            | Self::EcdsaSha512
            | Self::Ed25519Sha512
            | Self::Ed25519PhSha512
            | Self::MlDsaShake256 => 64,
        }
    }

    /// Rejects a message type that the algorithm does not accept, and a digest or a message
    /// representative of the wrong length.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the algorithm does not accept the message type,
    ///   or the digest or message representative has the wrong length.
    ///
    /// # Examples
    /// ```
    /// use strongroom::ErrorKind;
    /// use strongroom::algorithm::{MessageType, SigningAlgorithm};
    ///
    /// let algorithm = SigningAlgorithm::EcdsaSha256;
    /// assert!(algorithm.check_message(MessageType::Raw, 1_000).is_ok());
    /// assert!(algorithm.check_message(MessageType::Digest, 32).is_ok());
    /// let refused = algorithm.check_message(MessageType::Digest, 20).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::Validation);
    /// ```
    pub fn check_message(self, form: MessageType, length: usize) -> Result<()> {
        if !self.message_types().contains(&form) {
            let message = format!("Message type {form} is incompatible with algorithm {self}.");
            return Err(Error::new(ErrorKind::Validation, message));
        }
        let name = match form {
            MessageType::Raw => return Ok(()),
            MessageType::Digest => "Digest",
            MessageType::ExternalMu => "Message representative",
        };
        if length == self.digest_length() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Validation, format!("{name} is invalid length for algorithm {self}.")))
    }
}

string_enum! {
    /// Algorithms for message authentication codes (RFC 2104). Each HMAC key spec has exactly one.
    pub enum MacAlgorithm as "MAC algorithm" {
        /// HMAC with SHA-224.
        HmacSha224 => "HMAC_SHA_224",
        /// HMAC with SHA-256.
        HmacSha256 => "HMAC_SHA_256",
        /// HMAC with SHA-384.
        HmacSha384 => "HMAC_SHA_384",
        /// HMAC with SHA-512.
        HmacSha512 => "HMAC_SHA_512",
    }
}

impl MacAlgorithm {
    /// Returns the length of the MAC, in bytes.
    ///
    /// # Examples
    /// ```
    /// use strongroom::algorithm::MacAlgorithm;
    ///
    /// assert_eq!(MacAlgorithm::HmacSha384.tag_length(), 48);
    /// ```
    pub const fn tag_length(self) -> usize {
        match self {
            Self::HmacSha224 => 28,
            Self::HmacSha256 => 32,
            Self::HmacSha384 => 48,
            Self::HmacSha512 => 64,
        }
    }
}

string_enum! {
    /// Algorithms for agreeing on a shared secret.
    pub enum KeyAgreementAlgorithm as "key agreement algorithm" {
        /// Elliptic-curve cofactor Diffie-Hellman (NIST SP 800-56A, section 5.7.1.2). Produces the
        /// raw shared secret.
        Ecdh => "ECDH",
    }
}

string_enum! {
    /// Algorithms for encapsulating a shared secret.
    pub enum EncapsulationAlgorithm as "encapsulation algorithm" {
        /// ML-KEM, of the parameter set of the key (FIPS 203, section 7). Produces a secret of 32
        /// bytes that can be used as a key.
        MlKem => "ML_KEM",
    }
}

string_enum! {
    /// Algorithms for wrapping key material for import.
    pub enum WrappingAlgorithm as "wrapping algorithm" {
        /// RSA-OAEP with SHA-1, applied to the material directly.
        RsaesOaepSha1 => "RSAES_OAEP_SHA_1",
        /// RSA-OAEP with SHA-256, applied to the material directly.
        RsaesOaepSha256 => "RSAES_OAEP_SHA_256",
        /// RSA-OAEP with SHA-1 wraps an AES key, which wraps the material (AES-KWP, RFC 5649).
        RsaAesKeyWrapSha1 => "RSA_AES_KEY_WRAP_SHA_1",
        /// RSA-OAEP with SHA-256 wraps an AES key, which wraps the material (AES-KWP, RFC 5649).
        RsaAesKeyWrapSha256 => "RSA_AES_KEY_WRAP_SHA_256",
    }
}

string_enum! {
    /// Types of keys that wrap imported key material.
    pub enum WrappingKeySpec as "wrapping key spec" {
        /// RSA with 2048 bits.
        Rsa2048 => "RSA_2048",
        /// RSA with 3072 bits.
        Rsa3072 => "RSA_3072",
        /// RSA with 4096 bits.
        Rsa4096 => "RSA_4096",
    }
}

string_enum! {
    /// The form of the input to sign or verify.
    pub enum MessageType as "message type" {
        /// The message itself. The algorithm hashes it.
        Raw => "RAW",
        /// The digest of the message. It is not hashed again.
        Digest => "DIGEST",
        /// The message representative of ML-DSA (FIPS 204, section 6.2): 64 bytes that were computed
        /// from the public key and the message.
        ExternalMu => "EXTERNAL_MU",
    }
}

/// The format of ECDSA signatures. Signatures of RSA, Ed25519, and ML-DSA have a single format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SignatureFormat {
    /// `Ecdsa-Sig-Value` in DER (RFC 5912, section 6), of variable length. The format of
    /// certificates, OpenSSL, and AWS KMS.
    #[default]
    Der,
    /// The numbers `r` and `s`, each as long as the order of the curve (IEEE P1363). The format of
    /// tokens (RFC 7518, section 3.4), WebCrypto, and COSE.
    P1363,
}

#[cfg(test)]
mod tests;
