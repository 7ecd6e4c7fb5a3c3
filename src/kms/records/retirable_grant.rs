//! The index of grants that a principal may retire. A record is stored in the account of the
//! principal and named `16 bytes for the principal ‖ 12 account ‖ 16 key id ‖ 32 grant id`. All
//! grants of one principal are therefore adjacent.
//!
//! `u8 1`. The name contains all other information.

use super::codec::LAYOUT;
use super::grant::{place_bytes, read_place};
use super::stored_record::{PlainRecord, StoredRecord};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;
use crate::secret::SecretBytes;
use crate::store::{RecordId, RecordKind};

/// Identifies a principal at the start of a name.
pub(in crate::kms) type PrincipalTag = [u8; 16];

/// The index record of a grant that names a retiring principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kms) struct RetirableGrant;

impl RetirableGrant {
    /// Returns the ID of a grant's index record, in the account of the principal.
    pub(in crate::kms) fn record_id(principal: &PrincipalTag, account: AccountId, grant: &RecordId) -> RecordId {
        let name = [principal.as_slice(), &place_bytes(grant)].concat();
        RecordId { kind: RecordKind::RetirableGrant, account, name }
    }

    /// Returns the common prefix of a principal's record names.
    pub(in crate::kms) fn start(principal: &PrincipalTag, account: AccountId) -> RecordId {
        RecordId { kind: RecordKind::RetirableGrant, account, name: principal.to_vec() }
    }

    /// Returns the grant that a record refers to, or `None` if the record belongs to another
    /// principal.
    pub(in crate::kms) fn grant_in(id: &RecordId, principal: &PrincipalTag) -> Option<Result<RecordId>> {
        Some(read_place(id.name.strip_prefix(principal)?).ok_or_else(misnamed))
    }
}

impl StoredRecord for RetirableGrant {
    const KIND: RecordKind = RecordKind::RetirableGrant;

    fn decode(_id: &RecordId, bytes: &[u8]) -> Result<Self> {
        if bytes == [LAYOUT] {
            return Ok(Self);
        }
        Err(Error::new(ErrorKind::Internal, "the record of a retirable grant has an unknown layout"))
    }
}

impl PlainRecord for RetirableGrant {
    fn encode(&self) -> Result<SecretBytes> {
        Ok(SecretBytes::from_vec(vec![LAYOUT]))
    }
}

fn misnamed() -> Error {
    Error::new(ErrorKind::Internal, "the store returned a retirable grant with an invalid name")
}
