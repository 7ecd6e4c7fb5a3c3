//! Branch keys of the hierarchical keyring, wrapped by a key in AWS KMS.

use strongroom::envelope::BranchKeyWrapper;
use strongroom::{EncryptionContext, Error, ErrorKind, Result, SecretBytes};

use crate::arn::{KeyArn, KeyName};
use crate::client::AwsKms;
use crate::keyring::checked_grant_tokens;

/// Wraps the branch keys of a [`BranchKeyStore`](strongroom::envelope::BranchKeyStore) with a key in
/// AWS KMS. A [`HierarchicalKeyring`](strongroom::envelope::HierarchicalKeyring) with that store
/// exchanges messages with the AWS KMS Hierarchical keyring of the AWS Encryption SDK.
///
/// Branch keys can be moved to and from the key store of the official keyring in DynamoDB, as
/// [`BranchKeyItem`](strongroom::envelope::BranchKeyItem)s. Both must have the same logical name and
/// the same key.
///
/// The keyring calls AWS KMS once for each version of a branch key and time to live: Decrypt. The
/// permissions `kms:GenerateDataKeyWithoutPlaintext`, `kms:ReEncryptFrom` and `kms:ReEncryptTo` are
/// needed only to create and rotate branch keys.
///
/// # Examples
/// ```no_run
/// use std::time::Duration;
/// use strongroom::envelope::{BranchKeyItem, BranchKeyStore, HierarchicalKeyring};
/// use strongroom::store::SqliteStore;
/// use strongroom::{EncryptionContext, Envelope};
/// use strongroom_aws_kms::{AwsKms, AwsKmsBranchKeyWrapper};
///
/// # use aws_sdk_kms::config::{BehaviorVersion, Region};
/// # let config = aws_sdk_kms::Config::builder().behavior_version(BehaviorVersion::latest());
/// # let client = aws_sdk_kms::Client::from_conf(config.region(Region::new("eu-west-1")).build());
/// let key = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
/// let wrapper = AwsKmsBranchKeyWrapper::new(&AwsKms::new(client)?, key)?;
/// let store = SqliteStore::open("branch-keys.db", &Default::default())?;
/// let keys = BranchKeyStore::new(store, "BranchKeys", wrapper)?;
///
/// // The output of `aws dynamodb query`, for a branch key of the official key store.
/// keys.import(&BranchKeyItem::list_from_json(&std::fs::read("branch-key.json")?)?)?;
/// let envelope = Envelope::new(HierarchicalKeyring::new(&keys, "tenant-42", Duration::from_secs(600))?);
/// let message = envelope.encrypt(b"two pots of tea", &EncryptionContext::new())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct AwsKmsBranchKeyWrapper {
    kms: AwsKms,
    key: KeyArn,
    name: KeyName,
    accepts_replicas: bool,
    grant_tokens: Vec<String>,
}

impl AwsKmsBranchKeyWrapper {
    /// Creates a wrapper with the key of an ARN.
    ///
    /// # Errors
    /// - [`ErrorKind::InvalidArn`] if it is not the ARN of a key.
    ///
    /// # Examples
    /// ```
    /// use strongroom::ErrorKind;
    /// use strongroom::envelope::BranchKeyWrapper;
    /// use strongroom_aws_kms::{AwsKms, AwsKmsBranchKeyWrapper};
    ///
    /// # use aws_sdk_kms::config::{BehaviorVersion, Region};
    /// # let config = aws_sdk_kms::Config::builder().behavior_version(BehaviorVersion::latest());
    /// # let client = aws_sdk_kms::Client::from_conf(config.region(Region::new("eu-west-1")).build());
    /// let kms = AwsKms::new(client)?;
    /// let [here, there] =
    ///     ["eu-west-1", "us-east-1"].map(|region| format!("arn:aws:kms:{region}:111122223333:key/mrk-1234abcd"));
    /// let one = AwsKmsBranchKeyWrapper::new(&kms, &here)?;
    /// assert!(one.accepts(&here) && !one.accepts(&there));
    /// let replicas = AwsKmsBranchKeyWrapper::multi_region(&kms, &here)?;
    /// assert!(replicas.accepts(&here) && replicas.accepts(&there));
    /// let alias = AwsKmsBranchKeyWrapper::new(&kms, "alias/orders").unwrap_err();
    /// assert_eq!(alias.kind(), ErrorKind::InvalidArn);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn new(kms: &AwsKms, key: &str) -> Result<Self> {
        let refused = || Error::new(ErrorKind::InvalidArn, "the key of branch keys must be specified by its key ARN");
        let key = KeyArn::parse(key).ok_or_else(refused)?;
        let (name, kms) = (KeyName::Key(key.clone()), kms.clone());
        Ok(Self { kms, key, name, accepts_replicas: false, grant_tokens: Vec::new() })
    }

    /// Creates a wrapper with a multi-Region key, which also unwraps branch keys that a replica of it
    /// in another Region wrapped. Items of such branch keys still name the replica that created them.
    ///
    /// # Errors
    /// - [`ErrorKind::InvalidArn`] if it is not the ARN of a key.
    pub fn multi_region(kms: &AwsKms, key: &str) -> Result<Self> {
        Ok(Self { accepts_replicas: true, ..Self::new(kms, key)? })
    }

    /// Sets grant tokens, which each call presents to AWS KMS.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if there are more than 10.
    pub fn with_grant_tokens(self, tokens: impl IntoIterator<Item = impl Into<String>>) -> Result<Self> {
        Ok(Self { grant_tokens: checked_grant_tokens(tokens)?, ..self })
    }

    /// Requires that AWS KMS used the key of this wrapper.
    fn check(&self, used: &KeyArn) -> Result<()> {
        if *used == self.key {
            return Ok(());
        }
        let text = format!("AWS KMS used {used} for a branch key instead of {}", self.key);
        Err(Error::new(ErrorKind::IncorrectKey, text))
    }
}

impl BranchKeyWrapper for AwsKmsBranchKeyWrapper {
    fn key_arn(&self) -> &str {
        self.key.as_str()
    }

    fn accepts(&self, key_arn: &str) -> bool {
        let named = KeyArn::parse(key_arn);
        named.is_some_and(|named| named == self.key || self.accepts_replicas && self.key.is_replica_of(&named))
    }

    fn generate(&self, context: &EncryptionContext) -> Result<Vec<u8>> {
        let session = self.kms.begin();
        let made = session.generate_data_key_without_plaintext(&self.name, context, &self.grant_tokens)?;
        self.check(&made.key)?;
        Ok(made.value)
    }

    fn rewrap(&self, wrapped: &[u8], from: &EncryptionContext, to: &EncryptionContext) -> Result<Vec<u8>> {
        let made = self.kms.begin().re_encrypt(&self.name, wrapped, (from, to), &self.grant_tokens)?;
        let (source, ciphertext) = made.value;
        self.check(&source)?;
        self.check(&made.key)?;
        Ok(ciphertext)
    }

    fn unwrap(&self, wrapped: &[u8], context: &EncryptionContext) -> Result<SecretBytes> {
        let opened = self.kms.begin().decrypt(&self.name, wrapped, context, &self.grant_tokens)?;
        self.check(&opened.key)?;
        Ok(opened.value)
    }
}
