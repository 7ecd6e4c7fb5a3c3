//! The algorithm suites of the message format, as one table.

use std::fmt;

use crate::crypto::{AeadAlgorithm, DigestAlgorithm};

/// A version of the message format.
///
/// # Examples
/// ```
/// use strongroom::message::MessageVersion;
///
/// assert_eq!(MessageVersion::from_number(2), Some(MessageVersion::V2));
/// assert_eq!(MessageVersion::from_number(3), None);
/// assert_eq!((MessageVersion::V1.number(), MessageVersion::V1.message_id_length()), (1, 16));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MessageVersion {
    /// Version 1: a content key without commitment, 16-byte message ids.
    V1,
    /// Version 2: a committed content key, 32-byte message ids.
    V2,
}

impl MessageVersion {
    /// Returns the first byte of messages of this version.
    pub const fn number(self) -> u8 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }

    /// Returns the version with this first byte, if any.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::V1),
            2 => Some(Self::V2),
            _ => None,
        }
    }

    /// Returns the length of a message id in bytes: 16 or 32.
    pub const fn message_id_length(self) -> usize {
        match self {
            Self::V1 => 16,
            Self::V2 => 32,
        }
    }
}

/// The derivation of the content key of header and body from the data key.
///
/// # Examples
/// ```
/// use strongroom::crypto::DigestAlgorithm;
/// use strongroom::message::{AlgorithmSuite, KeyDerivation};
///
/// assert_eq!(AlgorithmSuite::default().derivation(), KeyDerivation::HkdfCommit(DigestAlgorithm::Sha512));
/// assert_eq!(AlgorithmSuite::Aes256Gcm.derivation(), KeyDerivation::None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyDerivation {
    /// The data key is the content key.
    None,
    /// HKDF with the suite id and the message id.
    Hkdf(DigestAlgorithm),
    /// HKDF that also yields a commitment key, which is part of the header.
    HkdfCommit(DigestAlgorithm),
}

/// The signature algorithm of signed messages.
///
/// # Examples
/// ```
/// use strongroom::message::{AlgorithmSuite, MessageSignature};
///
/// let signed = AlgorithmSuite::Aes256GcmHkdfSha512CommitEcdsaP384;
/// assert_eq!(signed.signature(), Some(MessageSignature::EcdsaP384Sha384));
/// assert_eq!(AlgorithmSuite::default().signature(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MessageSignature {
    /// ECDSA on P-256 with SHA-256.
    EcdsaP256Sha256,
    /// ECDSA on P-384 with SHA-384.
    EcdsaP384Sha384,
}

/// The level of support for a suite in this release.
///
/// # Examples
/// ```
/// use strongroom::message::{AlgorithmSuite, SuiteSupport};
///
/// let read_only = AlgorithmSuite::ALL.iter().filter(|suite| suite.support() == SuiteSupport::ReadOnly);
/// assert_eq!(read_only.map(|suite| suite.id()).collect::<Vec<_>>(), [0x0014, 0x0046, 0x0078]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SuiteSupport {
    /// Messages are written and read.
    Full,
    /// Messages are read but not written: a data key that is used directly as the content key wears
    /// out.
    ReadOnly,
}

