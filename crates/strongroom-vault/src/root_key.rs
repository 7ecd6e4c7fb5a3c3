//! Root keys of stores, wrapped by a key in Vault.

use std::fmt;

use strongroom::seal::RootKeyHolder;
use strongroom::{Error, ErrorKind, Result, SecretBytes};
use strongroom_upstream::unavailable;

use crate::ciphertext::Versioned;
use crate::client::VaultTransit;
use crate::error::{VaultError, VaultFailure};
use crate::name::check_key;

/// The beginning of the associated data of a wrapped root key. The binding follows.
const LABEL: &[u8] = b"strongroom root key v1\0";

/// The longest binding.
const MAX_BINDING: usize = 3_000;

/// The longest wrapped root key.
const MAX_WRAPPED: usize = 8_192;

/// The longest ID of a holder.
const MAX_ID: usize = 255;

/// Holds the root key of a store: a key in Vault wraps its versions. The store cannot be opened without
/// that key.
///
/// Opening a store calls Vault once for each version of the root key, usually one. Operations on keys of
/// the store never call it, so an outage affects only processes that start, rotations, and processes that
/// notice the rotation of another process. Those fail with [`KeyUnavailable`](ErrorKind::KeyUnavailable)
/// and can be repeated. A denied permission, an expired token, or a missing key has this kind too,
/// because the root key is not wrong. The [`VaultError`] in the error distinguishes them.
///
/// # Key
///
/// The key must have an AEAD type, such as `aes256-gcm96`, and no derivation. The store and the version of
/// its root key are associated data. Other types cannot authenticate them and are refused. The token
/// needs these permissions, and never `create` for `encrypt`, which would create a missing key:
///
/// ```hcl
/// path "transit/keys/orders"    { capabilities = ["read"] }
/// path "transit/encrypt/orders" { capabilities = ["update"] }
/// path "transit/decrypt/orders" { capabilities = ["update"] }
/// ```
///
/// # Rotation
///
/// | after | the store |
/// |---|---|
/// | a rotation of the key in Vault | opens as before. [`rotate_root_key`](strongroom::Kms::rotate_root_key) wraps a new root key with the latest version, and discards the earlier one |
/// | `min_decryption_version` beyond the version that wrapped the root key | does not open, until the setting is lowered: [`VaultFailure::KeyVersion`] |
/// | a trim of that version, or the deletion of the key | never opens again, except from an export: [`VaultFailure::VersionTrimmed`], [`VaultFailure::KeyNotFound`] |
///
/// Therefore rotate in Vault, then call `rotate_root_key` for every store, and only then raise
/// `min_decryption_version`. The `rewrap` of Vault is not needed.
///
/// # Examples
/// ```no_run
/// use strongroom::Kms;
/// use strongroom::seal::RootKey;
/// use strongroom_vault::{VaultRootKey, VaultTransit};
/// use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};
///
/// let client = VaultClient::new(VaultClientSettingsBuilder::default().build()?)?; // VAULT_ADDR, VAULT_TOKEN
/// let holder = VaultRootKey::new(&VaultTransit::new(&client, "transit")?, "orders")?;
/// let kms = Kms::open("keys.db", RootKey::from_holder(holder.clone()))?;
///
/// // A store that has a root key in a file moves it to Vault.
/// let older = Kms::open("older.db", RootKey::from_file("older.key")?)?;
/// older.move_root_key(RootKey::from_holder(holder))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct VaultRootKey {
    vault: VaultTransit,
    key: String,
    id: String,
}

impl VaultRootKey {
    /// Creates a holder with a key in Vault.
    ///
    /// The [`id`](RootKeyHolder::id) of the holder is `vault` and the path of the key: namespace, mount,
    /// and name. It does not contain the address, because a Vault can have several.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if it is not the name of a key, or its path is longer than 240
    ///   characters.
    ///
    /// # Examples
    /// ```
    /// use strongroom::seal::RootKeyHolder;
    /// use strongroom_vault::{VaultRootKey, VaultTransit};
    /// use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};
    ///
    /// let mut settings = VaultClientSettingsBuilder::default();
    /// let settings = settings.address("http://127.0.0.1:8200").token("example").namespace(Some("shop".to_owned()));
    /// let vault = VaultTransit::new(&VaultClient::new(settings.build()?)?, "transit")?;
    /// assert_eq!(VaultRootKey::new(&vault, "orders")?.id(), "vault shop/transit/orders");
    /// assert!(VaultRootKey::new(&vault, "orders/config").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(vault: &VaultTransit, key: &str) -> Result<Self> {
        check_key(key)?;
        let id = format!("vault {}", vault.path_of(key));
        if id.len() > MAX_ID {
            let text = "the path of a key that holds a root key must have at most 240 characters";
            return Err(Error::new(ErrorKind::Validation, text));
        }
        Ok(Self { vault: vault.clone(), key: key.to_owned(), id })
    }

    fn associated_data(binding: &[u8]) -> Result<Vec<u8>> {
        if binding.len() > MAX_BINDING {
            let text = format!("the binding of a root key must have at most {MAX_BINDING} bytes");
            return Err(Error::new(ErrorKind::Validation, text));
        }
        Ok([LABEL, binding].concat())
    }
}

impl RootKeyHolder for VaultRootKey {
    fn id(&self) -> &str {
        &self.id
    }

    /// Reads the key, because a token with too many permissions would create a missing one. Then encrypts,
    /// and checks that the associated data is authenticated.
    fn wrap(&self, binding: &[u8], key: &SecretBytes) -> Result<Vec<u8>> {
        let associated_data = Self::associated_data(binding)?;
        let session = self.vault.begin();
        session.require_aead(&self.key)?;
        let wrapped = session.encrypt(&self.key, None, key, &associated_data)?;
        session.require_associated_data(&self.key, &wrapped)?;
        Ok(wrapped.to_stored())
    }

    fn unwrap(&self, binding: &[u8], wrapped: &[u8]) -> Result<SecretBytes> {
        let associated_data = Self::associated_data(binding)?;
        let parsed = (wrapped.len() <= MAX_WRAPPED).then(|| Versioned::from_stored(wrapped)).flatten();
        let parsed = parsed.ok_or_else(|| {
            Error::new(ErrorKind::InvalidCiphertext, "the root key was not wrapped by a key in Vault")
        })?;
        self.vault.begin().decrypt(&self.key, &parsed, &associated_data).map_err(|error| {
            // It is the error of a wrong root key only if Vault has tried the key.
            let was_tried = error.downcast_ref().is_none_or(|error: &VaultError| {
                matches!(error.failure(), VaultFailure::InvalidCiphertext | VaultFailure::IncorrectKey)
            });
            if was_tried { error } else { unavailable(error) }
        })
    }
}

impl fmt::Debug for VaultRootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultRootKey").field("id", &self.id).finish_non_exhaustive()
    }
}
