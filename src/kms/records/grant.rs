//! A grant, named `16 key id ‖ 32 grant id` in the account of the key.
//!
//! `u8 1 ‖ i64 created ‖ issuing account ‖ grantee ‖ retiring principal? ‖ u16 count, operations
//! (wire names) ‖ equals? (u16 count, pairs) ‖ subset? (u16 count, pairs) ‖ name?`. A principal is
//! `account ‖ ARN or domain name`, an account its 12 digits. Times are milliseconds since 1970,
//! texts carry a 16-bit length, and optional fields are preceded by a byte 0 or 1.

use super::codec::{
    LAYOUT, account, check_layout, check_order, optional, put_count, put_optional, put_text, put_timestamp, text,
    timestamp,
};
use super::names::misnamed;
use super::stored_record::StoredRecord;
use crate::clock::Timestamp;
use crate::codec::{CodecError, Reader, Writer};
use crate::context::EncryptionContext;
use crate::error::Result;
use crate::identity::{AccountId, Principal};
use crate::key::{KeyId, Operation};
use crate::policy::{GrantConstraints, GrantId, GrantTerms, RequestParameter};
use crate::secret::SecretBytes;
use crate::store::{RecordId, RecordKind};

/// A stored grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kms) struct GrantRecord {
    pub(in crate::kms) created: Timestamp,
    pub(in crate::kms) issuing_account: AccountId,
    pub(in crate::kms) terms: GrantTerms,
    /// Identifies a repeated request.
    pub(in crate::kms) name: Option<String>,
}

/// Encodes the location of a grant in any account: `12 account ‖ 16 key id ‖ 32 grant id`.
pub(in crate::kms) fn place_bytes(place: &RecordId) -> Vec<u8> {
    [place.account.as_bytes().as_slice(), &place.name].concat()
}

/// Decodes the output of [`place_bytes`].
pub(in crate::kms) fn read_place(bytes: &[u8]) -> Option<RecordId> {
    let (account, name) = bytes.split_at_checked(12).filter(|(_, name)| name.len() == 48)?;
    let account = AccountId::parse(std::str::from_utf8(account).ok()?).ok()?;
    Some(RecordId { kind: RecordKind::Grant, account, name: name.to_vec() })
}

impl GrantRecord {
    pub(in crate::kms) fn record_id(account: AccountId, key_id: KeyId, id: GrantId) -> RecordId {
        let name = [key_id.as_bytes().as_slice(), id.as_bytes().as_slice()].concat();
        RecordId { kind: RecordKind::Grant, account, name }
    }

    /// Returns the key ID and the grant ID in the record's name.
    pub(in crate::kms) fn ids_in(id: &RecordId) -> Result<(KeyId, GrantId)> {
        let (key_id, grant_id) = id.name.split_at_checked(16).ok_or_else(misnamed)?;
        let key_id = KeyId::from_bytes(key_id.try_into().map_err(|_| misnamed())?);
        Ok((key_id, GrantId::from_bytes(grant_id.try_into().map_err(|_| misnamed())?)))
    }

    /// Returns the request parameters that policies can test when the grant is retired or revoked.
    pub(in crate::kms) const fn conditions(&self) -> [RequestParameter<'_>; 2] {
        [RequestParameter::Grant(&self.terms), RequestParameter::GrantIssuer(self.issuing_account)]
    }

    pub(in crate::kms) fn encode(&self) -> Result<SecretBytes> {
        let mut writer = Writer::with_capacity(256);
        writer.u8(LAYOUT);
        put_timestamp(&mut writer, self.created);
        writer.bytes(self.issuing_account.as_bytes());
        put_principal(&mut writer, self.terms.grantee())?;
        put_optional(&mut writer, self.terms.retiring_principal(), put_principal)?;
        let operations: Vec<Operation> = self.terms.operations().iter().collect();
        put_count(&mut writer, operations.len(), "operations")?;
        operations.iter().try_for_each(|operation| put_text(&mut writer, operation.as_str(), "operation"))?;
        let constraints = self.terms.constraints();
        for context in [constraints.encryption_context_equals(), constraints.encryption_context_subset()] {
            put_optional(&mut writer, context, put_context)?;
        }
        put_optional(&mut writer, self.name.as_deref(), |writer, name| put_text(writer, name, "name"))?;
        Ok(SecretBytes::from_vec(writer.into_bytes()))
    }
}

