//! What the store keeps of a grant, its byte layout before sealing, and its place among the records.
//!
//! `u8 1 ‖ u64 created ‖ issuing account ‖ grantee ‖ retiring principal? ‖ u16 count, operations (wire names) ‖ equals?
//! (u16 count, pairs) ‖ subset? (u16 count, pairs) ‖ name?`. A principal is `account ‖ ARN or domain name`; texts carry a
//! 16-bit length, optional fields a byte 0 or 1 before them.
//!
//! The record's name is `16 key id ‖ 32 grant id`, and a grant id starts with 8 bytes that stand for its grantee, so that
//! all grants of one grantee on one key lie beside each other.

use crate::clock::Timestamp;
use crate::codec::{CodecError, Reader, Writer};
use crate::context::EncryptionContext;
use crate::crypto::SecureRandom;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{AccountId, Principal};
use crate::key::{KeyId, Operation};
use crate::kms::storage::registry::Registry;
use crate::policy::{GrantConstraints, GrantId, GrantTerms, RequestParameter};
use crate::secret::SecretBytes;
use crate::store::{RecordId, RecordKind, Revision, Scan};

const LAYOUT: u8 = 1;

/// The bytes at the start of a grant id that stand for its grantee.
const GRANTEE_TAG: usize = 8;

/// A grant as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kms) struct GrantRecord {
    pub(in crate::kms) created: Timestamp,
    pub(in crate::kms) issuing_account: AccountId,
    pub(in crate::kms) terms: GrantTerms,
    /// By which a repeated request is known.
    pub(in crate::kms) name: Option<String>,
}

/// Which grants are meant: those on one key, or those of one grantee on it.
#[derive(Clone, Copy, Debug)]
pub(in crate::kms) struct GrantRange<'a> {
    pub(in crate::kms) key: (AccountId, KeyId),
    pub(in crate::kms) grantee: Option<&'a Principal>,
}

/// A grant with the place where it lies.
pub(in crate::kms) struct FoundGrant {
    pub(in crate::kms) account: AccountId,
    pub(in crate::kms) key_id: KeyId,
    pub(in crate::kms) id: GrantId,
    pub(in crate::kms) revision: Revision,
    pub(in crate::kms) record: GrantRecord,
}

impl FoundGrant {
    pub(in crate::kms) fn record_id(&self) -> RecordId {
        record_id(self.account, self.key_id, self.id)
    }

    fn read(place: &RecordId, revision: Revision, body: &SecretBytes) -> Result<Self> {
        let (key_id, id) = place.name.split_at_checked(16).ok_or_else(misnamed)?;
        Ok(Self {
            account: place.account,
            key_id: KeyId::from_bytes(key_id.try_into().map_err(|_| misnamed())?),
            id: GrantId::from_bytes(id.try_into().map_err(|_| misnamed())?),
            revision,
            record: GrantRecord::decode(body.expose_secret())?,
        })
    }
}

pub(in crate::kms) fn record_id(account: AccountId, key_id: KeyId, id: GrantId) -> RecordId {
    let name = [key_id.as_bytes().as_slice(), id.as_bytes().as_slice()].concat();
    RecordId { kind: RecordKind::Grant, account, name }
}

/// The place of a grant of any account as bytes: `12 account ‖ 16 key id ‖ 32 grant id`.
pub(in crate::kms) fn place_bytes(place: &RecordId) -> Vec<u8> {
    [place.account.as_bytes().as_slice(), &place.name].concat()
}

/// Reads what [`place_bytes`] writes.
pub(in crate::kms) fn read_place(bytes: &[u8]) -> Option<RecordId> {
    let (account, name) = bytes.split_at_checked(12).filter(|(_, name)| name.len() == 48)?;
    let account = AccountId::parse(std::str::from_utf8(account).ok()?).ok()?;
    Some(RecordId { kind: RecordKind::Grant, account, name: name.to_vec() })
}

impl Registry {
    /// A fresh id for a grant.
    pub(in crate::kms) fn new_grant_id(
        &self,
        key_id: KeyId,
        grantee: &Principal,
        random: &dyn SecureRandom,
    ) -> Result<GrantId> {
        let mut bytes = [0; 32];
        bytes[..GRANTEE_TAG].copy_from_slice(&self.grantee_tag(key_id, grantee));
        random.fill(&mut bytes[GRANTEE_TAG..])?;
        Ok(GrantId::from_bytes(bytes))
    }

