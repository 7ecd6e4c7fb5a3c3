//! The records of the parameter store.
//!
//! Numbers are big-endian, a time is an `i64` of milliseconds since 1970, and a text carries a 16-bit
//! length. The first byte of a record is the version of its layout.
//!
//! ```text
//! parameter   named by its key (the name, with a slash in front)
//!             u8 1 ‖ name ‖ u8 type ‖ u64 oldest retained version
//!             ‖ u16 count ‖ (label, u64 version)*, in ascending order of labels
//!             ‖ u16 count ‖ (tag key, tag value)*, in ascending order of keys ‖ version
//! version     named by the key of its parameter ‖ 0 ‖ u64 number
//!             u8 1 ‖ version
//! count       without a name
//!             u8 1 ‖ u32 standard ‖ u32 advanced
//!
//! version:    u64 number ‖ u64 incarnation ‖ time ‖ user ‖ description ‖ allowed pattern ‖ policies ‖ u8 tier
//!             ‖ key id ‖ key ARN ‖ u32 length ‖ value
//! ```
//!
//! The value of a SecureString is a ciphertext blob of the KMS for the tier Standard, and a message
//! of the AWS Encryption SDK for the tier Advanced. The key id is that of the request, and the key ARN
//! that of the key that encrypted the value. Both are empty for the other types. All versions of a
//! parameter have the same random incarnation. A parameter that is created after one of the same name
//! was deleted has another one.

use std::collections::BTreeMap;

use super::kinds::{MAX_VERSIONS, ParameterType, StoredTier};
use super::policies::ParameterPolicies;
use crate::clock::Timestamp;
use crate::codec::{CodecError, Reader, Writer};
use crate::error::Result;
use crate::key::{Tag, TagSet};
use crate::secret::SecretBytes;

/// Maximum length of a stored value, which may be encrypted.
const MAX_STORED_VALUE: usize = 32_768;
const LAYOUT: u8 = 1;

/// A version of a parameter.
#[derive(Debug)]
pub(super) struct VersionRecord {
    pub(super) number: u64,
    /// Distinguishes parameters that had the same name one after the other.
    pub(super) incarnation: u64,
    pub(super) modified: Timestamp,
    pub(super) user: String,
    pub(super) description: String,
    pub(super) allowed_pattern: String,
    pub(super) policies: ParameterPolicies,
    pub(super) tier: StoredTier,
    pub(super) key_id: String,
    pub(super) key_arn: String,
    pub(super) value: SecretBytes,
}

/// A parameter with its current version.
#[derive(Debug)]
pub(super) struct ParameterRecord {
    pub(super) name: String,
    pub(super) kind: ParameterType,
    pub(super) oldest: u64,
    pub(super) labels: BTreeMap<String, u64>,
    pub(super) tags: TagSet,
    pub(super) current: VersionRecord,
}

/// The number of parameters of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CountRecord {
    pub(super) standard: u32,
    pub(super) advanced: u32,
}

impl ParameterRecord {
    /// Returns `true` if the parameter has expired and no longer exists for callers.
    pub(super) fn is_expired(&self, now: Timestamp) -> bool {
        self.current.policies.expiration().is_some_and(|time| time <= now)
    }

    /// Returns the labels of a version.
    pub(super) fn labels_of(&self, version: u64) -> Vec<String> {
        self.labels.iter().filter(|(_, labeled)| **labeled == version).map(|(label, _)| label.clone()).collect()
    }

    /// Returns the number of a retained version.
    pub(super) fn retained(&self) -> std::ops::RangeInclusive<u64> {
        self.oldest..=self.current.number
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        check_layout(&mut reader)?;
        let name = text(&mut reader, "parameter name")?;
        let kind = ParameterType::from_code(reader.u8("parameter type")?).ok_or_else(|| invalid("parameter type"))?;
        let oldest = reader.u64("oldest version")?;
        let mut labels = BTreeMap::new();
        for _ in 0..reader.u16("labels")? {
            let label = text(&mut reader, "label")?;
            check_order(labels.last_key_value().map(|(last, _): (&String, &u64)| last), &label, "label order")?;
            labels.insert(label, reader.u64("labeled version")?);
        }
        let mut tags = Vec::new();
        for _ in 0..reader.u16("tags")? {
            let (key, value) = (text(&mut reader, "tag key")?, text(&mut reader, "tag value")?);
            check_order(tags.last().map(Tag::key), key.as_str(), "tag order")?;
            tags.push(Tag::new(key, value)?);
        }
        let current = VersionRecord::read(&mut reader)?;
        reader.finish()?;
        let is_retained = (1..=current.number).contains(&oldest) && current.number - oldest < MAX_VERSIONS;
        if !is_retained || labels.values().any(|version| !(oldest..=current.number).contains(version)) {
            return Err(invalid("retained versions").into());
        }
        Ok(Self { name, kind, oldest, labels, tags: TagSet::from_tags(tags)?, current })
    }

