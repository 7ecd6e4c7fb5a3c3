//! Encryption and decryption of objects.

use std::fmt;
use std::io::{Read, Write};

use zeroize::Zeroizing;

use super::buffer::{ObjectReader, check_length, read_to_end, with_tag};
use super::content::{Content, MAX_OBJECT_BYTES};
use super::error::ObjectError;
use super::metadata::{ObjectMetadata, Parsed};
use super::names::{ContentAlgorithm, FormatVersion, WrapAlgorithm};
use super::object::EncryptedObject;
use super::wrapping_key::WrappingKey;
use crate::context::EncryptionContext;
use crate::crypto::CryptoBackend;
use crate::envelope::CommitmentPolicy;
use crate::error::{Error, ErrorKind, Result};

/// The default of [`ObjectCipherBuilder::max_buffered_bytes`] in bytes: 64 MiB, as in the client for
/// Java.
const DEFAULT_BUFFERED_BYTES: u64 = 64 << 20;

/// Encrypts and decrypts objects in the format of the Amazon S3 Encryption Client.
///
/// It does no input or output: upload the result with any client of an object store.
///
/// | | |
/// |---|---|
/// | [`encrypt`](Self::encrypt), [`decrypt`](Self::decrypt) | objects in memory |
/// | [`encrypt_from`](Self::encrypt_from), [`reader`](Self::reader), [`decrypt_to`](Self::decrypt_to) | streams, of which one object is buffered |
///
/// An object is one AES-GCM message, which can only be authenticated as a whole. So plaintext is
/// released only after the last byte of the object was read, and both plaintext and ciphertext are in
/// memory at the same time. The page [`s3_encryption`](crate::manual::s3_encryption) of the manual
/// compares alternatives.
///
/// # Examples
/// ```
/// use strongroom::request::CreateKeyRequest;
/// use strongroom::s3_encryption::{ObjectCipher, ObjectError, ObjectMetadata, WrappingKey};
/// use strongroom::{EncryptionContext, Kms};
///
/// let kms = Kms::in_memory()?;
/// kms.create_key(CreateKeyRequest::default().alias("alias/documents"))?;
/// let cipher = ObjectCipher::new(WrappingKey::kms(&kms, "alias/documents")?);
/// let context = EncryptionContext::from([("object", "reports/2026.pdf")]);
///
/// let object = cipher.encrypt(b"a report", &context)?;
/// // Upload object.body() with object.metadata(). Later, with the metadata of the downloaded object:
/// let metadata = ObjectMetadata::from_pairs(object.metadata())?;
/// assert_eq!(cipher.decrypt(object.body(), &metadata, &context)?, b"a report");
///
/// let other = EncryptionContext::from([("object", "reports/2027.pdf")]);
/// let error = cipher.decrypt(object.body(), &metadata, &other).unwrap_err();
/// assert_eq!(error.downcast_ref(), Some(&ObjectError::ContextMismatch));
/// # Ok::<(), strongroom::Error>(())
/// ```
pub struct ObjectCipher {
    key: WrappingKey,
    settings: Settings,
}

/// Settings that have a default.
struct Settings {
    backend: CryptoBackend,
    policy: CommitmentPolicy,
    instruction_files: bool,
    max_buffered_bytes: u64,
    kms_without_algorithm: bool,
    unauthenticated_cbc: bool,
}

impl ObjectCipher {
    /// Creates a cipher with the defaults: objects are written and read in version 3, which commits to
    /// its key.
    pub fn new(key: WrappingKey) -> Self {
        let settings = Settings {
            backend: CryptoBackend::default(),
            policy: CommitmentPolicy::default(),
            instruction_files: false,
            max_buffered_bytes: DEFAULT_BUFFERED_BYTES,
            kms_without_algorithm: false,
            unauthenticated_cbc: false,
        };
        Self { key, settings }
    }