    /// One grant as the store has it now.
    pub(in crate::kms) fn grant(&self, account: AccountId, key_id: KeyId, id: GrantId) -> Result<Option<FoundGrant>> {
        self.grant_at(&record_id(account, key_id, id))
    }

    pub(in crate::kms) fn grant_at(&self, place: &RecordId) -> Result<Option<FoundGrant>> {
        let found = self.record(place)?;
        found.map(|(revision, body)| FoundGrant::read(place, revision, &body)).transpose()
    }

    /// Grants in ascending order behind `after`, at most `limit`; fewer only if no more of the range follow.
    pub(in crate::kms) fn grants(
        &self,
        range: GrantRange<'_>,
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<Vec<FoundGrant>> {
        let (account, key_id) = range.key;
        let tag = range.grantee.map(|grantee| self.grantee_tag(key_id, grantee));
        let prefix = [key_id.as_bytes().as_slice(), tag.as_ref().map_or(&[], |tag| tag.as_slice())].concat();
        let start = RecordId { kind: RecordKind::Grant, account, name: prefix.clone() };
        let after = after.cloned().max(Some(start));
        let found = self.sealed().scan(&Scan { kind: RecordKind::Grant, account: Some(account), after, limit })?;
        found
            .into_iter()
            .filter(|(id, ..)| id.name.starts_with(&prefix))
            .map(|(id, revision, body)| FoundGrant::read(&id, revision, &body))
            .collect()
    }

    fn grantee_tag(&self, key_id: KeyId, grantee: &Principal) -> [u8; GRANTEE_TAG] {
        let (account, text) = (grantee.account(), grantee.to_string());
        let parts = [b"grantee".as_slice(), key_id.as_bytes(), account.as_bytes(), text.as_bytes()];
        let mut tag = [0; GRANTEE_TAG];
        tag.copy_from_slice(&self.sealed().identity().identify(&parts)[..GRANTEE_TAG]);
        tag
    }
}

fn misnamed() -> Error {
    Error::new(ErrorKind::Internal, "the store returned a grant under a name that no grant has")
}

impl GrantRecord {
    /// What policies may ask when the grant is ended.
    pub(in crate::kms) const fn conditions(&self) -> [RequestParameter<'_>; 2] {
        [RequestParameter::Grant(&self.terms), RequestParameter::GrantIssuer(self.issuing_account)]
    }

    pub(in crate::kms) fn encode(&self) -> Result<Vec<u8>> {
        let mut writer = Writer::with_capacity(256);
        writer.u8(LAYOUT).bytes(&self.created.unix_millis().to_be_bytes()).bytes(self.issuing_account.as_bytes());
        principal(&mut writer, self.terms.grantee())?;
        if present(&mut writer, self.terms.retiring().is_some()) {
            self.terms.retiring().map_or(Ok(()), |retiring| principal(&mut writer, retiring))?;
        }
        let operations: Vec<Operation> = self.terms.operations().iter().collect();
        writer.u16(count(operations.len())?);
        for operation in operations {
            writer.prefixed_u16(operation.as_str().as_bytes(), "operation")?;
        }
        let constraints = self.terms.constraint();
        for context in [constraints.encryption_context_equals(), constraints.encryption_context_subset()] {
            pairs(&mut writer, context)?;
        }
        if present(&mut writer, self.name.is_some()) {
            writer.prefixed_u16(self.name.as_deref().unwrap_or_default().as_bytes(), "name")?;
        }
        Ok(writer.into_bytes())
    }

    pub(in crate::kms) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        if reader.u8("record layout")? != LAYOUT {
            return Err(CodecError::Invalid { field: "record layout" }.into());
        }
        let created = Timestamp::from_unix_millis(i64::from_be_bytes(reader.array("created")?));
        let issuing_account = read_account(&mut reader)?;
        let grantee = read_principal(&mut reader)?;
        let retiring = optional(&mut reader, read_principal)?;
        let mut operations = Vec::new();
        for _ in 0..reader.u16("operations")? {
            let operation = Operation::parse(text(&mut reader, "operation")?)?;
            if operations.last().is_some_and(|last| *last >= operation) {
                return Err(CodecError::Invalid { field: "operation order" }.into());
            }
            operations.push(operation);
        }
        let mut constraints = GrantConstraints::none();
        if let Some(context) = optional(&mut reader, read_pairs)? {
            constraints = constraints.equals(context)?;
        }
        if let Some(context) = optional(&mut reader, read_pairs)? {
            constraints = constraints.subset(context)?;
        }
        let name = optional(&mut reader, |reader| Ok(text(reader, "name")?.to_owned()))?;
        reader.finish()?;
        let terms = GrantTerms::new(grantee, operations)?.constraints(constraints);
        let terms = match retiring {
            Some(retiring) => terms.retiring_principal(retiring),
            None => terms,
        };
        Ok(Self { created, issuing_account, terms, name })
    }
}

