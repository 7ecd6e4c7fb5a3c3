//! Rotation of the root key. A rotation starts with a new version and finishes once nothing is
//! sealed under an earlier one.
//!
//! ```text
//! 1 begin   the root key record gets a new current version, wrapped by every holder in use
//! 2 reseal  every record not sealed under the current version is written again, in batched commits
//! 3 finish  the root key record keeps only the current version, wrapped by the remaining holder
//! ```
//!
//! Each step is one or more commits. After a crash, the store opens with either holder, and the
//! rotation can be resumed. From step 1 on, every commit of every process requires the new root key
//! record. Therefore no process can seal anything under an earlier version while step 2 runs.

use std::collections::HashSet;
use std::sync::Arc;

use super::index::{Name, is_part_of_index};
use super::record_aad::{record_aad, root_record_id};
use super::violations::unusable;
use super::{Root, Sealed};
use crate::error::{Error, ErrorKind, Result};
use crate::kms::storage::retry::{commit_with_retry, retriable};
use crate::seal::{RootKey, RootKeyHolder, RootKeyVersions, RootRecord, WrappedVersion};
use crate::secret::SecretBytes;
use crate::store::{Change, CommitError, MAX_SCAN, Record, RecordId, RecordKind, Revision, Scan};

/// The number of records resealed per commit.
const BATCH: usize = 512;

/// The maximum number of records that are read before any of them is resealed. They are resealed in
/// the order of the index, so that a commit writes each of few nodes once. In the order of their names,
/// each record would be in another node.
const WINDOW: usize = 32 * MAX_SCAN;

impl Sealed {
    /// Starts a rotation, unless one is in progress. Returns `true` if one was in progress.
    ///
    /// # Errors
    /// - [`InvalidState`](ErrorKind::InvalidState) if the rotation in progress moves the root key
    ///   to a holder other than `to`.
    pub(in crate::kms) fn begin_rotation(&self, to: Option<RootKey>) -> Result<bool> {
        let to = to.map(|root| root.into_holder(&self.backend)).transpose()?;
        commit_with_retry(root_kept_changing, || {
            let seen = self.latest_root()?;
            if !seen.record.is_settled() {
                if let Some(to) = &to
                    && !seen.record.is_kept_by(&**to, &self.id().0)?
                {
                    return Err(already_moving(&seen.record.holder));
                }
                // Once the rotation finishes, only this holder can unwrap the root key.
                self.holders().extend(to.clone());
                return Ok(Some(true));
            }
            let (record, versions) = self.next_root(&seen, to.clone())?;
            if retriable(self.put_root(&seen, &record, &versions))?.is_none() {
                return Ok(None);
            }
            self.holders().extend(to.clone());
            self.latest_root()?;
            Ok(Some(false))
        })
    }

    /// Returns the root key with an additional version, wrapped by the current holder and by the
    /// holder that it moves to.
    fn next_root(&self, seen: &Root, to: Option<Arc<dyn RootKeyHolder>>) -> Result<(RootRecord, RootKeyVersions)> {
        let record = self.store.get(&root_record_id())?.ok_or_else(unusable)?;
        let aad = record_aad(self.id(), &root_record_id(), record.revision)?;
        let holders = self.holders().clone();
        let (_, secrets) = RootRecord::unwrap(&self.backend, &record.body, &holders, &self.id().0, &aad)?;
        let mut secrets: Vec<(u32, SecretBytes)> = secrets;
        let current = seen
            .record
            .current
            .checked_add(1)
            .ok_or_else(|| Error::new(ErrorKind::LimitExceeded, "a root key can have at most 2^32 - 1 versions"))?;
        secrets.push((current, RootKeyVersions::draw(&self.backend)?));
        let wrap = |holder: &dyn RootKeyHolder, (version, secret): &(u32, SecretBytes)| {
            WrappedVersion::wrap(holder, &self.id().0, *version, secret)
        };
        // The current holder keeps its wrapped versions and wraps the new one. The last wrapping is
        // the one that remains. Several holders may share a name, as passphrases do; the current
        // one is the one that can unwrap the record.
        let mut present = None;
        for holder in &holders {
            if seen.record.is_kept_by(&**holder, &self.id().0)? {
                present = Some(holder);
                break;
            }
        }
        let mut wrapped = seen.record.wrapped.clone();
        let newest = secrets.last().ok_or_else(unusable)?;
        let present = present.ok_or_else(unusable)?;
        wrapped.push(wrap(&**present, newest)?);
        if let Some(to) = &to {
            for secret in &secrets {
                wrapped.push(wrap(&**to, secret)?);
            }
        }
        let holder = to.as_ref().unwrap_or(present).id().to_owned();
        let versions = RootKeyVersions::new(&self.backend, current, secrets)?.keeping(&seen.versions);
        Ok((RootRecord { current, holder, wrapped }, versions))
    }

