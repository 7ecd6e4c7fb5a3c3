//! Key material providers, which hold key material and run its cryptography.
//!
//! A [`KeyMaterialProvider`] generates material, opens it for use and destroys it. It returns the
//! state to be stored as bytes: the material itself for software keys, or a reference for a token.
//! The `Kms` seals these bytes, bound to their key and version, and passes them back when the
//! material is opened. A provider never sees a store, a policy or a caller.
//!
//! | key material is | provider | register it with |
//! |---|---|---|
//! | generated here, sealed in the store | [`MemoryProvider`] | built in |
//! | imported, sealed in the store | [`ImportedProvider`] | built in |
//! | in one PKCS#11 token | `pkcs11::Pkcs11Provider` (feature `pkcs11`) | [`KmsBuilder::provider`](crate::KmsBuilder::provider) |
//! | in a cluster of HSMs, behind a custom key store | an [`HsmCluster`]: `pkcs11::Pkcs11Cluster`, or [`MemoryCluster`] for tests | [`KmsBuilder::cluster`](crate::KmsBuilder::cluster) |
//! | in AWS KMS | `AwsKmsProvider` of the package `strongroom-aws-kms` | [`KmsBuilder::provider`](crate::KmsBuilder::provider) |
//! | in HashiCorp Vault or OpenBao | `VaultProvider` of the package `strongroom-vault` | [`KmsBuilder::provider`](crate::KmsBuilder::provider) |
//! | in your own service or chip | your own [`KeyMaterialProvider`] | [`KmsBuilder::provider`](crate::KmsBuilder::provider) |
//!
//! With the feature `conformance`, the suite in `provider::conformance` tests your own provider. The
//! page [custom components](crate::manual::custom_parts) of the manual describes the contracts.
//!
//! # Examples
//! ```
//! use strongroom::key::{ClusterId, Origin};
//! use strongroom::provider::MemoryCluster;
//! use strongroom::request::{CreateCustomKeyStoreRequest, CreateKeyRequest};
//! use strongroom::{Kms, SecretBytes};
//!
//! let vault = ClusterId::parse("vault")?;
//! let cluster = MemoryCluster::new([("hsm-1", "zone-a"), ("hsm-2", "zone-b")], b"kmsPswd1");
//! let kms = Kms::builder().cluster(vault.clone(), cluster).build()?;
//! let password = SecretBytes::copy_from_slice(b"kmsPswd1");
//! let store = kms.create_custom_key_store(CreateCustomKeyStoreRequest::new("safe", vault).key_store_password(password))?;
//! kms.connect_custom_key_store(store)?;
//!
//! let in_hsm = kms.create_key(CreateKeyRequest::default().custom_key_store(store))?;
//! assert_eq!(in_hsm.origin(), Origin::Hsm);
//! assert_eq!(kms.create_key(Default::default())?.origin(), Origin::Kms);
//! # Ok::<(), strongroom::Error>(())
//! ```

mod cluster;
mod imported;
mod instance_mark;
mod memory;
mod opened;
mod software;

#[cfg(feature = "pkcs11")]
pub mod pkcs11;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

use std::fmt;
use std::sync::Arc;

pub use cluster::{
    ClusterManagement, ClusterMember, ConnectionFailure, CryptoUserCredential, FixedCredential, HsmCluster,
    MemberState, MemoryCluster,
};
pub use imported::ImportedProvider;
pub(crate) use imported::{ImportToken, MAX_WRAPPED_MATERIAL, TokenBinding, check_fit, public_key_kind, unwrap};
pub use instance_mark::{InstanceMark, InstanceMarks};
pub use memory::MemoryProvider;
pub use opened::{Agreement, Cipher, CipherScheme, Decapsulation, Decryption, MacGeneration, OpenedKey, Signing};
pub(crate) use software::{key_pair_kind, oaep};

use crate::codec::{CodecError, Writer};
use crate::crypto::CryptoBackend;
use crate::error::Result;
use crate::identity::AccountId;
use crate::key::{KeyId, KeySpec, KeyUsage, KeyVersion, Origin};
use crate::secret::SecretBytes;

/// Name of a provider, unique within a `Kms`. There can be several providers of one origin, such as
/// one per HSM store.
///
/// # Examples
/// ```
/// use strongroom::provider::ProviderId;
///
/// assert_eq!(ProviderId::new("home").as_str(), "home");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProviderId(String);