impl StoredRecord for GrantRecord {
    const KIND: RecordKind = RecordKind::Grant;

    fn decode(_id: &RecordId, bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        check_layout(&mut reader)?;
        let created = timestamp(&mut reader)?;
        let issuing_account = account(&mut reader)?;
        let grantee = principal(&mut reader)?;
        let retiring = optional(&mut reader, principal)?;
        let mut operations = Vec::new();
        for _ in 0..reader.u16("operations")? {
            let operation = Operation::parse(text(&mut reader, "operation")?)?;
            check_order(operations.last(), &operation, "operation order")?;
            operations.push(operation);
        }
        let mut constraints = GrantConstraints::new();
        if let Some(required) = optional(&mut reader, context)? {
            constraints = constraints.with_encryption_context_equals(required)?;
        }
        if let Some(required) = optional(&mut reader, context)? {
            constraints = constraints.with_encryption_context_subset(required)?;
        }
        let name = optional(&mut reader, |reader| Ok(text(reader, "name")?.to_owned()))?;
        reader.finish()?;
        let terms = GrantTerms::new(grantee, operations)?.with_constraints(constraints);
        let terms = match retiring {
            Some(retiring) => terms.with_retiring_principal(retiring),
            None => terms,
        };
        Ok(Self { created, issuing_account, terms, name })
    }
}

fn put_principal(writer: &mut Writer, principal: &Principal) -> Result<(), CodecError> {
    writer.bytes(principal.account().as_bytes());
    put_text(writer, &principal.stored_name(), "principal")
}

fn principal(reader: &mut Reader<'_>) -> Result<Principal> {
    let account = account(reader)?;
    let principal = Principal::parse_on_behalf_of(account, text(reader, "principal")?)?;
    if principal.account() != account {
        return Err(CodecError::Invalid { field: "principal" }.into());
    }
    Ok(principal)
}

fn put_context(writer: &mut Writer, context: &EncryptionContext) -> Result<(), CodecError> {
    put_count(writer, context.iter().count(), "context")?;
    context.iter().try_for_each(|(key, value)| {
        put_text(writer, key, "context key")?;
        put_text(writer, value, "context value")
    })
}

fn context(reader: &mut Reader<'_>) -> Result<EncryptionContext> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for _ in 0..reader.u16("context")? {
        let pair = (text(reader, "context key")?, text(reader, "context value")?);
        check_order(pairs.last().map(|last| last.0), pair.0, "context order")?;
        pairs.push(pair);
    }
    Ok(pairs.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_read_as_it_was_written_and_no_part_of_it_is() -> Result<()> {
        let account = AccountId::parse("111122223333")?;
        let context = EncryptionContext::from([("a", "1"), ("b", "größer")]);
        let constraints = GrantConstraints::new()
            .with_encryption_context_equals(context.clone())?
            .with_encryption_context_subset(context)?;
        let terms = GrantTerms::new(Principal::service(account, "s3")?, [Operation::Decrypt, Operation::Encrypt])?;
        let full = GrantRecord {
            created: Timestamp::from_unix_millis(-5),
            issuing_account: account,
            terms: terms
                .clone()
                .with_constraints(constraints)
                .with_retiring_principal(Principal::user(account, "a/b")?),
            name: Some("retry".to_owned()),
        };
        let bare = GrantRecord { terms, name: None, ..full.clone() };
        for record in [full, bare] {
            let id = GrantRecord::record_id(account, KeyId::from_bytes([1; 16]), GrantId::from_bytes([2; 32]));
            let bytes = record.encode()?;
            let bytes = bytes.expose_secret();
            assert_eq!(GrantRecord::decode(&id, bytes)?, record);
            assert!((0..bytes.len()).all(|length| GrantRecord::decode(&id, &bytes[..length]).is_err()));
            assert!(GrantRecord::decode(&id, &[bytes, &[0]].concat()).is_err());
        }
        Ok(())
    }
}
