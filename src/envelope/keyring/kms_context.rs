//! A keyring that chooses the KMS key of a message from its encryption context.

use std::fmt;

use super::key_choice::KeyChoice;
use super::{Keyring, KmsKeyring, UnwrapFailures};
use crate::context::EncryptionContext;
use crate::envelope::materials::{DecryptionMaterials, EncryptionMaterials};
use crate::error::Result;
use crate::kms::{KeyReference, Kms};
use crate::message::EncryptedDataKey;

/// Wraps the data key of each message under the KMS key that its encryption context specifies, for
/// example the key of a tenant. It has the permissions of the handle that it was created from.
///
/// One envelope then serves all tenants, and scheduling the deletion of a tenant's key makes every
/// message of that tenant unreadable.
///
/// The key is chosen in the same way for encryption and decryption. Only data keys that were wrapped
/// under the chosen key are unwrapped, as by a [`KmsKeyring`] with that key. A message whose key ARNs
/// or whose context was modified therefore names one key and selects another, and is rejected. A
/// modified context is also rejected if both contexts select the same key, because the KMS
/// authenticates the context.
///
/// The keyring cannot know on whose behalf a message is decrypted. **Specify the tenant of the
/// caller in the expected context** of [`Envelope::decrypt`](crate::Envelope::decrypt). Otherwise, a
/// caller who submits a message of another tenant gets its plaintext.
///
/// An alias is resolved for each message, so it must keep its key: after it was moved to another
/// key, older messages are rejected. Rotate the key instead. With a
/// [`CachingMaterialsManager`](crate::envelope::CachingMaterialsManager), a deleted key remains
/// usable until its cached data keys expire. A [`MultiKeyring`](crate::envelope::MultiKeyring) that
/// also wraps data keys under a common key keeps messages readable after the tenant's key is gone.
///
/// This corresponds to a branch key ID supplier of the AWS Encryption SDK, with KMS keys in place
/// of branch keys. The messages are those of a `KmsKeyring`.
///
/// # Examples
/// ```
/// use strongroom::envelope::KmsContextKeyring;
/// use strongroom::{EncryptionContext, Envelope, Kms};
///
/// let kms = Kms::in_memory()?;
/// for tenant in ["acme", "globex"] {
///     kms.create_alias(format!("alias/tenant/{tenant}"), kms.create_key(Default::default())?.key_id())?;
/// }
/// let envelope = Envelope::new(KmsContextKeyring::with_alias_prefix(&kms, "tenant", "alias/tenant/")?);
/// let [acme, globex] = ["acme", "globex"].map(|tenant| EncryptionContext::from([("tenant", tenant)]));
/// let message = envelope.encrypt(b"orders of acme", &acme)?;
/// assert_eq!(envelope.decrypt(&message, &acme)?, b"orders of acme");
/// assert!(envelope.decrypt(&message, &globex).is_err());
///
/// // A disabled key affects only its tenant.
/// kms.disable_key(kms.describe_key("alias/tenant/acme")?.key_id())?;
/// assert!(envelope.decrypt(&message, &acme).is_err());
/// assert!(envelope.encrypt(b"orders of globex", &globex).is_ok());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone)]
pub struct KmsContextKeyring {
    kms: Kms,
    choice: KeyChoice,
}

impl KmsContextKeyring {
    /// Creates a keyring that uses the key whose alias is `prefix`, followed by the value that the
    /// encryption context has for `name`.
    ///
    /// A value must consist of letters and digits of ASCII, `_`, and `-`. All other values are
    /// rejected, and never mapped to another alias. As the prefix ends with `/` and a value cannot
    /// contain one, a value cannot lead to an alias of another prefix either. Aliases appear in error
    /// messages and in the audit trail.
    ///
    /// # Errors
    /// - [`Validation`](crate::ErrorKind::Validation) if the prefix does not begin with `alias/`, does
    ///   not end with `/`, or leaves no room for a value within 256 characters.
    /// - [`InvalidAliasName`](crate::ErrorKind::InvalidAliasName) if the prefix contains nothing but
    ///   `alias/`, or contains characters that aliases cannot contain.
    /// - [`NotAuthorized`](crate::ErrorKind::NotAuthorized) if the prefix begins with `alias/aws/`, which
    ///   is reserved.
    /// - [`Validation`](crate::ErrorKind::Validation) if the name begins with
    ///   [`RESERVED_CONTEXT_PREFIX`](crate::RESERVED_CONTEXT_PREFIX).
    pub fn with_alias_prefix(kms: &Kms, name: impl Into<String>, prefix: impl Into<String>) -> Result<Self> {
        Ok(Self { kms: kms.clone(), choice: KeyChoice::with_alias_prefix(name.into(), prefix.into())? })
    }

    /// Creates a keyring that uses the key that a function returns for the encryption context.
    ///
    /// The function is called once for each message. It may block, for example to query a database.
    /// It receives the complete context, including pairs that the header omits. On decryption, the
    /// context is not authenticated yet, so an attacker may have written its values: do not build an
    /// alias from them without checking them as
    /// [`with_alias_prefix`](Self::with_alias_prefix) does. The function must return the same key on
    /// decryption as on encryption.
    ///
    /// If the function fails for a message to be written, its error is returned. For a message to be
    /// read, the error is part of the [`UnwrapFailures`], and an outage keeps its kind.
    ///
    /// # Examples
    /// ```
    /// use std::collections::HashMap;
    /// use strongroom::envelope::KmsContextKeyring;
    /// use strongroom::{EncryptionContext, Envelope, Error, ErrorKind, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let keys = HashMap::from([("eu", kms.create_key(Default::default())?), ("us", kms.create_key(Default::default())?)]);
    /// let keyring = KmsContextKeyring::new(&kms, move |context| {
    ///     let key = context.get("region").and_then(|region| keys.get(region));
    ///     key.map(|key| key.key_id()).ok_or_else(|| Error::new(ErrorKind::Validation, "no key for this region"))
    /// });
    /// let envelope = Envelope::new(keyring);
    /// let europe = EncryptionContext::from([("region", "eu")]);
    /// let message = envelope.encrypt(b"bonjour", &europe)?;
    /// assert_eq!(envelope.decrypt(&message, &europe)?, b"bonjour");
    /// assert!(envelope.encrypt(b"hello", &EncryptionContext::from([("region", "mars")])).is_err());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn new<K: KeyReference>(
        kms: &Kms,
        choose: impl Fn(&EncryptionContext) -> Result<K> + Send + Sync + 'static,
    ) -> Self {
        Self { kms: kms.clone(), choice: KeyChoice::by(choose) }
    }

    /// Returns the keyring with the key for a context.
    fn keyring_for(&self, context: &EncryptionContext) -> Result<KmsKeyring> {
        KmsKeyring::new(&self.kms, self.choice.choose(context)?)
    }
}

impl Keyring for KmsContextKeyring {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        self.keyring_for(materials.context())?.on_encrypt(materials)
    }

    fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()> {
        materials.expect_no_data_key()?;
        match self.keyring_for(materials.context()) {
            Ok(keyring) => keyring.on_decrypt(materials, data_keys),
            Err(error) => Err(UnwrapFailures::before_any(error).into_error()),
        }
    }
}

impl fmt::Debug for KmsContextKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("KmsContextKeyring");
        if let KeyChoice::Alias { name, prefix } = &self.choice {
            out.field("name", name).field("prefix", prefix);
        }
        out.finish_non_exhaustive()
    }
}
