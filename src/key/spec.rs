//! What a key is made of and for: spec, usage, origin and manager, and the one table from specs to algorithms.

use std::ops::RangeInclusive;

use crate::algorithm::{EncryptionAlgorithm, KeyAgreementAlgorithm, MacAlgorithm, SigningAlgorithm};
use crate::text::string_enum;

string_enum! {
    /// The kind and size of a key. Fixed when the key is made.
    pub enum KeySpec as "key spec" {
        /// AES-256, for encryption inside this library only.
        SymmetricDefault => "SYMMETRIC_DEFAULT",
        /// RSA with 2048 bits.
        Rsa2048 => "RSA_2048",
        /// RSA with 3072 bits.
        Rsa3072 => "RSA_3072",
        /// RSA with 4096 bits.
        Rsa4096 => "RSA_4096",
        /// The NIST curve P-256.
        EccNistP256 => "ECC_NIST_P256",
        /// The NIST curve P-384.
        EccNistP384 => "ECC_NIST_P384",
        /// The NIST curve P-521.
        EccNistP521 => "ECC_NIST_P521",
        /// The curve secp256k1.
        EccSecgP256k1 => "ECC_SECG_P256K1",
        /// The curve of Ed25519.
        EccNistEdwards25519 => "ECC_NIST_EDWARDS25519",
        /// A key for HMAC with SHA-224.
        Hmac224 => "HMAC_224",
        /// A key for HMAC with SHA-256.
        Hmac256 => "HMAC_256",
        /// A key for HMAC with SHA-384.
        Hmac384 => "HMAC_384",
        /// A key for HMAC with SHA-512.
        Hmac512 => "HMAC_512",
    }
}

string_enum! {
    /// What a key is for: exactly one thing, fixed when the key is made.
    pub enum KeyUsage as "key usage" {
        /// Encrypting and decrypting.
        EncryptDecrypt => "ENCRYPT_DECRYPT",
        /// Signing and verifying.
        SignVerify => "SIGN_VERIFY",
        /// Computing and verifying message authentication codes.
        GenerateVerifyMac => "GENERATE_VERIFY_MAC",
        /// Agreeing on a secret with another key.
        KeyAgreement => "KEY_AGREEMENT",
    }
}

string_enum! {
    /// Where the material of a key comes from and lives. Fixed when the key is made.
    pub enum Origin as "origin" {
        /// Generated here.
        Kms => "AWS_KMS",
        /// Imported by the owner of the key.
        External => "EXTERNAL",
        /// Generated in an HSM that it never leaves.
        Hsm => "AWS_CLOUDHSM",
    }
}

string_enum! {
    /// Who manages a key.
    pub enum KeyManager as "key manager" {
        /// The account that owns it.
        Customer => "CUSTOMER",
        /// A service, in the account: visible to it, but not manageable.
        Service => "AWS",
        /// A service, for itself: no account ever sees such a key. AWS has no name for this, as no answer ever shows it;
        /// `OWNED` stands in records and metering only.
        Owned => "OWNED",
    }
}

string_enum! {
    /// The length of a data key by the name of the cipher it is for.
    pub enum DataKeySpec as "data key spec" {
        /// 16 bytes.
        Aes128 => "AES_128",
        /// 32 bytes.
        Aes256 => "AES_256",
    }
}

impl DataKeySpec {
    /// Number of bytes of such a data key.
    pub const fn length(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes256 => 32,
        }
    }
}

string_enum! {
    /// The kind and size of a data key pair: those of the asymmetric key specs.
    pub enum DataKeyPairSpec as "data key pair spec" {
        /// RSA with 2048 bits.
        Rsa2048 => "RSA_2048",
        /// RSA with 3072 bits.
        Rsa3072 => "RSA_3072",
        /// RSA with 4096 bits.
        Rsa4096 => "RSA_4096",
        /// The NIST curve P-256.
        EccNistP256 => "ECC_NIST_P256",
        /// The NIST curve P-384.
        EccNistP384 => "ECC_NIST_P384",
        /// The NIST curve P-521.
        EccNistP521 => "ECC_NIST_P521",
        /// The curve secp256k1.
        EccSecgP256k1 => "ECC_SECG_P256K1",
        /// The curve of Ed25519.
        EccNistEdwards25519 => "ECC_NIST_EDWARDS25519",
    }
}