impl ProviderId {
    /// Creates a provider name.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Identifies the key version that material belongs to. A sealed record of material is bound to all
/// of these fields.
///
/// # Examples
/// A provider receives the binding with each call. This one counts the versions that it opens:
/// ```
/// use std::sync::{Arc, Mutex};
///
/// use strongroom::crypto::CryptoBackend;
/// use strongroom::key::Origin;
/// use strongroom::provider::{
///     Capabilities, KeyMaterialProvider, MaterialBinding, MaterialGenerator, MemoryProvider, OpenedKey, ProviderId,
/// };
/// use strongroom::request::{CreateKeyRequest, EncryptRequest};
/// use strongroom::{Kms, Result, SecretBytes};
///
/// #[derive(Debug)]
/// struct Observed {
///     name: ProviderId,
///     inner: MemoryProvider,
///     opened: Mutex<Vec<(String, u32)>>,
/// }
///
/// impl KeyMaterialProvider for Observed {
///     fn id(&self) -> &ProviderId {
///         &self.name
///     }
///     fn origin(&self) -> Origin {
///         self.inner.origin()
///     }
///     fn capabilities(&self) -> &Capabilities {
///         self.inner.capabilities()
///     }
///     fn open(&self, backend: &CryptoBackend, binding: &MaterialBinding, stored: &SecretBytes) -> Result<OpenedKey> {
///         self.opened.lock().expect("no thread panicked").push((binding.key_id.to_string(), binding.version.number()));
///         self.inner.open(backend, binding, stored)
///     }
///     fn destroy(&self, binding: &MaterialBinding, stored: &SecretBytes) -> Result<()> {
///         self.inner.destroy(binding, stored)
///     }
///     fn generator(&self) -> Option<&dyn MaterialGenerator> {
///         self.inner.generator()
///     }
/// }
///
/// let observed = Arc::new(Observed {
///     name: ProviderId::new("observed"),
///     inner: MemoryProvider::default(),
///     opened: Mutex::default(),
/// });
/// let kms = Kms::builder().provider(Arc::clone(&observed)).build()?;
/// let key = kms.create_key(CreateKeyRequest::default().provider("observed"))?.key_id();
/// kms.encrypt(EncryptRequest::new(key, b"data"))?;
/// assert!(observed.opened.lock().expect("no thread panicked").contains(&(key.to_string(), 1)));
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MaterialBinding {
    /// Identity of the store that holds the material.
    pub store: [u8; 16],
    /// Account that owns the key.
    pub account: AccountId,
    /// Key id.
    pub key_id: KeyId,
    /// Version of the key's material.
    pub version: KeyVersion,
    /// Spec of the key.
    pub spec: KeySpec,
    /// Usage of the key.
    pub usage: KeyUsage,
    /// Origin of the key's material.
    pub origin: Origin,
}

impl MaterialBinding {
    /// Serializes the binding, together with the provider's name, for use as associated data.
    ///
    /// # Errors
    /// - [`CodecError::TooLong`] if the provider's name exceeds 65,535 bytes.
    pub fn to_bytes(&self, provider: &ProviderId) -> Result<Vec<u8>, CodecError> {
        let mut writer = Writer::with_capacity(160);
        writer.bytes(b"strongroom material v1").bytes(&self.store);
        writer.prefixed_u16(provider.as_str().as_bytes(), "provider")?;
        writer.prefixed_u16(self.account.as_str().as_bytes(), "account")?;
        writer.bytes(self.key_id.as_bytes()).u32(self.version.number());
        for name in [self.spec.as_str(), self.usage.as_str(), self.origin.as_str()] {
            writer.prefixed_u16(name.as_bytes(), "key kind")?;
        }
        Ok(writer.into_bytes())
    }
}

/// Capabilities of a provider, checked before an operation is attempted.
///
/// # Examples
/// ```
/// use strongroom::key::{KeySpec, KeyUsage};
/// use strongroom::provider::{Capabilities, KeyMaterialProvider, MemoryProvider};
///
/// let aes_only = Capabilities::new(vec![(KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt)], false);
/// assert!(!aes_only.rotates);
///
/// let everything = MemoryProvider::default();
/// assert!(everything.capabilities().generates.contains(&(KeySpec::EccNistP256, KeyUsage::SignVerify)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The kinds of key that the provider can generate.
    pub generates: Vec<(KeySpec, KeyUsage)>,
    /// `true` if keys may be rotated to new versions of generated material. Keys of origin
    /// `AWS_CLOUDHSM` never rotate.
    pub rotates: bool,
}

