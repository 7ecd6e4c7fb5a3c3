//! The keys that wrap data keys.

use std::fmt;

use super::content::{Content, DATA_KEY_LENGTH};
use super::error::ObjectError;
use super::metadata::Parsed;
use super::names::{CONTEXT_ALGORITHM, CONTEXT_KEY_ID, ContentAlgorithm, WrapAlgorithm};
use crate::blob::BlobPrefix;
use crate::context::EncryptionContext;
use crate::crypto::{
    self, AeadAlgorithm, AeadKey, CryptoBackend, KeyPairKind, NONCE_LENGTH, PrivateKey, PublicKey, RsaOaep, TAG_LENGTH,
};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeyId, KeyIdentifier};
use crate::kms::{DecryptRequest, GenerateDataKeyRequest, KeyReference, Kms};
use crate::secret::SecretBytes;

const RSA_KINDS: [KeyPairKind; 3] = [KeyPairKind::Rsa2048, KeyPairKind::Rsa3072, KeyPairKind::Rsa4096];

/// A key that wraps the data keys of objects.
///
/// | constructor | binds the data key to | other clients |
/// |---|---|---|
/// | [`WrappingKey::kms`] | encryption context and content algorithm | all |
/// | [`WrappingKey::aes`] | content algorithm | Java, Ruby |
/// | [`WrappingKey::rsa_public_key`], [`WrappingKey::rsa_private_key`] | content algorithm | Java, Ruby, .NET |
///
/// Only a KMS key has an encryption context. With a raw key, the context of a call must be empty.
///
/// # Examples
/// ```
/// use strongroom::s3_encryption::{ObjectCipher, ObjectMetadata, WrappingKey};
/// use strongroom::{EncryptionContext, ErrorKind, SecretBytes};
///
/// let none = EncryptionContext::new();
/// let cipher = ObjectCipher::new(WrappingKey::aes(SecretBytes::zeroed(32))?); // take a random key
/// let object = cipher.encrypt(b"a report", &none)?;
/// let metadata = ObjectMetadata::from_pairs(object.metadata())?;
/// assert_eq!(cipher.decrypt(object.body(), &metadata, &none)?, b"a report");
///
/// let context = EncryptionContext::from([("project", "17")]);
/// assert_eq!(cipher.encrypt(b"a report", &context).unwrap_err().kind(), ErrorKind::Validation);
/// # Ok::<(), strongroom::Error>(())
/// ```
pub struct WrappingKey {
    kind: Kind,
    /// The material description of a raw key.
    description: EncryptionContext,
}

enum Kind {
    Kms { kms: Box<Kms>, key: KeyIdentifier, previous: Vec<KeyIdentifier> },
    Aes { bytes: SecretBytes, key: Box<dyn AeadKey> },
    Rsa { public: Box<dyn PublicKey>, private: Option<Box<dyn PrivateKey>> },
}

/// A new data key.
pub(super) struct NewDataKey {
    pub(super) data_key: SecretBytes,
    pub(super) wrapped: Vec<u8>,
    pub(super) wrap: WrapAlgorithm,
    /// The context or material description to store.
    pub(super) description: EncryptionContext,
}

