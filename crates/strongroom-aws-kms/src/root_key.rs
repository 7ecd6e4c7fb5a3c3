//! Root keys of stores, wrapped by a key in AWS KMS.

use std::fmt;

use strongroom::seal::RootKeyHolder;
use strongroom::{EncryptionContext, Error, ErrorKind, Result, SecretBytes};

use crate::arn::{KeyArn, KeyName};
use crate::client::AwsKms;
use crate::error::{AwsKmsError, AwsKmsFailure};

/// The names in the encryption context of a wrapped root key.
const PURPOSE: &str = "strongroom-purpose";
const BINDING: &str = "strongroom-binding";

/// The value for [`PURPOSE`].
const ROOT_KEY: &str = "root-key";

/// The longest binding. In hexadecimal, it fits into an encryption context of AWS KMS.
const MAX_BINDING: usize = 3_000;

/// The longest ID of a holder.
const MAX_ID: usize = 255;

/// Holds the root key of a store: a key in AWS KMS wraps its versions. The store cannot be opened
/// without that key.
///
/// Opening a store calls AWS KMS once for each version of the root key, usually one. Operations on keys
/// of the store never call it, so an outage affects only processes that start, rotations, and processes
/// that notice the rotation of another process. Those fail with
/// [`KeyUnavailable`](ErrorKind::KeyUnavailable) and can be repeated. A denied permission or a disabled
/// key has this kind too, because the root key is not wrong. The [`AwsKmsError`] in the error
/// distinguishes them.
///
/// The root key is encrypted with Encrypt, and with this encryption context:
///
/// | name | value |
/// |---|---|
/// | `strongroom-purpose` | `root-key` |
/// | `strongroom-binding` | the store and the version of its root key, in hexadecimal |
///
/// A key policy can require it, so that the permission does not allow other uses of the key:
///
/// ```json
/// "Action": ["kms:Encrypt", "kms:Decrypt"],
/// "Condition": {"StringEquals": {"kms:EncryptionContext:strongroom-purpose": "root-key"}}
/// ```
///
/// A multi-Region key, whose ID begins with `mrk-`, holds the root key in all Regions that have a
/// replica of it: a copy of the store opens there.
///
/// # Examples
/// ```no_run
/// use strongroom::Kms;
/// use strongroom::seal::RootKey;
/// use strongroom_aws_kms::{AwsKms, AwsKmsRootKey};
///
/// # use aws_sdk_kms::config::{BehaviorVersion, Region};
/// # let config = aws_sdk_kms::Config::builder().behavior_version(BehaviorVersion::latest());
/// # let client = aws_sdk_kms::Client::from_conf(config.region(Region::new("eu-west-1")).build());
/// let key = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
/// let holder = AwsKmsRootKey::new(&AwsKms::new(client)?, key)?;
/// let kms = Kms::open("keys.db", RootKey::from_holder(holder.clone()))?;
///
/// // A store that has a root key in a file moves it to AWS KMS.
/// let older = Kms::open("older.db", RootKey::from_file("older.key")?)?;
/// older.move_root_key(RootKey::from_holder(holder))?;
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone)]
pub struct AwsKmsRootKey {
    kms: AwsKms,
    key: KeyArn,
    name: KeyName,
    id: String,
}

