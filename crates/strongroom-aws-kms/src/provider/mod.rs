//! A provider of key material in AWS KMS.

mod calls;
mod keys;

use std::fmt;

use strongroom::crypto::CryptoBackend;
use strongroom::key::{KeySpec, KeyUsage, Origin};
use strongroom::provider::{
    Capabilities, GeneratedMaterial, KeyMaterialProvider, MaterialBinding, MaterialGenerator, OpenedKey, ProviderId,
};
use strongroom::{Error, ErrorKind, Result, SecretBytes};

use self::keys::RemoteKey;
use crate::arn::{KeyArn, KeyName};
use crate::client::AwsKms;
use crate::error::{AwsKmsError, AwsKmsFailure};

/// The beginning of the stored state of a key. The ARN of its key in AWS KMS follows.
const PREFIX: &[u8] = b"aws-kms 1 ";

/// The names of the tags that a key in AWS KMS gets.
const STORE_TAG: &str = "strongroom-store";
const KEY_TAG: &str = "strongroom-key";
const VERSION_TAG: &str = "strongroom-version";

/// Generates, holds and uses keys in AWS KMS. The store of strongroom seals only the ARN of such a key,
/// and a [`Kms`](strongroom::Kms) adds its own policies, aliases, grants, and audit trail.
///
/// | kind of key | operations in AWS KMS |
/// |---|---|
/// | symmetric encryption | Encrypt, Decrypt, GenerateDataKey |
/// | RSA encryption | Decrypt; strongroom encrypts with the public key |
/// | RSA and ECDSA signing keys | Sign, with the digest of the message; strongroom verifies |
/// | key agreement | DeriveSharedSecret |
///
/// # Limits
///
/// - There are no HMAC keys and no Ed25519 keys. AWS KMS authenticates and signs messages of at most
///   4,096 bytes with them, and strongroom has no such limit.
/// - Every operation that needs a secret key calls AWS KMS. Its latency, its quotas and its outages are
///   those of the key, and an outage is [`KeyUnavailable`](ErrorKind::KeyUnavailable).
/// - Each version of a key is a key in AWS KMS, which AWS bills. A rotation creates another one.
/// - A key in AWS KMS has the tags `strongroom-store`, `strongroom-key`, and `strongroom-version`. If the
///   process dies after AWS KMS created it and before the store did, it remains, and is found by them.
/// - Deleting a key schedules the deletion in AWS KMS, with the shortest window of 7 days. Until then,
///   an administrator can cancel it there. A restored copy of a store can do so with keys that the
///   original still uses.
/// - Ciphertexts have the format of strongroom around a ciphertext of AWS KMS. They are not committing,
///   and AWS KMS alone does not decrypt them: it lacks the encryption context, which contains a hash of
///   the context of the caller.
/// - Imports and exports of material are not supported.
///
/// # Examples
/// ```no_run
/// use strongroom::Kms;
/// use strongroom::request::CreateKeyRequest;
/// use strongroom::seal::RootKey;
/// use strongroom::store::SqliteStore;
/// use strongroom_aws_kms::{AwsKms, AwsKmsProvider};
///
/// # use aws_sdk_kms::config::{BehaviorVersion, Region};
/// # let config = aws_sdk_kms::Config::builder().behavior_version(BehaviorVersion::latest());
/// # let client = aws_sdk_kms::Client::from_conf(config.region(Region::new("eu-west-1")).build());
/// let provider = AwsKmsProvider::new(&AwsKms::new(client)?, "aws");
/// let store = SqliteStore::open("keys.db", &Default::default())?;
/// let kms = Kms::builder().store(store, RootKey::from_file("root.key")?).provider(provider).build()?;
/// let key = kms.create_key(CreateKeyRequest::default().provider("aws"))?;
/// # Ok::<(), strongroom::Error>(())
/// ```
pub struct AwsKmsProvider {
    kms: AwsKms,
    id: ProviderId,
    capabilities: Capabilities,
}

impl AwsKmsProvider {
    /// Creates a provider with this name. Keys that it generated are found by the name again, so it must
    /// not change.
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::{KeySpec, KeyUsage};
    /// use strongroom::provider::KeyMaterialProvider;
    /// use strongroom_aws_kms::{AwsKms, AwsKmsProvider};
    ///
    /// # use aws_sdk_kms::config::{BehaviorVersion, Region};
    /// # let config = aws_sdk_kms::Config::builder().behavior_version(BehaviorVersion::latest());
    /// # let client = aws_sdk_kms::Client::from_conf(config.region(Region::new("eu-west-1")).build());
    /// let provider = AwsKmsProvider::new(&AwsKms::new(client)?, "aws");
    /// assert_eq!(provider.id().as_str(), "aws");
    /// assert!(provider.capabilities().generates.contains(&(KeySpec::Rsa2048, KeyUsage::SignVerify)));
    /// assert!(provider.unsupported_reason(KeySpec::Hmac256, KeyUsage::GenerateVerifyMac).is_some());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn new(kms: &AwsKms, name: impl Into<String>) -> Self {
        let kinds = KeySpec::ALL.iter().flat_map(|&spec| KeyUsage::ALL.iter().map(move |&usage| (spec, usage)));
        let generates = kinds.filter(|&(spec, usage)| is_supported(spec, usage)).collect();
        Self { kms: kms.clone(), id: ProviderId::new(name), capabilities: Capabilities::new(generates, true) }
    }

    /// Returns the key in AWS KMS that a stored state names.
    fn key(stored: &SecretBytes) -> Result<KeyName> {
        let arn = stored.expose_secret().strip_prefix(PREFIX).and_then(|arn| std::str::from_utf8(arn).ok());
        let arn = arn.and_then(KeyArn::parse).map(KeyName::Key);
        arn.ok_or_else(|| Error::new(ErrorKind::Internal, "the stored state does not name a key in AWS KMS"))
    }
}

