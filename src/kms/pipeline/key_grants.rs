//! The grants on a key whose grantee is the caller.

use std::fmt;
use std::sync::Arc;

use crate::context::EncryptionContext;
use crate::error::Result;
use crate::identity::Principal;
use crate::key::Operation;
use crate::kms::storage::grants::{GrantIndex, KnownGrant};
use crate::kms::storage::loaded_key::LoadedKey;
use crate::kms::storage::registry::Registry;
use crate::kms::storage::stored_grants::{FoundGrant, GrantRange};
use crate::policy::{GrantId, GrantSource, GrantTerms};
use crate::store::MAX_SCAN;

/// Looks up grants on demand for a decision. Once they were read for this revision of the key, they
/// are found in memory, by grantee.
pub(in crate::kms) struct KeyGrants<'a> {
    pub(in crate::kms) registry: &'a Registry,
    pub(in crate::kms) key: &'a LoadedKey,
    pub(in crate::kms) principal: &'a Principal,
}

impl GrantSource for KeyGrants<'_> {
    fn find(&self, accept: &mut dyn FnMut(&GrantTerms) -> bool) -> Result<Option<GrantId>> {
        self.find_in(&mut |index| index.first(accept))
    }

    fn find_allowing(
        &self,
        operation: Operation,
        context: Option<&EncryptionContext>,
        accept: &mut dyn FnMut(&GrantTerms) -> bool,
    ) -> Result<Option<GrantId>> {
        self.find_in(&mut |index| index.find(operation, context, accept))
    }
}

impl KeyGrants<'_> {
    /// Returns the grants of the principal, or `None` if the key has no grants at all.
    pub(in crate::kms) fn index(&self) -> Result<Option<Arc<GrantIndex>>> {
        if self.key.record.grants == 0 {
            return Ok(None);
        }
        self.key.granted(self.principal, || self.read()).map(Some)
    }

    /// Looks among the grants to the principal and, if it is a session, to its ARN and its role.
    fn find_in(&self, find: &mut dyn FnMut(&GrantIndex) -> Option<GrantId>) -> Result<Option<GrantId>> {
        let Some(role) = self.principal.assumed() else { return self.find_here(find) };
        for principal in [&self.principal.as_named(), &role] {
            let found = KeyGrants { principal, ..*self }.find_here(find)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn find_here(&self, find: &mut dyn FnMut(&GrantIndex) -> Option<GrantId>) -> Result<Option<GrantId>> {
        Ok(self.index()?.and_then(|index| find(&index)))
    }

    fn read(&self) -> Result<GrantIndex> {
        let record = &self.key.record;
        let range = GrantRange { key: (record.account, record.key_id), grantee: Some(self.principal) };
        let (mut index, mut after) = (GrantIndex::default(), None);
        loop {
            let batch = self.registry.grants(range, after.as_ref(), MAX_SCAN)?;
            let whole = batch.len() == MAX_SCAN;
            after = batch.last().map(FoundGrant::record_id);
            // Two grantees may share a tag, so compare the names.
            for FoundGrant { id, record, .. } in batch {
                if record.terms.grantee() == self.principal {
                    index.insert(KnownGrant { id, terms: record.terms, name: record.name });
                }
            }
            if !whole {
                return Ok(index);
            }
        }
    }
}

impl fmt::Debug for KeyGrants<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyGrants").field("key", &self.key.arn).field("principal", self.principal).finish()
    }
}