    pub(super) fn encode(&self) -> Result<SecretBytes> {
        let mut writer = Writer::with_capacity(1_024 + self.current.value.len());
        writer.u8(LAYOUT);
        put_text(&mut writer, &self.name, "parameter name")?;
        writer.u8(self.kind.code()).u64(self.oldest);
        put_count(&mut writer, self.labels.len(), "labels")?;
        for (label, version) in &self.labels {
            put_text(&mut writer, label, "label")?;
            writer.u64(*version);
        }
        put_count(&mut writer, self.tags.len(), "tags")?;
        for (key, value) in self.tags.iter() {
            put_text(&mut writer, key, "tag key")?;
            put_text(&mut writer, value, "tag value")?;
        }
        self.current.write(&mut writer)?;
        Ok(SecretBytes::from_vec(writer.into_bytes()))
    }
}

impl VersionRecord {
    /// Returns the name of the record of an earlier version.
    pub(super) fn record_name(key: &str, number: u64) -> Vec<u8> {
        [key.as_bytes(), &[0], &number.to_be_bytes()].concat()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        check_layout(&mut reader)?;
        let version = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(version)
    }

    pub(super) fn encode(&self) -> Result<SecretBytes> {
        let mut writer = Writer::with_capacity(512 + self.value.len());
        writer.u8(LAYOUT);
        self.write(&mut writer)?;
        Ok(SecretBytes::from_vec(writer.into_bytes()))
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            number: reader.u64("version")?,
            incarnation: reader.u64("incarnation")?,
            modified: Timestamp::from_unix_millis(i64::from_be_bytes(reader.array("time")?)),
            user: text(reader, "user")?,
            description: text(reader, "description")?,
            allowed_pattern: text(reader, "allowed pattern")?,
            policies: policies(&text(reader, "policies")?)?,
            tier: StoredTier::from_code(reader.u8("tier")?).ok_or_else(|| invalid("tier"))?,
            key_id: text(reader, "key id")?,
            key_arn: text(reader, "key ARN")?,
            value: SecretBytes::copy_from_slice(reader.prefixed_u32(MAX_STORED_VALUE, "value")?),
        })
    }

    fn write(&self, writer: &mut Writer) -> Result<()> {
        writer.u64(self.number).u64(self.incarnation).bytes(&self.modified.unix_millis().to_be_bytes());
        put_text(writer, &self.user, "user")?;
        put_text(writer, &self.description, "description")?;
        put_text(writer, &self.allowed_pattern, "allowed pattern")?;
        put_text(writer, &self.policies.to_text(), "policies")?;
        writer.u8(self.tier.code());
        put_text(writer, &self.key_id, "key id")?;
        put_text(writer, &self.key_arn, "key ARN")?;
        writer.prefixed_u32(self.value.expose_secret(), MAX_STORED_VALUE, "value")?;
        Ok(())
    }
}

impl CountRecord {
    pub(super) fn of_mut(&mut self, tier: StoredTier) -> &mut u32 {
        match tier {
            StoredTier::Standard => &mut self.standard,
            StoredTier::Advanced => &mut self.advanced,
        }
    }

    pub(super) const fn of(self, tier: StoredTier) -> u32 {
        match tier {
            StoredTier::Standard => self.standard,
            StoredTier::Advanced => self.advanced,
        }
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        check_layout(&mut reader)?;
        let count = Self { standard: reader.u32("standard")?, advanced: reader.u32("advanced")? };
        reader.finish()?;
        Ok(count)
    }

    pub(super) fn encode(self) -> SecretBytes {
        let mut writer = Writer::with_capacity(9);
        writer.u8(LAYOUT).u32(self.standard).u32(self.advanced);
        SecretBytes::from_vec(writer.into_bytes())
    }
}

const fn invalid(field: &'static str) -> CodecError {
    CodecError::Invalid { field }
}

fn check_layout(reader: &mut Reader<'_>) -> Result<(), CodecError> {
    if reader.u8("record layout")? == LAYOUT { Ok(()) } else { Err(invalid("record layout")) }
}

fn check_order<T: PartialOrd>(last: Option<T>, next: T, field: &'static str) -> Result<(), CodecError> {
    if last.is_none_or(|last| last < next) { Ok(()) } else { Err(invalid(field)) }
}

fn text(reader: &mut Reader<'_>, field: &'static str) -> Result<String, CodecError> {
    let bytes = reader.prefixed_u16(field)?;
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| invalid(field))
}

/// Parses policies in the only form in which they are written.
fn policies(text: &str) -> Result<ParameterPolicies> {
    let policies = ParameterPolicies::parse(text)?;
    if policies.to_text() == text { Ok(policies) } else { Err(invalid("policies").into()) }
}

