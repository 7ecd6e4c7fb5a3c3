//! Parsing and writing of metadata and instruction files.

use std::collections::BTreeMap;

use base64ct::{Base64, Encoding};

use super::content::{CommittedContent, Content};
use super::description;
use super::encoded_words;
use super::error::ObjectError;
use super::names::{ContentAlgorithm, FormatVersion, Name, TAG_BITS, WrapAlgorithm};
use crate::context::EncryptionContext;

/// The maximum length of an instruction file, and of all names and values of the metadata of an
/// object, in bytes. S3 allows 2 KiB of metadata.
///
/// # Examples
/// ```
/// use strongroom::s3_encryption::{MAX_METADATA_BYTES, ObjectError, ObjectMetadata};
///
/// let long = ObjectMetadata::from_pairs([("x-amz-matdesc", "x".repeat(MAX_METADATA_BYTES))]);
/// assert!(matches!(long, Err(ObjectError::TooLong { .. })));
/// ```
pub const MAX_METADATA_BYTES: usize = 65_536;

/// The names and values of the format.
type Fields = BTreeMap<Name, String>;

/// The metadata of an encrypted object, with the content of its instruction file if it has one.
///
/// Names of metadata are those that clients of S3 return, without the prefix `x-amz-meta-` of their
/// HTTP headers. Names that are not part of the format are ignored, so pass all that an object has.
///
/// Nothing in the metadata is trusted before the object is decrypted. Decryption detects each change
/// of a value that it uses, except of the material description of a raw key.
///
/// # Examples
/// ```
/// use strongroom::s3_encryption::{FormatVersion, ObjectCipher, ObjectMetadata, WrapAlgorithm, WrappingKey};
/// use strongroom::{EncryptionContext, Kms};
///
/// let kms = Kms::in_memory()?;
/// let key = WrappingKey::kms(&kms, kms.create_key(Default::default())?.key_id())?;
/// let cipher = ObjectCipher::builder(key).instruction_files().build()?;
/// let context = EncryptionContext::from([("project", "17")]);
/// let object = cipher.encrypt(b"a report", &context)?;
///
/// let mut metadata = ObjectMetadata::from_pairs(object.metadata())?;
/// if metadata.needs_instruction_file() {
///     // Get the object with this suffix: strongroom::s3_encryption::INSTRUCTION_FILE_SUFFIX.
///     let file = object.instruction_file().unwrap_or_default();
///     metadata = metadata.with_instruction_file(file.as_bytes())?;
/// }
/// assert_eq!(metadata.version(), Some(FormatVersion::V3));
/// assert_eq!(metadata.wrap_algorithm(), Some(WrapAlgorithm::KmsContext));
/// assert_eq!(metadata.description().and_then(|pairs| pairs.get("project")), Some("17"));
/// assert_eq!(cipher.decrypt(object.body(), &metadata, &context)?, b"a report");
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectMetadata {
    /// The names in the metadata of the object, until an instruction file has been added.
    stored: Fields,
    parsed: Option<Parsed>,
}

impl ObjectMetadata {
    /// Parses the metadata of an object.
    ///
    /// # Errors
    /// - [`ObjectError::TooLong`] if the values have more than [`MAX_METADATA_BYTES`] bytes.
    /// - [`ObjectError::Repeated`], [`ObjectError::MixedVersions`], [`ObjectError::Missing`],
    ///   [`ObjectError::Malformed`] or [`ObjectError::Unsupported`] if the metadata contains a
    ///   wrapped data key, but is not that of one version.
    ///
    /// # Examples
    /// ```
    /// use strongroom::s3_encryption::ObjectMetadata;
    ///
    /// // An object that was not encrypted looks like one whose metadata is in an instruction file.
    /// assert!(ObjectMetadata::from_pairs([("owner", "ada")])?.needs_instruction_file());
    /// # Ok::<(), strongroom::s3_encryption::ObjectError>(())
    /// ```
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, ObjectError> {
        let mut stored = Fields::new();
        let mut length = 0_usize;
        for (name, value) in pairs {
            let Some(name) = Name::parse(name.as_ref()) else { continue };
            let value = value.as_ref();
            length = length.saturating_add(name.as_str().len()).saturating_add(value.len());
            check_length("metadata", length)?;
            if stored.insert(name, value.to_owned()).is_some() {
                return Err(ObjectError::Repeated { name: name.as_str() });
            }
        }
        check_versions(&stored)?;
        let is_complete = [Name::KeyV1, Name::KeyV2, Name::KeyV3].iter().any(|name| stored.contains_key(name));
        let parsed = is_complete.then(|| Parsed::parse(&stored)).transpose()?;
        Ok(Self { stored, parsed })
    }