/// Returns `true` for the kinds of key that AWS KMS can hold for strongroom.
const fn is_supported(spec: KeySpec, usage: KeyUsage) -> bool {
    match usage {
        KeyUsage::EncryptDecrypt => {
            matches!(spec, KeySpec::SymmetricDefault | KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096)
        }
        KeyUsage::SignVerify => matches!(
            spec,
            KeySpec::Rsa2048
                | KeySpec::Rsa3072
                | KeySpec::Rsa4096
                | KeySpec::EccNistP256
                | KeySpec::EccNistP384
                | KeySpec::EccNistP521
                | KeySpec::EccSecgP256k1
        ),
        KeyUsage::KeyAgreement => {
            matches!(spec, KeySpec::EccNistP256 | KeySpec::EccNistP384 | KeySpec::EccNistP521)
        }
        _ => false,
    }
}

impl KeyMaterialProvider for AwsKmsProvider {
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
        let is_limited = matches!(usage, KeyUsage::GenerateVerifyMac | KeyUsage::SignVerify);
        (is_limited && !is_supported(spec, usage))
            .then(|| "AWS KMS limits the messages of such keys to 4,096 bytes".to_owned())
    }

    fn open(&self, backend: &CryptoBackend, binding: &MaterialBinding, stored: &SecretBytes) -> Result<OpenedKey> {
        let key = RemoteKey { kms: self.kms.clone(), key: Self::key(stored)?, backend: *backend };
        match binding.usage {
            KeyUsage::EncryptDecrypt if binding.spec == KeySpec::SymmetricDefault => {
                Ok(OpenedKey::Cipher(Box::new(key)))
            }
            KeyUsage::EncryptDecrypt => Ok(OpenedKey::Decryption(Box::new(key))),
            KeyUsage::SignVerify => Ok(OpenedKey::Signing(Box::new(key))),
            KeyUsage::KeyAgreement => Ok(OpenedKey::Agreement(Box::new(key))),
            _ => Err(Error::new(ErrorKind::Internal, format!("there are no keys for {} in AWS KMS", binding.usage))),
        }
    }

    /// Schedules the deletion of the key in AWS KMS. Succeeds if it is already scheduled or deleted.
    fn destroy(&self, _: &MaterialBinding, stored: &SecretBytes) -> Result<()> {
        let key = Self::key(stored)?;
        let session = self.kms.begin();
        let error = match session.schedule_deletion(&key) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        match error.downcast_ref().map(AwsKmsError::failure) {
            Some(AwsKmsFailure::KeyNotFound) => Ok(()),
            Some(AwsKmsFailure::KeyState) if session.is_pending_deletion(&key)? => Ok(()),
            _ => Err(error),
        }
    }

    fn generator(&self) -> Option<&dyn MaterialGenerator> {
        Some(self)
    }
}

impl MaterialGenerator for AwsKmsProvider {
    fn generate(&self, _: &CryptoBackend, binding: &MaterialBinding) -> Result<GeneratedMaterial> {
        let (spec, usage) = (binding.spec, binding.usage);
        if !is_supported(spec, usage) {
            let text = format!("the provider {} does not support {spec} keys for {usage}", self.id.as_str());
            return Err(Error::new(ErrorKind::UnsupportedOperation, text));
        }
        let tags = [
            (STORE_TAG, base16ct::lower::encode_string(&binding.store)),
            (KEY_TAG, binding.key_id.to_string()),
            (VERSION_TAG, binding.version.number().to_string()),
        ];
        let session = self.kms.begin();
        let key = KeyName::Key(session.create_key(spec.as_str(), usage.as_str(), tags)?);
        let stored = SecretBytes::from_vec([PREFIX, key.as_str().as_bytes()].concat());
        if spec == KeySpec::SymmetricDefault {
            return Ok(GeneratedMaterial::secret(stored));
        }
        match session.public_key(&key, &[]) {
            Ok(public_key) => Ok(GeneratedMaterial::key_pair(stored, public_key.value)),
            Err(error) => {
                // Nothing will refer to the key. If this fails too, it is found by its tags.
                self.kms.begin().schedule_deletion(&key).ok();
                Err(error)
            }
        }
    }
}

impl fmt::Debug for AwsKmsProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsKmsProvider").field("id", &self.id).field("kms", &self.kms).finish_non_exhaustive()
    }
}
