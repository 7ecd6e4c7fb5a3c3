//! A keyring that wraps data keys with the keys of a [`Kms`].

use crate::context::EncryptionContext;
use crate::envelope::materials::{DecryptionMaterials, EncryptionMaterials};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeyArn, KeyIdentifier};
use crate::kms::{DecryptRequest, EncryptRequest, GenerateDataKeyRequest, KeyReference, Kms};
use crate::message::EncryptedDataKey;
use crate::secret::SecretBytes;

use super::failures::more_decisive;
use super::{Keyring, UnwrapFailures};

/// The provider ID of data keys that are wrapped by a KMS key, as in the AWS Encryption SDK. The
/// provider information is the ARN of the key, and the ciphertext is its ciphertext blob.
pub const KMS_PROVIDER_ID: &str = "aws-kms";

/// Wraps data keys under keys of a [`Kms`] and binds them to the encryption context. It has the
/// permissions of the handle that it was created from.
///
/// The first key generates the data key (GenerateDataKey), every further key wraps it as well
/// (Encrypt), and any of them can unwrap it (Decrypt). Only data keys that were wrapped by these
/// keys are unwrapped, so a message cannot make the keyring use another key that the handle has
/// permissions for. [`KmsKeyring::discovery`] lifts this restriction.
///
/// A key specified by its alias is resolved for each message. Once the alias refers to another key,
/// new messages use the new key. Messages of the old key can then be decrypted only with
/// [`KmsKeyring::with_key`] or discovery.
///
/// # Examples
/// ```
/// use strongroom::envelope::KmsKeyring;
/// use strongroom::{EncryptionContext, Envelope, Kms};
///
/// let kms = Kms::in_memory()?;
/// let (ours, escrow) = (kms.create_key(Default::default())?, kms.create_key(Default::default())?);
/// let envelope = Envelope::new(KmsKeyring::new(&kms, ours.key_id())?.with_key(escrow.key_id())?);
/// let message = envelope.encrypt(b"will", &EncryptionContext::new())?;
///
/// kms.disable_key(ours.key_id())?;
/// let escrow_only = Envelope::new(KmsKeyring::new(&kms, escrow.key_id())?);
/// assert_eq!(escrow_only.decrypt(&message, &EncryptionContext::new())?, b"will");
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct KmsKeyring {
    kms: Kms,
    keys: Vec<KeyIdentifier>,
}

