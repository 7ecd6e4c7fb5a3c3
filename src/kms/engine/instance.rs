//! Which of several copies of a store may destroy what lies outside of it.
//!
//! A copy of a store holds everything that the original does, so what tells them apart lies elsewhere: the place of the
//! store ([`KeyStore::place`](crate::store::KeyStore::place)), and marks in the HSMs and providers that hold key material
//! ([`InstanceMarks`]). The mark moves before anything is destroyed, and after whatever a copy
//! from before would undo: the cancelled deletion of a key, the completed creation of one. A store that does not know the
//! mark that it finds was left behind.
//!
//! Each mark is recorded in the store before it is set, so the marks of one store are always known to it, whichever of its
//! processes sets them and wherever one is killed.

use super::connections::Connection;
use super::core::Core;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{ClusterId, KeyArn};
use crate::kms::records::custom_key_store::ClusterClaim;
use crate::kms::records::instance::{Instance, MarkHistory, Verdict};
use crate::kms::records::key::{Deletion, KeyRecord};
use crate::kms::request::SuccessionReport;
use crate::kms::storage::edit::Edit;
use crate::kms::storage::registry::MAX_COMMIT_ATTEMPTS;
use crate::kms::storage::sealed::only_prepared;
use crate::provider::{InstanceMark, InstanceMarks, KeyMaterialProvider, ProviderId};
use crate::store::{CommitError, MAX_SCAN, Revision};

/// How often marks are compared before it is believed that another copy took over: a store or a token may show an earlier
/// state for a moment.
const LOOKS: u32 = 3;

/// How long after a look comes the next one.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(20);

/// After how long maintenance moves marks although nothing was to be destroyed, so that a copy is left behind before a
/// waiting period of its own can end.
const MARKS_MOVE_AFTER: std::time::Duration = std::time::Duration::from_secs(86_400);

/// A home of key material outside of the store: a cluster, or a provider.
pub(in crate::kms) struct Home<'a> {
    name: String,
    marks: Option<&'a dyn InstanceMarks>,
}

impl<'a> Home<'a> {
    pub(in crate::kms) fn of_cluster(id: &ClusterId, connection: &'a Connection) -> Self {
        Self { name: cluster_home(id), marks: connection.cluster.provider().instance_marks() }
    }

    pub(in crate::kms) fn of_provider(provider: &'a dyn KeyMaterialProvider) -> Self {
        Self { name: provider_home(provider.id()), marks: provider.instance_marks() }
    }
}

fn cluster_home(id: &ClusterId) -> String {
    format!("cluster/{id}")
}

fn provider_home(id: &ProviderId) -> String {
    format!("provider/{}", id.as_str())
}

impl Core {
    /// The instance of this store, recorded now if it never was.
    pub(in crate::kms) fn instance(&self) -> Result<Instance> {
        for _ in 0..MAX_COMMIT_ATTEMPTS {
            if let Some((_, instance)) = self.recorded_instance()? {
                return Ok(instance);
            }
            let instance = Instance { id: self.nonce()?, place: self.registry.sealed().place() };
            match self.registry.commit(&[Edit::put(Instance::record_id(), &instance, None)?]) {
                Ok(_) => return Ok(instance),
                Err(CommitError::Conflict(_)) => {}
                Err(CommitError::Failed(error)) => return Err(only_prepared(error)),
            }
        }
        Err(kept_changing())
    }

    fn recorded_instance(&self) -> Result<Option<(Revision, Instance)>> {
        self.registry.read(&Instance::record_id())
    }

    fn history(&self, home: &str) -> Result<Option<(Revision, MarkHistory)>> {
        self.registry.read(&MarkHistory::record_id(home))
    }

    fn nonce(&self) -> Result<[u8; 16]> {
        let mut nonce = [0; 16];
        self.material.backend.random().fill(&mut nonce)?;
        Ok(nonce)
    }

    /// What distinguishes this store from its copies, for what it counts.
    pub(in crate::kms) fn instance_tag(&self) -> Result<[u8; 16]> {
        let (instance, place) = (self.instance()?, self.registry.sealed().place());
        let place = place.as_ref().map_or(&[][..], |place| place);
        let tag = self.registry.sealed().identity().identify(&[b"instance tag", &instance.id, place]);
        Ok(tag.first_chunk().copied().unwrap_or_default())
    }

