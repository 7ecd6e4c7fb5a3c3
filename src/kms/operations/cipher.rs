//! Encryption, decryption, and re-encryption of small data under a KMS key.

use crate::algorithm::EncryptionAlgorithm;
use crate::blob::{BlobError, BlobPrefix, MAX_BLOB_LENGTH, Scheme};
use crate::context::{EncryptionContext, too_long};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{
    INCORRECT_KEY, KeyArn, KeyId, KeyIdentifier, KeyMaterialId, KeyVersion, Operation, check_encryption_algorithm,
    check_plaintext, check_plaintext_length,
};
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::authorized_key::AuthorizedKey;
use crate::kms::pipeline::call::{AuthzRequest, CallSpec};
use crate::kms::pipeline::change::CallContext;
use crate::kms::request::{
    DecryptRequest, DecryptResponse, EncryptRequest, EncryptResponse, KeyReference, ReEncryptRequest, ReEncryptResponse,
};
use crate::policy::RequestParameter;
use crate::provider::{CipherScheme, oaep};
use crate::secret::SecretBytes;

impl Kms {
    /// Encrypts 1 to 4,096 bytes under a key. For larger data, use an
    /// [`Envelope`](crate::Envelope).
    ///
    /// With an RSA key, the maximum is lower, the algorithm must be specified, and an encryption
    /// context is not supported. The result is plain RSA-OAEP: anyone with the public key can
    /// create such a ciphertext, so it proves nothing about its origin.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the plaintext is empty or too long, or the
    ///   context is too long.
    /// - [`InvalidKeyUsage`](ErrorKind::InvalidKeyUsage) if the key or the algorithm is not for
    ///   encryption.
    /// - [`LimitExceeded`](ErrorKind::LimitExceeded) if the key is in an HSM and its current
    ///   version has encrypted 2^32 messages.
    /// - [`Disabled`](ErrorKind::Disabled) if the key is disabled.
    /// - [`InvalidState`](ErrorKind::InvalidState) if the key state does not allow the operation.
    /// - [`NotFound`](ErrorKind::NotFound) if the key does not exist.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::request::EncryptRequest;
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?;
    /// let sealed = kms.encrypt(EncryptRequest::new(key.key_id(), b"password"))?;
    /// assert_eq!(sealed.ciphertext_blob.len(), 94 + b"password".len());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn encrypt(&self, request: EncryptRequest<'_, impl KeyReference>) -> Result<EncryptResponse> {
        let context = request.context.unwrap_or(&NO_CONTEXT);
        let conditions = [RequestParameter::EncryptionAlgorithm(request.algorithm)];
        let call = CallSpec::new(Operation::Encrypt)
            .context(context)
            .conditions(&conditions)
            .grant_tokens(request.grant_tokens)
            .dry_run(request.dry_run)
            .valid(check_plaintext_length(request.plaintext.len()))
            .parameter("encryptionAlgorithm", request.algorithm.as_str());
        self.key_call(call, &request.key, |target, _| {
            let (ciphertext_blob, _) = self.seal_with(target, request.algorithm, context, request.plaintext)?;
            Ok(EncryptResponse {
                ciphertext_blob,
                key_arn: target.arn().clone(),
                encryption_algorithm: request.algorithm,
            })
        })
    }

    /// Decrypts a ciphertext. The blob of a symmetric ciphertext identifies its key and key
    /// version. For RSA, specify the key and the algorithm. Any ciphertext created with the public
    /// key can be decrypted.
    ///
    /// # Errors
    /// - [`InvalidCiphertext`](ErrorKind::InvalidCiphertext), without details, if the blob is
    ///   damaged, belongs to another key, or is bound to another context.
    /// - [`IncorrectKey`](ErrorKind::IncorrectKey) if the request specifies another key, or one
    ///   that is not for encryption.
    /// - [`Validation`](ErrorKind::Validation) if the ciphertext is empty or longer than 6,144
    ///   bytes, or if an RSA algorithm is requested without a key or with a context.
    /// - [`InvalidKeyUsage`](ErrorKind::InvalidKeyUsage) if the key does not support the algorithm.
    /// - [`AccessDenied`](ErrorKind::AccessDenied) if the key of the blob does not exist or the
    ///   caller may not use it.
    /// - [`Disabled`](ErrorKind::Disabled) if the key is disabled.
    /// - [`InvalidState`](ErrorKind::InvalidState) if the key state does not allow the operation.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::request::{DecryptRequest, EncryptRequest};
    /// use strongroom::{EncryptionContext, ErrorKind, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?;
    /// let context = EncryptionContext::from([("user", "42")]);
    /// let sealed = kms.encrypt(EncryptRequest::new(key.key_id(), b"password").context(&context))?;
    /// let opened = kms.decrypt(DecryptRequest::new(&sealed.ciphertext_blob).context(&context))?;
    /// assert_eq!(opened.plaintext.expose_secret(), b"password");
    /// let refused = kms.decrypt(DecryptRequest::new(&sealed.ciphertext_blob)).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::InvalidCiphertext);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn decrypt(&self, request: DecryptRequest<'_>) -> Result<DecryptResponse> {
        let conditions = [RequestParameter::EncryptionAlgorithm(request.algorithm)];
        let call = CallSpec::new(Operation::Decrypt)
            .context(request.context.unwrap_or(&NO_CONTEXT))
            .grant_tokens(request.grant_tokens)
            .dry_run(request.dry_run)
            .valid(check_ciphertext_length(request.ciphertext_blob))
            .parameter("encryptionAlgorithm", request.algorithm.as_str());
        self.audited(call, |call_context| {
            let opened = self.open_with(call_context, Operation::Decrypt, &conditions, &request)?;
            opened.target.count(Operation::Decrypt, call_context);
            Ok(DecryptResponse {
                plaintext: opened.plaintext,
                key_arn: opened.target.arn().clone(),
                key_material_id: opened.key_material_id,
                encryption_algorithm: request.algorithm,
            })
        })
    }

    /// Decrypts a ciphertext and encrypts the plaintext again without revealing it. The destination
    /// can be another key, the current version of the same key, or another encryption context.
    ///
    /// # Errors
    /// - The errors of [`Kms::decrypt`] for the source.
    /// - The errors of [`Kms::encrypt`] for the destination.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::request::{EncryptRequest, ReEncryptRequest};
    ///
    /// let kms = Kms::in_memory()?;
    /// let (old, new) = (kms.create_key(Default::default())?, kms.create_key(Default::default())?);
    /// let sealed = kms.encrypt(EncryptRequest::new(old.key_id(), b"data"))?;
    /// let moved = kms.re_encrypt(ReEncryptRequest::new(&sealed.ciphertext_blob, new.key_id()))?;
    /// assert_eq!((moved.source_key_arn, &moved.key_arn), (old.arn().clone(), new.arn()));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn re_encrypt(&self, request: ReEncryptRequest<'_, impl KeyReference>) -> Result<ReEncryptResponse> {
        let context = request.destination_context.unwrap_or(&NO_CONTEXT);
        let (from, to) = (request.source.algorithm, request.destination_algorithm);
        let call = CallSpec::new(Operation::ReEncryptTo)
            .context(context)
            .source_context(request.source.context.unwrap_or(&NO_CONTEXT))
            .grant_tokens(request.source.grant_tokens)
            .dry_run(request.dry_run)
            .valid(check_ciphertext_length(request.source.ciphertext_blob))
            .parameter("sourceEncryptionAlgorithm", from.as_str())
            .parameter("destinationEncryptionAlgorithm", to.as_str());
        self.audited(call, |call_context| {
            let destination = request.destination.to_key_identifier();
            let destination =
                destination.map_err(|error| self.unresolved(call_context, Operation::ReEncryptTo, error))?;
            let same = RequestParameter::ReEncryptOnSameKey(self.is_on_same_key(&request.source, &destination));
            let conditions = [RequestParameter::EncryptionAlgorithm(from), same];
            let source = self.open_with(call_context, Operation::ReEncryptFrom, &conditions, &request.source)?;
            let conditions = [RequestParameter::EncryptionAlgorithm(to), same];
            let question = AuthzRequest::new(Operation::ReEncryptTo)
                .context(context)
                .conditions(&conditions)
                .grant_tokens(request.source.grant_tokens);
            let target = self.authorize(call_context, &question, &destination)?;
            let (ciphertext_blob, destination_key_material_id) =
                self.seal_with(&target, to, context, source.plaintext.expose_secret())?;
            source.target.count(Operation::ReEncryptFrom, call_context);
            target.count(Operation::ReEncryptTo, call_context);
            Ok(ReEncryptResponse {
                ciphertext_blob,
                source_key_arn: source.target.arn().clone(),
                source_key_material_id: source.key_material_id,
                source_encryption_algorithm: from,
                key_arn: target.arn().clone(),
                destination_key_material_id,
                destination_encryption_algorithm: to,
            })
        })
    }

    /// Returns `true` if both halves of a re-encryption use the same key. Keys that do not exist
    /// are never the same.
    fn is_on_same_key(&self, source: &DecryptRequest<'_>, destination: &KeyIdentifier) -> bool {
        let source = match &source.key {
            Some(key) => key.as_ref().ok().and_then(|key| self.known(key)),
            None => BlobPrefix::parse(source.ciphertext_blob)
                .ok()
                .map(|(prefix, _)| (self.account(), KeyId::from_bytes(prefix.key_id))),
        };
        source.is_some() && source == self.known(destination)
    }

    /// Encrypts under a key with the requested algorithm.
    fn seal_with(
        &self,
        target: &AuthorizedKey<'_>,
        algorithm: EncryptionAlgorithm,
        context: &EncryptionContext,
        plaintext: &[u8],
    ) -> Result<(Vec<u8>, Option<KeyMaterialId>)> {
        check_plaintext(target.record().spec, algorithm, plaintext.len())?;
        match oaep(algorithm) {
            None => seal(target, context, plaintext).map(|(blob, key_material_id)| (blob, Some(key_material_id))),
            Some(oaep) => {
                check_no_context(algorithm, context)?;
                let random = self.core.material.backend.random();
                Ok((target.public_key()?.encrypt(oaep, plaintext, random)?, None))
            }
        }
    }

    /// Decrypts a ciphertext with the requested algorithm.
    fn open_with(
        &self,
        call_context: &mut CallContext,
        operation: Operation,
        conditions: &[RequestParameter<'_>],
        request: &DecryptRequest<'_>,
    ) -> Result<Opened<'_>> {
        let context = request.context.unwrap_or(&NO_CONTEXT);
        let named = request.key.as_ref().map(Result::as_ref).transpose();
        let named = named.map_err(|id| self.missing_key(call_context, operation, id))?;
        let question =
            AuthzRequest::new(operation).context(context).conditions(conditions).grant_tokens(request.grant_tokens);
        if request.algorithm == EncryptionAlgorithm::SymmetricDefault {
            let is_of_key = |key: &KeyArn| check_blob_of_key(request.ciphertext_blob, key);
            let named = named.map(|key| self.authorize(call_context, &question.suits(&is_of_key), key)).transpose()?;
            return self.open_blob(call_context, &question, request.ciphertext_blob, context, named);
        }
        let named = named.map(|key| self.authorize(call_context, &question, key)).transpose()?;
        let target = named.ok_or_else(|| {
            let text = format!(
                "a ciphertext encrypted with {} does not identify its key: specify the key id",
                request.algorithm
            );
            Error::new(ErrorKind::Validation, text)
        })?;
        check_encryption_algorithm(target.record().spec, request.algorithm)?;
        check_no_context(request.algorithm, context)?;
        let plaintext = target.decryption()?.decrypt(request.algorithm, request.ciphertext_blob);
        Ok(Opened { plaintext: plaintext.map_err(without_detail)?, target, key_material_id: None })
    }

    /// Decrypts a ciphertext blob under the specified key, or else under the key that the blob
    /// identifies.
    fn open_blob<'a>(
        &'a self,
        call_context: &mut CallContext,
        question: &AuthzRequest<'_>,
        ciphertext_blob: &[u8],
        context: &EncryptionContext,
        named: Option<AuthorizedKey<'a>>,
    ) -> Result<Opened<'a>> {
        let (prefix, body) = BlobPrefix::parse(ciphertext_blob)?;
        let own = KeyId::from_bytes(prefix.key_id);
        let target = match named {
            Some(target) => target,
            None => self.authorize(call_context, question, &KeyIdentifier::KeyId(own)).map_err(unknown_or_forbidden)?,
        };
        if target.record().key_id != own {
            return Err(not_encrypted_under(target.arn()));
        }
        check_encryption_algorithm(target.record().spec, EncryptionAlgorithm::SymmetricDefault)
            .map_err(|_| does_not_open())?;
        let version = KeyVersion::new(prefix.key_version).ok_or_else(does_not_open)?;
        let (index, cipher) = target.cipher_of(version)?.ok_or_else(does_not_open)?;
        if scheme(cipher.scheme()) != prefix.scheme {
            return Err(does_not_open());
        }
        let plaintext = cipher
            .open(&prefix.to_bytes(), &context.to_canonical_bytes().map_err(too_long)?, body)
            .map_err(without_detail)?;
        let key_material_id = Some(target.record().versions[index].material_id);
        Ok(Opened { plaintext, target, key_material_id })
    }
}

