//! The guard against copies of a store: only one of them may destroy material outside of the store.
//!
//! A copy of a store contains everything that the original does, so only external state can
//! distinguish them. The guard uses the location of the store
//! ([`KeyStore::location`](crate::store::KeyStore::location)) and marks in the HSMs and providers
//! that hold key material ([`InstanceMarks`](crate::provider::InstanceMarks)). The mark moves
//! before anything is destroyed. It also moves after any change that an earlier copy would undo: a
//! canceled key deletion or a completed key creation. A store that finds a mark it does not know
//! was superseded.
//!
//! Each mark is recorded in the store before it is set. A store therefore always knows all of its
//! marks, whichever of its processes sets them and wherever one is killed.

use std::thread;
use std::time::Duration;

use super::mark_holder::{MarkHolder, cluster_name, provider_name};
use crate::clock::Timestamp;
use crate::crypto::SecureRandom;
use crate::error::{Error, ErrorKind, Result};
use crate::key::ClusterId;
use crate::kms::records::instance::{Instance, MarkHistory, Verdict};
use crate::kms::storage::edit::Edit;
use crate::kms::storage::registry::Registry;
use crate::kms::storage::retry::{commit_with_retry, retriable};
use crate::kms::storage::sealed::only_prepared;
use crate::kms::storage::trusted_time::TrustedClock;
use crate::provider::{InstanceMark, ProviderId};
use crate::store::{CommitError, Revision};

/// Maximum number of times that marks are read again before another copy counts as having taken
/// over. A store or a token may briefly show an earlier state.
const MAX_DISCOVERY_ATTEMPTS: u32 = 3;

/// The delay before marks are read again.
const DISCOVERY_BACKOFF: Duration = Duration::from_millis(20);

/// Distinguishes this store from its copies, by its own records and by the marks in holders of key
/// material.
pub(in crate::kms) struct CopyGuard<'a> {
    pub(in crate::kms) registry: &'a Registry,
    pub(in crate::kms) random: &'a dyn SecureRandom,
    pub(in crate::kms) time: &'a TrustedClock,
}