    /// Refuses a store that is in another place than before.
    pub(in crate::kms) fn check_place(&self) -> Result<Instance> {
        let instance = self.instance()?;
        if instance.is_at(self.registry.sealed().place()) {
            return Ok(instance);
        }
        Err(copied("this store is a copy, or was restored or moved"))
    }

    /// The writes by which copies from before this commit are left behind in a home. None in a store that is a copy itself.
    fn next_mark(&self, home: &str, now: Timestamp) -> Result<Vec<Edit>> {
        let instance = self.instance()?;
        if !instance.is_at(self.registry.sealed().place()) {
            return Ok(Vec::new());
        }
        let (expected, mut history) = match self.history(home)? {
            Some((revision, history)) => (Some(revision), history),
            None => (None, MarkHistory::new(instance.id)),
        };
        history.push(self.nonce()?, &[], now);
        Ok(vec![Edit::put(MarkHistory::record_id(home), &history, expected)?])
    }

    /// The same for a cluster.
    pub(in crate::kms) fn next_cluster_mark(&self, cluster: &ClusterId, now: Timestamp) -> Result<Vec<Edit>> {
        self.next_mark(&cluster_home(cluster), now)
    }

    /// The write after which a custom key store may take over a cluster that was never its own, whatever marks that has.
    pub(in crate::kms) fn adopt_cluster(&self, cluster: &ClusterId) -> Result<Option<Edit>> {
        let home = cluster_home(cluster);
        if self.history(&home)?.is_some() {
            return Ok(None);
        }
        Ok(Some(unmarked(&home)?))
    }

    /// Makes sure that no copy of this store has taken over, and sets the last mark that was recorded.
    ///
    /// # Errors
    /// [`CopiedStore`](ErrorKind::CopiedStore) if this store is a copy, or was left behind by one;
    /// [`KeyUnavailable`](ErrorKind::KeyUnavailable) if marks cannot be read or set.
    pub(in crate::kms) fn confirm_instance(&self, home: &Home<'_>) -> Result<()> {
        self.check_place()?;
        let Some(marks) = home.marks else { return Ok(()) };
        let (store, mut looks) = (self.registry.store_id().0, 0);
        for _ in 0..MAX_COMMIT_ATTEMPTS {
            // Before the record, which knows every mark that this store has set by then.
            let found = marks.marks(store)?;
            let instance = self.instance()?;
            let recorded = self.history(&home.name)?;
            let history = recorded.as_ref().map_or_else(|| MarkHistory::new(instance.id), |(_, known)| known.clone());
            match history.verdict(&instance, &found) {
                Verdict::Current => return self.note_confirmation(home, recorded),
                Verdict::Behind(last) => marks.add_mark(store, last)?,
                Verdict::Unmarked => {
                    self.start_history(home, &found, &instance, recorded.map(|(revision, _)| revision))?;
                }
                Verdict::Missing | Verdict::Foreign if looks < LOOKS => {
                    looks += 1;
                    std::thread::sleep(LOOK_AGAIN);
                }
                Verdict::Missing => {
                    return Err(copied(&format!("the mark of this store is gone from the {}", described(home))));
                }
                Verdict::Foreign => {
                    return Err(copied(&format!("another copy of this store took over the {}", described(home))));
                }
            }
        }
        Err(kept_changing())
    }

    fn start_history(
        &self,
        home: &Home<'_>,
        found: &[InstanceMark],
        instance: &Instance,
        expected: Option<Revision>,
    ) -> Result<()> {
        let mut history = MarkHistory::new(instance.id);
        history.push(self.nonce()?, found, self.time.now());
        let put = Edit::put(MarkHistory::record_id(&home.name), &history, expected)?;
        match self.registry.commit(&[put]) {
            // Another process was faster; the next look shows what it recorded.
            Ok(_) | Err(CommitError::Conflict(_)) => Ok(()),
            Err(CommitError::Failed(error)) => Err(only_prepared(error)),
        }
    }

    /// Records that the last mark was found in its home, now and then.
    fn note_confirmation(&self, home: &Home<'_>, recorded: Option<(Revision, MarkHistory)>) -> Result<()> {
        let Some((revision, mut history)) = recorded.filter(|(_, history)| history.is_worth_confirming()) else {
            return Ok(());
        };
        history.confirm();
        let id = MarkHistory::record_id(&home.name);
        match self.registry.commit(&[Edit::put(id, &history, Some(revision))?]) {
            Ok(_) | Err(CommitError::Conflict(_)) => Ok(()),
            Err(CommitError::Failed(error)) => Err(only_prepared(error)),
        }
    }