/// Rejects a key that did not encrypt a blob. As in AWS KMS, this is reported whatever the usage and
/// state of the key are. Bytes that are no blob are rejected later.
fn check_blob_of_key(ciphertext_blob: &[u8], key: &KeyArn) -> Result<()> {
    if BlobPrefix::parse(ciphertext_blob).is_ok_and(|(prefix, _)| prefix.key_id != *key.key_id().as_bytes()) {
        return Err(not_encrypted_under(key));
    }
    Ok(())
}

fn not_encrypted_under(key: &KeyArn) -> Error {
    let advice = format!("the ciphertext was not encrypted under {key}");
    Error::new(ErrorKind::IncorrectKey, INCORRECT_KEY).with_advice(advice)
}

/// Rejects a ciphertext of a length that no ciphertext can have, as the AWS KMS API does before it
/// looks at the key.
fn check_ciphertext_length(ciphertext: &[u8]) -> Result<()> {
    let length = ciphertext.len();
    if (1..=MAX_BLOB_LENGTH).contains(&length) {
        return Ok(());
    }
    let text = format!("a ciphertext must have 1 to {MAX_BLOB_LENGTH} bytes, not {length}");
    match BlobPrefix::parse(ciphertext) {
        // A text or a message that was passed by mistake.
        Err(error @ (BlobError::Base64 | BlobError::EnvelopeMessage)) => {
            Err(Error::new(ErrorKind::Validation, format!("{text}: {error}")).with_source(error))
        }
        _ => Err(Error::new(ErrorKind::Validation, text)),
    }
}