impl WrappingKey {
    /// Uses a symmetric KMS key. Each use has the permissions of the handle. Encryption calls
    /// [`Kms::generate_data_key`], and decryption [`Kms::decrypt`].
    ///
    /// An alias is resolved for each call, so an object that was encrypted before the alias moved
    /// needs [`WrappingKey::previous_key`].
    ///
    /// # Errors
    /// - The errors of [`KeyIdentifier::parse`] for text that cannot identify a key.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::s3_encryption::WrappingKey;
    ///
    /// let kms = Kms::in_memory()?;
    /// assert!(WrappingKey::kms(&kms, "alias/documents").is_ok()); // not used yet, so it need not exist
    /// assert!(WrappingKey::kms(&kms, "documents").is_err());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn kms(kms: &Kms, key: impl KeyReference) -> Result<Self> {
        Ok(Self::of(Kind::Kms { kms: Box::new(kms.clone()), key: key.to_key_identifier()?, previous: Vec::new() }))
    }

    /// Also decrypts objects of an earlier KMS key. A rotation of a key does not need this: it keeps
    /// the key.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if this is not a KMS key, or if the earlier key is
    ///   identified by an alias. Use its ID or ARN, because the ID is compared with that in the
    ///   wrapped data key.
    ///
    /// # Examples
    /// ```
    /// use strongroom::s3_encryption::{ObjectCipher, ObjectMetadata, WrappingKey};
    /// use strongroom::{EncryptionContext, Kms};
    ///
    /// let (kms, none) = (Kms::in_memory()?, EncryptionContext::new());
    /// let (old, new) = (kms.create_key(Default::default())?, kms.create_key(Default::default())?);
    /// let object = ObjectCipher::new(WrappingKey::kms(&kms, old.key_id())?).encrypt(b"a report", &none)?;
    /// let metadata = ObjectMetadata::from_pairs(object.metadata())?;
    ///
    /// let only_new = ObjectCipher::new(WrappingKey::kms(&kms, new.key_id())?);
    /// assert!(only_new.decrypt(object.body(), &metadata, &none).is_err());
    /// let both = ObjectCipher::new(WrappingKey::kms(&kms, new.key_id())?.previous_key(old.key_id())?);
    /// assert_eq!(both.decrypt(object.body(), &metadata, &none)?, b"a report");
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn previous_key(mut self, key: impl KeyReference) -> Result<Self> {
        let key = key.to_key_identifier()?;
        let Kind::Kms { previous, .. } = &mut self.kind else {
            return Err(Error::new(ErrorKind::Validation, "a raw key has no previous KMS key"));
        };
        if id_of(&key).is_none() {
            let text = "a previous key must be identified by its ID or ARN: an alias may have moved to another key";
            return Err(Error::new(ErrorKind::Validation, text));
        }
        previous.push(key);
        Ok(self)
    }

    /// Uses a raw AES key of 16, 24 or 32 bytes, with AES-GCM.
    ///
    /// The wrapped data key consists of a random IV of 12 bytes, the encrypted data key, and the tag.
    /// The associated data is the name of the content algorithm. Because IVs are random, one key
    /// should not wrap more than 2^32 data keys (NIST SP 800-38D, section 8.3).
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the key has another length.
    pub fn aes(key: SecretBytes) -> Result<Self> {
        let bound = bind_aes(&CryptoBackend::default(), &key)?;
        Ok(Self::of(Kind::Aes { bytes: key, key: bound }))
    }

    /// Uses the public key of an RSA key pair, only to encrypt. It must have 2048, 3072 or 4096 bits,
    /// as `SubjectPublicKeyInfo` in DER or PEM.
    ///
    /// The wrapped data key is the encryption of its length, the data key, and the name of the
    /// content algorithm, with RSA-OAEP and SHA-1. The weaknesses of SHA-1 do not affect RSA-OAEP.
    /// Anyone with the public key can write objects, so that decryption does not authenticate their
    /// author.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the key is not such a key.
    ///
    /// # Examples
    /// ```
    /// use strongroom::crypto::{CryptoBackend, KeyPairKind};
    /// use strongroom::s3_encryption::{ObjectCipher, ObjectError, ObjectMetadata, WrappingKey};
    /// use strongroom::EncryptionContext;
    ///
    /// let (backend, none) = (CryptoBackend::default(), EncryptionContext::new());
    /// let pair = backend.key_pairs().generate(KeyPairKind::Rsa2048, backend.random())?;
    /// let writer = ObjectCipher::new(WrappingKey::rsa_public_key(&pair.public_key_der())?);
    /// let object = writer.encrypt(b"a report", &none)?;
    ///
    /// let metadata = ObjectMetadata::from_pairs(object.metadata())?;
    /// let error = writer.decrypt(object.body(), &metadata, &none).unwrap_err();
    /// assert_eq!(error.downcast_ref(), Some(&ObjectError::NoPrivateKey));
    /// let reader = ObjectCipher::new(WrappingKey::rsa_private_key(pair.to_pkcs8()?.expose_secret())?);
    /// assert_eq!(reader.decrypt(object.body(), &metadata, &none)?, b"a report");
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn rsa_public_key(key: &[u8]) -> Result<Self> {
        let refused = |reason| Error::new(ErrorKind::Validation, format!("the public key for objects {reason}"));
        let public = crypto::read_public_key(&CryptoBackend::default(), &RSA_KINDS, key).map_err(refused)?;
        Ok(Self::of(Kind::Rsa { public, private: None }))
    }

    /// Uses an RSA key pair, to encrypt and decrypt like [`WrappingKey::rsa_public_key`]. The private
    /// key must be unencrypted PKCS #8 in DER or PEM.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the key is not such a key.
    ///
    /// # Examples
    /// ```
    /// use strongroom::crypto::{CryptoBackend, KeyPairKind};
    /// use strongroom::s3_encryption::{ObjectCipher, ObjectMetadata, WrappingKey};
    /// use strongroom::EncryptionContext;
    ///
    /// let (backend, none) = (CryptoBackend::default(), EncryptionContext::new());
    /// let pair = backend.key_pairs().generate(KeyPairKind::Rsa2048, backend.random())?;
    /// let cipher = ObjectCipher::new(WrappingKey::rsa_private_key(pair.to_pkcs8()?.expose_secret())?);
    /// let object = cipher.encrypt(b"a report", &none)?;
    /// let metadata = ObjectMetadata::from_pairs(object.metadata())?;
    /// assert_eq!(cipher.decrypt(object.body(), &metadata, &none)?, b"a report");
    /// assert!(WrappingKey::rsa_private_key(&pair.public_key_der()).is_err());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn rsa_private_key(key: &[u8]) -> Result<Self> {
        let backend = CryptoBackend::default();
        let refused = |reason| Error::new(ErrorKind::Validation, format!("the private key for objects {reason}"));
        let private = crypto::read_private_key(&backend, &RSA_KINDS, key).map_err(refused)?;
        let public = backend.key_pairs().public_key(private.kind(), &private.public_key_der())?;
        Ok(Self::of(Kind::Rsa { public, private: Some(private) }))
    }

    /// Sets the material description of a raw key: pairs that are stored with each object, with which
    /// a reader can find the key. They are not authenticated, and strongroom does not compare them.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) for a KMS key, which has the encryption context of
    ///   each object instead.
    ///
    /// # Examples
    /// ```
    /// use strongroom::s3_encryption::{ObjectCipher, ObjectMetadata, WrappingKey};
    /// use strongroom::{EncryptionContext, SecretBytes};
    ///
    /// let description = EncryptionContext::from([("key", "2026")]);
    /// let key = WrappingKey::aes(SecretBytes::zeroed(32))?.material_description(description.clone())?;
    /// let object = ObjectCipher::new(key).encrypt(b"a report", &EncryptionContext::new())?;
    /// assert_eq!(ObjectMetadata::from_pairs(object.metadata())?.description(), Some(&description));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn material_description(mut self, description: EncryptionContext) -> Result<Self> {
        if matches!(self.kind, Kind::Kms { .. }) {
            let text = "a KMS key has no material description: bind each object to an encryption context";
            return Err(Error::new(ErrorKind::Validation, text));
        }
        self.description = description;
        Ok(self)
    }

    const fn of(kind: Kind) -> Self {
        Self { kind, description: EncryptionContext::new() }
    }

    /// Loads a raw key into another backend.
    pub(super) fn with_backend(self, backend: &CryptoBackend) -> Result<Self> {
        let pairs = backend.key_pairs();
        let kind = match self.kind {
            Kind::Aes { bytes, .. } => Kind::Aes { key: bind_aes(backend, &bytes)?, bytes },
            Kind::Rsa { public, private } => {
                let read =
                    |private: &dyn PrivateKey| pairs.private_key(private.kind(), private.to_pkcs8()?.expose_secret());
                let private = private.as_deref().map(read).transpose()?;
                Kind::Rsa { public: pairs.public_key(public.kind(), &public.to_spki())?, private }
            }
            kms @ Kind::Kms { .. } => kms,
        };
        Ok(Self { kind, ..self })
    }

    /// Returns the algorithm with which the key wraps.
    const fn algorithm(&self) -> WrapAlgorithm {
        match self.kind {
            Kind::Kms { .. } => WrapAlgorithm::KmsContext,
            Kind::Aes { .. } => WrapAlgorithm::AesGcm,
            Kind::Rsa { .. } => WrapAlgorithm::RsaOaepSha1,
        }
    }

    /// Generates a data key for content with an algorithm, and wraps it.
    pub(super) fn wrap(
        &self,
        backend: &CryptoBackend,
        algorithm: ContentAlgorithm,
        context: &EncryptionContext,
    ) -> Result<NewDataKey> {
        let wrap = self.algorithm();
        if let Kind::Kms { kms, key, .. } = &self.kind {
            check_names(context)?;
            let description = context.clone().with(CONTEXT_ALGORITHM, algorithm.as_str());
            let made = kms.generate_data_key(GenerateDataKeyRequest::new(key).context(&description))?;
            return Ok(NewDataKey { data_key: made.plaintext, wrapped: made.ciphertext_blob, wrap, description });
        }
        check_no_context(context)?;
        let mut data_key = SecretBytes::zeroed(DATA_KEY_LENGTH);
        backend.random().fill(data_key.expose_secret_mut())?;
        let wrapped = self.wrap_raw(backend, algorithm, &data_key)?;
        Ok(NewDataKey { data_key, wrapped, wrap, description: self.description.clone() })
    }

    fn wrap_raw(
        &self,
        backend: &CryptoBackend,
        algorithm: ContentAlgorithm,
        data_key: &SecretBytes,
    ) -> Result<Vec<u8>> {
        match &self.kind {
            Kind::Kms { .. } => Err(Error::new(ErrorKind::Internal, "a KMS key wraps its own data keys")),
            Kind::Aes { key, .. } => {
                let mut wrapped = vec![0; NONCE_LENGTH + DATA_KEY_LENGTH + TAG_LENGTH];
                let mut iv = [0; NONCE_LENGTH];
                backend.random().fill(&mut iv)?;
                let (ciphertext, tag) = wrapped[NONCE_LENGTH..].split_at_mut(DATA_KEY_LENGTH);
                let name = algorithm.as_str().as_bytes();
                tag.copy_from_slice(&key.seal(&iv, name, data_key.expose_secret(), ciphertext)?);
                wrapped[..NONCE_LENGTH].copy_from_slice(&iv);
                Ok(wrapped)
            }
            Kind::Rsa { public, .. } => {
                let name = algorithm.as_str().as_bytes();
                let mut encoded = SecretBytes::zeroed(1 + DATA_KEY_LENGTH + name.len());
                let (length, rest) = encoded.expose_secret_mut().split_at_mut(1);
                length.fill(RSA_DATA_KEY_LENGTH);
                rest[..DATA_KEY_LENGTH].copy_from_slice(data_key.expose_secret());
                rest[DATA_KEY_LENGTH..].copy_from_slice(name);
                Ok(public.encrypt(RsaOaep::Sha1, encoded.expose_secret(), backend.random())?)
            }
        }
    }

    /// Unwraps the data key of an object.
    pub(super) fn unwrap(&self, parsed: &Parsed, context: &EncryptionContext) -> Result<SecretBytes> {
        let algorithm = ContentAlgorithm::of(&parsed.content);
        let data_key = match (&self.kind, parsed.wrap) {
            (Kind::Kms { kms, key, previous }, WrapAlgorithm::KmsContext | WrapAlgorithm::KmsWithoutAlgorithm) => {
                check_context(parsed, context)?;
                // The prefix of the blob is not authenticated. It only chooses among the caller's keys.
                let stored = BlobPrefix::parse(&parsed.wrapped_key).ok().map(|(prefix, _)| prefix.key_id);
                let is_stored = |key: &&KeyIdentifier| id_of(key).is_some_and(|id| stored == Some(*id.as_bytes()));
                let key = previous.iter().find(is_stored).unwrap_or(key);
                let request = DecryptRequest::new(&parsed.wrapped_key).key(key)?.context(&parsed.description);
                kms.decrypt(request)?.plaintext
            }
            (Kind::Aes { key, .. }, WrapAlgorithm::AesGcm) => {
                check_no_context(context)?;
                unwrap_aes(&**key, algorithm, &parsed.wrapped_key)?
            }
            (Kind::Rsa { private, .. }, WrapAlgorithm::RsaOaepSha1) => {
                check_no_context(context)?;
                let private = private.as_deref().ok_or(ObjectError::NoPrivateKey)?;
                unwrap_rsa(private, algorithm, &parsed.wrapped_key)?
            }
            (_, stored) => {
                let (stored, configured) = (stored.as_str(), self.algorithm().as_str());
                return Err(ObjectError::OtherWrap { stored, configured }.into());
            }
        };
        if data_key.len() != DATA_KEY_LENGTH {
            return Err(ObjectError::NotAuthentic.into());
        }
        Ok(data_key)
    }
}