fn put_text(writer: &mut Writer, text: &str, field: &'static str) -> Result<(), CodecError> {
    writer.prefixed_u16(text.as_bytes(), field).map(drop)
}

fn put_count(writer: &mut Writer, length: usize, field: &'static str) -> Result<(), CodecError> {
    let limit = usize::from(u16::MAX);
    writer.u16(u16::try_from(length).map_err(|_| CodecError::TooLong { field, length, limit })?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(number: u64) -> VersionRecord {
        VersionRecord {
            number,
            incarnation: 5,
            modified: Timestamp::from_unix_millis(1_700_000_000_000),
            user: "arn:aws:iam::000000000000:user/alice".to_owned(),
            description: "the password".to_owned(),
            allowed_pattern: "[a-z]+".to_owned(),
            policies: ParameterPolicies::default(),
            tier: StoredTier::Standard,
            key_id: "alias/aws/ssm".to_owned(),
            key_arn: "arn:aws:kms:local:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab".to_owned(),
            value: SecretBytes::copy_from_slice(b"ciphertext"),
        }
    }

    fn parameter() -> Result<ParameterRecord> {
        Ok(ParameterRecord {
            name: "/shop/db".to_owned(),
            kind: ParameterType::SecureString,
            oldest: 2,
            labels: BTreeMap::from([("prod".to_owned(), 2), ("test".to_owned(), 3)]),
            tags: TagSet::from_tags([Tag::new("team", "shop")?, Tag::new("stage", "")?])?,
            current: version(3),
        })
    }

    fn assert_only_whole<T>(bytes: &[u8], decode: impl Fn(&[u8]) -> Result<T>) {
        assert!(decode(bytes).is_ok());
        (0..bytes.len()).for_each(|length| assert!(decode(&bytes[..length]).is_err(), "{length}"));
        assert!(decode(&[bytes, &[0]].concat()).is_err(), "trailing bytes");
        assert!(decode(&[&[2], &bytes[1..]].concat()).is_err(), "another layout");
    }

    #[test]
    fn records_are_read_as_they_were_written_and_no_part_of_them_is() -> Result<()> {
        let written = parameter()?.encode()?;
        let read = ParameterRecord::decode(written.expose_secret())?;
        assert_eq!(read.encode()?, written);
        assert_eq!((read.labels_of(2), read.retained()), (vec!["prod".to_owned()], 2..=3));
        assert_eq!(format!("{read:?}"), format!("{:?}", parameter()?));
        assert_only_whole(written.expose_secret(), ParameterRecord::decode);
        let written = version(7).encode()?;
        assert_eq!(VersionRecord::decode(written.expose_secret())?.encode()?, written);
        assert_only_whole(written.expose_secret(), VersionRecord::decode);
        let count = CountRecord { standard: 3, advanced: 9 };
        assert_eq!(CountRecord::decode(count.encode().expose_secret())?, count);
        assert_only_whole(count.encode().expose_secret(), CountRecord::decode);
        Ok(())
    }

    #[test]
    fn retained_versions_are_consistent() -> Result<()> {
        for (oldest, current, labeled) in [(0, 3, 3), (4, 3, 3), (1, 101, 101), (2, 3, 1), (2, 3, 4)] {
            let record = ParameterRecord {
                oldest,
                labels: BTreeMap::from([("prod".to_owned(), labeled)]),
                current: version(current),
                ..parameter()?
            };
            let case = format!("{oldest} {current} {labeled}");
            assert!(ParameterRecord::decode(record.encode()?.expose_secret()).is_err(), "{case}");
        }
        Ok(())
    }

    #[test]
    fn debug_shows_no_value() -> Result<()> {
        let record = ParameterRecord {
            current: VersionRecord { value: SecretBytes::copy_from_slice(b"hunter2"), ..version(3) },
            ..parameter()?
        };
        assert!(!format!("{record:?}").contains("hunter2"));
        Ok(())
    }

    proptest! {
        /// Whatever the bytes are, decoding does not panic, and a record has one encoding.
        #[test]
        fn altered_records_are_read_to_the_same_bytes_or_refused(place in any::<prop::sample::Index>(), byte: u8) {
            let mut bytes = parameter()?.encode()?.expose_secret().to_vec();
            let place = place.index(bytes.len());
            bytes[place] = byte;
            if let Ok(read) = ParameterRecord::decode(&bytes) {
                prop_assert_eq!(read.encode()?, SecretBytes::copy_from_slice(&bytes));
            }
        }

        #[test]
        fn any_bytes_are_decoded_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let with_layout = [&[LAYOUT], bytes.as_slice()].concat();
            let _ = (ParameterRecord::decode(&with_layout), VersionRecord::decode(&with_layout));
            let _ = CountRecord::decode(&with_layout);
        }
    }
}
