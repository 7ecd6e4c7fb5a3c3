//! Names of keys in AWS KMS: ARNs, key IDs, and aliases.
//!
//! The rules are those of the AWS Encryption SDK specification (`aws-kms-key-arn.md`,
//! `aws-kms-mrk-match-for-decrypt.md`).

use std::fmt;

use strongroom::{Error, ErrorKind, Result};

/// The longest name that AWS KMS accepts.
const MAX_LENGTH: usize = 2_048;

/// The longest key ARN. Those of AWS KMS have at most about 100 bytes.
const MAX_ARN: usize = 256;

/// The prefix of the key ID of every multi-Region key.
const MULTI_REGION: &str = "mrk-";

/// The name of a key, as a caller specifies it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyName {
    /// The ARN of a key.
    Key(KeyArn),
    /// The ARN of an alias, with its partition, Region, and account.
    AliasArn { text: String, place: [String; 3] },
    /// A key ID, in the Region and account of the client.
    KeyId(String),
    /// An alias, in the Region and account of the client.
    Alias(String),
}

impl KeyName {
    /// Parses a key ARN, a key ID, an alias ARN, or an alias name.
    ///
    /// # Errors
    /// - [`ErrorKind::InvalidArn`] if it begins with `arn:` but is no ARN of a key or alias.
    /// - [`ErrorKind::Validation`] if it is empty, too long, or contains characters that no name has.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        if text.is_empty() || text.len() > MAX_LENGTH || !text.bytes().all(is_printable) {
            let text = format!("the name of an AWS KMS key must have 1 to {MAX_LENGTH} printable ASCII characters");
            return Err(Error::new(ErrorKind::Validation, text));
        }
        if !text.starts_with("arn:") {
            return Ok(match text.starts_with("alias/") {
                true => Self::Alias(text.to_owned()),
                false => Self::KeyId(text.to_owned()),
            });
        }
        let parts = Parts::of(text).ok_or_else(|| invalid(text))?;
        match parts.resource.split_once('/') {
            Some(("key", id)) if !id.is_empty() => Ok(Self::Key(parts.into_key(text, id))),
            Some(("alias", name)) if !name.is_empty() => Ok(Self::AliasArn {
                text: text.to_owned(),
                place: [parts.partition, parts.region, parts.account].map(str::to_owned),
            }),
            _ => Err(invalid(text)),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Key(arn) => arn.as_str(),
            Self::AliasArn { text, .. } | Self::KeyId(text) | Self::Alias(text) => text,
        }
    }

    /// Returns the Region, if the name contains one.
    pub(crate) fn region(&self) -> Option<&str> {
        match self {
            Self::Key(arn) => Some(arn.region()),
            Self::AliasArn { place: [_, region, _], .. } => Some(region),
            Self::KeyId(_) | Self::Alias(_) => None,
        }
    }

    /// Returns `true` if the name can mean the key with this ARN. Only AWS KMS knows the key of an
    /// alias.
    pub(crate) fn may_mean(&self, arn: &KeyArn) -> bool {
        match self {
            Self::Key(own) => own == arn,
            Self::AliasArn { place, .. } => place.each_ref().map(String::as_str) == arn.place(),
            Self::KeyId(id) => id == arn.key_id(),
            Self::Alias(_) => true,
        }
    }

    /// Returns `true` if the name can mean the key with this ARN, or its replica in another Region.
    pub(crate) fn may_mean_replica_of(&self, arn: &KeyArn) -> bool {
        match self {
            Self::Key(own) => own.is_replica_of(arn),
            Self::AliasArn { place: [partition, region, account], .. } => {
                let [other_partition, other_region, other_account] = arn.place();
                (partition.as_str(), account.as_str()) == (other_partition, other_account)
                    && (arn.is_multi_region() || region == other_region)
            }
            Self::KeyId(_) | Self::Alias(_) => self.may_mean(arn),
        }
    }
}

/// The ARN of a key: `arn:aws:kms:eu-west-1:111122223333:key/1234abcd-...`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct KeyArn {
    partition: String,
    region: String,
    account: String,
    key_id: String,
    text: String,
}

impl KeyArn {
    /// Parses the ARN of a key. Returns `None` for everything else, ARNs of aliases included. Messages
    /// contain such names, and errors repeat them.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_ARN {
            return None;
        }
        match KeyName::parse(text) {
            Ok(KeyName::Key(arn)) => Some(arn),
            _ => None,
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn partition(&self) -> &str {
        &self.partition
    }

    pub(crate) fn region(&self) -> &str {
        &self.region
    }

    pub(crate) fn account(&self) -> &str {
        &self.account
    }

    pub(crate) fn key_id(&self) -> &str {
        &self.key_id
    }

    fn place(&self) -> [&str; 3] {
        [&self.partition, &self.region, &self.account]
    }

    pub(crate) fn is_multi_region(&self) -> bool {
        self.key_id.starts_with(MULTI_REGION)
    }

    /// Returns the ARN of the replica in another Region.
    pub(crate) fn in_region(&self, region: &str) -> Self {
        let text = format!("arn:{}:kms:{region}:{}:key/{}", self.partition, self.account, self.key_id);
        Self { region: region.to_owned(), text, ..self.clone() }
    }

    /// Returns `true` if both are the same key, or replicas of one multi-Region key.
    pub(crate) fn is_replica_of(&self, other: &Self) -> bool {
        self == other || self.is_multi_region() && self.in_region(&other.region) == *other
    }
}