/// The length of a data key, as encoded before it.
const RSA_DATA_KEY_LENGTH: u8 = 32;

fn bind_aes(backend: &CryptoBackend, key: &SecretBytes) -> Result<Box<dyn AeadKey>> {
    let algorithm = AeadAlgorithm::ALL.into_iter().find(|algorithm| algorithm.key_length() == key.len());
    let algorithm = algorithm.ok_or_else(|| {
        let text = format!("a raw AES key for objects must have 16, 24 or 32 bytes, not {}", key.len());
        Error::new(ErrorKind::Validation, text)
    })?;
    Ok(backend.aead().bind(algorithm, key.expose_secret())?)
}

fn unwrap_aes(key: &dyn AeadKey, algorithm: ContentAlgorithm, wrapped: &[u8]) -> Result<SecretBytes> {
    let parts = wrapped
        .split_first_chunk::<NONCE_LENGTH>()
        .and_then(|(iv, rest)| rest.split_last_chunk::<TAG_LENGTH>().map(|(ciphertext, tag)| (iv, ciphertext, tag)))
        .filter(|(_, ciphertext, _)| ciphertext.len() == DATA_KEY_LENGTH);
    let (iv, ciphertext, tag) = parts.ok_or(ObjectError::NotAuthentic)?;
    let mut data_key = SecretBytes::zeroed(DATA_KEY_LENGTH);
    key.open(iv, algorithm.as_str().as_bytes(), ciphertext, tag, data_key.expose_secret_mut())
        .map_err(|_| ObjectError::NotAuthentic)?;
    Ok(data_key)
}