    /// Returns records of a kind that are sealed under an earlier version, at most `WINDOW` after
    /// `after`, in the order of the index, and the position at which to continue.
    pub(in crate::kms) fn outdated(
        &self,
        kind: RecordKind,
        mut after: Option<RecordId>,
    ) -> Result<(Outdated, Option<RecordId>)> {
        let root = self.root();
        let is_outdated = |(id, record): &(RecordId, Record)| {
            *id != root_record_id() && !is_part_of_index(id) && !root.versions.is_current(&record.body)
        };
        let mut outdated = Outdated::new();
        while outdated.len() < WINDOW {
            let page = self.store.scan(&Scan { kind, account: None, after, limit: MAX_SCAN })?;
            after = page.last().map(|(id, _)| id.clone());
            if after.is_none() {
                break;
            }
            outdated.extend(page.into_iter().filter(is_outdated));
        }
        outdated.sort_by_cached_key(|(id, _)| Name::of(&self.identity, id));
        Ok((outdated, after))
    }

    /// Checks that nothing is sealed under an earlier version, then drops all earlier versions and
    /// the holders that do not remain. Returns `false` if something is still sealed under an
    /// earlier version.
    pub(in crate::kms) fn finish_rotation(&self) -> Result<bool> {
        commit_with_retry(root_kept_changing, || {
            let seen = self.latest_root()?;
            if seen.record.is_settled() {
                return Ok(Some(true));
            }
            if !self.is_all_current(&seen)? {
                return Ok(Some(false));
            }
            let kept = seen.record.wrapped.last().ok_or_else(unusable)?.clone();
            let record = RootRecord { wrapped: vec![kept], ..seen.record.clone() };
            if retriable(self.put_root(&seen, &record, &seen.versions))?.is_none() {
                return Ok(None);
            }
            self.latest_root()?;
            Ok(Some(true))
        })
    }

    /// Returns `true` if all records are sealed under the current version.
    ///
    /// # Errors
    /// - [`Integrity`](ErrorKind::Integrity) if the index lists a missing record: a record that
    ///   cannot be read cannot be resealed.
    fn is_all_current(&self, root: &Root) -> Result<bool> {
        let start = self.store.revision()?;
        let (mut seen, mut is_current) = (HashSet::new(), true);
        self.each_page(|page| {
            for (id, record) in page {
                is_current &= *id == root_record_id() || root.versions.is_current(&record.body);
                seen.insert(Name::of(&self.identity, id));
            }
        })?;
        match self.missing(&seen, start)?.into_iter().next() {
            None => Ok(is_current),
            Some(missing) => Err(missing),
        }
    }

    /// Replaces the root key `seen` with `next`, and seals the index under the current one of
    /// `versions`.
    fn put_root(&self, seen: &Root, next: &RootRecord, versions: &RootKeyVersions) -> Result<Revision, CommitError> {
        self.commit_indexed(seen.revision, versions, &[], &mut |revision| {
            let aad = record_aad(self.id(), &root_record_id(), revision)?;
            let body = next.encode(&self.backend, versions, &aad)?;
            Ok(vec![Change { id: root_record_id(), body: Some(body) }])
        })
    }
}

/// Records that are sealed under an earlier version.
pub(in crate::kms) type Outdated = Vec<(RecordId, Record)>;

/// Splits records into batches that are resealed in one commit each.
pub(in crate::kms) fn batches(outdated: &Outdated) -> impl Iterator<Item = &[(RecordId, Record)]> {
    outdated.chunks(BATCH)
}

fn already_moving(holder: &str) -> Error {
    let text = format!("a rotation that moves the root key to '{holder}' is in progress: finish it first");
    Error::new(ErrorKind::InvalidState, text)
}

fn root_kept_changing<T>() -> Result<T> {
    Err(CommitError::Conflict(root_record_id()).into())
}