fn principal(writer: &mut Writer, principal: &Principal) -> Result<(), CodecError> {
    writer.bytes(principal.account().as_bytes());
    writer.prefixed_u16(principal.to_string().as_bytes(), "principal")?;
    Ok(())
}

fn read_account(reader: &mut Reader<'_>) -> Result<AccountId> {
    let digits: [u8; 12] = reader.array("account")?;
    AccountId::parse(std::str::from_utf8(&digits).map_err(|_| CodecError::Invalid { field: "account" })?)
}

fn read_principal(reader: &mut Reader<'_>) -> Result<Principal> {
    let account = read_account(reader)?;
    let principal = Principal::parse_on_behalf_of(account, text(reader, "principal")?)?;
    if principal.account() != account {
        return Err(CodecError::Invalid { field: "principal" }.into());
    }
    Ok(principal)
}

fn pairs(writer: &mut Writer, context: Option<&EncryptionContext>) -> Result<(), CodecError> {
    if !present(writer, context.is_some()) {
        return Ok(());
    }
    let context: Vec<_> = context.into_iter().flat_map(EncryptionContext::iter).collect();
    writer.u16(count(context.len())?);
    for (key, value) in context {
        writer.prefixed_u16(key.as_bytes(), "context key")?;
        writer.prefixed_u16(value.as_bytes(), "context value")?;
    }
    Ok(())
}

fn read_pairs(reader: &mut Reader<'_>) -> Result<EncryptionContext> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for _ in 0..reader.u16("context")? {
        let pair = (text(reader, "context key")?, text(reader, "context value")?);
        if pairs.last().is_some_and(|last| last.0 >= pair.0) {
            return Err(CodecError::Invalid { field: "context order" }.into());
        }
        pairs.push(pair);
    }
    Ok(pairs.into_iter().collect())
}

fn present(writer: &mut Writer, present: bool) -> bool {
    writer.u8(u8::from(present));
    present
}

fn optional<T>(reader: &mut Reader<'_>, read: impl FnOnce(&mut Reader<'_>) -> Result<T>) -> Result<Option<T>> {
    match reader.u8("presence")? {
        0 => Ok(None),
        1 => read(reader).map(Some),
        _ => Err(CodecError::Invalid { field: "presence" }.into()),
    }
}

fn text<'a>(reader: &mut Reader<'a>, field: &'static str) -> Result<&'a str, CodecError> {
    std::str::from_utf8(reader.prefixed_u16(field)?).map_err(|_| CodecError::Invalid { field })
}

fn count(length: usize) -> Result<u16, CodecError> {
    u16::try_from(length).map_err(|_| CodecError::Invalid { field: "count" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_read_as_it_was_written_and_no_part_of_it_is() -> Result<()> {
        let account = AccountId::parse("111122223333")?;
        let context = EncryptionContext::from([("a", "1"), ("b", "größer")]);
        let constraints = GrantConstraints::none().equals(context.clone())?.subset(context)?;
        let terms = GrantTerms::new(Principal::service(account, "s3")?, [Operation::Decrypt, Operation::Encrypt])?;
        let full = GrantRecord {
            created: Timestamp::from_unix_millis(-5),
            issuing_account: account,
            terms: terms.clone().constraints(constraints).retiring_principal(Principal::user(account, "a/b")?),
            name: Some("retry".to_owned()),
        };
        let bare = GrantRecord { terms, name: None, ..full.clone() };
        for record in [full, bare] {
            let bytes = record.encode()?;
            assert_eq!(GrantRecord::decode(&bytes)?, record);
            assert!((0..bytes.len()).all(|length| GrantRecord::decode(&bytes[..length]).is_err()));
            assert!(GrantRecord::decode(&[&bytes[..], &[0]].concat()).is_err());
        }
        Ok(())
    }
}
