//! That a principal may retire a grant, in the account of the principal, under `16 bytes for the principal ‖ 12 account ‖
//! 16 key id ‖ 32 grant id`: so all grants of one principal lie next to each other.
//!
//! `u8 1`. All that it says is in its name.

use super::codec::LAYOUT;
use super::grant::{place_bytes, read_place};
use super::stored_record::{PlainRecord, StoredRecord};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;
use crate::secret::SecretBytes;
use crate::store::{RecordId, RecordKind};

/// Stands for a principal at the start of a name.
pub(in crate::kms) type PrincipalTag = [u8; 16];

/// The record beside a grant that names a retiring principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kms) struct RetirableGrant;

impl RetirableGrant {
    /// The name beside a grant, in the account of the principal.
    pub(in crate::kms) fn record_id(principal: &PrincipalTag, account: AccountId, grant: &RecordId) -> RecordId {
        let name = [principal.as_slice(), &place_bytes(grant)].concat();
        RecordId { kind: RecordKind::RetirableGrant, account, name }
    }

    /// What all names of a principal begin with.
    pub(in crate::kms) fn start(principal: &PrincipalTag, account: AccountId) -> RecordId {
        RecordId { kind: RecordKind::RetirableGrant, account, name: principal.to_vec() }
    }

    /// The grant that a record stands beside; `None` if that is of another principal.
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
        Err(Error::new(ErrorKind::Internal, "the record of a grant that can be retired has an unknown layout"))
    }
}

impl PlainRecord for RetirableGrant {
    fn encode(&self) -> Result<SecretBytes> {
        Ok(SecretBytes::from_vec(vec![LAYOUT]))
    }
}

fn misnamed() -> Error {
    Error::new(ErrorKind::Internal, "the store returned a grant that can be retired under a name that none has")
}
