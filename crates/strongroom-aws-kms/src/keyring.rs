//! A keyring that wraps data keys with keys in AWS KMS.

use strongroom::envelope::{DecryptionMaterials, EncryptionMaterials, KMS_PROVIDER_ID, Keyring, UnwrapFailures};
use strongroom::message::EncryptedDataKey;
use strongroom::{EncryptionContext, Error, ErrorKind, Result, SecretBytes};

use crate::arn::{KeyArn, KeyName};
use crate::client::{AwsKms, Session};
use crate::discovery::DiscoveryFilter;

/// The largest number of grant tokens in a request to AWS KMS.
const MAX_GRANT_TOKENS: usize = 10;

/// Wraps data keys with keys in AWS KMS, like the AWS KMS keyrings of the AWS Encryption SDK. Each
/// reads the messages of the other.
///
/// | constructor | encrypts | decrypts data keys of | official keyring |
/// |---|---|---|---|
/// | [`new`](Self::new) | yes | the key | AWS KMS keyring |
/// | [`multi_region`](Self::multi_region) | yes | the key and its replicas in other Regions | AWS KMS MRK keyring |
/// | [`discovery`](Self::discovery) | no | every key in the Region of the client | AWS KMS discovery keyring |
/// | [`multi_region_discovery`](Self::multi_region_discovery) | no | every key in the Region of the client, and replicas of keys there | AWS KMS MRK discovery keyring |
///
/// A [`MultiKeyring`](strongroom::envelope::MultiKeyring) combines several, for example keys of two
/// Regions, or a key in AWS KMS and one of strongroom.
///
/// A message costs one call: GenerateDataKey to encrypt, or Encrypt if another keyring generated the
/// data key, and Decrypt to decrypt. A
/// [`CachingMaterialsManager`](strongroom::envelope::CachingMaterialsManager) reuses data keys for a
/// time that you set. During an outage of AWS KMS it still encrypts and decrypts what its cache covers,
/// until the data keys reach that age.
///
/// Failures have a kind of strongroom, and an [`AwsKmsError`](crate::AwsKmsError) as their cause, which
/// shows if another attempt helps.
///
/// # Examples
/// ```no_run
/// use strongroom::{EncryptionContext, Envelope};
/// use strongroom_aws_kms::{AwsKms, AwsKmsKeyring};
///
/// # use aws_sdk_kms::config::{BehaviorVersion, Region};
/// # let config = aws_sdk_kms::Config::builder().behavior_version(BehaviorVersion::latest());
/// # let client = aws_sdk_kms::Client::from_conf(config.region(Region::new("eu-west-1")).build());
/// let kms = AwsKms::new(client)?;
/// let key = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
/// let envelope = Envelope::new(AwsKmsKeyring::new(&kms, key)?);
///
/// let context = EncryptionContext::from([("tenant", "42")]);
/// let message = envelope.encrypt(b"two pots of tea", &context)?;
/// assert_eq!(envelope.decrypt(&message, &context)?, b"two pots of tea");
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct AwsKmsKeyring {
    kms: AwsKms,
    keys: Keys,
    grant_tokens: Vec<String>,
}

#[derive(Clone, Debug)]
enum Keys {
    One(KeyName),
    Replicas(KeyName),
    Discovery(DiscoveryFilter),
    ReplicaDiscovery { filter: DiscoveryFilter, region: String },
}

/// A key to decrypt with, and the ARN that AWS KMS must confirm.
struct Candidate {
    key: KeyName,
    expected: Expected,
}

enum Expected {
    Exactly(KeyArn),
    /// The key of an alias or key ID in the Region of the client.
    ReplicaOf(KeyArn),
}

