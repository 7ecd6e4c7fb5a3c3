//! Checks and updates of the marks in HSMs and providers: when a key is deleted, when a deletion is
//! canceled, and during maintenance.

use std::time::Duration;

use super::core::Core;
use super::mark_holder::MarkHolder;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::kms::records::custom_key_store::ClusterClaim;
use crate::kms::records::key::KeyRecord;
use crate::kms::storage::edit::Edit;

/// The time after which maintenance moves a mark even if nothing was destroyed, so that a copy is
/// superseded before a waiting period in it can end.
const MARKS_MOVE_AFTER: Duration = Duration::from_secs(86_400);

impl Core {
    /// Refuses to delete a key with external material if the store is known to be a copy. An HSM
    /// that does not answer is no reason to refuse.
    pub(in crate::kms) fn refuse_deletion_in_copy(&self, record: &KeyRecord) -> Result<()> {
        if !self.material.is_held_elsewhere(record) {
            return Ok(());
        }
        self.copy_guard().check_place()?;
        let confirmed = match record.custom_key_store {
            Some(id) => self.registry.custom_key_store(record.account, id).and_then(|found| {
                let connection = self.connection(record.account, id)?;
                self.copy_guard().confirm(&MarkHolder::of_cluster(&found.record.cluster, connection))
            }),
            None => self
                .material
                .holders(record)
                .into_iter()
                .try_for_each(|held| self.copy_guard().confirm(&MarkHolder::of_provider(held))),
        };
        match confirmed {
            Err(error) if error.kind() == ErrorKind::CopiedStore => Err(error),
            _ => Ok(()),
        }
    }

    /// Returns the writes of a canceled deletion that supersede earlier copies.
    pub(in crate::kms) fn marks_of_cancelled_deletion(&self, record: &KeyRecord, now: Timestamp) -> Result<Vec<Edit>> {
        if let Some(id) = record.custom_key_store {
            return self
                .copy_guard()
                .next_cluster_mark(&self.registry.custom_key_store(record.account, id)?.record.cluster, now);
        }
        let mut edits = Vec::new();
        for provider in self.material.holders(record).into_iter().filter(|provider| provider.instance_marks().is_some())
        {
            edits.extend(self.copy_guard().next_provider_mark(provider.id(), now)?);
        }
        Ok(edits)
    }

    /// Sets the marks that were recorded with a change of a key. Maintenance sets those that cannot
    /// be set now.
    pub(in crate::kms) fn set_marks_of(&self, record: &KeyRecord) {
        if let Some(id) = record.custom_key_store {
            let _ = self.registry.custom_key_store(record.account, id).and_then(|found| {
                let connection = self.connection(record.account, id)?;
                self.copy_guard().confirm(&MarkHolder::of_cluster(&found.record.cluster, connection))
            });
        }
        for provider in self.material.holders(record) {
            let _ = self.copy_guard().confirm(&MarkHolder::of_provider(provider));
        }
    }

    /// Sets marks that could not be set before, and moves those that were not moved for a day.
    /// Returns the failures.
    pub(in crate::kms) fn maintain_marks(&self, now: Timestamp) -> Result<Vec<Error>> {
        let mut failed = Vec::new();
        let mut holders = Vec::new();
        for (_, claim) in self.registry.read_all::<ClusterClaim>()? {
            let ClusterClaim { cluster, account, custom_key_store: id } = claim;
            // Only if this process is already connected.
            if let Some(connection) = self.hsms.get(&cluster).filter(|connection| connection.is_connected(id)) {
                holders.push(MarkHolder::of_cluster(&cluster, self.connection(account, id).unwrap_or(connection)));
            }
        }
        holders.extend(self.material.outside_providers().map(MarkHolder::of_provider));
        for holder in holders {
            let Some((_, history)) = self.copy_guard().history(&holder.name)? else { continue };
            let tended = match now.since(history.moved) >= MARKS_MOVE_AFTER {
                true => self.copy_guard().leave_copies_behind(&holder),
                false => self.copy_guard().confirm(&holder),
            };
            failed.extend(tended.err());
        }
        Ok(failed)
    }
}
