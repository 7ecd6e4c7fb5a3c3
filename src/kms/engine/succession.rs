//! Declares a copy of a store the successor that owns the HSM key material.

use super::core::Core;
use super::mark_holder::MarkHolder;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::key::KeyArn;
use crate::kms::records::custom_key_store::ClusterClaim;
use crate::kms::records::instance::Instance;
use crate::kms::records::key::Deletion;
use crate::kms::request::SuccessionReport;
use crate::kms::storage::edit::Edit;
use crate::store::MAX_SCAN;

impl Core {
    /// Returns the writes that give this store a new instance ID and allow it to take over every
    /// holder.
    pub(in crate::kms) fn succession(&self) -> Result<Vec<Edit>> {
        let expected = self.copy_guard().recorded_instance()?.map(|(revision, _)| revision);
        let instance = Instance { id: self.copy_guard().nonce()?, place: self.registry.sealed().location() };
        let mut edits = vec![Edit::put(Instance::record_id(), &instance, expected)?];
        for (_, ClusterClaim { cluster, .. }) in self.registry.read_all::<ClusterClaim>()? {
            edits.extend(self.copy_guard().adopt_cluster(&cluster)?);
        }
        for provider in self.material.outside_providers() {
            edits.extend(self.copy_guard().adopt_provider(provider.id())?);
        }
        Ok(edits)
    }

    /// Returns the writes that restart the waiting periods of keys with external material, and the
    /// ARNs of these keys. Their deletion may have been canceled since the store was copied.
    pub(in crate::kms) fn postponed(&self, now: Timestamp) -> Result<(Vec<Edit>, Vec<KeyArn>)> {
        let (mut edits, mut postponed, mut after) = (Vec::new(), Vec::new(), None);
        loop {
            let batch = self.registry.keys(None, after, MAX_SCAN)?;
            let Some((account, key_id, ..)) = batch.last() else { return Ok((edits, postponed)) };
            after = Some((*account, *key_id));
            for (account, key_id, revision, mut record) in batch {
                let Some(deletion) = record.deletion.filter(|_| self.material.is_held_elsewhere(&record)) else {
                    continue;
                };
                let date = deletion.date.max(now.plus_days(deletion.window.days()));
                record.deletion = Some(Deletion { date, ..deletion });
                edits.push(Edit::put_key(record, Some(revision)));
                postponed.push(KeyArn::new(self.registry.locality().clone(), account, key_id));
            }
        }
    }

    /// Takes over every holder that answers.
    pub(in crate::kms) fn take_over(&self) -> Result<SuccessionReport> {
        let mut report = SuccessionReport::default();
        for (_, claim) in self.registry.read_all::<ClusterClaim>()? {
            let ClusterClaim { cluster, account, custom_key_store: id } = claim;
            let taken = self
                .connection(account, id)
                .and_then(|connection| self.copy_guard().confirm(&MarkHolder::of_cluster(&cluster, connection)));
            report.not_marked.extend(taken.err().map(|error| (cluster.to_string(), error)));
        }
        for provider in self.material.outside_providers() {
            let taken = self.copy_guard().confirm(&MarkHolder::of_provider(provider));
            report.not_marked.extend(taken.err().map(|error| (provider.id().as_str().to_owned(), error)));
        }
        Ok(report)
    }
}