impl AwsKmsKeyring {
    /// Creates a keyring with one key.
    ///
    /// Specify its ARN. A key ID, an alias name, or the ARN of an alias works too: AWS KMS then finds the
    /// key, in the Region and account of the client unless there is an ARN. Once an alias refers to
    /// another key, the keyring no longer decrypts messages of the earlier key. The official keyrings
    /// decrypt only with the ARN of a key.
    ///
    /// # Errors
    /// - [`ErrorKind::InvalidArn`] if `key` begins with `arn:` but is no ARN of a key or alias.
    /// - [`ErrorKind::Validation`] if it is empty, has more than 2,048 characters, or characters other
    ///   than printable ASCII. A missing key is reported only when it is used.
    ///
    /// # Examples
    /// ```
    /// use strongroom::ErrorKind;
    /// use strongroom_aws_kms::{AwsKms, AwsKmsKeyring};
    ///
    /// # use aws_sdk_kms::config::{BehaviorVersion, Region};
    /// # let config = aws_sdk_kms::Config::builder().behavior_version(BehaviorVersion::latest());
    /// # let client = aws_sdk_kms::Client::from_conf(config.region(Region::new("eu-west-1")).build());
    /// let kms = AwsKms::new(client)?;
    /// let key = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    /// assert!(AwsKmsKeyring::new(&kms, key).is_ok());
    /// let bucket = AwsKmsKeyring::new(&kms, "arn:aws:s3:::bucket").unwrap_err();
    /// assert_eq!(bucket.kind(), ErrorKind::InvalidArn);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn new(kms: &AwsKms, key: &str) -> Result<Self> {
        Ok(Self::with_keys(kms, Keys::One(KeyName::parse(key)?)))
    }

    /// Creates a keyring with one multi-Region key, whose ID begins with `mrk-`. It also decrypts messages
    /// that were encrypted with a replica of the key in another Region, and calls AWS KMS only in its own.
    ///
    /// With a key of one Region, this is the same as [`new`](Self::new).
    ///
    /// # Errors
    /// - The errors of [`new`](Self::new).
    pub fn multi_region(kms: &AwsKms, key: &str) -> Result<Self> {
        Ok(Self::with_keys(kms, Keys::Replicas(KeyName::parse(key)?)))
    }

    /// Creates a keyring that cannot encrypt, and decrypts with every key that a message names, if it is
    /// in the Region of the client, the filter allows it, and the credentials may use it.
    ///
    /// For keys of several Regions, combine keyrings with clients for each Region in a
    /// [`MultiKeyring`](strongroom::envelope::MultiKeyring).
    ///
    /// # Examples
    /// ```
    /// use strongroom::{EncryptionContext, Envelope, ErrorKind};
    /// use strongroom_aws_kms::{AwsKms, AwsKmsKeyring, DiscoveryFilter};
    ///
    /// # use aws_sdk_kms::config::{BehaviorVersion, Region};
    /// # let config = aws_sdk_kms::Config::builder().behavior_version(BehaviorVersion::latest());
    /// # let client = aws_sdk_kms::Client::from_conf(config.region(Region::new("eu-west-1")).build());
    /// let kms = AwsKms::new(client)?;
    /// let ours = DiscoveryFilter::accounts("aws", ["111122223333"])?;
    /// let reader = Envelope::new(AwsKmsKeyring::discovery(&kms, ours));
    /// let error = reader.encrypt(b"two pots of tea", &EncryptionContext::new()).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Validation);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn discovery(kms: &AwsKms, filter: DiscoveryFilter) -> Self {
        Self::with_keys(kms, Keys::Discovery(filter))
    }

    /// Creates a keyring like [`discovery`](Self::discovery), which also decrypts messages of multi-Region
    /// keys in other Regions, with their replicas in the Region of the client.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if the client has no Region.
    pub fn multi_region_discovery(kms: &AwsKms, filter: DiscoveryFilter) -> Result<Self> {
        let text = "a multi-Region discovery keyring needs a client with a Region";
        let region = kms.region().ok_or_else(|| Error::new(ErrorKind::Validation, text))?.to_owned();
        Ok(Self::with_keys(kms, Keys::ReplicaDiscovery { filter, region }))
    }

    /// Sets grant tokens, which each call presents to AWS KMS.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if there are more than 10.
    pub fn with_grant_tokens(mut self, tokens: impl IntoIterator<Item = impl Into<String>>) -> Result<Self> {
        self.grant_tokens = checked_grant_tokens(tokens)?;
        Ok(self)
    }

    fn with_keys(kms: &AwsKms, keys: Keys) -> Self {
        Self { kms: kms.clone(), keys, grant_tokens: Vec::new() }
    }

    /// Unwraps a data key, if the keyring has its key.
    fn unwrap(
        &self,
        session: &Session<'_>,
        data_key: &EncryptedDataKey,
        context: &EncryptionContext,
        length: usize,
    ) -> Result<SecretBytes> {
        if data_key.provider_id() != KMS_PROVIDER_ID {
            return Err(Error::new(ErrorKind::IncorrectKey, "it was not wrapped by an AWS KMS key"));
        }
        let named = std::str::from_utf8(data_key.provider_info()).ok().and_then(KeyArn::parse);
        let named = named.ok_or_else(|| Error::new(ErrorKind::InvalidArn, "it does not name a key by its ARN"))?;
        let candidate = self.candidate(&named)?;
        let opened = session.decrypt(&candidate.key, data_key.ciphertext(), context, &self.grant_tokens)?;
        let is_expected = match &candidate.expected {
            Expected::Exactly(arn) => opened.key == *arn,
            Expected::ReplicaOf(arn) => opened.key.is_replica_of(arn),
        };
        if !is_expected {
            let text = format!("the message names {named}, but AWS KMS decrypted its data key with {}", opened.key);
            return Err(Error::new(ErrorKind::IncorrectKey, text));
        }
        if opened.value.len() != length {
            let text = format!("it does not contain a data key of {length} bytes");
            return Err(Error::new(ErrorKind::InvalidCiphertext, text));
        }
        Ok(opened.value)
    }

    /// Returns the key of this keyring that can decrypt data keys of a key.
    fn candidate(&self, named: &KeyArn) -> Result<Candidate> {
        let refused = |reason: &str| Err(Error::new(ErrorKind::IncorrectKey, format!("{named} {reason}")));
        match &self.keys {
            Keys::One(own) if own.may_mean(named) => {
                Ok(Candidate { key: own.clone(), expected: Expected::Exactly(named.clone()) })
            }
            Keys::Replicas(own) if own.may_mean_replica_of(named) => {
                let expected = match own {
                    KeyName::Key(arn) => Expected::Exactly(arn.clone()),
                    _ => Expected::ReplicaOf(named.clone()),
                };
                Ok(Candidate { key: own.clone(), expected })
            }
            Keys::One(_) | Keys::Replicas(_) => refused("is not the key of this keyring"),
            Keys::Discovery(filter) | Keys::ReplicaDiscovery { filter, .. } if !filter.allows(named) => {
                refused("is excluded by the discovery filter")
            }
            Keys::Discovery(_) if self.kms.region().is_none_or(|region| region == named.region()) => {
                Ok(Candidate { key: KeyName::Key(named.clone()), expected: Expected::Exactly(named.clone()) })
            }
            Keys::ReplicaDiscovery { region, .. } if named.is_multi_region() || region == named.region() => {
                let replica = named.in_region(region);
                Ok(Candidate { key: KeyName::Key(replica.clone()), expected: Expected::Exactly(replica) })
            }
            Keys::Discovery(_) | Keys::ReplicaDiscovery { .. } => refused("is in another Region than the client"),
        }
    }

    /// Adds a wrapped data key, after checking the key that AWS KMS used.
    fn push(&self, materials: &mut EncryptionMaterials, own: &KeyName, used: &KeyArn, blob: Vec<u8>) -> Result<()> {
        if matches!(own, KeyName::Key(arn) if arn != used) {
            let text = format!("AWS KMS encrypted the data key with {used} instead of {}", own.as_str());
            return Err(Error::new(ErrorKind::Internal, text));
        }
        materials.push(EncryptedDataKey::new(KMS_PROVIDER_ID, used.as_str(), blob))
    }
}

