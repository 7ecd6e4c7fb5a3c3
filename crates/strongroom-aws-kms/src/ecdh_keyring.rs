//! A keyring that wraps data keys with an elliptic-curve key in AWS KMS.

use strongroom::envelope::{DecryptionMaterials, EncryptionMaterials, KeyAgreement, KeyAgreementKeyring, Keyring};
use strongroom::message::EncryptedDataKey;
use strongroom::{Error, ErrorKind, Result, SecretBytes};

use crate::arn::{KeyArn, KeyName};
use crate::client::AwsKms;
use crate::keyring::checked_grant_tokens;

/// Wraps data keys under a secret that is agreed with an elliptic-curve key in AWS KMS, like the AWS
/// KMS ECDH keyring of the AWS Encryption SDK. Each reads the messages of the other.
///
/// | constructor | official configuration | writes | reads |
/// |---|---|---|---|
/// | [`static_keys`](Self::static_keys) | KmsPrivateKeyToStaticPublicKey | for the peer | messages that either of the two wrote for the other |
/// | [`discovery`](Self::discovery) | KmsPublicKeyDiscovery | nothing | messages that any sender wrote for the key |
///
/// The key has the usage KEY_AGREEMENT and is on P-256, P-384, or P-521. A message costs one call:
/// DeriveSharedSecret. A [`RawEcdhKeyring`](strongroom::envelope::RawEcdhKeyring) with the peer's
/// private key reads the messages, and writes messages for this keyring, without AWS KMS.
///
/// Failures have a kind of strongroom, and an [`AwsKmsError`](crate::AwsKmsError) as their cause, which
/// shows if another attempt helps.
///
/// Provider ID: `aws-kms-ecdh`. The format is that of a
/// [`KeyAgreementKeyring`](strongroom::envelope::KeyAgreementKeyring).
///
/// # Examples
/// ```no_run
/// use strongroom::{EncryptionContext, Envelope};
/// use strongroom_aws_kms::{AwsKms, AwsKmsEcdhKeyring};
///
/// # use aws_sdk_kms::config::{BehaviorVersion, Region};
/// # let config = aws_sdk_kms::Config::builder().behavior_version(BehaviorVersion::latest());
/// # let client = aws_sdk_kms::Client::from_conf(config.region(Region::new("eu-west-1")).build());
/// # let peer_public = std::fs::read("peer.der")?;
/// let kms = AwsKms::new(client)?;
/// let key = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
/// let own_public = AwsKmsEcdhKeyring::public_key(&kms, key)?; // or from your configuration
/// let envelope = Envelope::new(AwsKmsEcdhKeyring::static_keys(&kms, key, &own_public, &peer_public)?);
/// let message = envelope.encrypt(b"a report for the peer", &EncryptionContext::new())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AwsKmsEcdhKeyring {
    agreement: Agreement,
    own_public: Vec<u8>,
    peer_public: Option<Vec<u8>>,
    inner: KeyAgreementKeyring,
}

/// A private key in AWS KMS.
#[derive(Clone, Debug)]
struct Agreement {
    kms: AwsKms,
    key: KeyArn,
    name: KeyName,
    grant_tokens: Vec<String>,
}

impl Agreement {
    fn new(kms: &AwsKms, key: &str) -> Result<Self> {
        let text = "an elliptic-curve key in AWS KMS must be specified by its key ARN";
        let key = KeyArn::parse(key).ok_or_else(|| Error::new(ErrorKind::InvalidArn, text))?;
        Ok(Self { kms: kms.clone(), name: KeyName::Key(key.clone()), key, grant_tokens: Vec::new() })
    }

    /// Requires that AWS KMS used this key.
    fn check(&self, used: &KeyArn) -> Result<()> {
        if *used == self.key {
            return Ok(());
        }
        let text = format!("AWS KMS used {used} instead of {}", self.key);
        Err(Error::new(ErrorKind::IncorrectKey, text))
    }
}

impl KeyAgreement for Agreement {
    fn agree(&self, public_key: &[u8]) -> Result<SecretBytes> {
        let shared = self.kms.begin().derive_shared_secret(&self.name, public_key, &self.grant_tokens)?;
        self.check(&shared.key)?;
        Ok(shared.value)
    }
}

