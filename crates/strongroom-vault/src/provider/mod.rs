//! Keys of a store that Vault generates, holds, and uses.

mod keys;
mod kinds;

use std::fmt;

use strongroom::crypto::CryptoBackend;
use strongroom::key::{KeySpec, KeyUsage, Origin};
use strongroom::provider::{
    Capabilities, GeneratedMaterial, KeyMaterialProvider, MaterialBinding, MaterialGenerator, OpenedKey, ProviderId,
};
use strongroom::{Error, ErrorKind, Result, SecretBytes};

use self::keys::{RemoteKey, VERSION};
use self::kinds::{TransitType, mac_name, transit_type};
use crate::client::{Session, VaultTransit};
use crate::error::{VaultError, VaultFailure};
use crate::name::check_key;

/// The beginning of the stored state of a key. The name of its key in Vault follows.
const PREFIX: &[u8] = b"vault 1 ";

/// Generates, holds and uses keys in the transit engine of Vault. The store of strongroom seals only the
/// name of such a key, and a [`Kms`](strongroom::Kms) adds its own policies, aliases, grants, and audit
/// trail.
///
/// | kind of key | type in Vault | operations in Vault |
/// |---|---|---|
/// | symmetric encryption | `aes256-gcm96` | encrypt, decrypt, with the context as associated data |
/// | RSA signing keys | `rsa-2048`, `rsa-3072`, `rsa-4096` | sign, with the digest of the message; strongroom verifies |
/// | ECDSA signing keys, P-256 to P-521 | `ecdsa-p256`, `ecdsa-p384`, `ecdsa-p521` | the same |
/// | HMAC keys | `hmac` | hmac |
///
/// # Keys in Vault
///
/// A key in Vault is named `strongroom-`, the store, the ID of the key, its version, and 16 random digits,
/// separated by hyphens. Each version of a key is a key in Vault, and a rotation creates another one. Do not
/// rotate such a key in Vault: strongroom uses version 1 only, and `min_decryption_version` must remain 1.
/// If the process dies after Vault created a key and before the store did, the key remains, and is found
/// by its name: `vault list transit/keys`.
///
/// The token needs these permissions:
///
/// ```hcl
/// path "transit/keys/strongroom-*"        { capabilities = ["create", "update", "read", "delete"] }
/// path "transit/keys/strongroom-*/config" { capabilities = ["create", "update"] }
/// path "transit/encrypt/strongroom-*"     { capabilities = ["update"] }
/// path "transit/decrypt/strongroom-*"     { capabilities = ["update"] }
/// path "transit/sign/strongroom-*"        { capabilities = ["update"] }
/// path "transit/hmac/strongroom-*"        { capabilities = ["update"] }
/// ```
///
/// # Limits
///
/// - There are no RSA encryption keys, no Ed25519 keys, no keys on secp256k1, and no key agreement: Vault
///   lacks an algorithm of each.
/// - Every operation that needs a secret key calls Vault. Its latency, its quotas and its outages are those
///   of the key, and an outage is [`KeyUnavailable`](ErrorKind::KeyUnavailable).
/// - A message of a MAC has at most 24,000,000 bytes, since Vault receives it.
/// - Deleting a key allows the deletion in Vault (`deletion_allowed`) and deletes it there immediately,
///   after the window of strongroom. A restored copy of a store can do so with keys that the original still
///   uses.
/// - Ciphertexts have the format of strongroom around a ciphertext of Vault. They are not committing.
/// - Imports and exports of material are not supported.
///
/// # Examples
/// ```no_run
/// use strongroom::Kms;
/// use strongroom::request::CreateKeyRequest;
/// use strongroom::seal::RootKey;
/// use strongroom::store::SqliteStore;
/// use strongroom_vault::{VaultProvider, VaultTransit};
/// use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};
///
/// let client = VaultClient::new(VaultClientSettingsBuilder::default().build()?)?; // VAULT_ADDR, VAULT_TOKEN
/// let provider = VaultProvider::new(&VaultTransit::new(&client, "transit")?, "vault");
/// let store = SqliteStore::open("keys.db", &Default::default())?;
/// let kms = Kms::builder().store(store, RootKey::from_file("root.key")?).provider(provider).build()?;
/// let key = kms.create_key(CreateKeyRequest::default().provider("vault"))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct VaultProvider {
    vault: VaultTransit,
    id: ProviderId,
    capabilities: Capabilities,
}