/// Rejects too many grant tokens.
pub(crate) fn checked_grant_tokens(tokens: impl IntoIterator<Item = impl Into<String>>) -> Result<Vec<String>> {
    let tokens: Vec<_> = tokens.into_iter().map(Into::into).take(MAX_GRANT_TOKENS + 1).collect();
    if tokens.len() > MAX_GRANT_TOKENS {
        let text = format!("a keyring can have at most {MAX_GRANT_TOKENS} grant tokens");
        return Err(Error::new(ErrorKind::Validation, text));
    }
    Ok(tokens)
}

impl Keyring for AwsKmsKeyring {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        let (Keys::One(key) | Keys::Replicas(key)) = &self.keys else {
            let text = "a discovery keyring can only decrypt messages, not encrypt them";
            return Err(Error::new(ErrorKind::Validation, text));
        };
        let session = self.kms.begin();
        if let Some(data_key) = materials.data_key() {
            let wrapped = session.encrypt(key, data_key, materials.context(), &self.grant_tokens)?;
            return self.push(materials, key, &wrapped.key, wrapped.value);
        }
        let length = materials.suite().data_key_length();
        let made = session.generate_data_key(key, length, materials.context(), &self.grant_tokens)?;
        if made.value.plaintext.len() != length {
            let text = format!("AWS KMS generated a data key of {} bytes, not {length}", made.value.plaintext.len());
            return Err(Error::new(ErrorKind::Internal, text));
        }
        materials.set_data_key(made.value.plaintext)?;
        self.push(materials, key, &made.key, made.value.ciphertext)
    }

    fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()> {
        materials.expect_no_data_key()?;
        let (session, length) = (self.kms.begin(), materials.suite().data_key_length());
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