impl Capabilities {
    /// Creates capabilities from the kinds of key that can be generated and the support for
    /// rotation.
    pub const fn new(generates: Vec<(KeySpec, KeyUsage)>, rotates: bool) -> Self {
        Self { generates, rotates }
    }
}

/// Generates, holds and uses key material.
///
/// # Examples
/// ```
/// use strongroom::key::Origin;
/// use strongroom::provider::{KeyMaterialProvider, MemoryProvider};
///
/// let provider = MemoryProvider::default();
/// assert_eq!((provider.id().as_str(), provider.origin()), ("memory", Origin::Kms));
/// assert!(provider.capabilities().rotates);
/// assert!(provider.generator().is_some() && provider.importer().is_some());
/// assert!(provider.instance_marks().is_none()); // nothing is held outside of the store
/// ```
pub trait KeyMaterialProvider: fmt::Debug + Send + Sync {
    /// Returns the provider's name.
    fn id(&self) -> &ProviderId;

    /// Returns the origin of its keys, which determines the available operations. Keys of `AWS_KMS`
    /// support everything that their spec allows. As in AWS KMS, keys of `AWS_CLOUDHSM` never
    /// rotate, derive no shared secrets and encrypt no data key pairs.
    fn origin(&self) -> Origin;

    /// Returns the provider's capabilities.
    fn capabilities(&self) -> &Capabilities;

    /// Returns a human-readable reason why the provider does not generate keys of a kind, such as
    /// the name of a missing mechanism. Returns `None`, the default, if it has nothing to add.
    fn unsupported_reason(&self, _spec: KeySpec, _usage: KeyUsage) -> Option<String> {
        None
    }

    /// Opens material for use. `stored` is the state that the provider returned for this binding.
    ///
    /// # Errors
    /// - [`KeyUnavailable`](crate::ErrorKind::KeyUnavailable) if the material is currently
    ///   unreachable. This never means that it was deleted.
    /// - [`Internal`](crate::ErrorKind::Internal) if `stored` was not returned by this provider.
    fn open(&self, backend: &CryptoBackend, binding: &MaterialBinding, stored: &SecretBytes) -> Result<OpenedKey>;

    /// Destroys material that is held outside of `stored`.
    ///
    /// [`Kms::run_maintenance`](crate::Kms::run_maintenance) calls this after the key was deleted,
    /// and repeats the call until it succeeds. It may therefore be called for material that is
    /// already destroyed, and must then succeed. It is not called for a provider that returns a
    /// [`KeyMaterialProvider::importer`], as the stored state of such a provider is deleted with
    /// the key.
    ///
    /// # Errors
    /// - Any error if the material could not be destroyed. Maintenance reports the error and tries
    ///   again.
    fn destroy(&self, binding: &MaterialBinding, stored: &SecretBytes) -> Result<()>;

    /// Returns the generator of new material, if this provider generates any.
    fn generator(&self) -> Option<&dyn MaterialGenerator>;

    /// Returns the importer, which accepts state that a provider of this kind stored in another
    /// store. Only a provider whose stored state is the complete key can have one. Keys of a
    /// provider without an importer cannot be exported.
    fn importer(&self) -> Option<&dyn MaterialImporter> {
        None
    }

    /// Returns the storage for marks of stores, which keeps marks where the material is. With it, a
    /// copy of a store cannot destroy the keys of the original. Without it, which is the default,
    /// the `Kms` detects only copies in another location
    /// ([`KeyStore::location`](crate::store::KeyStore::location)).
    fn instance_marks(&self) -> Option<&dyn InstanceMarks> {
        None
    }
}

impl<P: KeyMaterialProvider + ?Sized> KeyMaterialProvider for Arc<P> {
    fn id(&self) -> &ProviderId {
        (**self).id()
    }

    fn origin(&self) -> Origin {
        (**self).origin()
    }

    fn capabilities(&self) -> &Capabilities {
        (**self).capabilities()
    }

    fn unsupported_reason(&self, spec: KeySpec, usage: KeyUsage) -> Option<String> {
        (**self).unsupported_reason(spec, usage)
    }

    fn open(&self, backend: &CryptoBackend, binding: &MaterialBinding, stored: &SecretBytes) -> Result<OpenedKey> {
        (**self).open(backend, binding, stored)
    }