    /// Starts a cipher with other settings.
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::CommitmentPolicy;
    /// use strongroom::s3_encryption::{ObjectCipher, WrappingKey};
    /// use strongroom::{EncryptionContext, SecretBytes};
    ///
    /// let key = WrappingKey::aes(SecretBytes::zeroed(32))?; // take a random one
    /// let cipher = ObjectCipher::builder(key).commitment_policy(CommitmentPolicy::ForbidEncryptAllowDecrypt).build()?;
    /// let object = cipher.encrypt(b"for old readers", &EncryptionContext::new())?;
    /// assert!(object.metadata().any(|(name, _)| name == "x-amz-key-v2"));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn builder(key: WrappingKey) -> ObjectCipherBuilder {
        ObjectCipherBuilder { cipher: Self::new(key) }
    }

    /// Encrypts an object.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the context contains the reserved names
    ///   `aws:x-amz-cek-alg` or `kms_cmk_id`, or if it is not empty for a raw key.
    /// - [`MessagePolicy`](ErrorKind::MessagePolicy) with [`ObjectError::TooLong`] if the plaintext is
    ///   longer than [`MAX_OBJECT_BYTES`].
    /// - The errors of [`Kms::generate_data_key`](crate::Kms::generate_data_key) for a KMS key.
    pub fn encrypt(&self, plaintext: &[u8], context: &EncryptionContext) -> Result<EncryptedObject> {
        check_length(plaintext.len(), MAX_OBJECT_BYTES)?;
        let backend = &self.settings.backend;
        let algorithm = match self.settings.policy {
            CommitmentPolicy::ForbidEncryptAllowDecrypt => ContentAlgorithm::Aes256Gcm,
            CommitmentPolicy::RequireEncryptAllowDecrypt | CommitmentPolicy::RequireEncryptRequireDecrypt => {
                ContentAlgorithm::Aes256GcmCommitting
            }
        };
        let new = self.key.wrap(backend, algorithm, context).map_err(|error| failed("encrypt", &error))?;
        let (version, content) = match algorithm {
            ContentAlgorithm::Aes256GcmCommitting => (FormatVersion::V3, Content::committed(backend, &new.data_key)?),
            _ => (FormatVersion::V2, Content::gcm(backend)?),
        };
        let body = content.seal(backend, &new.data_key, plaintext)?;
        let parsed =
            Parsed { version, wrap: new.wrap, wrapped_key: new.wrapped, description: new.description, content };
        let (metadata, instruction_file) = parsed.write(self.settings.instruction_files);
        Ok(EncryptedObject::new(body, metadata, instruction_file))
    }

    /// Reads a plaintext to its end and encrypts it.
    ///
    /// # Errors
    /// - The errors of [`ObjectCipher::encrypt`], with the limit of
    ///   [`ObjectCipherBuilder::max_buffered_bytes`].
    /// - [`Io`](ErrorKind::Io) if the plaintext cannot be read.
    ///
    /// # Examples
    /// ```
    /// use std::io::Cursor;
    ///
    /// use strongroom::s3_encryption::{ObjectCipher, WrappingKey};
    /// use strongroom::{EncryptionContext, ErrorKind, SecretBytes};
    ///
    /// let key = WrappingKey::aes(SecretBytes::zeroed(32))?; // take a random one
    /// let cipher = ObjectCipher::builder(key).max_buffered_bytes(1_000).build()?;
    /// let none = EncryptionContext::new();
    /// assert_eq!(cipher.encrypt_from(Cursor::new([7; 1_000]), &none)?.body().len(), 1_016);
    /// let long = cipher.encrypt_from(Cursor::new([7; 1_001]), &none).unwrap_err();
    /// assert_eq!(long.kind(), ErrorKind::MessagePolicy);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn encrypt_from(&self, plaintext: impl Read, context: &EncryptionContext) -> Result<EncryptedObject> {
        let plaintext = read_to_end(plaintext, self.settings.max_buffered_bytes)?;
        self.encrypt(&plaintext, context)
    }

    /// Decrypts an object with its metadata. `context` must be that of the encryption.
    ///
    /// # Errors
    /// - [`InvalidMessage`](ErrorKind::InvalidMessage) if the instruction file is needed.
    /// - [`MessagePolicy`](ErrorKind::MessagePolicy) if the commitment policy or the settings for old
    ///   objects do not allow the object.
    /// - [`ContextMismatch`](ErrorKind::ContextMismatch) if the object has another context.
    /// - [`IncorrectKey`](ErrorKind::IncorrectKey) or [`InvalidKeyUsage`](ErrorKind::InvalidKeyUsage)
    ///   if the data key was wrapped with another key.
    /// - [`InvalidCiphertext`](ErrorKind::InvalidCiphertext) if the object is damaged, or does not
    ///   belong to the metadata.
    /// - [`Validation`](ErrorKind::Validation) for a context that [`ObjectCipher::encrypt`] rejects.
    /// - The errors of [`Kms::decrypt`](crate::Kms::decrypt) for a KMS key.
    pub fn decrypt(&self, body: &[u8], metadata: &ObjectMetadata, context: &EncryptionContext) -> Result<Vec<u8>> {
        let parsed = self.checked(metadata)?;
        check_length(body.len(), with_tag(MAX_OBJECT_BYTES))?;
        let data_key = self.key.unwrap(parsed, context).map_err(|error| failed("decrypt", &error))?;
        parsed.content.open(&self.settings.backend, &data_key, body)
    }

    /// Reads an object to its end, decrypts it, and returns a reader of its plaintext. Metadata that
    /// is not allowed is rejected before anything is read.
    ///
    /// # Errors
    /// - The errors of [`ObjectCipher::decrypt`].
    /// - [`MessagePolicy`](ErrorKind::MessagePolicy) with [`ObjectError::TooLong`] if the plaintext is
    ///   longer than [`ObjectCipherBuilder::max_buffered_bytes`].
    /// - [`Io`](ErrorKind::Io) if the object cannot be read.
    ///
    /// # Examples
    /// ```
    /// use std::io::Read;
    ///
    /// use strongroom::s3_encryption::{ObjectCipher, ObjectMetadata, WrappingKey};
    /// use strongroom::{EncryptionContext, SecretBytes};
    ///
    /// let none = EncryptionContext::new();
    /// let cipher = ObjectCipher::new(WrappingKey::aes(SecretBytes::zeroed(32))?); // take a random key
    /// let object = cipher.encrypt(b"a report", &none)?;
    /// let metadata = ObjectMetadata::from_pairs(object.metadata())?;
    ///
    /// let mut text = String::new();
    /// cipher.reader(object.body(), &metadata, &none)?.read_to_string(&mut text)?;
    /// assert_eq!(text, "a report");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reader(
        &self,
        body: impl Read,
        metadata: &ObjectMetadata,
        context: &EncryptionContext,
    ) -> Result<ObjectReader> {
        self.checked(metadata)?;
        let body = read_to_end(body, with_tag(self.settings.max_buffered_bytes))?;
        self.decrypt(&body, metadata, context).map(ObjectReader::new)
    }

    /// Decrypts an object like [`ObjectCipher::reader`], and writes its plaintext. Returns the number
    /// of bytes written. If the object is rejected, nothing is written.
    ///
    /// # Errors
    /// - The errors of [`ObjectCipher::reader`].
    /// - [`Io`](ErrorKind::Io) if the plaintext cannot be written.
    ///
    /// # Examples
    /// ```
    /// use strongroom::s3_encryption::{ObjectCipher, ObjectMetadata, WrappingKey};
    /// use strongroom::{EncryptionContext, SecretBytes};
    ///
    /// let none = EncryptionContext::new();
    /// let cipher = ObjectCipher::new(WrappingKey::aes(SecretBytes::zeroed(32))?); // take a random key
    /// let object = cipher.encrypt(b"a report", &none)?;
    /// let metadata = ObjectMetadata::from_pairs(object.metadata())?;
    ///
    /// let mut file = Vec::new();
    /// assert_eq!(cipher.decrypt_to(object.body(), &metadata, &none, &mut file)?, 8);
    /// assert_eq!(file, b"a report");
    ///
    /// let mut nothing = Vec::new();
    /// assert!(cipher.decrypt_to(&object.body()[1..], &metadata, &none, &mut nothing).is_err());
    /// assert!(nothing.is_empty());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn decrypt_to(
        &self,
        body: impl Read,
        metadata: &ObjectMetadata,
        context: &EncryptionContext,
        mut output: impl Write,
    ) -> Result<u64> {
        self.checked(metadata)?;
        let body = read_to_end(body, with_tag(self.settings.max_buffered_bytes))?;
        let plaintext = Zeroizing::new(self.decrypt(&body, metadata, context)?);
        output.write_all(&plaintext).and_then(|()| output.flush()).map_err(|error| {
            Error::new(ErrorKind::Io, format!("cannot write the plaintext of the object: {error}")).with_source(error)
        })?;
        Ok(u64::try_from(plaintext.len()).unwrap_or(u64::MAX))
    }

    /// Checks that the settings allow to decrypt an object, before the wrapping key is used.
    fn checked<'a>(&self, metadata: &'a ObjectMetadata) -> Result<&'a Parsed, ObjectError> {
        let parsed = metadata.parsed()?;
        if matches!(parsed.content, Content::Cbc { .. }) && !self.settings.unauthenticated_cbc {
            return Err(ObjectError::Unauthenticated);
        }
        let is_committing = matches!(parsed.content, Content::Committed(_));
        if !is_committing && self.settings.policy == CommitmentPolicy::RequireEncryptRequireDecrypt {
            return Err(ObjectError::NotCommitting);
        }
        if parsed.wrap == WrapAlgorithm::KmsWithoutAlgorithm && !self.settings.kms_without_algorithm {
            return Err(ObjectError::KmsWithoutAlgorithm);
        }
        Ok(parsed)
    }
}