impl DataKeyPairSpec {
    /// The key spec of the same name.
    pub const fn key_spec(self) -> KeySpec {
        match self {
            Self::Rsa2048 => KeySpec::Rsa2048,
            Self::Rsa3072 => KeySpec::Rsa3072,
            Self::Rsa4096 => KeySpec::Rsa4096,
            Self::EccNistP256 => KeySpec::EccNistP256,
            Self::EccNistP384 => KeySpec::EccNistP384,
            Self::EccNistP521 => KeySpec::EccNistP521,
            Self::EccSecgP256k1 => KeySpec::EccSecgP256k1,
            Self::EccNistEdwards25519 => KeySpec::EccNistEdwards25519,
        }
    }
}

/// The three classes of key specs. An alias may only move between keys of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpecClass {
    /// One secret key that encrypts.
    Symmetric,
    /// A private key and a public one.
    Asymmetric,
    /// One secret key that authenticates.
    Hmac,
}

impl SpecClass {
    /// Every value.
    pub const ALL: &'static [Self] = &[Self::Symmetric, Self::Asymmetric, Self::Hmac];
}

/// One row of the table: everything that follows from a spec. A column of algorithms belongs to the usage of that name.
struct Row {
    class: SpecClass,
    usages: &'static [KeyUsage],
    /// Length of the modulus of RSA keys in bytes.
    modulus: Option<usize>,
    encryption: &'static [EncryptionAlgorithm],
    signing: &'static [SigningAlgorithm],
    mac: &'static [MacAlgorithm],
    agreement: &'static [KeyAgreementAlgorithm],
}

const fn symmetric() -> Row {
    Row {
        class: SpecClass::Symmetric,
        usages: &[KeyUsage::EncryptDecrypt],
        modulus: None,
        encryption: &[EncryptionAlgorithm::SymmetricDefault],
        signing: &[],
        mac: &[],
        agreement: &[],
    }
}

const fn rsa(modulus: usize) -> Row {
    Row {
        class: SpecClass::Asymmetric,
        usages: &[KeyUsage::EncryptDecrypt, KeyUsage::SignVerify],
        modulus: Some(modulus),
        encryption: &[EncryptionAlgorithm::RsaesOaepSha1, EncryptionAlgorithm::RsaesOaepSha256],
        signing: &[
            SigningAlgorithm::RsassaPssSha256,
            SigningAlgorithm::RsassaPssSha384,
            SigningAlgorithm::RsassaPssSha512,
            SigningAlgorithm::RsassaPkcs1V15Sha256,
            SigningAlgorithm::RsassaPkcs1V15Sha384,
            SigningAlgorithm::RsassaPkcs1V15Sha512,
        ],
        mac: &[],
        agreement: &[],
    }
}

const fn signing_curve(signing: &'static [SigningAlgorithm]) -> Row {
    Row {
        class: SpecClass::Asymmetric,
        usages: &[KeyUsage::SignVerify],
        modulus: None,
        encryption: &[],
        signing,
        mac: &[],
        agreement: &[],
    }
}

const fn nist_curve(signing: &'static [SigningAlgorithm]) -> Row {
    Row {
        usages: &[KeyUsage::SignVerify, KeyUsage::KeyAgreement],
        agreement: &[KeyAgreementAlgorithm::Ecdh],
        ..signing_curve(signing)
    }
}

const fn hmac(mac: &'static [MacAlgorithm]) -> Row {
    Row {
        class: SpecClass::Hmac,
        usages: &[KeyUsage::GenerateVerifyMac],
        modulus: None,
        encryption: &[],
        signing: &[],
        mac,
        agreement: &[],
    }
}

impl KeySpec {
    const fn row(self) -> Row {
        match self {
            Self::SymmetricDefault => symmetric(),
            Self::Rsa2048 => rsa(256),
            Self::Rsa3072 => rsa(384),
            Self::Rsa4096 => rsa(512),
            Self::EccNistP256 => nist_curve(&[SigningAlgorithm::EcdsaSha256]),
            Self::EccNistP384 => nist_curve(&[SigningAlgorithm::EcdsaSha384]),
            Self::EccNistP521 => nist_curve(&[SigningAlgorithm::EcdsaSha512]),
            Self::EccSecgP256k1 => signing_curve(&[SigningAlgorithm::EcdsaSha256]),
            Self::EccNistEdwards25519 => {
                signing_curve(&[SigningAlgorithm::Ed25519Sha512, SigningAlgorithm::Ed25519PhSha512])
            }
            Self::Hmac224 => hmac(&[MacAlgorithm::HmacSha224]),
            Self::Hmac256 => hmac(&[MacAlgorithm::HmacSha256]),
            Self::Hmac384 => hmac(&[MacAlgorithm::HmacSha384]),
            Self::Hmac512 => hmac(&[MacAlgorithm::HmacSha512]),
        }
    }