impl VaultProvider {
    /// Creates a provider with this name. Keys that it generated are found by the name again, so it must
    /// not change.
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::{KeySpec, KeyUsage};
    /// use strongroom::provider::KeyMaterialProvider;
    /// use strongroom_vault::{VaultProvider, VaultTransit};
    /// use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};
    ///
    /// let settings = VaultClientSettingsBuilder::default().address("http://127.0.0.1:8200").token("hvs.one").build()?;
    /// let provider = VaultProvider::new(&VaultTransit::new(&VaultClient::new(settings)?, "transit")?, "vault");
    /// assert_eq!(provider.id().as_str(), "vault");
    /// assert!(provider.capabilities().generates.contains(&(KeySpec::Rsa2048, KeyUsage::SignVerify)));
    /// let reason = provider.unsupported_reason(KeySpec::EccSecgP256k1, KeyUsage::SignVerify);
    /// assert_eq!(reason.as_deref(), Some("Vault has no keys on this curve"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(vault: &VaultTransit, name: impl Into<String>) -> Self {
        let kinds = KeySpec::ALL.iter().flat_map(|&spec| KeyUsage::ALL.iter().map(move |&usage| (spec, usage)));
        let generates = kinds.filter(|&(spec, usage)| transit_type(spec, usage).is_ok()).collect();
        Self { vault: vault.clone(), id: ProviderId::new(name), capabilities: Capabilities::new(generates, true) }
    }

    /// Returns the name of the key in Vault that a stored state contains.
    fn key(stored: &SecretBytes) -> Result<String> {
        let name = stored.expose_secret().strip_prefix(PREFIX).and_then(|name| std::str::from_utf8(name).ok());
        let name = name.filter(|name| check_key(name).is_ok()).map(str::to_owned);
        name.ok_or_else(|| Error::new(ErrorKind::Internal, "the stored state does not name a key in Vault"))
    }

    /// Creates a key in Vault, and returns what the store keeps of it.
    fn create(&self, session: &Session<'_>, name: &str, kind: TransitType, spec: KeySpec) -> Result<GeneratedMaterial> {
        session.create(name, kind.name, kind.size)?;
        let described = session.describe(name)?;
        if described.key_type != kind.name || described.latest_version != VERSION || described.derived {
            return Err(session.incomplete("read", name, "the new key is another one than requested"));
        }
        let stored = SecretBytes::from_vec([PREFIX, name.as_bytes()].concat());
        match spec {
            KeySpec::SymmetricDefault => {
                let probe = SecretBytes::copy_from_slice(b"strongroom probe");
                let sealed = session.encrypt(name, Some(VERSION), &probe, b"strongroom probe")?;
                session.require_associated_data(name, &sealed)?;
                Ok(GeneratedMaterial::secret(stored))
            }
            _ if kind.size.is_some() => Ok(GeneratedMaterial::secret(stored)),
            _ => {
                let public_key = described.public_key(VERSION).and_then(|pem| {
                    let (label, public_key) = pem_rfc7468::decode_vec(pem.as_bytes()).ok()?;
                    (label == "PUBLIC KEY").then_some(public_key)
                });
                let missing = || session.incomplete("read", name, "it contains no public key in PEM");
                Ok(GeneratedMaterial::key_pair(stored, public_key.ok_or_else(missing)?))
            }
        }
    }

    /// Deletes a key in Vault. Succeeds if it is already deleted.
    fn delete(&self, name: &str) -> Result<()> {
        let session = self.vault.begin();
        let deleted = session.allow_deletion(name).and_then(|()| session.delete(name));
        deleted.or_else(|error| match error.downcast_ref().map(VaultError::failure) {
            Some(VaultFailure::KeyNotFound) => Ok(()),
            _ => Err(error),
        })
    }
}

/// Returns a new name for a key in Vault.
fn new_name(backend: &CryptoBackend, binding: &MaterialBinding) -> Result<String> {
    let mut random = [0; 8];
    backend.random().fill(&mut random)?;
    let [store, random] = [&binding.store[..], &random].map(base16ct::lower::encode_string);
    Ok(format!("strongroom-{store}-{}-{}-{random}", binding.key_id, binding.version.number()))
}

impl KeyMaterialProvider for VaultProvider {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    fn origin(&self) -> Origin {
        Origin::Kms
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn unsupported_reason(&self, spec: KeySpec, usage: KeyUsage) -> Option<String> {
        transit_type(spec, usage).err().map(str::to_owned)
    }

    fn open(&self, backend: &CryptoBackend, binding: &MaterialBinding, stored: &SecretBytes) -> Result<OpenedKey> {
        let mac = binding.spec.mac_algorithms(binding.usage).first().and_then(|&mac| mac_name(mac));
        let key = RemoteKey {
            vault: self.vault.clone(),
            name: Self::key(stored)?,
            backend: *backend,
            mac: mac.unwrap_or_default(),
        };
        match (binding.usage, transit_type(binding.spec, binding.usage)) {
            (KeyUsage::EncryptDecrypt, Ok(_)) => Ok(OpenedKey::Cipher(Box::new(key))),
            (KeyUsage::SignVerify, Ok(_)) => Ok(OpenedKey::Signing(Box::new(key))),
            (KeyUsage::GenerateVerifyMac, Ok(_)) => Ok(OpenedKey::Mac(Box::new(key))),
            _ => {
                let text = format!("there are no {} keys for {} in Vault", binding.spec, binding.usage);
                Err(Error::new(ErrorKind::Internal, text))
            }
        }
    }

    /// Allows the deletion of the key in Vault, and deletes it. Succeeds if it is already deleted.
    fn destroy(&self, _: &MaterialBinding, stored: &SecretBytes) -> Result<()> {
        self.delete(&Self::key(stored)?)
    }

    fn generator(&self) -> Option<&dyn MaterialGenerator> {
        Some(self)
    }
}

impl MaterialGenerator for VaultProvider {
    fn generate(&self, backend: &CryptoBackend, binding: &MaterialBinding) -> Result<GeneratedMaterial> {
        let (spec, usage) = (binding.spec, binding.usage);
        let kind = transit_type(spec, usage).map_err(|reason| {
            let text = format!("the provider {} has no {spec} keys for {usage}: {reason}", self.id.as_str());
            Error::new(ErrorKind::UnsupportedOperation, text)
        })?;
        let name = new_name(backend, binding)?;
        let session = self.vault.begin();
        self.create(&session, &name, kind, spec).inspect_err(|_| {
            // Nothing will refer to the key. If this fails too, it is found by its name.
            self.delete(&name).ok();
        })
    }
}

impl fmt::Debug for VaultProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultProvider").field("id", &self.id).field("vault", &self.vault).finish_non_exhaustive()
    }
}
