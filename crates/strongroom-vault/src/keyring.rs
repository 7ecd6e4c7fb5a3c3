//! A keyring that wraps the data keys of messages with a key in Vault.

use std::fmt;
use std::sync::{Arc, OnceLock};

use strongroom::envelope::{DecryptionMaterials, EncryptionMaterials, Keyring, UnwrapFailures};
use strongroom::message::EncryptedDataKey;
use strongroom::{EncryptionContext, Error, ErrorKind, Result, SecretBytes};

use crate::ciphertext::Versioned;
use crate::client::{Session, VaultTransit};
use crate::name::check_key;

/// The provider ID of data keys that a key in Vault wrapped. The provider info is the path of the key:
/// namespace, mount, and name.
pub const VAULT_PROVIDER_ID: &str = "strongroom-vault";

/// The beginning of the associated data of a wrapped data key. The canonical encryption context follows.
const LABEL: &[u8] = b"strongroom data key v1\0";

/// The longest wrapped data key.
const MAX_WRAPPED: usize = 1_024;

/// Wraps the data keys of messages with an AEAD key in Vault, bound to the encryption context.
///
/// The message format has no provider ID for Vault, so **only strongroom reads these data keys**. The
/// AWS Encryption SDK reads the message if another keyring wrapped its data key too, in a
/// [`MultiKeyring`](strongroom::envelope::MultiKeyring). Writing a message is one call to Vault, and so is
/// reading it. A [`CachingMaterialsManager`](strongroom::envelope::CachingMaterialsManager) saves most of
/// them. For many keys, policies and an audit trail in the process, use a `Kms` with a
/// [`VaultProvider`](crate::VaultProvider) or a [`VaultRootKey`](crate::VaultRootKey) instead.
///
/// The key has the requirements of [`VaultRootKey`](crate::VaultRootKey#key), and a token needs the same
/// permissions. A message records the version of the key that wrapped its data key. New messages use the
/// latest version. Messages of earlier versions open while `min_decryption_version` allows it.
///
/// # Examples
/// ```no_run
/// use strongroom::{EncryptionContext, Envelope};
/// use strongroom_vault::{VaultKeyring, VaultTransit};
/// use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};
///
/// let client = VaultClient::new(VaultClientSettingsBuilder::default().build()?)?; // VAULT_ADDR, VAULT_TOKEN
/// let envelope = Envelope::new(VaultKeyring::new(&VaultTransit::new(&client, "transit")?, "orders")?);
/// let tenant = EncryptionContext::from([("tenant", "42")]);
/// let message = envelope.encrypt(b"two pots of tea", &tenant)?;
/// assert_eq!(envelope.decrypt(&message, &tenant)?, b"two pots of tea");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct VaultKeyring {
    vault: VaultTransit,
    key: String,
    path: String,
    /// Set when the key was found to bind associated data.
    binds: Arc<OnceLock<()>>,
}

impl VaultKeyring {
    /// Creates a keyring with a key in Vault. This does not call Vault.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if it is not the name of a key.
    ///
    /// # Examples
    /// ```
    /// use strongroom_vault::{VaultKeyring, VaultTransit};
    /// use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};
    ///
    /// let settings = VaultClientSettingsBuilder::default().address("http://127.0.0.1:8200").token("hvs.one").build()?;
    /// let vault = VaultTransit::new(&VaultClient::new(settings)?, "transit")?;
    /// assert!(VaultKeyring::new(&vault, "orders").is_ok());
    /// assert!(VaultKeyring::new(&vault, "orders/config").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(vault: &VaultTransit, key: &str) -> Result<Self> {
        check_key(key)?;
        Ok(Self { vault: vault.clone(), key: key.to_owned(), path: vault.path_of(key), binds: Arc::default() })
    }

    fn unwrap(
        &self,
        session: &Session<'_>,
        data_key: &EncryptedDataKey,
        context: &EncryptionContext,
        length: usize,
    ) -> Result<SecretBytes> {
        if data_key.provider_id() != VAULT_PROVIDER_ID || data_key.provider_info() != self.path.as_bytes() {
            let text = format!("it was not wrapped by {} in Vault", self.path);
            return Err(Error::new(ErrorKind::IncorrectKey, text));
        }
        let invalid = |text: String| Error::new(ErrorKind::InvalidCiphertext, text);
        let wrapped = data_key.ciphertext();
        let wrapped = (wrapped.len() <= MAX_WRAPPED).then(|| Versioned::from_stored(wrapped)).flatten();
        let wrapped =
            wrapped.ok_or_else(|| invalid("it does not have the form of a data key wrapped by Vault".to_owned()))?;
        let plaintext = session.decrypt(&self.key, &wrapped, &associated_data(context)?)?;
        match plaintext.len() == length {
            true => Ok(plaintext),
            false => Err(invalid(format!("it does not contain a data key of {length} bytes"))),
        }
    }
}

fn associated_data(context: &EncryptionContext) -> Result<Vec<u8>> {
    Ok([LABEL, &context.to_canonical_bytes()?].concat())
}

impl Keyring for VaultKeyring {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        let (session, associated_data) = (self.vault.begin(), associated_data(materials.context())?);
        let is_first = self.binds.get().is_none();
        if is_first {
            session.require_aead(&self.key)?;
        }
        let wrapped = session.encrypt(&self.key, None, materials.data_key_or_generate()?, &associated_data)?;
        if is_first {
            session.require_associated_data(&self.key, &wrapped)?;
            let _ = self.binds.set(());
        }
        materials.push(EncryptedDataKey::new(VAULT_PROVIDER_ID, self.path.as_str(), wrapped.to_stored()))
    }

    fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()> {
        materials.expect_no_data_key()?;
        let (session, length) = (self.vault.begin(), materials.suite().data_key_length());
        let mut failures = UnwrapFailures::default();
        for data_key in data_keys {
            match self.unwrap(&session, data_key, materials.context(), length) {
                Ok(plaintext) => return materials.set_data_key(plaintext),
                Err(error) => failures.push(data_key, error),
            }
        }
        Err(failures.into_error())
    }
}

impl fmt::Debug for VaultKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultKeyring").field("key", &self.path).finish_non_exhaustive()
    }
}