impl AwsKmsRootKey {
    /// Creates a holder with the key of an ARN. Aliases are rejected, because a root key that was wrapped
    /// by another key than the present one of the alias could not be unwrapped.
    ///
    /// The holder has the same [`id`](RootKeyHolder::id) in every process, and for a multi-Region key in
    /// every Region.
    ///
    /// # Errors
    /// - [`ErrorKind::InvalidArn`] if it is not the ARN of a key, or longer than 240 characters.
    ///
    /// # Examples
    /// ```
    /// use strongroom::ErrorKind;
    /// use strongroom::seal::RootKeyHolder;
    /// use strongroom_aws_kms::{AwsKms, AwsKmsRootKey};
    ///
    /// # use aws_sdk_kms::config::{BehaviorVersion, Region};
    /// # let config = aws_sdk_kms::Config::builder().behavior_version(BehaviorVersion::latest());
    /// # let client = aws_sdk_kms::Client::from_conf(config.region(Region::new("eu-west-1")).build());
    /// let kms = AwsKms::new(client)?;
    /// let one = AwsKmsRootKey::new(&kms, "arn:aws:kms:eu-west-1:111122223333:key/1234abcd")?;
    /// assert_eq!(one.id(), "aws-kms arn:aws:kms:eu-west-1:111122223333:key/1234abcd");
    /// let replica = AwsKmsRootKey::new(&kms, "arn:aws:kms:eu-west-1:111122223333:key/mrk-1234abcd")?;
    /// assert_eq!(replica.id(), "aws-kms arn:aws:kms:*:111122223333:key/mrk-1234abcd");
    /// let alias = AwsKmsRootKey::new(&kms, "alias/root").unwrap_err();
    /// assert_eq!(alias.kind(), ErrorKind::InvalidArn);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn new(kms: &AwsKms, key: &str) -> Result<Self> {
        let refused = || Error::new(ErrorKind::InvalidArn, "a root key in AWS KMS must be specified by its key ARN");
        let arn = KeyArn::parse(key).ok_or_else(refused)?;
        let id = match arn.is_multi_region() {
            true => format!("aws-kms {}", arn.in_region("*")),
            false => format!("aws-kms {arn}"),
        };
        if id.len() > MAX_ID {
            return Err(refused());
        }
        Ok(Self { kms: kms.clone(), name: KeyName::Key(arn.clone()), key: arn, id })
    }

    fn context(binding: &[u8]) -> Result<EncryptionContext> {
        if binding.len() > MAX_BINDING {
            let text = format!("the binding of a root key must have at most {MAX_BINDING} bytes");
            return Err(Error::new(ErrorKind::Validation, text));
        }
        let binding = base16ct::lower::encode_string(binding);
        Ok([(PURPOSE, ROOT_KEY), (BINDING, binding.as_str())].into_iter().collect())
    }

    /// Requires that AWS KMS used the key of this holder.
    fn check(&self, used: &KeyArn) -> Result<()> {
        if *used == self.key {
            return Ok(());
        }
        let text = format!("AWS KMS used {used} for a root key instead of {}", self.key);
        Err(Error::new(ErrorKind::IncorrectKey, text))
    }
}

impl RootKeyHolder for AwsKmsRootKey {
    fn id(&self) -> &str {
        &self.id
    }

    fn wrap(&self, binding: &[u8], key: &SecretBytes) -> Result<Vec<u8>> {
        let wrapped = self.kms.begin().encrypt(&self.name, key, &Self::context(binding)?, &[])?;
        self.check(&wrapped.key)?;
        Ok(wrapped.value)
    }

    fn unwrap(&self, binding: &[u8], wrapped: &[u8]) -> Result<SecretBytes> {
        let session = self.kms.begin();
        let opened = session.decrypt(&self.name, wrapped, &Self::context(binding)?, &[]).map_err(unavailable)?;
        self.check(&opened.key)?;
        Ok(opened.value)
    }
}

impl fmt::Debug for AwsKmsRootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsKmsRootKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Returns the error of a holder. It is that of a wrong root key only if AWS KMS has tried the key.
fn unavailable(error: Error) -> Error {
    let was_tried = error.downcast_ref().is_none_or(|error: &AwsKmsError| {
        matches!(error.failure(), AwsKmsFailure::InvalidCiphertext | AwsKmsFailure::IncorrectKey)
    });
    if was_tried || error.kind() == ErrorKind::KeyUnavailable {
        return error;
    }
    Error::new(ErrorKind::KeyUnavailable, error.to_string()).with_source(error)
}
