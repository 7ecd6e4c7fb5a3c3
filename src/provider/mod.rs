//! Where key material lives and where its cryptography runs.
//!
//! A [`KeyMaterialProvider`] makes material, opens it for use and destroys it. What it wants kept (the material itself
//! for software keys, a reference for a token) it hands over as bytes; the `Kms` seals them, bound to the key and
//! version they belong to, and gives them back to be opened. A provider never sees a store, a policy or a caller.

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
pub use opened::{Agreement, Cipher, CipherScheme, Decryption, MacGeneration, OpenedKey, Signing};
pub(crate) use software::{key_pair_kind, oaep};

use crate::codec::{CodecError, Writer};
use crate::crypto::CryptoBackend;
use crate::error::Result;
use crate::identity::AccountId;
use crate::key::{KeyId, KeySpec, KeyUsage, KeyVersion, Origin};
use crate::secret::SecretBytes;

/// The name of a provider, unique within a `Kms`: several of one origin may exist, one for each HSM store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProviderId(String);

impl ProviderId {
    /// Names a provider.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The version of a key that material belongs to: everything that a sealed record of it is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MaterialBinding {
    /// The identity of the store that keeps it.
    pub store: [u8; 16],
    /// The account that owns the key.
    pub account: AccountId,
    /// The key.
    pub key_id: KeyId,
    /// The version of its material.
    pub version: KeyVersion,
    /// What kind of key it is.
    pub spec: KeySpec,
    /// What it is for.
    pub usage: KeyUsage,
    /// Where its material comes from.
    pub origin: Origin,
}

impl MaterialBinding {
    /// Serializes the binding, together with the provider's name, for use as associated data.
    ///
    /// # Errors
    /// [`CodecError::TooLong`] if the provider's name is over 65,535 bytes.
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

/// What a provider can do, as data: asked before anything is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The kinds of key that it can make.
    pub generates: Vec<(KeySpec, KeyUsage)>,
    /// Whether keys may get new versions of material that it makes. Keys of origin `AWS_CLOUDHSM` never do.
    pub rotates: bool,
}

impl Capabilities {
    /// Says what can be made and whether it can be rotated.
    pub const fn new(generates: Vec<(KeySpec, KeyUsage)>, rotates: bool) -> Self {
        Self { generates, rotates }
    }
}

/// A source and home of key material.
///
/// # Examples
/// ```
/// use strongroom::key::Origin;
/// use strongroom::provider::{KeyMaterialProvider, MemoryProvider};
///
/// let provider = MemoryProvider::default();
/// assert_eq!(provider.origin(), Origin::Kms);
/// assert!(provider.generator().is_some());
/// ```
pub trait KeyMaterialProvider: fmt::Debug + Send + Sync {
    /// Its name.
    fn id(&self) -> &ProviderId;

    /// The origin of its keys, which decides what can be asked of them: those of `AWS_KMS` do all that their spec has, while
    /// those of `AWS_CLOUDHSM`, as in AWS KMS, never rotate, agree on no secrets and encrypt no data key pairs.
    fn origin(&self) -> Origin;

    /// What it can do.
    fn capabilities(&self) -> &Capabilities;

    /// What is missing for keys of a kind that it does not make, for people: the name of a mechanism, say. `None`, which is
    /// the default, if there is nothing more to tell.
    fn unsupported_reason(&self, _spec: KeySpec, _usage: KeyUsage) -> Option<String> {
        None
    }

    /// Makes material ready for use. `stored` is what the provider once handed over for this binding.
    ///
    /// # Errors
    /// [`KeyUnavailable`](crate::ErrorKind::KeyUnavailable) if the material cannot be reached now, which never means
    /// that it is gone; [`Internal`](crate::ErrorKind::Internal) if `stored` is not of this provider.
    fn open(&self, backend: &CryptoBackend, binding: &MaterialBinding, stored: &SecretBytes) -> Result<OpenedKey>;

    /// Destroys material that lies outside of `stored`. Called by [`Kms::run_maintenance`](crate::Kms::run_maintenance) after
    /// the key was deleted, until it succeeds; so it may be called for what is destroyed already, and succeeds then. Not
    /// called for a provider with [`KeyMaterialProvider::importer`]: what it kept went with the key.
    ///
    /// # Errors
    /// Any error, if it could not be done; maintenance reports it and tries again.
    fn destroy(&self, binding: &MaterialBinding, stored: &SecretBytes) -> Result<()>;

    /// The part that makes new material, if this provider makes any.
    fn generator(&self) -> Option<&dyn MaterialGenerator>;

    /// The part that takes over what a provider of this kind has kept in another store, if what it keeps is all there is to a
    /// key. Keys of providers without it stay where they are: they can not be exported.
    fn importer(&self) -> Option<&dyn MaterialImporter> {
        None
    }

    /// The part that keeps marks of stores where the material is, so that a copy of a store cannot destroy the keys of the
    /// original. Without it, which is the default, the `Kms` recognises only copies in another place
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

/// Takes material from outside.
pub trait MaterialImporter: Send + Sync {
    /// Checks material, as it was unwrapped, for keys of a spec: raw bytes for secret keys, PKCS#8 in DER for private
    /// ones. Returns what is to be kept of it, which is the same again whenever the same material comes.
    ///
    /// # Errors
    /// [`IncorrectKeyMaterial`](crate::ErrorKind::IncorrectKeyMaterial) if it is no material of such a key.
    fn import(&self, backend: &CryptoBackend, spec: KeySpec, material: &SecretBytes) -> Result<GeneratedMaterial>;
}

/// Makes new material.
pub trait MaterialGenerator: Send + Sync {
    /// Makes the material of one version and returns what is to be kept of it. RSA keys take seconds; the caller holds no
    /// lock meanwhile. If the process dies before the key is committed, or another change of it comes first, nothing ever
    /// refers to the material: what lies elsewhere should bear the name of its binding, so that it can be found. So it is if the
    /// store fails, as it may have written the key all the same. Material that is refused is destroyed at once.
    ///
    /// # Errors
    /// [`UnsupportedOperation`](crate::ErrorKind::UnsupportedOperation) for a kind of key that is not among the
    /// capabilities; [`Internal`](crate::ErrorKind::Internal) if there is no randomness.
    fn generate(&self, backend: &CryptoBackend, binding: &MaterialBinding) -> Result<GeneratedMaterial>;
}

/// New material, as its provider hands it over.
#[derive(Debug)]
#[non_exhaustive]
pub struct GeneratedMaterial {
    /// What is to be kept, under seal: the material itself, or a reference to it. At most 16,000 bytes.
    pub stored: SecretBytes,
    /// The public key of an asymmetric key, a SubjectPublicKeyInfo in DER of at most 8,192 bytes, and of no other key. It is
    /// kept beside the sealed part, so that what needs the public key alone never opens the private one.
    pub public_key: Option<Vec<u8>>,
}

impl GeneratedMaterial {
    /// Material of a key that has no public part.
    pub const fn secret(stored: SecretBytes) -> Self {
        Self { stored, public_key: None }
    }

    /// Material of a key pair.
    pub const fn key_pair(stored: SecretBytes, public_key: Vec<u8>) -> Self {
        Self { stored, public_key: Some(public_key) }
    }
}