macro_rules! suites {
    ($($(#[$doc:meta])* $suite:ident = ($id:literal, $name:literal): $aead:ident, $version:ident, $derivation:expr,
        $signature:expr, $support:ident;)*) => {
        /// A combination of algorithms that a message specifies in its header.
        ///
        /// All IVs are 12 bytes long, and all tags are 16 bytes long.
        ///
        /// # Examples
        /// ```
        /// use strongroom::crypto::AeadAlgorithm;
        /// use strongroom::message::{AlgorithmSuite, MessageVersion, SuiteSupport};
        ///
        /// let suite = AlgorithmSuite::default();
        /// assert_eq!(suite.to_string(), "0x0478 AES_256_GCM_HKDF_SHA512_COMMIT_KEY");
        /// assert_eq!((suite.aead(), suite.data_key_length()), (AeadAlgorithm::Aes256Gcm, 32));
        /// assert!(suite.is_committing() && suite.signature().is_none());
        /// assert_eq!((suite.id(), suite.name()), (0x0478, "AES_256_GCM_HKDF_SHA512_COMMIT_KEY"));
        /// assert_eq!((suite.version(), suite.support()), (MessageVersion::V2, SuiteSupport::Full));
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum AlgorithmSuite { $($(#[$doc])* $suite,)* }

        impl AlgorithmSuite {
            /// All suites of the format.
            pub const ALL: &'static [Self] = &[$(Self::$suite,)*];

            const fn row(self) -> Row {
                match self {
                    $(Self::$suite => Row {
                        id: $id,
                        name: $name,
                        aead: AeadAlgorithm::$aead,
                        version: MessageVersion::$version,
                        derivation: $derivation,
                        signature: $signature,
                        support: SuiteSupport::$support,
                    },)*
                }
            }
        }
    };
}

struct Row {
    id: u16,
    name: &'static str,
    aead: AeadAlgorithm,
    version: MessageVersion,
    derivation: KeyDerivation,
    signature: Option<MessageSignature>,
    support: SuiteSupport,
}

const NO_KDF: KeyDerivation = KeyDerivation::None;
const HKDF_256: KeyDerivation = KeyDerivation::Hkdf(DigestAlgorithm::Sha256);
const HKDF_384: KeyDerivation = KeyDerivation::Hkdf(DigestAlgorithm::Sha384);
const COMMIT: KeyDerivation = KeyDerivation::HkdfCommit(DigestAlgorithm::Sha512);
const P256: Option<MessageSignature> = Some(MessageSignature::EcdsaP256Sha256);
const P384: Option<MessageSignature> = Some(MessageSignature::EcdsaP384Sha384);

suites! {
    /// 0x0014: AES-128-GCM directly under the data key.
    Aes128Gcm = (0x0014, "AES_128_GCM_IV12_TAG16"):
        Aes128Gcm, V1, NO_KDF, None, ReadOnly;
    /// 0x0046: AES-192-GCM directly under the data key.
    Aes192Gcm = (0x0046, "AES_192_GCM_IV12_TAG16"):
        Aes192Gcm, V1, NO_KDF, None, ReadOnly;
    /// 0x0078: AES-256-GCM directly under the data key.
    Aes256Gcm = (0x0078, "AES_256_GCM_IV12_TAG16"):
        Aes256Gcm, V1, NO_KDF, None, ReadOnly;
    /// 0x0114: AES-128-GCM, HKDF-SHA-256.
    Aes128GcmHkdfSha256 = (0x0114, "AES_128_GCM_IV12_TAG16_HKDF_SHA256"):
        Aes128Gcm, V1, HKDF_256, None, Full;
    /// 0x0146: AES-192-GCM, HKDF-SHA-256.
    Aes192GcmHkdfSha256 = (0x0146, "AES_192_GCM_IV12_TAG16_HKDF_SHA256"):
        Aes192Gcm, V1, HKDF_256, None, Full;
    /// 0x0178: AES-256-GCM, HKDF-SHA-256.
    Aes256GcmHkdfSha256 = (0x0178, "AES_256_GCM_IV12_TAG16_HKDF_SHA256"):
        Aes256Gcm, V1, HKDF_256, None, Full;
    /// 0x0214: AES-128-GCM, HKDF-SHA-256, signed with ECDSA P-256.
    Aes128GcmHkdfSha256EcdsaP256 = (0x0214, "AES_128_GCM_IV12_TAG16_HKDF_SHA256_ECDSA_P256"):
        Aes128Gcm, V1, HKDF_256, P256, Full;
    /// 0x0346: AES-192-GCM, HKDF-SHA-384, signed with ECDSA P-384.
    Aes192GcmHkdfSha384EcdsaP384 = (0x0346, "AES_192_GCM_IV12_TAG16_HKDF_SHA384_ECDSA_P384"):
        Aes192Gcm, V1, HKDF_384, P384, Full;
    /// 0x0378: AES-256-GCM, HKDF-SHA-384, signed with ECDSA P-384.
    Aes256GcmHkdfSha384EcdsaP384 = (0x0378, "AES_256_GCM_IV12_TAG16_HKDF_SHA384_ECDSA_P384"):
        Aes256Gcm, V1, HKDF_384, P384, Full;
    /// 0x0478: AES-256-GCM, HKDF-SHA-512 with key commitment. The default.
    Aes256GcmHkdfSha512Commit = (0x0478, "AES_256_GCM_HKDF_SHA512_COMMIT_KEY"):
        Aes256Gcm, V2, COMMIT, None, Full;
    /// 0x0578: AES-256-GCM, HKDF-SHA-512 with key commitment, signed with ECDSA P-384.
    Aes256GcmHkdfSha512CommitEcdsaP384 = (0x0578, "AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384"):
        Aes256Gcm, V2, COMMIT, P384, Full;
}

impl AlgorithmSuite {
    /// Returns the suite with this id, if the format defines it.
    ///
    /// # Examples
    /// ```
    /// use strongroom::message::AlgorithmSuite;
    ///
    /// assert_eq!(AlgorithmSuite::from_id(0x0478), Some(AlgorithmSuite::default()));
    /// assert_eq!(AlgorithmSuite::from_id(0x0479), None);
    /// ```
    pub fn from_id(id: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|suite| suite.id() == id)
    }

    /// Returns the number that identifies the suite in headers.
    pub const fn id(self) -> u16 {
        self.row().id
    }

    /// Returns the name used by the reference implementations of the format.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// Returns the cipher of header and body.
    pub const fn aead(self) -> AeadAlgorithm {
        self.row().aead
    }

    /// Returns the version of messages with this suite.
    pub const fn version(self) -> MessageVersion {
        self.row().version
    }

    /// Returns the derivation of the content key.
    pub const fn derivation(self) -> KeyDerivation {
        self.row().derivation
    }

    /// Returns the signature algorithm, or `None` if messages are not signed.
    pub const fn signature(self) -> Option<MessageSignature> {
        self.row().signature
    }

    /// Returns the level of support for the suite in this release.
    pub const fn support(self) -> SuiteSupport {
        self.row().support
    }

    /// Returns `true` if the header commits to the content key, so that no second key opens the
    /// message.
    ///
    /// # Examples
    /// ```
    /// use strongroom::message::AlgorithmSuite;
    ///
    /// let committing = AlgorithmSuite::ALL.iter().filter(|suite| suite.is_committing());
    /// assert_eq!(committing.map(|suite| suite.id()).collect::<Vec<_>>(), [0x0478, 0x0578]);
    /// ```
    pub const fn is_committing(self) -> bool {
        matches!(self.derivation(), KeyDerivation::HkdfCommit(_))
    }

    /// Returns the length of a data key, which equals that of the content key, in bytes: 16, 24, or
    /// 32.
    pub const fn data_key_length(self) -> usize {
        self.aead().key_length()
    }
}

impl Default for AlgorithmSuite {
    /// Returns the committing, unsigned suite, with which any party that can decrypt can also
    /// encrypt.
    fn default() -> Self {
        Self::Aes256GcmHkdfSha512Commit
    }
}

impl fmt::Display for AlgorithmSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:04x} {}", self.id(), self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_lead_back() {
        for suite in AlgorithmSuite::ALL {
            assert_eq!(AlgorithmSuite::from_id(suite.id()), Some(*suite));
        }
        assert_eq!(AlgorithmSuite::ALL.len(), 11);
        assert_eq!((0..=u16::MAX).filter_map(AlgorithmSuite::from_id).count(), 11);
    }

    #[test]
    fn only_version_2_commits() {
        for suite in AlgorithmSuite::ALL {
            assert_eq!(suite.is_committing(), suite.version() == MessageVersion::V2, "{suite}");
        }
    }

    #[test]
    fn the_second_digit_of_the_id_tells_derivation_and_signature() {
        for suite in AlgorithmSuite::ALL {
            let (derivation, signature) = match suite.id() >> 8 {
                0 => (NO_KDF, None),
                1 => (HKDF_256, None),
                2 => (HKDF_256, P256),
                3 => (HKDF_384, P384),
                4 => (COMMIT, None),
                _ => (COMMIT, P384),
            };
            assert_eq!((suite.derivation(), suite.signature()), (derivation, signature), "{suite}");
            let key_length = match suite.id() & 0xFF {
                0x14 => 16,
                0x46 => 24,
                _ => 32,
            };
            assert_eq!(suite.data_key_length(), key_length, "{suite}");
        }
    }

    #[test]
    fn the_default_is_fully_supported_and_unsigned() {
        let suite = AlgorithmSuite::default();
        assert_eq!((suite.id(), suite.support(), suite.signature()), (0x0478, SuiteSupport::Full, None));
        assert_eq!(suite.to_string(), "0x0478 AES_256_GCM_HKDF_SHA512_COMMIT_KEY");
    }
}