/// Unwraps with RSA. All failures look the same.
fn unwrap_rsa(private: &dyn PrivateKey, algorithm: ContentAlgorithm, wrapped: &[u8]) -> Result<SecretBytes> {
    let encoded = private.decrypt(RsaOaep::Sha1, wrapped).map_err(|_| ObjectError::NotAuthentic)?;
    let data_key = match encoded.expose_secret() {
        [RSA_DATA_KEY_LENGTH, rest @ ..] => rest.strip_suffix(algorithm.as_str().as_bytes()),
        _ => None,
    };
    let data_key = data_key.filter(|data_key| data_key.len() == DATA_KEY_LENGTH).ok_or(ObjectError::NotAuthentic)?;
    Ok(SecretBytes::copy_from_slice(data_key))
}

/// Rejects a caller's context with a name that the format reserves.
fn check_names(context: &EncryptionContext) -> Result<()> {
    match [CONTEXT_ALGORITHM, CONTEXT_KEY_ID].into_iter().find(|name| context.get(name).is_some()) {
        Some(name) => {
            let text = format!("the encryption context must not contain {name}, which the format reserves");
            Err(Error::new(ErrorKind::Validation, text))
        }
        None => Ok(()),
    }
}

fn check_no_context(context: &EncryptionContext) -> Result<()> {
    if context.is_empty() {
        return Ok(());
    }
    let text = "the encryption context must be empty: only a KMS key binds an object to a context";
    Err(Error::new(ErrorKind::Validation, text))
}