    /// The class that the spec belongs to.
    pub const fn class(self) -> SpecClass {
        self.row().class
    }

    /// The usages that a key of this spec may be made for.
    pub const fn usages(self) -> &'static [KeyUsage] {
        self.row().usages
    }

    /// The usage of a key that is made without naming one; only symmetric keys have a default.
    pub const fn default_usage(self) -> Option<KeyUsage> {
        match self.class() {
            SpecClass::Symmetric => Some(KeyUsage::EncryptDecrypt),
            SpecClass::Asymmetric | SpecClass::Hmac => None,
        }
    }

    /// The encryption algorithms of a key of this spec and usage.
    pub const fn encryption_algorithms(self, usage: KeyUsage) -> &'static [EncryptionAlgorithm] {
        match usage {
            KeyUsage::EncryptDecrypt => self.row().encryption,
            KeyUsage::SignVerify | KeyUsage::GenerateVerifyMac | KeyUsage::KeyAgreement => &[],
        }
    }

    /// The signing algorithms of a key of this spec and usage.
    pub const fn signing_algorithms(self, usage: KeyUsage) -> &'static [SigningAlgorithm] {
        match usage {
            KeyUsage::SignVerify => self.row().signing,
            KeyUsage::EncryptDecrypt | KeyUsage::GenerateVerifyMac | KeyUsage::KeyAgreement => &[],
        }
    }

    /// The MAC algorithms of a key of this spec and usage.
    pub const fn mac_algorithms(self, usage: KeyUsage) -> &'static [MacAlgorithm] {
        match usage {
            KeyUsage::GenerateVerifyMac => self.row().mac,
            KeyUsage::EncryptDecrypt | KeyUsage::SignVerify | KeyUsage::KeyAgreement => &[],
        }
    }

    /// The key agreement algorithms of a key of this spec and usage.
    pub const fn key_agreement_algorithms(self, usage: KeyUsage) -> &'static [KeyAgreementAlgorithm] {
        match usage {
            KeyUsage::KeyAgreement => self.row().agreement,
            KeyUsage::EncryptDecrypt | KeyUsage::SignVerify | KeyUsage::GenerateVerifyMac => &[],
        }
    }

    /// The lengths in bytes that the material of a key for HMAC may have: from that of the hash to that of its
    /// block. Keys that are made here are as long as the hash. `None` for other specs.
    pub const fn mac_key_lengths(self) -> Option<RangeInclusive<usize>> {
        match self {
            Self::Hmac224 => Some(28..=64),
            Self::Hmac256 => Some(32..=64),
            Self::Hmac384 => Some(48..=128),
            Self::Hmac512 => Some(64..=128),
            _ => None,
        }
    }

    /// The most bytes that one call encrypts with the algorithm; `None` if a key of this spec does not have it.
    ///
    /// For RSA-OAEP it is the length of the modulus less two hashes and two bytes (RFC 8017, section 7.1.1).
    pub fn max_plaintext(self, algorithm: EncryptionAlgorithm) -> Option<usize> {
        let row = self.row();
        if !row.encryption.contains(&algorithm) {
            return None;
        }
        let hash = match algorithm {
            EncryptionAlgorithm::SymmetricDefault => return Some(MAX_PLAINTEXT_BYTES),
            EncryptionAlgorithm::RsaesOaepSha1 => 20,
            EncryptionAlgorithm::RsaesOaepSha256 => 32,
        };
        row.modulus.map(|modulus| modulus - 2 * hash - 2)
    }
}

/// The most bytes that any key encrypts in one call. Larger data goes into an envelope.
pub const MAX_PLAINTEXT_BYTES: usize = 4096;

#[cfg(test)]
mod tests;
