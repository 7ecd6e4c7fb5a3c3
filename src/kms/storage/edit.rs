//! The writes that make up a commit.

use zeroize::Zeroizing;

use super::grants::{GrantChange, KnownGrant};
use crate::error::Result;
use crate::identity::AccountId;
use crate::key::KeyId;
use crate::kms::records::grant::GrantRecord;
use crate::kms::records::key::KeyRecord;
use crate::kms::records::stored_record::PlainRecord;
use crate::seal::RootKeyVersions;
use crate::secret::SecretBytes;
use crate::store::{Expectation, RecordId, RecordKind, Revision, StoreId};

/// A write of one record. `expected` is the revision that the record must still have, or `None` if
/// it must not exist yet.
pub(in crate::kms) struct Edit {
    id: RecordId,
    expected: Option<Revision>,
    write: Write,
}

/// The new content of a record.
enum Write {
    /// Material is sealed under the root key version that is current at commit time.
    Key(Box<KeyRecord>),
    Grant(SecretBytes, Box<KnownGrant>),
    Plain(SecretBytes),
    Delete,
}

impl Edit {
    /// Creates or replaces a record.
    pub(in crate::kms) fn put<R: PlainRecord>(id: RecordId, record: &R, expected: Option<Revision>) -> Result<Self> {
        debug_assert!(id.kind == R::KIND && R::is_named(&id), "the record does not have this name");
        Ok(Self { id, expected, write: Write::Plain(record.encode()?) })
    }

    /// Creates or replaces a key.
    pub(in crate::kms) fn put_key(record: KeyRecord, expected: Option<Revision>) -> Self {
        let id = KeyRecord::record_id(record.account, record.key_id);
        Self { id, expected, write: Write::Key(Box::new(record)) }
    }

    /// Creates a grant. The same commit must update the grant count in the key's record.
    pub(in crate::kms) fn put_grant(id: RecordId, grant: &GrantRecord) -> Result<Self> {
        let (_, grant_id) = GrantRecord::ids_in(&id)?;
        let known = KnownGrant { id: grant_id, terms: grant.terms.clone(), name: grant.name.clone() };
        Ok(Self { id, expected: None, write: Write::Grant(grant.encode()?, Box::new(known)) })
    }

    /// Deletes a record.
    pub(in crate::kms) const fn delete(id: RecordId, expected: Revision) -> Self {
        Self { id, expected: Some(expected), write: Write::Delete }
    }

    pub(super) const fn id(&self) -> &RecordId {
        &self.id
    }

    pub(super) fn expectation(&self) -> Expectation {
        Expectation { id: self.id.clone(), revision: self.expected }
    }

    /// Returns the new record of a key and the revision that it replaces.
    pub(super) fn replaced_key(&self) -> Option<(&KeyRecord, Revision)> {
        match &self.write {
            Write::Key(record) => Some((record, self.expected?)),
            _ => None,
        }
    }

    /// Returns the change of a grant on this key, if the edit is one.
    pub(super) fn grant_change(&self, account: AccountId, key_id: KeyId) -> Option<GrantChange<'_>> {
        if self.id.kind != RecordKind::Grant || self.id.account != account {
            return None;
        }
        let (of_key, grant_id) = GrantRecord::ids_in(&self.id).ok()?;
        match &self.write {
            _ if of_key != key_id => None,
            Write::Grant(_, known) => Some(GrantChange::Made(known)),
            Write::Delete => Some(GrantChange::Ended(grant_id)),
            Write::Key(_) | Write::Plain(_) => None,
        }
    }

    /// Returns the body to seal, or `None` for a deleted record. Material that is sealed under an
    /// earlier version of the root key is resealed.
    pub(super) fn body(&self, store: StoreId, root: &RootKeyVersions) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let body = match &self.write {
            Write::Key(record) => record.sealed_under(store, root)?.encode()?,
            Write::Plain(body) | Write::Grant(body, _) => body.expose_secret().to_vec(),
            Write::Delete => return Ok(None),
        };
        Ok(Some(Zeroizing::new(body)))
    }
}