    fn destroy(&self, binding: &MaterialBinding, stored: &SecretBytes) -> Result<()> {
        (**self).destroy(binding, stored)
    }

    fn generator(&self) -> Option<&dyn MaterialGenerator> {
        (**self).generator()
    }

    fn importer(&self) -> Option<&dyn MaterialImporter> {
        (**self).importer()
    }

    fn instance_marks(&self) -> Option<&dyn InstanceMarks> {
        (**self).instance_marks()
    }
}

/// Imports material from outside.
///
/// # Examples
/// ```
/// use strongroom::crypto::CryptoBackend;
/// use strongroom::key::KeySpec;
/// use strongroom::provider::{ImportedProvider, KeyMaterialProvider};
/// use strongroom::{ErrorKind, SecretBytes};
///
/// let provider = ImportedProvider::default();
/// let importer = provider.importer().expect("its stored state is the key");
/// let backend = CryptoBackend::default();
/// let accepted = importer.import(&backend, KeySpec::SymmetricDefault, &SecretBytes::zeroed(32))?;
/// assert!(accepted.public_key.is_none());
/// let too_short = importer.import(&backend, KeySpec::SymmetricDefault, &SecretBytes::zeroed(16)).unwrap_err();
/// assert_eq!(too_short.kind(), ErrorKind::IncorrectKeyMaterial);
/// # Ok::<(), strongroom::Error>(())
/// ```
pub trait MaterialImporter: Send + Sync {
    /// Validates unwrapped material for a key of the given spec: raw bytes for a secret key, PKCS#8
    /// in DER for a private key. Returns the state to be stored, which is always the same for the
    /// same material.
    ///
    /// # Errors
    /// - [`IncorrectKeyMaterial`](crate::ErrorKind::IncorrectKeyMaterial) if it is not material of
    ///   such a key.
    fn import(&self, backend: &CryptoBackend, spec: KeySpec, material: &SecretBytes) -> Result<GeneratedMaterial>;
}

/// Generates new material.
pub trait MaterialGenerator: Send + Sync {
    /// Generates the material of one key version and returns the state to be stored. Generating an
    /// RSA key takes seconds. The caller holds no lock during the call.
    ///
    /// The material can remain unreferenced: the process can die before the key is committed, or
    /// another change of the key can be committed first. If the store fails, the material remains
    /// too, as the store may still have written the key. Material held outside of the stored state
    /// should therefore be labeled with its binding, so that it can be found. If the `Kms` rejects
    /// the returned material, it destroys it immediately.
    ///
    /// # Errors
    /// - [`UnsupportedOperation`](crate::ErrorKind::UnsupportedOperation) if the kind of key is not
    ///   among the capabilities.
    /// - [`Internal`](crate::ErrorKind::Internal) if no randomness is available.
    fn generate(&self, backend: &CryptoBackend, binding: &MaterialBinding) -> Result<GeneratedMaterial>;
}

/// New material, as returned by its provider.
///
/// # Examples
/// ```
/// use strongroom::SecretBytes;
/// use strongroom::provider::GeneratedMaterial;
///
/// let secret = GeneratedMaterial::secret(SecretBytes::copy_from_slice(b"vault/keys/17"));
/// assert!(secret.public_key.is_none());
///
/// let pair = GeneratedMaterial::key_pair(SecretBytes::copy_from_slice(b"vault/keys/18"), vec![0x30, 0x59]);
/// assert_eq!(pair.stored.expose_secret(), b"vault/keys/18");
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct GeneratedMaterial {
    /// The state to be stored under seal: the material itself, or a reference to it. At most 16,000
    /// bytes.
    pub stored: SecretBytes,
    /// The public key of an asymmetric key, and `None` for any other key: a SubjectPublicKeyInfo in
    /// DER of at most 8,192 bytes. It is stored alongside the sealed state, so operations that need
    /// only the public key never open the private key.
    pub public_key: Option<Vec<u8>>,
}

impl GeneratedMaterial {
    /// Creates the result for a key without a public part.
    pub const fn secret(stored: SecretBytes) -> Self {
        Self { stored, public_key: None }
    }

    /// Creates the result for a key pair.
    pub const fn key_pair(stored: SecretBytes, public_key: Vec<u8>) -> Self {
        Self { stored, public_key: Some(public_key) }
    }
}