impl CopyGuard<'_> {
    /// Returns the instance of this store. Records a new instance if there is none yet.
    pub(in crate::kms) fn instance(&self) -> Result<Instance> {
        commit_with_retry(contended, || {
            if let Some((_, instance)) = self.recorded_instance()? {
                return Ok(Some(instance));
            }
            let instance = Instance { id: self.nonce()?, place: self.registry.sealed().location() };
            let put = Edit::put(Instance::record_id(), &instance, None)?;
            let committed = retriable(self.registry.commit(&[put])).map_err(only_prepared)?;
            Ok(committed.map(|_| instance))
        })
    }

    /// Returns the recorded instance and its revision.
    pub(in crate::kms) fn recorded_instance(&self) -> Result<Option<(Revision, Instance)>> {
        self.registry.read(&Instance::record_id())
    }

    /// Returns the recorded marks of a holder.
    pub(in crate::kms) fn history(&self, holder: &str) -> Result<Option<(Revision, MarkHistory)>> {
        self.registry.read(&MarkHistory::record_id(holder))
    }

    /// Returns random bytes for an instance or a mark.
    pub(in crate::kms) fn nonce(&self) -> Result<[u8; 16]> {
        let mut nonce = [0; 16];
        self.random.fill(&mut nonce)?;
        Ok(nonce)
    }

    /// Returns a tag for counters, which distinguishes this store from its copies.
    pub(in crate::kms) fn instance_tag(&self) -> Result<[u8; 16]> {
        let (instance, place) = (self.instance()?, self.registry.sealed().location());
        let place = place.as_ref().map_or(&[][..], |place| place);
        let tag = self.registry.sealed().identity().identify(&[b"instance tag", &instance.id, place]);
        Ok(tag.first_chunk().copied().unwrap_or_default())
    }

    /// Rejects a store that is in a different location than before.
    pub(in crate::kms) fn check_place(&self) -> Result<Instance> {
        let instance = self.instance()?;
        if instance.is_at(self.registry.sealed().location()) {
            return Ok(instance);
        }
        Err(copied("this store was copied, restored, or moved"))
    }

    /// Returns the writes that supersede copies from before this commit in a holder. A store that
    /// is itself a copy writes nothing.
    fn next_mark(&self, holder: &str, now: Timestamp) -> Result<Vec<Edit>> {
        let instance = self.instance()?;
        if !instance.is_at(self.registry.sealed().location()) {
            return Ok(Vec::new());
        }
        let (expected, mut history) = match self.history(holder)? {
            Some((revision, history)) => (Some(revision), history),
            None => (None, MarkHistory::new(instance.id)),
        };
        history.push(self.nonce()?, &[], now);
        Ok(vec![Edit::put(MarkHistory::record_id(holder), &history, expected)?])
    }

    /// Like [`next_mark`](Self::next_mark), for a cluster.
    pub(in crate::kms) fn next_cluster_mark(&self, cluster: &ClusterId, now: Timestamp) -> Result<Vec<Edit>> {
        self.next_mark(&cluster_name(cluster), now)
    }

    /// Like [`next_mark`](Self::next_mark), for a provider.
    pub(in crate::kms) fn next_provider_mark(&self, provider: &ProviderId, now: Timestamp) -> Result<Vec<Edit>> {
        self.next_mark(&provider_name(provider), now)
    }

    /// Returns the write that allows a custom key store to take over a cluster that it never owned,
    /// whatever its marks are.
    pub(in crate::kms) fn adopt_cluster(&self, cluster: &ClusterId) -> Result<Option<Edit>> {
        self.adopt(&cluster_name(cluster))
    }

    /// Like [`adopt_cluster`](Self::adopt_cluster), for a provider.
    pub(in crate::kms) fn adopt_provider(&self, provider: &ProviderId) -> Result<Option<Edit>> {
        self.adopt(&provider_name(provider))
    }

    fn adopt(&self, holder: &str) -> Result<Option<Edit>> {
        if self.history(holder)?.is_some() {
            return Ok(None);
        }
        let nobody = MarkHistory::new([0; 16]);
        Ok(Some(Edit::put(MarkHistory::record_id(holder), &nobody, None)?))
    }

    /// Checks that no copy of this store has taken over, and sets the last recorded mark.
    ///
    /// # Errors
    /// - [`CopiedStore`](ErrorKind::CopiedStore) if this store is a copy, or was superseded by one.
    /// - [`KeyUnavailable`](ErrorKind::KeyUnavailable) if marks cannot be read or set.
    pub(in crate::kms) fn confirm(&self, holder: &MarkHolder<'_>) -> Result<()> {
        self.check_place()?;
        let Some(marks) = holder.marks else { return Ok(()) };
        let (store, mut attempts) = (self.registry.store_id().0, 0);
        commit_with_retry(contended, || {
            // Read before the record, which then contains every mark that this store has set.
            let found = marks.marks(store)?;
            let instance = self.instance()?;
            let recorded = self.history(&holder.name)?;
            let history = recorded.as_ref().map_or_else(|| MarkHistory::new(instance.id), |(_, known)| known.clone());
            match history.verdict(&instance, &found) {
                Verdict::Current => return self.note_confirmation(holder, recorded).map(Some),
                Verdict::Behind(last) => marks.add_mark(store, last)?,
                Verdict::Unmarked => {
                    self.start_history(holder, &found, &instance, recorded.map(|(revision, _)| revision))?;
                }
                Verdict::Missing | Verdict::Foreign if attempts < MAX_DISCOVERY_ATTEMPTS => {
                    attempts += 1;
                    thread::sleep(DISCOVERY_BACKOFF);
                }
                Verdict::Missing => {
                    return Err(copied(&format!(
                        "the mark of this store is missing from the {}",
                        holder.description()
                    )));
                }
                Verdict::Foreign => {
                    return Err(copied(&format!(
                        "another copy of this store has taken over the {}",
                        holder.description()
                    )));
                }
            }
            Ok(None)
        })
    }

    fn start_history(
        &self,
        holder: &MarkHolder<'_>,
        found: &[InstanceMark],
        instance: &Instance,
        expected: Option<Revision>,
    ) -> Result<()> {
        let mut history = MarkHistory::new(instance.id);
        history.push(self.nonce()?, found, self.time.now());
        let put = Edit::put(MarkHistory::record_id(&holder.name), &history, expected)?;
        match self.registry.commit(&[put]) {
            // After a conflict, the next attempt reads the record of the other process.
            Ok(_) | Err(CommitError::Conflict(_)) => Ok(()),
            Err(CommitError::Failed(error)) => Err(only_prepared(error)),
        }
    }

    /// Records that the last mark was found in its holder, if that is worth a commit.
    fn note_confirmation(&self, holder: &MarkHolder<'_>, recorded: Option<(Revision, MarkHistory)>) -> Result<()> {
        let Some((revision, mut history)) = recorded.filter(|(_, history)| history.is_worth_confirming()) else {
            return Ok(());
        };
        history.confirm();
        let id = MarkHistory::record_id(&holder.name);
        match self.registry.commit(&[Edit::put(id, &history, Some(revision))?]) {
            Ok(_) | Err(CommitError::Conflict(_)) => Ok(()),
            Err(CommitError::Failed(error)) => Err(only_prepared(error)),
        }
    }

    /// Supersedes all copies of this store, before something is destroyed in a holder.
    ///
    /// # Errors
    /// - The errors of [`CopyGuard::confirm`].
    pub(in crate::kms) fn leave_copies_behind(&self, holder: &MarkHolder<'_>) -> Result<()> {
        self.check_place()?;
        if holder.marks.is_none() {
            return Ok(());
        }
        self.confirm(holder)?;
        commit_with_retry(contended, || {
            let edits = self.next_mark(&holder.name, self.time.now())?;
            retriable(self.registry.commit(&edits)).map_err(only_prepared)
        })?;
        self.confirm(holder)
    }
}

fn copied(what: &str) -> Error {
    let text = format!(
        "{what}, so it does not create or destroy anything in HSMs: to continue with this store, call \
         declare_successor"
    );
    Error::new(ErrorKind::CopiedStore, text)
}

fn contended<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Conflict, "too many concurrent changes to the marks of the store: try again"))
}
