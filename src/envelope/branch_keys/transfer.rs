//! Moving branch keys between stores.

use std::collections::BTreeSet;

use super::item::{BranchKeyItem, Role};
use super::store::{BranchKeyStore, Stored, already_exists, check_id, not_found};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;
use crate::store::{Expectation, MAX_SCAN, RecordKind, Scan};
use crate::text::sanitize_for_error;

/// The largest number of items in an import.
const MAX_IMPORT: usize = 1_000;

impl BranchKeyStore {
    /// Stores a branch key that [`export`](Self::export) or the official key store returned. The items
    /// are stored as they are, and unwrapped once to check them. The logical name of both stores must
    /// be equal, and this store must have the KMS key.
    ///
    /// Items of several branch keys can be imported together. For each, all items are required. If a
    /// branch key exists, an import adds versions and replaces the active one: the import must contain
    /// all stored versions and the stored beacon key. An import never goes back to an earlier version.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if items of a branch key are missing, occur twice, or contradict each
    ///   other, or if there are more than 1,000 items.
    /// - [`ErrorKind::AlreadyExists`] if one of the branch keys exists with other items, for example
    ///   because both stores have rotated it. Nothing is then imported.
    /// - [`ErrorKind::Conflict`] if another process changed one of the branch keys at the same time.
    /// - [`ErrorKind::IncorrectKey`] if a key is wrapped by another KMS key.
    /// - [`ErrorKind::Integrity`] if an item was modified, or is from a store with another name.
    /// - Any error of the KMS or the store.
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::{BranchKeyItem, BranchKeyStore, KmsBranchKeyWrapper};
    /// use strongroom::store::MemoryStore;
    /// use strongroom::{EncryptionContext, ErrorKind, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let wrapper = KmsBranchKeyWrapper::new(&kms, kms.create_key(Default::default())?.arn());
    /// let open = |name| BranchKeyStore::new(MemoryStore::new(&Default::default())?, name, wrapper.clone());
    /// let (from, to) = (open("branch-keys")?, open("branch-keys")?);
    /// let id = from.create_branch_key(&EncryptionContext::new())?;
    /// to.import(&from.export(&id)?)?;
    /// from.rotate(&id)?;
    /// to.import(&from.export(&id)?)?; // follows the rotation
    /// assert_eq!(to.active(&id)?.expose_secret(), from.active(&id)?.expose_secret());
    ///
    /// let elsewhere = open("other-keys")?.import(&from.export(&id)?).unwrap_err();
    /// assert_eq!(elsewhere.kind(), ErrorKind::Integrity); // the name is authenticated
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn import(&self, items: &[BranchKeyItem]) -> Result<()> {
        if items.len() > MAX_IMPORT {
            let text = format!("an import can contain at most {MAX_IMPORT} items of branch keys, not {}", items.len());
            return Err(Error::new(ErrorKind::Validation, text));
        }
        self.expect_no_kms()?;
        let ids: BTreeSet<&str> = items.iter().map(BranchKeyItem::branch_key_id).collect();
        let (mut expected, mut changed) = (Vec::new(), Vec::new());
        for id in ids {
            let own: Vec<_> = items.iter().filter(|item| item.branch_key_id() == id).collect();
            let active = check_complete(id, &own)?;
            let stored = self.stored_items(id)?;
            check_successor(id, active, &own, &stored)?;
            let before = |item: &BranchKeyItem| stored.iter().find(|old| old.item.item_type() == item.item_type());
            let new: Vec<_> = own.iter().filter(|item| before(item).is_none_or(|old| old.item != ***item)).collect();
            if !new.is_empty() {
                self.check_keys(id, active, &own)?;
            }
            for item in new {
                let revision = before(item).map(|old| old.revision);
                expected.push(Expectation { revision, ..self.absent(item) });
                changed.push((*item).clone());
            }
        }
        if changed.is_empty() { Ok(()) } else { Ok(self.commit(&expected, &changed)?) }
    }