/// Adds the object to an error of the wrapping key.
fn failed(verb: &str, error: &Error) -> Error {
    if error.downcast_ref::<ObjectError>().is_some() {
        return error.clone();
    }
    Error::new(error.kind(), format!("cannot {verb} the object: {error}")).with_source(error.clone())
}

impl fmt::Debug for ObjectCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectCipher")
            .field("key", &self.key)
            .field("policy", &self.settings.policy)
            .field("instruction_files", &self.settings.instruction_files)
            .field("max_buffered_bytes", &self.settings.max_buffered_bytes)
            .finish_non_exhaustive()
    }
}

/// Settings of an [`ObjectCipher`].
///
/// # Examples
/// Objects of version 2 are read, until all have been encrypted again:
/// ```
/// use strongroom::envelope::CommitmentPolicy;
/// use strongroom::s3_encryption::{FormatVersion, ObjectCipher, ObjectError, ObjectMetadata, WrappingKey};
/// use strongroom::{EncryptionContext, SecretBytes};
///
/// let none = EncryptionContext::new();
/// let cipher = |policy| {
///     let key = WrappingKey::aes(SecretBytes::zeroed(32))?; // take a random one
///     ObjectCipher::builder(key).commitment_policy(policy).build()
/// };
/// let object = cipher(CommitmentPolicy::ForbidEncryptAllowDecrypt)?.encrypt(b"a report", &none)?;
/// let metadata = ObjectMetadata::from_pairs(object.metadata())?;
/// assert_eq!(metadata.version(), Some(FormatVersion::V2));
///
/// let strict = cipher(CommitmentPolicy::default())?.decrypt(object.body(), &metadata, &none).unwrap_err();
/// assert_eq!(strict.downcast_ref(), Some(&ObjectError::NotCommitting));
/// let migrating = cipher(CommitmentPolicy::RequireEncryptAllowDecrypt)?;
/// assert_eq!(migrating.decrypt(object.body(), &metadata, &none)?, b"a report");
/// assert_eq!(migrating.encrypt(b"", &none)?.metadata().next(), Some(("x-amz-c", "115")));
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Debug)]
pub struct ObjectCipherBuilder {
    cipher: ObjectCipher,
}

