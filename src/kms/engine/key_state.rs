//! The state of a key at a moment: whether it still exists, and what its custom key store makes of it.

use crate::kms::records::key::KeyRecord;
use crate::kms::storage::trusted_time::TrustedClock;

impl TrustedClock {
    /// Returns `true` if the waiting period of a key has ended by trusted time. Then the key exists for maintenance only.
    pub(in crate::kms) fn is_over(&self, record: &KeyRecord) -> bool {
        record.deletion.is_some() && record.is_past_deletion(self.confirmed())
    }
}