/// A plaintext, its key, and the version of the key material if the key has versions.
struct Opened<'a> {
    plaintext: SecretBytes,
    target: AuthorizedKey<'a>,
    key_material_id: Option<KeyMaterialId>,
}

pub(in crate::kms) static NO_CONTEXT: EncryptionContext = EncryptionContext::new();

/// Encrypts under the current version of a symmetric key.
pub(in crate::kms) fn seal(
    target: &AuthorizedKey<'_>,
    context: &EncryptionContext,
    plaintext: &[u8],
) -> Result<(Vec<u8>, KeyMaterialId)> {
    produce(target, context, plaintext.len(), |cipher, header, context, output| {
        cipher.seal(header, context, plaintext, output)
    })
    .map(|(blob, material, ())| (blob, material))
}

/// Creates a blob under the current version of a key. Writes the header and calls `fill` for the
/// body.
pub(in crate::kms) fn produce<T>(
    target: &AuthorizedKey<'_>,
    context: &EncryptionContext,
    plaintext_length: usize,
    fill: impl FnOnce(&dyn crate::provider::Cipher, &[u8], &[u8], &mut Vec<u8>) -> Result<T>,
) -> Result<(Vec<u8>, KeyMaterialId, T)> {
    let (version, cipher) = target.current_cipher()?;
    let prefix = BlobPrefix {
        scheme: scheme(cipher.scheme()),
        key_id: *target.record().key_id.as_bytes(),
        key_version: version.number.number(),
    };
    if prefix.scheme == Scheme::Provider {
        target.count_message(version.number)?;
    }
    let header = prefix.to_bytes();
    let context = context.to_canonical_bytes().map_err(too_long)?;
    let mut blob = Vec::with_capacity(header.len() + crate::seal::OVERHEAD + plaintext_length);
    blob.extend_from_slice(&header);
    let value = fill(cipher, &header, &context, &mut blob)?;
    if prefix.scheme == Scheme::Provider {
        // Never return a blob that cannot be decrypted again.
        BlobPrefix::parse(&blob).map_err(|error| {
            let text = format!(
                "the provider of {} returned a ciphertext that could not be decrypted again: {error}",
                target.arn()
            );
            Error::new(ErrorKind::Internal, text).with_source(error)
        })?;
    }
    Ok((blob, version.material_id, value))
}