impl ObjectCipherBuilder {
    /// Sets the commitment policy. By default, objects without key commitment are neither written nor
    /// read. With [`CommitmentPolicy::ForbidEncryptAllowDecrypt`], objects are written in version 2.
    ///
    /// Version 2 does not commit to its key, and an attacker who can write to the bucket can turn an
    /// object of version 3 into one of version 2 of their own.
    #[must_use]
    pub const fn commitment_policy(mut self, policy: CommitmentPolicy) -> Self {
        self.cipher.settings.policy = policy;
        self
    }

    /// Writes the wrapped data key into an instruction file instead of the metadata of the object.
    /// Instruction files are read with and without this setting.
    ///
    /// # Examples
    /// ```
    /// use strongroom::s3_encryption::{ObjectCipher, ObjectMetadata, WrappingKey};
    /// use strongroom::{EncryptionContext, SecretBytes};
    ///
    /// let none = EncryptionContext::new();
    /// let key = || WrappingKey::aes(SecretBytes::zeroed(32)); // take a random one
    /// let object = ObjectCipher::builder(key()?).instruction_files().build()?.encrypt(b"a report", &none)?;
    /// let file = object.instruction_file().unwrap_or_default();
    /// let metadata = ObjectMetadata::from_pairs(object.metadata())?.with_instruction_file(file.as_bytes())?;
    /// assert_eq!(ObjectCipher::new(key()?).decrypt(object.body(), &metadata, &none)?, b"a report");
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[must_use]
    pub const fn instruction_files(mut self) -> Self {
        self.cipher.settings.instruction_files = true;
        self
    }

