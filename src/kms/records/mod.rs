//! The records of a store, one file per kind. Each file documents its byte layout in its header.

pub(super) mod alias;
pub(super) mod audit_chain;
pub(super) mod codec;
pub(super) mod custom_key_store;
pub(super) mod destruction;
pub(super) mod grant;
pub(super) mod high_water_mark;
pub(super) mod identity_policy;
pub(super) mod imported;
pub(super) mod instance;
pub(super) mod intent;
pub(super) mod key;
mod key_state;
pub(super) mod key_version;
pub(super) mod message_count;
pub(super) mod names;
pub(super) mod retirable_grant;
mod store;
pub(super) mod stored_record;
pub(super) mod tombstone;
pub(super) mod usage;

pub(super) use store::store_record_id;

use self::alias::AliasRecord;
use self::custom_key_store::{ClusterClaim, CustomKeyStores};
use self::destruction::Destruction;
use self::grant::GrantRecord;
use self::identity_policy::IdentityPolicies;
use self::intent::Intent;
use self::key::KeyRecord;
use self::retirable_grant::RetirableGrant;
use self::stored_record::StoredRecord;
use self::tombstone::Tombstone;
use self::usage::UsageRecord;
use crate::error::{Error, ErrorKind, Result};
use crate::store::{RecordId, RecordKind};

/// Checks that a record decodes, whatever its kind.
pub(super) fn check(id: &RecordId, body: &[u8]) -> Result<()> {
    match id.kind {
        RecordKind::Key => decodes::<KeyRecord>(id, body),
        RecordKind::Alias => decodes::<AliasRecord>(id, body),
        RecordKind::Grant => decodes::<GrantRecord>(id, body),
        RecordKind::IdentityPolicy => decodes::<IdentityPolicies>(id, body),
        RecordKind::Usage => decodes::<UsageRecord>(id, body),
        RecordKind::CustomKeyStore if ClusterClaim::is_named(id) => Ok(()),
        RecordKind::CustomKeyStore => decodes::<CustomKeyStores>(id, body),
        RecordKind::Intent => decodes::<Intent>(id, body),
        RecordKind::Tombstone => decodes::<Tombstone>(id, body),
        RecordKind::RetirableGrant => decodes::<RetirableGrant>(id, body),
        RecordKind::Destruction => decodes::<Destruction>(id, body),
        // These are decoded on every use, which detects any corruption.
        RecordKind::Store | RecordKind::Audit | RecordKind::MessageCount => Ok(()),
        // The same, and only the feature `parameters` knows their layout.
        RecordKind::Parameter | RecordKind::ParameterVersion | RecordKind::ParameterCount => Ok(()),
        // These are in stores of their own.
        RecordKind::BranchKey => Err(unexpected()),
    }
}

/// Returns the error for a record that only stores of branch keys contain.
fn unexpected() -> Error {
    Error::new(ErrorKind::Integrity, "the store of a KMS contains a branch key")
}

fn decodes<R: StoredRecord>(id: &RecordId, body: &[u8]) -> Result<()> {
    R::decode(id, body).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::AccountId;

    #[test]
    fn every_record_that_a_call_would_fail_on_is_refused() {
        let check =
            |kind, body: &[u8]| check(&RecordId { kind, account: AccountId::default(), name: Vec::new() }, body);
        for kind in [
            RecordKind::Key,
            RecordKind::Alias,
            RecordKind::Grant,
            RecordKind::IdentityPolicy,
            RecordKind::Usage,
            RecordKind::CustomKeyStore,
            RecordKind::Intent,
            RecordKind::Tombstone,
            RecordKind::RetirableGrant,
            RecordKind::Destruction,
            RecordKind::BranchKey,
        ] {
            assert!(check(kind, b"no record").is_err() && check(kind, b"").is_err(), "{kind:?}");
        }
        let opaque = [RecordKind::Parameter, RecordKind::ParameterVersion, RecordKind::ParameterCount];
        for kind in [RecordKind::Store, RecordKind::Audit, RecordKind::MessageCount].into_iter().chain(opaque) {
            assert!(check(kind, b"").is_ok(), "{kind:?}");
        }
    }
}