    /// Leaves all copies of this store behind, before something is destroyed in a home.
    ///
    /// # Errors
    /// Those of [`Core::confirm_instance`].
    pub(in crate::kms) fn leave_copies_behind(&self, home: &Home<'_>) -> Result<()> {
        self.check_place()?;
        if home.marks.is_none() {
            return Ok(());
        }
        self.confirm_instance(home)?;
        for _ in 0..MAX_COMMIT_ATTEMPTS {
            match self.registry.commit(&self.next_mark(&home.name, self.time.now())?) {
                Ok(_) => return self.confirm_instance(home),
                Err(CommitError::Conflict(_)) => std::thread::yield_now(),
                Err(CommitError::Failed(error)) => return Err(only_prepared(error)),
            }
        }
        Err(kept_changing())
    }

    /// The providers that hold material of a key outside of the store, of those that are configured.
    fn holders(&self, record: &KeyRecord) -> Vec<&dyn KeyMaterialProvider> {
        let mut ids: Vec<&ProviderId> = record.versions.iter().map(|version| &version.provider).collect();
        ids.dedup();
        let found = ids.into_iter().filter_map(|id| self.material.provider(id).ok());
        found.map(|provider| &**provider).filter(|provider| provider.transfer().is_none()).collect()
    }

    /// Returns `true` if a key has material outside of the store, as far as is known.
    fn is_held_elsewhere(&self, record: &KeyRecord) -> bool {
        let holds = |id: &ProviderId| self.material.provider(id).map_or(true, |provider| provider.transfer().is_none());
        record.custom_key_store.is_some() || record.versions.iter().any(|version| holds(&version.provider))
    }

    /// Refuses to delete a key whose material lies elsewhere, in a store that is known to be a copy: an HSM that does not
    /// answer is no reason.
    pub(in crate::kms) fn refuse_deletion_in_copy(&self, record: &KeyRecord) -> Result<()> {
        if !self.is_held_elsewhere(record) {
            return Ok(());
        }
        self.check_place()?;
        let confirmed = match record.custom_key_store {
            Some(id) => self.custom_key_store(record.account, id).and_then(|found| {
                let connection = self.connection(record.account, id)?;
                self.confirm_instance(&Home::of_cluster(&found.record.cluster, connection))
            }),
            None => {
                self.holders(record).into_iter().try_for_each(|held| self.confirm_instance(&Home::of_provider(held)))
            }
        };
        match confirmed {
            Err(error) if error.kind() == ErrorKind::CopiedStore => Err(error),
            _ => Ok(()),
        }
    }

    /// The writes that belong to the cancelled deletion of a key: copies from before it are left behind.
    pub(in crate::kms) fn marks_of_rescue(&self, record: &KeyRecord, now: Timestamp) -> Result<Vec<Edit>> {
        if let Some(id) = record.custom_key_store {
            return self.next_cluster_mark(&self.custom_key_store(record.account, id)?.record.cluster, now);
        }
        let mut edits = Vec::new();
        for provider in self.holders(record).into_iter().filter(|provider| provider.instance_marks().is_some()) {
            edits.extend(self.next_mark(&provider_home(provider.id()), now)?);
        }
        Ok(edits)
    }

    /// Sets the marks that were recorded with the cancelled deletion of a key. What cannot be set now, maintenance sets.
    pub(in crate::kms) fn set_marks_of(&self, record: &KeyRecord) {
        if let Some(id) = record.custom_key_store {
            let _ = self.custom_key_store(record.account, id).and_then(|found| {
                let connection = self.connection(record.account, id)?;
                self.confirm_instance(&Home::of_cluster(&found.record.cluster, connection))
            });
        }
        for provider in self.holders(record) {
            let _ = self.confirm_instance(&Home::of_provider(provider));
        }
    }