    /// Sets the maximum length of a plaintext in the functions that read a stream. The default is
    /// 64 MiB, and [`MAX_OBJECT_BYTES`] the maximum. Twice as many bytes are
    /// in memory.
    ///
    /// # Examples
    /// ```
    /// use strongroom::s3_encryption::{ObjectCipher, WrappingKey};
    /// use strongroom::{EncryptionContext, SecretBytes};
    ///
    /// let key = WrappingKey::aes(SecretBytes::zeroed(32))?; // take a random one
    /// let cipher = ObjectCipher::builder(key).max_buffered_bytes(5).build()?;
    /// assert!(cipher.encrypt_from(&b"short"[..], &EncryptionContext::new()).is_ok());
    /// assert!(cipher.encrypt_from(&b"longer"[..], &EncryptionContext::new()).is_err());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[must_use]
    pub fn max_buffered_bytes(mut self, bytes: u64) -> Self {
        self.cipher.settings.max_buffered_bytes = bytes.min(MAX_OBJECT_BYTES);
        self
    }

    /// Reads objects whose data key is wrapped with a KMS key but not bound to the content algorithm
    /// (wrapping algorithm `kms`), as the first version of the client wrote them. They are never
    /// written, and have no encryption context of the caller.
    ///
    /// Nothing binds such a data key to its algorithm. Do not combine this with
    /// [`ObjectCipherBuilder::accept_unauthenticated_cbc`] unless you trust the source of all objects.
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::CommitmentPolicy;
    /// use strongroom::s3_encryption::{ObjectCipher, ObjectError, ObjectMetadata, WrappingKey};
    /// use strongroom::{EncryptionContext, Kms};
    ///
    /// let (kms, none) = (Kms::in_memory()?, EncryptionContext::new());
    /// let key = kms.create_key(Default::default())?.key_id();
    /// let metadata = ObjectMetadata::from_pairs([
    ///     ("x-amz-key-v2", "AAAA"),
    ///     ("x-amz-wrap-alg", "kms"),
    ///     ("x-amz-matdesc", r#"{"kms_cmk_id": "1234abcd"}"#),
    ///     ("x-amz-cek-alg", "AES/GCM/NoPadding"),
    ///     ("x-amz-iv", "AAAAAAAAAAAAAAAA"),
    ///     ("x-amz-tag-len", "128"),
    /// ])?;
    /// let cipher = |key| ObjectCipher::builder(key).commitment_policy(CommitmentPolicy::RequireEncryptAllowDecrypt);
    /// let strict = cipher(WrappingKey::kms(&kms, key)?).build()?.decrypt(&[0; 16], &metadata, &none).unwrap_err();
    /// assert_eq!(strict.downcast_ref(), Some(&ObjectError::KmsWithoutAlgorithm));
    /// let old = cipher(WrappingKey::kms(&kms, key)?).accept_kms_without_algorithm().build()?;
    /// let error = old.decrypt(&[0; 16], &metadata, &none).unwrap_err(); // now the KMS rejects the data key
    /// assert_eq!(error.downcast_ref::<ObjectError>(), None);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[must_use]
    pub const fn accept_kms_without_algorithm(mut self) -> Self {
        self.cipher.settings.kms_without_algorithm = true;
        self
    }