    /// Returns `true` if the metadata does not contain a wrapped data key. Then get the instruction
    /// file, whose key ends with [`INSTRUCTION_FILE_SUFFIX`](super::INSTRUCTION_FILE_SUFFIX). If
    /// there is none, the object was not encrypted in this format.
    pub const fn needs_instruction_file(&self) -> bool {
        self.parsed.is_none()
    }

    /// Adds the content of the instruction file.
    ///
    /// # Errors
    /// - [`ObjectError::UnexpectedInstructionFile`] if the metadata contains a wrapped data key. An
    ///   attacker may have added the file.
    /// - [`ObjectError::TooLong`] if the file has more than [`MAX_METADATA_BYTES`] bytes.
    /// - [`ObjectError::MalformedInstructionFile`], [`ObjectError::UnknownName`] or
    ///   [`ObjectError::Misplaced`] if the file has another form or other names than those of an
    ///   instruction file of the same version.
    /// - The other errors of [`ObjectMetadata::from_pairs`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::s3_encryption::{ObjectError, ObjectMetadata};
    ///
    /// let metadata = ObjectMetadata::from_pairs([("x-amz-c", "115")])?;
    /// let replaced = metadata.with_instruction_file(br#"{"x-amz-d": "AA=="}"#);
    /// assert_eq!(replaced, Err(ObjectError::Misplaced { name: "x-amz-d" }));
    /// # Ok::<(), ObjectError>(())
    /// ```
    pub fn with_instruction_file(self, file: &[u8]) -> Result<Self, ObjectError> {
        if self.parsed.is_some() {
            return Err(ObjectError::UnexpectedInstructionFile);
        }
        check_length("instruction file", file.len())?;
        let mut fields = self.stored;
        fields.remove(&Name::Marker);
        // What remains is the content of version 3: in the other versions, the file has everything.
        if let Some(name) = fields.keys().find(|name| !name.describes_content_of_version_3()) {
            return Err(ObjectError::Misplaced { name: name.as_str() });
        }
        for (name, value) in description::parse(file).ok_or(ObjectError::MalformedInstructionFile)? {
            // Case matters in JSON.
            let name = Name::parse(&name).filter(|known| known.as_str() == name).ok_or(ObjectError::UnknownName)?;
            if name.describes_content_of_version_3() {
                return Err(ObjectError::Misplaced { name: name.as_str() });
            }
            fields.insert(name, value);
        }
        check_versions(&fields)?;
        let parsed = Parsed::parse(&fields)?;
        Ok(Self { stored: fields, parsed: Some(parsed) })
    }

    /// Returns the version of the format, or `None` if the instruction file is needed.
    pub fn version(&self) -> Option<FormatVersion> {
        self.parsed.as_ref().map(|parsed| parsed.version)
    }

    /// Returns the wrapping algorithm, or `None` if the instruction file is needed.
    pub fn wrap_algorithm(&self) -> Option<WrapAlgorithm> {
        self.parsed.as_ref().map(|parsed| parsed.wrap)
    }

    /// Returns the content algorithm, or `None` if the instruction file is needed.
    ///
    /// # Examples
    /// ```
    /// use strongroom::s3_encryption::ObjectMetadata;
    ///
    /// assert_eq!(ObjectMetadata::from_pairs([("x-amz-c", "115")])?.content_algorithm(), None);
    /// # Ok::<(), strongroom::s3_encryption::ObjectError>(())
    /// ```
    pub fn content_algorithm(&self) -> Option<ContentAlgorithm> {
        self.parsed.as_ref().map(|parsed| ContentAlgorithm::of(&parsed.content))
    }

    /// Returns the stored encryption context, which includes the content algorithm, or the material
    /// description of a raw key. It is `None` if the instruction file is needed.
    pub fn description(&self) -> Option<&EncryptionContext> {
        self.parsed.as_ref().map(|parsed| &parsed.description)
    }