/// Compares the caller's context with the stored one, which the KMS then authenticates.
fn check_context(parsed: &Parsed, context: &EncryptionContext) -> Result<()> {
    check_names(context)?;
    let stored = parsed.description.get(CONTEXT_ALGORITHM);
    if parsed.wrap == WrapAlgorithm::KmsWithoutAlgorithm {
        // Such a context consists of pairs of the client. A pair with the algorithm is that of a data
        // key for the current wrapping algorithm.
        return match (context.is_empty(), stored) {
            (true, None) => Ok(()),
            (true, Some(_)) => Err(ObjectError::AlgorithmMismatch.into()),
            (false, _) => Err(ObjectError::ContextMismatch.into()),
        };
    }
    if stored != Some(expected_algorithm(&parsed.content)) {
        return Err(ObjectError::AlgorithmMismatch.into());
    }
    let is_caller = |(name, _): &(&str, &str)| ![CONTEXT_ALGORITHM, CONTEXT_KEY_ID].contains(name);
    match parsed.description.iter().filter(is_caller).eq(context.iter()) {
        true => Ok(()),
        false => Err(ObjectError::ContextMismatch.into()),
    }
}

const fn expected_algorithm(content: &Content) -> &'static str {
    ContentAlgorithm::of(content).as_str()
}

fn id_of(key: &KeyIdentifier) -> Option<KeyId> {
    match key {
        KeyIdentifier::KeyId(id) => Some(*id),
        KeyIdentifier::KeyArn(arn) => Some(arn.key_id()),
        _ => None,
    }
}

impl fmt::Debug for WrappingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("WrappingKey");
        out.field("algorithm", &self.algorithm().as_str());
        match &self.kind {
            Kind::Kms { key, previous, .. } => out.field("key", key).field("previous", previous),
            Kind::Aes { .. } => &mut out,
            Kind::Rsa { private, .. } => out.field("writes_only", &private.is_none()),
        };
        out.finish_non_exhaustive()
    }
}