impl KmsKeyring {
    /// Creates a keyring that wraps under one key and unwraps its data keys. The key is specified
    /// by its ID, ARN, alias name, or alias ARN.
    ///
    /// # Errors
    /// - The errors of [`KeyReference::to_key_identifier`]. A missing key is reported only when it
    ///   is used.
    ///
    /// # Examples
    /// With an alias, the keyring follows the alias:
    /// ```
    /// use strongroom::envelope::KmsKeyring;
    /// use strongroom::{EncryptionContext, Envelope, Kms, message};
    ///
    /// let kms = Kms::in_memory()?;
    /// let [old, new] = [kms.create_key(Default::default())?, kms.create_key(Default::default())?];
    /// kms.create_alias("alias/letters", old.key_id())?;
    /// let envelope = Envelope::new(KmsKeyring::new(&kms, "alias/letters")?);
    /// kms.update_alias("alias/letters", new.key_id())?;
    ///
    /// let message = envelope.encrypt(b"dear reader", &EncryptionContext::new())?;
    /// let header = message::inspect(&message)?;
    /// assert_eq!(header.data_keys()[0].provider_info(), new.arn().to_string().as_bytes());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn new(kms: &Kms, key: impl KeyReference) -> Result<Self> {
        Ok(Self { kms: kms.clone(), keys: vec![key.to_key_identifier()?] })
    }

    /// Creates a keyring that wraps nothing. It unwraps data keys of any key of this KMS that the
    /// handle may decrypt with.
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::KmsKeyring;
    /// use strongroom::{EncryptionContext, Envelope, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?;
    /// let none = EncryptionContext::new();
    /// let message = Envelope::new(KmsKeyring::new(&kms, key.key_id())?).encrypt(b"found", &none)?;
    /// let reader = Envelope::new(KmsKeyring::discovery(&kms));
    /// assert_eq!(reader.decrypt(&message, &none)?, b"found");
    /// assert!(reader.encrypt(b"lost", &none).is_err());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn discovery(kms: &Kms) -> Self {
        Self { kms: kms.clone(), keys: Vec::new() }
    }

    /// Adds a key that wraps the data key as well and can then decrypt the message.
    ///
    /// # Errors
    /// - The errors of [`KeyReference::to_key_identifier`].
    /// - [`Validation`](ErrorKind::Validation) for a discovery keyring, which wraps nothing.
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::KmsKeyring;
    /// use strongroom::{EncryptionContext, Envelope, Kms, message};
    ///
    /// let kms = Kms::in_memory()?;
    /// let [daily, escrow] = [kms.create_key(Default::default())?, kms.create_key(Default::default())?];
    /// let keyring = KmsKeyring::new(&kms, daily.key_id())?.with_key(escrow.key_id())?;
    /// let message = Envelope::new(keyring).encrypt(b"will", &EncryptionContext::new())?;
    /// assert_eq!(message::inspect(&message)?.data_keys().len(), 2);
    /// assert!(KmsKeyring::discovery(&kms).with_key(escrow.key_id()).is_err());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn with_key(mut self, key: impl KeyReference) -> Result<Self> {
        if self.keys.is_empty() {
            let text = "a discovery keyring cannot encrypt: combine it with a keyring for this key in a MultiKeyring";
            return Err(Error::new(ErrorKind::Validation, text));
        }
        self.keys.push(key.to_key_identifier()?);
        Ok(self)
    }

    fn make_data_key(&self, materials: &mut EncryptionMaterials, key: &KeyIdentifier) -> Result<()> {
        let length = u32::try_from(materials.suite().data_key_length())
            .map_err(|_| Error::new(ErrorKind::Internal, "the data key of a suite has 16 to 32 bytes"))?;
        let request = GenerateDataKeyRequest::new(key).number_of_bytes(length).context(materials.context());
        let made = self.kms.generate_data_key(request)?;
        materials.set_data_key(made.plaintext)?;
        materials.push(wrapped(&made.key_arn, made.ciphertext_blob))
    }

    fn wrap_data_key(
        &self,
        data_key: &SecretBytes,
        key: &KeyIdentifier,
        context: &EncryptionContext,
    ) -> Result<EncryptedDataKey> {
        let request = EncryptRequest::new(key, data_key.expose_secret()).context(context);
        let made = self.kms.encrypt(request)?;
        Ok(wrapped(&made.key_arn, made.ciphertext_blob))
    }

    /// Unwraps a data key with the first matching key of the keyring.
    fn unwrap(&self, data_key: &EncryptedDataKey, context: &EncryptionContext) -> Result<SecretBytes> {
        let named = std::str::from_utf8(data_key.provider_info()).ok().map(KeyArn::parse).transpose()?;
        let named = named.ok_or_else(|| Error::new(ErrorKind::InvalidArn, "the key ARN is not UTF-8"))?;
        let request = DecryptRequest::new(data_key.ciphertext()).context(context);
        if self.keys.is_empty() {
            return self.checked(request, &named);
        }
        let mut refusal = None;
        for key in self.keys.iter().filter(|key| may_mean(key, &named)) {
            match self.checked(request.clone().key(key)?, &named) {
                Ok(plaintext) => return Ok(plaintext),
                Err(error) if error.kind() == ErrorKind::IncorrectKey => {}
                // An alias without a target, or a key that cannot be used, does not affect the
                // other keys.
                Err(error) => refusal = Some(more_decisive(refusal, error)),
            }
        }
        Err(refusal
            .unwrap_or_else(|| Error::new(ErrorKind::IncorrectKey, format!("{named} is not a key of this keyring"))))
    }

    /// Decrypts, and requires that the key is the one that the message specifies.
    fn checked(&self, request: DecryptRequest<'_>, named: &KeyArn) -> Result<SecretBytes> {
        let opened = self.kms.decrypt(request)?;
        if opened.key_arn == *named {
            return Ok(opened.plaintext);
        }
        Err(Error::new(
            ErrorKind::IncorrectKey,
            format!("the message specifies {named}, but another key decrypted the data key"),
        ))
    }
}

impl Keyring for KmsKeyring {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        if self.keys.is_empty() {
            return Err(Error::new(
                ErrorKind::Validation,
                "a discovery keyring can only decrypt messages, not encrypt them",
            ));
        }
        let mut keys = self.keys.iter();
        if materials.data_key().is_none() {
            keys.next().map_or(Ok(()), |generator| self.make_data_key(materials, generator))?;
        }
        for key in keys {
            let data_key = materials
                .data_key()
                .ok_or_else(|| Error::new(ErrorKind::Internal, "the first key of the keyring generated no data key"))?;
            let wrapped = self.wrap_data_key(data_key, key, materials.context())?;
            materials.push(wrapped)?;
        }
        Ok(())
    }

    fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()> {
        materials.expect_no_data_key()?;
        let mut failures = UnwrapFailures::default();
        let length = materials.suite().data_key_length();
        for data_key in data_keys {
            if data_key.provider_id() != KMS_PROVIDER_ID {
                failures.push(data_key, Error::new(ErrorKind::IncorrectKey, "it was not wrapped by a KMS key"));
                continue;
            }
            match self.unwrap(data_key, materials.context()) {
                Ok(plaintext) if plaintext.len() == length => return materials.set_data_key(plaintext),
                Ok(_) => failures.push(data_key, wrong_length(length)),
                Err(error) => failures.push(data_key, error),
            }
        }
        Err(failures.into_error())
    }
}

/// A caller with permission to encrypt under a key can wrap bytes that are not a data key.
fn wrong_length(length: usize) -> Error {
    Error::new(ErrorKind::InvalidCiphertext, format!("it does not contain a data key of {length} bytes"))
}

fn wrapped(key: &KeyArn, blob: Vec<u8>) -> EncryptedDataKey {
    EncryptedDataKey::new(KMS_PROVIDER_ID, key.to_string(), blob)
}

/// Returns `true` if calling the KMS can succeed. An alias can refer to any key, an ID or ARN only
/// to the key that it names.
fn may_mean(key: &KeyIdentifier, named: &KeyArn) -> bool {
    match key {
        KeyIdentifier::KeyId(id) => *id == named.key_id(),
        KeyIdentifier::KeyArn(arn) => arn == named,
        KeyIdentifier::AliasName(_) | KeyIdentifier::AliasArn(_) => true,
    }
}