    /// Returns the parsed values.
    pub(super) fn parsed(&self) -> Result<&Parsed, ObjectError> {
        self.parsed.as_ref().ok_or(ObjectError::InstructionFileNeeded)
    }
}

fn check_length(what: &'static str, length: usize) -> Result<(), ObjectError> {
    if length > MAX_METADATA_BYTES {
        let limit = u64::try_from(MAX_METADATA_BYTES).unwrap_or(u64::MAX);
        return Err(ObjectError::TooLong { what, limit });
    }
    Ok(())
}

/// Rejects names of different versions.
fn check_versions(fields: &Fields) -> Result<(), ObjectError> {
    let mixed =
        |first: Name, second: Name| Err(ObjectError::MixedVersions { first: first.as_str(), second: second.as_str() });
    if fields.contains_key(&Name::KeyV1) && fields.contains_key(&Name::KeyV2) {
        return mixed(Name::KeyV1, Name::KeyV2);
    }
    let mut names = fields.keys().filter(|name| **name != Name::Marker);
    let Some(first) = names.next() else { return Ok(()) };
    match names.find(|name| name.is_of_version_3() != first.is_of_version_3()) {
        Some(second) => mixed(*first, *second),
        None => Ok(()),
    }
}

/// The values of complete metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) version: FormatVersion,
    pub(super) wrap: WrapAlgorithm,
    pub(super) wrapped_key: Vec<u8>,
    /// The encryption context, or the material description of a raw key.
    pub(super) description: EncryptionContext,
    pub(super) content: Content,
}

impl Parsed {
    /// Parses names of one version.
    fn parse(fields: &Fields) -> Result<Self, ObjectError> {
        if fields.keys().any(|name| name.is_of_version_3()) {
            return Self::parse_version_3(fields);
        }
        let (version, key) = match fields.contains_key(&Name::KeyV1) {
            true => (FormatVersion::V1, Name::KeyV1),
            false => (FormatVersion::V2, Name::KeyV2),
        };
        let wrapped_key = bytes(fields, key)?;
        let wrap = WrapAlgorithm::parse(text(fields, Name::Wrap)?).ok_or(ObjectError::Unsupported {
            name: Name::Wrap.as_str(),
            expected: "kms+context, kms, AES/GCM or RSA-OAEP-SHA1",
        })?;
        let content = match (version, fields.get(&Name::ContentAlgorithm).map(String::as_str)) {
            // The first version has no other algorithm, and often no name for it.
            (FormatVersion::V1, None) => cbc(fields, wrap)?,
            (_, Some(name)) if name == ContentAlgorithm::Aes256Cbc.as_str() => cbc(fields, wrap)?,
            (FormatVersion::V2, Some(name)) if name == ContentAlgorithm::Aes256Gcm.as_str() => gcm(fields)?,
            (_, None) => return Err(ObjectError::Missing { name: Name::ContentAlgorithm.as_str() }),
            (_, Some(_)) => {
                let expected = "AES/GCM/NoPadding or AES/CBC/PKCS5Padding, in a version with this algorithm";
                return Err(ObjectError::Unsupported { name: Name::ContentAlgorithm.as_str(), expected });
            }
        };
        let description = map(fields, Name::Description)?;
        Ok(Self { version, wrap, wrapped_key, description, content })
    }

    fn parse_version_3(fields: &Fields) -> Result<Self, ObjectError> {
        let wrapped_key = bytes(fields, Name::KeyV3)?;
        let wrap = WrapAlgorithm::parse_code(text(fields, Name::WrapV3)?)
            .ok_or(ObjectError::Unsupported { name: Name::WrapV3.as_str(), expected: "12, 02 or 22" })?;
        if text(fields, Name::ContentAlgorithmV3)? != ContentAlgorithm::Aes256GcmCommitting.as_str() {
            return Err(ObjectError::Unsupported { name: Name::ContentAlgorithmV3.as_str(), expected: "115" });
        }
        let content = Content::Committed(CommittedContent {
            message_id: array(fields, Name::MessageId, "28 bytes in Base64")?,
            commitment: array(fields, Name::Commitment, "28 bytes in Base64")?,
        });
        let name = if wrap == WrapAlgorithm::KmsContext { Name::ContextV3 } else { Name::DescriptionV3 };
        Ok(Self { version: FormatVersion::V3, wrap, wrapped_key, description: map(fields, name)?, content })
    }

