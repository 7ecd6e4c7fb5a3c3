//! Encrypted objects that can be uploaded.

use std::fmt;

use crate::error::{Error, ErrorKind, Result};

/// The minimum length of each part of a multipart upload but the last, in bytes: 5 MiB, as S3
/// requires.
pub const MIN_PART_BYTES: usize = 5 << 20;

/// The maximum number of parts of a multipart upload, as S3 allows.
pub const MAX_PARTS: usize = 10_000;

/// An encrypted object: its content and metadata, and perhaps an instruction file.
///
/// # Examples
/// Upload the object with its metadata. Clients of S3 add the prefix `x-amz-meta-` to the names.
/// ```
/// use std::collections::HashMap;
///
/// use strongroom::s3_encryption::{ObjectCipher, WrappingKey};
/// use strongroom::{EncryptionContext, Kms};
///
/// let kms = Kms::in_memory()?;
/// let key = WrappingKey::kms(&kms, kms.create_key(Default::default())?.key_id())?;
/// let object = ObjectCipher::new(key).encrypt(b"a report", &EncryptionContext::new())?;
///
/// let metadata: HashMap<&str, &str> = object.metadata().collect();
/// assert_eq!(metadata["x-amz-c"], "115");
/// assert_eq!(object.instruction_file(), None);
/// assert_eq!(object.into_body().len(), 8 + 16); // the plaintext and a tag
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct EncryptedObject {
    body: Vec<u8>,
    metadata: Vec<(&'static str, String)>,
    instruction_file: Option<String>,
}

impl EncryptedObject {
    pub(super) const fn new(
        body: Vec<u8>,
        metadata: Vec<(&'static str, String)>,
        instruction_file: Option<String>,
    ) -> Self {
        Self { body, metadata, instruction_file }
    }

    /// Returns the content to upload, which is 16 bytes longer than the plaintext.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Returns the content without copying it.
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }

    /// Returns the names and values of the metadata, all in ASCII and without the prefix
    /// `x-amz-meta-`. S3 limits the metadata of an object to 2 KiB, including your own.
    pub fn metadata(&self) -> impl Iterator<Item = (&str, &str)> {
        self.metadata.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// Returns the content of the instruction file, if the cipher writes such files. Upload it before
    /// the object, under the same key with
    /// [`INSTRUCTION_FILE_SUFFIX`](super::INSTRUCTION_FILE_SUFFIX).
    ///
    /// An existing object cannot be replaced safely: between the two uploads, its file and its content
    /// do not belong together, and the old file has the only data key of the old content. Use a new
    /// key, a bucket with versions, or metadata instead of files.
    pub fn instruction_file(&self) -> Option<&str> {
        self.instruction_file.as_deref()
    }

    /// Splits the content into parts of `length` bytes for a multipart upload. The last part may be
    /// shorter. Parts may be uploaded in any order, at the same time and again. Pass the metadata when
    /// you create the upload.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if `length` is below [`MIN_PART_BYTES`], or if there
    ///   would be more than [`MAX_PARTS`] parts.
    ///
    /// # Examples
    /// ```
    /// use strongroom::s3_encryption::{MIN_PART_BYTES, ObjectCipher, WrappingKey};
    /// use strongroom::{EncryptionContext, SecretBytes};
    ///
    /// let cipher = ObjectCipher::new(WrappingKey::aes(SecretBytes::zeroed(32))?); // take a random key
    /// let object = cipher.encrypt(&vec![0; MIN_PART_BYTES], &EncryptionContext::new())?;
    /// let lengths: Vec<usize> = object.parts(MIN_PART_BYTES)?.map(<[u8]>::len).collect();
    /// assert_eq!(lengths, [MIN_PART_BYTES, 16]);
    /// assert!(object.parts(MIN_PART_BYTES - 1).is_err());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn parts(&self, length: usize) -> Result<impl Iterator<Item = &[u8]>> {
        if length < MIN_PART_BYTES {
            let text = format!("parts of {length} bytes are too short: S3 requires at least {MIN_PART_BYTES}");
            return Err(Error::new(ErrorKind::Validation, text));
        }
        let count = self.body.len().div_ceil(length);
        if count > MAX_PARTS {
            let text = format!("the object would have {count} parts, but S3 allows {MAX_PARTS}: choose longer parts");
            return Err(Error::new(ErrorKind::Validation, text));
        }
        Ok(self.body.chunks(length))
    }
}

impl fmt::Debug for EncryptedObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptedObject")
            .field("body", &format_args!("{} bytes", self.body.len()))
            .field("metadata", &self.metadata)
            .field("instruction_file", &self.instruction_file)
            .finish()
    }
}