    /// Reads objects that are encrypted with AES-CBC, as the first version of the client wrote them.
    /// They also require [`ObjectCipherBuilder::accept_kms_without_algorithm`], and a commitment
    /// policy that does not require commitment to decrypt.
    ///
    /// **AES-CBC is not authenticated.** Decryption cannot detect that an object was altered, and an
    /// attacker who can have many altered objects decrypted, and observes if that fails, can recover
    /// a plaintext (padding oracle). Use this once, to encrypt your own old objects again.
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::CommitmentPolicy;
    /// use strongroom::s3_encryption::{ObjectCipher, ObjectError, ObjectMetadata, WrappingKey};
    /// use strongroom::{EncryptionContext, Kms};
    ///
    /// let (kms, none) = (Kms::in_memory()?, EncryptionContext::new());
    /// let key = kms.create_key(Default::default())?.key_id();
    /// let metadata = ObjectMetadata::from_pairs([
    ///     ("x-amz-key-v2", "AAAA"),
    ///     ("x-amz-wrap-alg", "kms"),
    ///     ("x-amz-matdesc", r#"{"kms_cmk_id": "1234abcd"}"#),
    ///     ("x-amz-cek-alg", "AES/CBC/PKCS5Padding"),
    ///     ("x-amz-iv", "AAAAAAAAAAAAAAAAAAAAAA=="),
    /// ])?;
    /// let strict = ObjectCipher::new(WrappingKey::kms(&kms, key)?).decrypt(&[0; 16], &metadata, &none).unwrap_err();
    /// assert_eq!(strict.downcast_ref(), Some(&ObjectError::Unauthenticated));
    /// let old = ObjectCipher::builder(WrappingKey::kms(&kms, key)?)
    ///     .commitment_policy(CommitmentPolicy::RequireEncryptAllowDecrypt)
    ///     .accept_kms_without_algorithm()
    ///     .accept_unauthenticated_cbc()
    ///     .build()?;
    /// let error = old.decrypt(&[0; 16], &metadata, &none).unwrap_err(); // now the KMS rejects the data key
    /// assert_eq!(error.downcast_ref::<ObjectError>(), None);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[must_use]
    pub const fn accept_unauthenticated_cbc(mut self) -> Self {
        self.cipher.settings.unauthenticated_cbc = true;
        self
    }

    /// Uses another backend for the content and for raw keys.
    ///
    /// # Examples
    /// ```
    /// use strongroom::crypto::RUST_CRYPTO;
    /// use strongroom::s3_encryption::{ObjectCipher, WrappingKey};
    /// use strongroom::{EncryptionContext, SecretBytes};
    ///
    /// let key = WrappingKey::aes(SecretBytes::zeroed(32))?; // take a random one
    /// let cipher = ObjectCipher::builder(key).backend(RUST_CRYPTO).build()?;
    /// assert_eq!(cipher.encrypt(b"a report", &EncryptionContext::new())?.body().len(), 24);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[must_use]
    pub const fn backend(mut self, backend: CryptoBackend) -> Self {
        self.cipher.settings.backend = backend;
        self
    }

    /// Creates the cipher.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the backend rejects a raw key. No backend rejects a
    ///   key that another one has accepted.
    pub fn build(self) -> Result<ObjectCipher> {
        let ObjectCipher { key, settings } = self.cipher;
        Ok(ObjectCipher { key: key.with_backend(&settings.backend)?, settings })
    }
}
