//! The versions of a store's root key, as the store has them.

use std::sync::Arc;

use super::record_aad::{record_aad, root_record_id};
use crate::crypto::CryptoBackend;
use crate::error::Result;
use crate::seal::{RootKeyHolder, RootKeyVersions, RootRecord, WrappedVersion};
use crate::store::{Record, Revision, StoreId};

/// The number of the version that a store begins with.
const FIRST: u32 = 1;

/// The record of the root key, and its versions unwrapped.
pub(in crate::kms) struct Root {
    pub(in crate::kms) revision: Revision,
    pub(in crate::kms) record: RootRecord,
    pub(in crate::kms) versions: RootKeyVersions,
}

impl Root {
    /// Draws the first version for a new store.
    pub(super) fn draw(store: StoreId, holder: &dyn RootKeyHolder, backend: &CryptoBackend) -> Result<Self> {
        let secret = RootKeyVersions::draw(backend)?;
        let wrapped = vec![WrappedVersion::wrap(holder, &store.0, FIRST, &secret)?];
        let record = RootRecord { current: FIRST, holder: holder.id().to_owned(), wrapped };
        let versions = RootKeyVersions::new(backend, FIRST, [(FIRST, secret)])?;
        Ok(Self { revision: Revision::default(), record, versions })
    }

    /// Has the holders unwrap what the record holds.
    pub(super) fn unwrap(
        store: StoreId,
        backend: &CryptoBackend,
        holders: &[Arc<dyn RootKeyHolder>],
        record: &Record,
    ) -> Result<Self> {
        let aad = record_aad(store, &root_record_id(), record.revision)?;
        let (unwrapped, secrets) = RootRecord::unwrap(backend, &record.body, holders, &store.0, &aad)?;
        let versions = RootKeyVersions::new(backend, unwrapped.current, secrets)?;
        Ok(Self { revision: record.revision, record: unwrapped, versions })
    }

    /// Follows the record to a later state of it: without the holders, if the current version was unwrapped before.
    pub(super) fn follow(
        &self,
        store: StoreId,
        backend: &CryptoBackend,
        holders: &[Arc<dyn RootKeyHolder>],
        record: &Record,
    ) -> Result<Self> {
        let aad = record_aad(store, &root_record_id(), record.revision)?;
        match RootRecord::recognise(backend, &record.body, &self.versions, &aad)? {
            Some((recognised, versions)) => Ok(Self { revision: record.revision, record: recognised, versions }),
            None => {
                let mut later = Self::unwrap(store, backend, holders, record)?;
                later.versions = later.versions.keeping(&self.versions);
                Ok(later)
            }
        }
    }
}