    /// Requires that this store can unwrap all items, and that the active item contains its version.
    fn check_keys(&self, id: &str, active: &BranchKeyItem, items: &[&BranchKeyItem]) -> Result<()> {
        let key = self.unwrap(active)?;
        for item in items.iter().filter(|item| item.item_type() != active.item_type()) {
            let other = self.unwrap(item)?;
            if item.role().version() == active.role().version() && key != other {
                return Err(refused(id, "its active item contains another key than its version"));
            }
        }
        Ok(())
    }

    /// Returns all items of a branch key, in the order of their types: the beacon key, the active
    /// version, and all versions.
    ///
    /// # Errors
    /// - [`ErrorKind::NotFound`] if the branch key does not exist.
    /// - [`ErrorKind::Integrity`] if a stored item is malformed.
    /// - [`ErrorKind::Store`] if the store cannot be read.
    pub fn export(&self, id: &str) -> Result<Vec<BranchKeyItem>> {
        let items: Vec<_> = self.stored_items(id)?.into_iter().map(|stored| stored.item).collect();
        if items.is_empty() { Err(not_found(id)) } else { Ok(items) }
    }

    fn stored_items(&self, id: &str) -> Result<Vec<Stored>> {
        check_id(id)?;
        let prefix = self.record(id, "");
        let (mut items, mut after) = (Vec::new(), prefix.clone());
        loop {
            let scan = Scan {
                kind: RecordKind::BranchKey,
                account: Some(AccountId::default()),
                after: Some(after),
                limit: MAX_SCAN,
            };
            let found = self.store.scan(&scan)?;
            let Some((last, _)) = found.last().cloned() else { break };
            let own = found.iter().take_while(|(record, _)| record.name.starts_with(&prefix.name));
            let count = items.len();
            for (_, record) in own {
                items.push(Stored { revision: record.revision, item: self.decode(id, &record.body)? });
            }
            if items.len() - count < found.len() {
                break;
            }
            after = last;
        }
        Ok(items)
    }
}

fn refused(id: &str, reason: &str) -> Error {
    let text = format!("cannot import the branch key {}: {reason}", sanitize_for_error(id));
    Error::new(ErrorKind::Validation, text)
}

/// Requires that items form a complete branch key, and returns the active one.
fn check_complete<'a>(id: &str, items: &[&'a BranchKeyItem]) -> Result<&'a BranchKeyItem> {
    let types: BTreeSet<_> = items.iter().map(|item| item.item_type()).collect();
    if types.len() != items.len() {
        return Err(refused(id, "an item occurs twice"));
    }
    let active = items.iter().find(|item| matches!(item.role(), Role::Active(_)));
    let active = active.ok_or_else(|| refused(id, "its active item is missing"))?;
    let has = |role: Role| types.contains(role.to_type().as_str());
    if !active.role().version().is_some_and(|version| has(Role::Version(version))) {
        return Err(refused(id, "the item of its active version is missing"));
    }
    if !has(Role::Beacon) {
        return Err(refused(id, "the item of its beacon key is missing"));
    }
    Ok(active)
}

/// Requires that items contain all stored items of the branch key except the active one, and that the
/// active version is the stored one or a new one.
fn check_successor(id: &str, active: &BranchKeyItem, items: &[&BranchKeyItem], stored: &[Stored]) -> Result<()> {
    let is_active = |item: &BranchKeyItem| matches!(item.role(), Role::Active(_));
    let others = stored.iter().filter(|old| !is_active(&old.item));
    let keeps_all = others.clone().all(|old| items.contains(&&old.item));
    let is_new = !others.clone().any(|old| old.item.role().version() == active.role().version());
    let is_stored = stored.iter().any(|old| old.item == *active);
    if stored.is_empty() || keeps_all && (is_new || is_stored) { Ok(()) } else { Err(already_exists(id)) }
}