impl fmt::Display for KeyArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for KeyArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The parts of any ARN of AWS KMS.
struct Parts<'a> {
    partition: &'a str,
    region: &'a str,
    account: &'a str,
    resource: &'a str,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        let &["arn", partition, "kms", region, account, resource] = parts.as_slice() else { return None };
        let is_complete = [partition, region, account].iter().all(|part| !part.is_empty());
        is_complete.then_some(Self { partition, region, account, resource })
    }

    fn into_key(self, text: &str, key_id: &str) -> KeyArn {
        let [partition, region, account, key_id] =
            [self.partition, self.region, self.account, key_id].map(str::to_owned);
        KeyArn { partition, region, account, key_id, text: text.to_owned() }
    }
}

fn is_printable(byte: u8) -> bool {
    byte.is_ascii_graphic()
}

fn invalid(text: &str) -> Error {
    Error::new(ErrorKind::InvalidArn, format!("{text} is not the ARN of an AWS KMS key or alias"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "arn:aws:kms:us-east-1:2222222222222:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    const REPLICA: &str = "arn:aws:kms:us-east-1:2222222222222:key/mrk-1234abcd12ab34cd56ef1234567890ab";

    fn arn(text: &str) -> KeyArn {
        KeyArn::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    /// The examples of the specification (`aws-kms-key-arn.md`), and one fault in each part.
    #[test]
    fn arns_are_those_of_the_specification() {
        for text in [KEY, REPLICA] {
            assert_eq!(arn(text).as_str(), text);
        }
        assert!(!arn(KEY).is_multi_region() && arn(REPLICA).is_multi_region());
        let alias = KeyName::parse("arn:aws:kms:us-east-1:2222222222222:alias/mrk-1234").unwrap();
        assert!(matches!(&alias, KeyName::AliasArn { .. }), "an alias is no multi-Region key");
        for text in [
            "arn:aws:kms:us-east-1:2222222222222:key",
            "arn:aws:kms:us-east-1:2222222222222:key/",
            "arn:aws:kms:us-east-1:2222222222222:alias/",
            "arn:aws:kms:us-east-1:2222222222222:key:1234",
            "arn:aws:kms:us-east-1:2222222222222:key-1234abcd",
            "arn:aws:kms:us-east-1::key/1234abcd",
            "arn:aws:kms::2222222222222:key/1234abcd",
            "arn::kms:us-east-1:2222222222222:key/1234abcd",
            "arn:aws:s3:us-east-1:2222222222222:key/1234abcd",
            "arn:aws:kms:us-east-1:2222222222222:user/1234abcd",
            "arn:aws:kms:us-east-1:2222222222222:key/1234:abcd",
            "arn:aws:kms:us-east-1",
            "arn:",
        ] {
            assert_eq!(KeyName::parse(text).unwrap_err().kind(), ErrorKind::InvalidArn, "{text}");
        }
        for text in ["", "key 1", "arn:aws:kms:us-east-1:2222222222222:key/1234\n", "schlüssel", &"k".repeat(2_049)] {
            assert_eq!(KeyName::parse(text).unwrap_err().kind(), ErrorKind::Validation, "{text}");
        }
        assert!(KeyArn::parse("arn:aws:kms:us-east-1:2222222222222:alias/name").is_none());
        assert!(KeyArn::parse("1234abcd-12ab-34cd-56ef-1234567890ab").is_none());
        let long = |bytes: usize| format!("{KEY}{}", "0".repeat(bytes - KEY.len()));
        assert!(KeyArn::parse(&long(256)).is_some() && KeyArn::parse(&long(257)).is_none());
    }

    #[test]
    fn a_replica_differs_only_in_its_region() {
        let (key, replica) = (arn(KEY), arn(REPLICA));
        assert!(key.is_replica_of(&key) && replica.is_replica_of(&replica));
        assert!(replica.is_replica_of(&replica.in_region("eu-west-1")));
        assert_eq!(replica.in_region("eu-west-1").as_str(), REPLICA.replace("us-east-1", "eu-west-1"));
        assert!(!key.is_replica_of(&key.in_region("eu-west-1")), "the key has one Region");
        for (part, other) in [("arn:aws", "arn:aws-cn"), ("2222222222222", "3333"), ("mrk-1234", "mrk-4321")] {
            assert!(!replica.is_replica_of(&arn(&REPLICA.replace(part, other)).in_region("eu-west-1")), "{other}");
        }
    }

    #[test]
    fn a_name_means_only_what_it_can() {
        let (key, replica) = (arn(KEY), arn(REPLICA));
        let elsewhere = replica.in_region("eu-west-1");
        let name = |text: &str| KeyName::parse(text).unwrap();
        assert!(name(KEY).may_mean(&key) && !name(KEY).may_mean(&replica) && !name(REPLICA).may_mean(&elsewhere));
        assert!(name(REPLICA).may_mean_replica_of(&elsewhere) && !name(KEY).may_mean_replica_of(&elsewhere));
        assert!(name("1234abcd-12ab-34cd-56ef-1234567890ab").may_mean(&key) && !name("1234").may_mean(&key));
        assert!(name("alias/any").may_mean(&key) && name("alias/any").may_mean_replica_of(&elsewhere));
        let alias = name("arn:aws:kms:us-east-1:2222222222222:alias/any");
        assert_eq!((alias.region(), name("alias/any").region()), (Some("us-east-1"), None));
        assert!(alias.may_mean(&key) && !alias.may_mean(&elsewhere) && alias.may_mean_replica_of(&elsewhere));
        assert!(!alias.may_mean_replica_of(&key.in_region("eu-west-1")));
        assert!(!alias.may_mean(&arn(&KEY.replace("2222222222222", "3333"))));
    }
}
