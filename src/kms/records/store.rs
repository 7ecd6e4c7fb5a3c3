//! Names of store-wide records, which are of kind [`Store`](RecordKind::Store).

use crate::identity::AccountId;
use crate::store::{RecordId, RecordKind};

/// Returns the ID of a store-wide record.
pub(in crate::kms) fn store_record_id(name: &[u8]) -> RecordId {
    RecordId { kind: RecordKind::Store, account: AccountId::default(), name: name.to_vec() }
}