    /// Returns the pairs for the metadata of the object, and those for its instruction file, if it
    /// gets one.
    pub(super) fn write(&self, instruction_file: bool) -> (Vec<(&'static str, String)>, Option<String>) {
        let fields = self.fields();
        let into_file = |name: &Name| instruction_file && !name.describes_content_of_version_3();
        let (file, object): (Vec<_>, Vec<_>) = fields.into_iter().partition(|(name, _)| into_file(name));
        let file = instruction_file
            .then(|| description::write(file.iter().map(|(name, value)| (name.as_str(), value.as_str()))));
        (object.into_iter().map(|(name, value)| (name.as_str(), value)).collect(), file)
    }

    fn fields(&self) -> Vec<(Name, String)> {
        let wrapped_key = Base64::encode_string(&self.wrapped_key);
        let description = description::write(self.description.iter());
        let algorithm = ContentAlgorithm::of(&self.content).as_str().to_owned();
        match &self.content {
            Content::Committed(content) => {
                let is_kms = self.wrap == WrapAlgorithm::KmsContext;
                vec![
                    (Name::ContentAlgorithmV3, algorithm),
                    (Name::WrapV3, self.wrap.code().unwrap_or_default().to_owned()),
                    (Name::KeyV3, wrapped_key),
                    (if is_kms { Name::ContextV3 } else { Name::DescriptionV3 }, description),
                    (Name::MessageId, Base64::encode_string(&content.message_id)),
                    (Name::Commitment, Base64::encode_string(&content.commitment)),
                ]
            }
            Content::Gcm { iv } => vec![
                (Name::KeyV2, wrapped_key),
                (Name::Wrap, self.wrap.as_str().to_owned()),
                (Name::Description, description),
                (Name::Iv, Base64::encode_string(iv)),
                (Name::ContentAlgorithm, algorithm),
                (Name::TagLength, TAG_BITS.to_owned()),
            ],
            // Never written.
            Content::Cbc { .. } => Vec::new(),
        }
    }
}

fn cbc(fields: &Fields, wrap: WrapAlgorithm) -> Result<Content, ObjectError> {
    if wrap != WrapAlgorithm::KmsWithoutAlgorithm {
        let expected = "kms for AES-CBC, the only wrapping algorithm that was written with it and is supported";
        return Err(ObjectError::Unsupported { name: Name::Wrap.as_str(), expected });
    }
    if fields.contains_key(&Name::TagLength) {
        return Err(ObjectError::Malformed { name: Name::TagLength.as_str(), expected: "absent for AES-CBC" });
    }
    Ok(Content::Cbc { iv: array(fields, Name::Iv, "16 bytes in Base64 for AES-CBC")? })
}

fn gcm(fields: &Fields) -> Result<Content, ObjectError> {
    if text(fields, Name::TagLength)? != TAG_BITS {
        return Err(ObjectError::Unsupported { name: Name::TagLength.as_str(), expected: TAG_BITS });
    }
    Ok(Content::Gcm { iv: array(fields, Name::Iv, "12 bytes in Base64 for AES-GCM")? })
}

fn text(fields: &Fields, name: Name) -> Result<&str, ObjectError> {
    fields.get(&name).map(String::as_str).ok_or(ObjectError::Missing { name: name.as_str() })
}

fn bytes(fields: &Fields, name: Name) -> Result<Vec<u8>, ObjectError> {
    let malformed = ObjectError::Malformed { name: name.as_str(), expected: "Base64 with padding" };
    Base64::decode_vec(text(fields, name)?).map_err(|_| malformed)
}

fn array<const N: usize>(fields: &Fields, name: Name, expected: &'static str) -> Result<[u8; N], ObjectError> {
    bytes(fields, name)?.try_into().map_err(|_| ObjectError::Malformed { name: name.as_str(), expected })
}

/// Parses a map. A missing one is empty.
fn map(fields: &Fields, name: Name) -> Result<EncryptionContext, ObjectError> {
    let Some(value) = fields.get(&name) else { return Ok(EncryptionContext::new()) };
    let malformed = ObjectError::Malformed { name: name.as_str(), expected: "a JSON object of strings" };
    let decoded = encoded_words::decode(value).ok_or(malformed)?;
    description::parse(decoded.as_bytes()).map(description::to_context).ok_or(malformed)
}
