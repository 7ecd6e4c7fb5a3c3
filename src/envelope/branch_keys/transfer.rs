//! Moving branch keys between stores.

use std::collections::BTreeSet;

use super::item::{BranchKeyItem, Role};
use super::store::{BranchKeyStore, already_exists, check_id, misplaced, not_found};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;
use crate::store::{CommitError, MAX_SCAN, RecordKind, Scan};
use crate::text::sanitize_for_error;

/// The largest number of items in an import.
const MAX_IMPORT: usize = 1_000;

impl BranchKeyStore {
    /// Stores a branch key that [`export`](Self::export) or the official key store returned. The items
    /// are stored as they are, and unwrapped once to check them. The logical name of both stores must
    /// be equal, and this store must have the KMS key.
    ///
    /// Items of several branch keys can be imported together. For each, all items are required.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if items of a branch key are missing, occur twice, or contradict each
    ///   other, or if there are more than 1,000 items.
    /// - [`ErrorKind::AlreadyExists`] if one of the branch keys exists. Nothing is then imported.
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
        for id in &ids {
            let own: Vec<_> = items.iter().filter(|item| item.branch_key_id() == *id).collect();
            self.check_import(id, &own)?;
        }
        let expected: Vec<_> = items.iter().map(|item| self.absent(item)).collect();
        match self.commit(&expected, items) {
            Err(CommitError::Conflict(_)) => {
                Err(Error::new(ErrorKind::AlreadyExists, "a branch key of the import exists"))
            }
            result => Ok(result?),
        }
    }

    /// Requires that items form a branch key that this store can unwrap.
    fn check_import(&self, id: &str, items: &[&BranchKeyItem]) -> Result<()> {
        let incomplete = |reason: &str| {
            let text = format!("cannot import the branch key {}: {reason}", sanitize_for_error(id));
            Error::new(ErrorKind::Validation, text)
        };
        let types: BTreeSet<_> = items.iter().map(|item| item.item_type()).collect();
        if types.len() != items.len() {
            return Err(incomplete("an item occurs twice"));
        }
        let with = |role| items.iter().find(move |item| item.item_type() == Role::to_type(role));
        let active = items.iter().find(|item| matches!(item.role(), Role::Active(_)));
        let active = active.ok_or_else(|| incomplete("its active item is missing"))?;
        let Role::Active(version) = active.role() else { return Err(misplaced(id)) };
        let current =
            with(Role::Version(version)).ok_or_else(|| incomplete("the item of its active version is missing"))?;
        with(Role::Beacon).ok_or_else(|| incomplete("the item of its beacon key is missing"))?;
        if self.find(id, active.role())?.is_some() {
            return Err(already_exists(id));
        }
        if self.unwrap(active)? != self.unwrap(current)? {
            return Err(incomplete("its active item contains another key than its version"));
        }
        let others = items.iter().filter(|item| ![active.item_type(), current.item_type()].contains(&item.item_type()));
        others.copied().try_for_each(|item| self.unwrap(item).map(drop))
    }

    /// Returns all items of a branch key, in the order of their types: the beacon key, the active
    /// version, and all versions.
    ///
    /// # Errors
    /// - [`ErrorKind::NotFound`] if the branch key does not exist.
    /// - [`ErrorKind::Integrity`] if a stored item is malformed.
    /// - [`ErrorKind::Store`] if the store cannot be read.
    pub fn export(&self, id: &str) -> Result<Vec<BranchKeyItem>> {
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
                items.push(self.decode(id, &record.body)?);
            }
            if items.len() - count < found.len() {
                break;
            }
            after = last;
        }
        if items.is_empty() { Err(not_found(id)) } else { Ok(items) }
    }
}
