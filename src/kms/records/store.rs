//! Names of the records that concern the store as a whole: those of kind [`Store`](RecordKind::Store).

use crate::identity::AccountId;
use crate::store::{RecordId, RecordKind};

/// The name of a record that concerns the store as a whole.
pub(in crate::kms) fn store_record_id(name: &[u8]) -> RecordId {
    RecordId { kind: RecordKind::Store, account: AccountId::default(), name: name.to_vec() }
}