    /// Sets marks that could not be set before, and moves those that were not moved for a day. Returns what went wrong.
    pub(in crate::kms) fn tend_marks(&self, now: Timestamp) -> Result<Vec<Error>> {
        let mut failed = Vec::new();
        let mut homes = Vec::new();
        for (_, claim) in self.registry.read_all::<ClusterClaim>()? {
            let ClusterClaim { cluster, account, custom_key_store: id } = claim;
            // Only where this process is connected anyway.
            if let Some(connection) = self.connections.get(&cluster).filter(|connection| connection.is_connected(id)) {
                homes.push(Home::of_cluster(&cluster, self.connection(account, id).unwrap_or(connection)));
            }
        }
        homes.extend(self.outside_providers().map(Home::of_provider));
        for home in homes {
            let Some((_, history)) = self.history(&home.name)? else { continue };
            let tended = match now.since(history.moved) >= MARKS_MOVE_AFTER {
                true => self.leave_copies_behind(&home),
                false => self.confirm_instance(&home),
            };
            failed.extend(tended.err());
        }
        Ok(failed)
    }

    fn outside_providers(&self) -> impl Iterator<Item = &dyn KeyMaterialProvider> {
        let all = self.material.providers.iter().map(|provider| &**provider);
        all.filter(|provider| provider.transfer().is_none() && provider.instance_marks().is_some())
    }

    /// The write that makes this store another instance, and those after which that may take over every home.
    pub(in crate::kms) fn succession(&self) -> Result<Vec<Edit>> {
        let expected = self.recorded_instance()?.map(|(revision, _)| revision);
        let instance = Instance { id: self.nonce()?, place: self.registry.sealed().place() };
        let mut edits = vec![Edit::put(Instance::record_id(), &instance, expected)?];
        for (_, claim) in self.registry.read_all::<ClusterClaim>()? {
            edits.extend(self.adopt_cluster(&claim.cluster)?);
        }
        for provider in self.outside_providers() {
            let home = provider_home(provider.id());
            if self.history(&home)?.is_none() {
                edits.push(unmarked(&home)?);
            }
        }
        Ok(edits)
    }

    /// The writes that start the waiting periods of all keys again that are to be deleted with material outside of the store,
    /// and these keys: their deletion may have been cancelled after the copy was made.
    pub(in crate::kms) fn postponed(&self, now: Timestamp) -> Result<(Vec<Edit>, Vec<KeyArn>)> {
        let (mut edits, mut postponed, mut after) = (Vec::new(), Vec::new(), None);
        loop {
            let batch = self.registry.keys(None, after, MAX_SCAN)?;
            let Some((account, key_id, ..)) = batch.last() else { return Ok((edits, postponed)) };
            after = Some((*account, *key_id));
            for (account, key_id, revision, mut record) in batch {
                let Some(deletion) = record.deletion.filter(|_| self.is_held_elsewhere(&record)) else { continue };
                let date = deletion.date.max(now.plus_days(deletion.window.days()));
                record.deletion = Some(Deletion { date, ..deletion });
                edits.push(Edit::put_key(record, Some(revision)));
                postponed.push(KeyArn::new(self.registry.locality().clone(), account, key_id));
            }
        }
    }

    /// Takes over every home that can be reached.
    pub(in crate::kms) fn take_over(&self) -> Result<SuccessionReport> {
        let mut report = SuccessionReport::default();
        for (_, claim) in self.registry.read_all::<ClusterClaim>()? {
            let ClusterClaim { cluster, account, custom_key_store: id } = claim;
            let taken = self
                .connection(account, id)
                .and_then(|connection| self.confirm_instance(&Home::of_cluster(&cluster, connection)));
            report.not_marked.extend(taken.err().map(|error| (cluster.to_string(), error)));
        }
        for provider in self.outside_providers() {
            let taken = self.confirm_instance(&Home::of_provider(provider));
            report.not_marked.extend(taken.err().map(|error| (provider.id().as_str().to_owned(), error)));
        }
        Ok(report)
    }
}

/// The write by which a home is recorded as not marked by any instance, so that the present one may take it over.
fn unmarked(home: &str) -> Result<Edit> {
    Edit::put(MarkHistory::record_id(home), &MarkHistory::new([0; 16]), None)
}

fn described(home: &Home<'_>) -> String {
    home.name.replacen('/', " '", 1) + "'"
}

fn copied(what: &str) -> Error {
    let text = format!(
        "{what}, so it creates, destroys and undoes nothing in HSMs: if it is the one to go on with, call declare_successor"
    );
    Error::new(ErrorKind::CopiedStore, text)
}

fn kept_changing() -> Error {
    Error::new(ErrorKind::Conflict, "other processes kept changing the marks of the store first")
}
