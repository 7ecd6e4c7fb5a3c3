//! Lookup and changes of an account's custom key stores.

use super::edit::Edit;
use super::registry::Registry;
use crate::error::{ErrorKind, Result};
use crate::identity::AccountId;
use crate::key::CustomKeyStoreId;
use crate::kms::records::custom_key_store::{CustomKeyStoreRecord, CustomKeyStores};
use crate::store::Revision;

/// The error text of a change that conflicted with other changes every time.
pub(in crate::kms) const CONTENDED: &str = "too many concurrent changes to the custom key stores: try again";

/// A custom key store, with all others of its account and the revision of their record.
pub(in crate::kms) struct FoundStore {
    pub(in crate::kms) all: CustomKeyStores,
    pub(in crate::kms) expected: Revision,
    pub(in crate::kms) record: CustomKeyStoreRecord,
}

impl Registry {
    /// Finds a custom key store.
    pub(in crate::kms) fn custom_key_store(&self, account: AccountId, id: CustomKeyStoreId) -> Result<FoundStore> {
        let held = self.custom_key_stores(account)?;
        let Some(held) = held else {
            return Err(CustomKeyStores::default().get(id).map(drop).expect_err("the list is empty"));
        };
        let record = held.get(id)?.clone();
        Ok(FoundStore { all: (*held).clone(), expected: held.revision(), record })
    }

    /// Returns `true` if a custom key store exists.
    pub(in crate::kms) fn has_custom_key_store(&self, account: AccountId, id: CustomKeyStoreId) -> Result<bool> {
        match self.custom_key_store(account, id) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::CustomKeyStoreNotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns the write that decrements the number of keys in a store.
    pub(in crate::kms) fn remove_key_from_store(&self, account: AccountId, id: CustomKeyStoreId) -> Result<Edit> {
        let found = self.custom_key_store(account, id)?;
        let all = found.all.with(id, |store| store.keys = store.keys.saturating_sub(1))?;
        put_stores(account, &all, Some(found.expected))
    }
}

/// Returns the write of all custom key stores of an account.
pub(in crate::kms) fn put_stores(
    account: AccountId,
    all: &CustomKeyStores,
    expected: Option<Revision>,
) -> Result<Edit> {
    Edit::put(CustomKeyStores::record_id(account), all, expected)
}