const fn scheme(scheme: CipherScheme) -> Scheme {
    match scheme {
        CipherScheme::Committing => Scheme::Committing,
        CipherScheme::Provider => Scheme::Provider,
    }
}

/// Rejects a context for RSA-OAEP. A context is bound to a ciphertext by authentication, which
/// RSA-OAEP does not have.
fn check_no_context(algorithm: EncryptionAlgorithm, context: &EncryptionContext) -> Result<()> {
    if context.is_empty() {
        return Ok(());
    }
    let text = format!("{algorithm} does not support an encryption context: only symmetric encryption keys do");
    Err(Error::new(ErrorKind::Validation, text))
}

fn without_detail(error: Error) -> Error {
    if error.kind() == ErrorKind::InvalidCiphertext { does_not_open() } else { error }
}

/// Returns the same error for every reason why a ciphertext cannot be decrypted.
fn does_not_open() -> Error {
    Error::new(
        ErrorKind::InvalidCiphertext,
        "cannot decrypt the ciphertext: it is corrupt, or was encrypted under another key or encryption context",
    )
}

/// Hides from the sender of a blob which keys exist.
fn unknown_or_forbidden(error: Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::AccessDenied => Error::new(
            ErrorKind::AccessDenied,
            "the ciphertext refers to a key that does not exist here or that the caller is not allowed to use",
        ),
        _ => error,
    }
}
