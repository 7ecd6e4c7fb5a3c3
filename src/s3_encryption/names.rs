//! Names of metadata, and the values of which the format has only a few.

use super::content::{CommittedContent, Content};

/// The suffix of the key of an instruction file: `report.pdf.instruction` for `report.pdf`.
pub const INSTRUCTION_FILE_SUFFIX: &str = ".instruction";

/// The name of the metadata, with an empty value, that marks an object as an instruction file. Other
/// clients write it with the file. None requires it.
pub const INSTRUCTION_FILE_MARKER: &str = "x-amz-crypto-instr-file";

/// The pair of the encryption context with the content algorithm.
pub(super) const CONTEXT_ALGORITHM: &str = "aws:x-amz-cek-alg";

/// The pair of the encryption context in which the first version stored the ID of the key.
pub(super) const CONTEXT_KEY_ID: &str = "kms_cmk_id";

/// The length of a tag in bits, as text.
pub(super) const TAG_BITS: &str = "128";

/// A name of metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    KeyV1,
    KeyV2,
    KeyV3,
    Wrap,
    WrapV3,
    /// The context or the material description of versions 1 and 2.
    Description,
    DescriptionV3,
    ContextV3,
    ContentAlgorithm,
    ContentAlgorithmV3,
    Iv,
    TagLength,
    MessageId,
    Commitment,
    Marker,
}

impl Name {
    pub(super) const ALL: [Self; 15] = [
        Self::KeyV1,
        Self::KeyV2,
        Self::KeyV3,
        Self::Wrap,
        Self::WrapV3,
        Self::Description,
        Self::DescriptionV3,
        Self::ContextV3,
        Self::ContentAlgorithm,
        Self::ContentAlgorithmV3,
        Self::Iv,
        Self::TagLength,
        Self::MessageId,
        Self::Commitment,
        Self::Marker,
    ];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::KeyV1 => "x-amz-key",
            Self::KeyV2 => "x-amz-key-v2",
            Self::KeyV3 => "x-amz-3",
            Self::Wrap => "x-amz-wrap-alg",
            Self::WrapV3 => "x-amz-w",
            Self::Description => "x-amz-matdesc",
            Self::DescriptionV3 => "x-amz-m",
            Self::ContextV3 => "x-amz-t",
            Self::ContentAlgorithm => "x-amz-cek-alg",
            Self::ContentAlgorithmV3 => "x-amz-c",
            Self::Iv => "x-amz-iv",
            Self::TagLength => "x-amz-tag-len",
            Self::MessageId => "x-amz-i",
            Self::Commitment => "x-amz-d",
            Self::Marker => INSTRUCTION_FILE_MARKER,
        }
    }

    /// Finds a name. Names of HTTP headers are case-insensitive.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.as_str().eq_ignore_ascii_case(text))
    }

    /// Returns `true` for the names of version 3.
    pub(super) const fn is_of_version_3(self) -> bool {
        matches!(
            self,
            Self::KeyV3
                | Self::WrapV3
                | Self::DescriptionV3
                | Self::ContextV3
                | Self::ContentAlgorithmV3
                | Self::MessageId
                | Self::Commitment
        )
    }

    /// Returns `true` for the names that describe the content of version 3. They are always in the
    /// metadata of the object, so that a file cannot replace the commitment.
    pub(super) const fn describes_content_of_version_3(self) -> bool {
        matches!(self, Self::ContentAlgorithmV3 | Self::MessageId | Self::Commitment)
    }
}

/// The version of the metadata of an object.
///
/// # Examples
/// ```
/// use strongroom::EncryptionContext;
/// use strongroom::s3_encryption::{FormatVersion, ObjectCipher, ObjectMetadata, WrappingKey};
///
/// let kms = strongroom::Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?.key_id();
/// let object = ObjectCipher::new(WrappingKey::kms(&kms, key)?).encrypt(b"", &EncryptionContext::new())?;
/// assert_eq!(ObjectMetadata::from_pairs(object.metadata())?.version(), Some(FormatVersion::V3));
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FormatVersion {
    /// AES-CBC. Only read.
    V1,
    /// AES-GCM without key commitment, or AES-CBC.
    V2,
    /// AES-GCM with key commitment.
    V3,
}

/// The algorithm that encrypts the content of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ContentAlgorithm {
    /// AES-256-CBC with the padding of PKCS #7. It is not authenticated.
    Aes256Cbc,
    /// AES-256-GCM under the data key.
    Aes256Gcm,
    /// AES-256-GCM under a key that is derived from the data key, with a commitment to the data key.
    Aes256GcmCommitting,
}

impl ContentAlgorithm {
    /// Returns the name in the metadata, and in the encryption context.
    ///
    /// # Examples
    /// ```
    /// use strongroom::s3_encryption::ContentAlgorithm;
    ///
    /// assert_eq!(ContentAlgorithm::Aes256Gcm.as_str(), "AES/GCM/NoPadding");
    /// assert_eq!(ContentAlgorithm::Aes256GcmCommitting.as_str(), "115");
    /// ```
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aes256Cbc => "AES/CBC/PKCS5Padding",
            Self::Aes256Gcm => "AES/GCM/NoPadding",
            Self::Aes256GcmCommitting => "115",
        }
    }

    pub(super) const fn of(content: &Content) -> Self {
        match content {
            Content::Cbc { .. } => Self::Aes256Cbc,
            Content::Gcm { .. } => Self::Aes256Gcm,
            Content::Committed(CommittedContent { .. }) => Self::Aes256GcmCommitting,
        }
    }
}

/// The algorithm that wraps the data key of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WrapAlgorithm {
    /// A KMS key, with an encryption context that contains the content algorithm.
    KmsContext,
    /// A KMS key, with a context that does not contain the content algorithm. Only read.
    KmsWithoutAlgorithm,
    /// A raw AES key, with AES-GCM.
    AesGcm,
    /// A raw RSA key, with RSA-OAEP and SHA-1.
    RsaOaepSha1,
}

impl WrapAlgorithm {
    const ALL: [Self; 4] = [Self::KmsContext, Self::KmsWithoutAlgorithm, Self::AesGcm, Self::RsaOaepSha1];

    /// Returns the name in the metadata of versions 1 and 2.
    ///
    /// # Examples
    /// ```
    /// use strongroom::s3_encryption::WrapAlgorithm;
    ///
    /// assert_eq!(WrapAlgorithm::KmsContext.as_str(), "kms+context");
    /// ```
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KmsContext => "kms+context",
            Self::KmsWithoutAlgorithm => "kms",
            Self::AesGcm => "AES/GCM",
            Self::RsaOaepSha1 => "RSA-OAEP-SHA1",
        }
    }

    /// Returns the code in the metadata of version 3.
    pub(super) const fn code(self) -> Option<&'static str> {
        match self {
            Self::KmsContext => Some("12"),
            Self::KmsWithoutAlgorithm => None,
            Self::AesGcm => Some("02"),
            Self::RsaOaepSha1 => Some("22"),
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == text)
    }

    pub(super) fn parse_code(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.code() == Some(text))
    }
}