impl AwsKmsEcdhKeyring {
    /// Returns the public key of a key, a SubjectPublicKeyInfo in DER (RFC 5280), from GetPublicKey.
    ///
    /// # Errors
    /// - [`ErrorKind::InvalidArn`] if it is not the ARN of a key.
    /// - Any failure of AWS KMS, as an [`AwsKmsError`](crate::AwsKmsError).
    pub fn public_key(kms: &AwsKms, key: &str) -> Result<Vec<u8>> {
        let agreement = Agreement::new(kms, key)?;
        let answer = kms.begin().public_key(&agreement.name, &[])?;
        agreement.check(&answer.key)?;
        Ok(answer.value)
    }

    /// Creates a keyring between a key in AWS KMS and the owner of another public key. Both public keys
    /// are SubjectPublicKeyInfo, in DER or PEM; the first is that of the key.
    ///
    /// # Errors
    /// - [`ErrorKind::InvalidArn`] if it is not the ARN of a key.
    /// - [`ErrorKind::Validation`] if a public key is malformed, or if the two are not on the same one
    ///   of the three curves.
    pub fn static_keys(kms: &AwsKms, key: &str, own_public: &[u8], peer_public: &[u8]) -> Result<Self> {
        Self::create(Agreement::new(kms, key)?, own_public.to_vec(), Some(peer_public.to_vec()))
    }

    /// Creates a keyring that reads messages from any sender to the owner of a key in AWS KMS. The
    /// public key is that of the key.
    ///
    /// # Errors
    /// - [`ErrorKind::InvalidArn`] if it is not the ARN of a key.
    /// - [`ErrorKind::Validation`] if the public key is malformed, or not on one of the three curves.
    ///
    /// # Examples
    /// ```
    /// use strongroom::crypto::{CryptoBackend, KeyPairKind};
    /// use strongroom::{EncryptionContext, Envelope, ErrorKind};
    /// use strongroom_aws_kms::{AwsKms, AwsKmsEcdhKeyring};
    ///
    /// # use aws_sdk_kms::config::{BehaviorVersion, Region};
    /// # let config = aws_sdk_kms::Config::builder().behavior_version(BehaviorVersion::latest());
    /// # let client = aws_sdk_kms::Client::from_conf(config.region(Region::new("eu-west-1")).build());
    /// # let backend = CryptoBackend::default();
    /// # let public_key = backend.key_pairs().generate(KeyPairKind::EccP256, backend.random())?.public_key_der();
    /// let kms = AwsKms::new(client)?;
    /// let key = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    /// let reader = Envelope::new(AwsKmsEcdhKeyring::discovery(&kms, key, &public_key)?);
    /// let refused = reader.encrypt(b"a report", &EncryptionContext::new()).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::Validation); // it reads only
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn discovery(kms: &AwsKms, key: &str, own_public: &[u8]) -> Result<Self> {
        Self::create(Agreement::new(kms, key)?, own_public.to_vec(), None)
    }

    /// Sets grant tokens, which each call presents to AWS KMS.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if there are more than 10.
    pub fn with_grant_tokens(self, tokens: impl IntoIterator<Item = impl Into<String>>) -> Result<Self> {
        let agreement = Agreement { grant_tokens: checked_grant_tokens(tokens)?, ..self.agreement };
        Self::create(agreement, self.own_public, self.peer_public)
    }

    fn create(agreement: Agreement, own_public: Vec<u8>, peer_public: Option<Vec<u8>>) -> Result<Self> {
        let inner = match &peer_public {
            Some(peer_public) => KeyAgreementKeyring::static_keys(agreement.clone(), &own_public, peer_public)?,
            None => KeyAgreementKeyring::discovery(agreement.clone(), &own_public)?,
        };
        Ok(Self { agreement, own_public, peer_public, inner })
    }
}

impl Keyring for AwsKmsEcdhKeyring {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        self.inner.on_encrypt(materials)
    }

    fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()> {
        self.inner.on_decrypt(materials, data_keys)
    }
}
