//! The versions of a store's root key, as recorded in the store.

use std::sync::Arc;

use super::record_aad::{record_aad, root_record_id};
use crate::crypto::CryptoBackend;
use crate::error::Result;
use crate::seal::{RootKeyHolder, RootKeyVersions, RootRecord, WrappedVersion};
use crate::store::{Record, Revision, StoreId};

/// The first version number of a store.
const FIRST: u32 = 1;

/// The root key record with its unwrapped versions.
pub(in crate::kms) struct Root {
    pub(in crate::kms) revision: Revision,
    pub(in crate::kms) record: RootRecord,
    pub(in crate::kms) versions: RootKeyVersions,
}

impl Root {
    /// Generates the first version for a new store.
    pub(super) fn draw(store: StoreId, holder: &dyn RootKeyHolder, backend: &CryptoBackend) -> Result<Self> {
        let secret = RootKeyVersions::draw(backend)?;
        let wrapped = vec![WrappedVersion::wrap(holder, &store.0, FIRST, &secret)?];
        let record = RootRecord { current: FIRST, holder: holder.id().to_owned(), wrapped };
        let versions = RootKeyVersions::new(backend, FIRST, [(FIRST, secret)])?;
        Ok(Self { revision: Revision::default(), record, versions })
    }

    /// Unwraps the versions in the record with the holders.
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

    /// Updates to a later state of the record. The holders are not needed if the current version
    /// was unwrapped before.
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
