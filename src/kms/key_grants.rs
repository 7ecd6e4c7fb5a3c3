//! The grants on a key, as far as the caller is their grantee.

use std::fmt;
use std::sync::Arc;

use super::grant_record::{FoundGrant, GrantRange};
use super::registry::{LoadedKey, Registry};
use crate::error::Result;
use crate::identity::Principal;
use crate::policy::{GrantId, GrantSource, GrantTerms};
use crate::store::MAX_SCAN;

/// Looks grants up when a decision asks for them: in memory, by grantee, once they were read for this revision of the key.
pub(super) struct KeyGrants<'a> {
    pub(super) registry: &'a Registry,
    pub(super) key: &'a LoadedKey,
    pub(super) principal: &'a Principal,
}

impl GrantSource for KeyGrants<'_> {
    fn find(&self, accept: &mut dyn FnMut(&GrantTerms) -> bool) -> Result<Option<GrantId>> {
        if self.key.record.grants == 0 {
            return Ok(None);
        }
        let granted = self.key.granted(self.principal, || self.read())?;
        Ok(granted.iter().find(|(_, terms)| accept(terms)).map(|(id, _)| *id))
    }
}

impl KeyGrants<'_> {
    fn read(&self) -> Result<Arc<[(GrantId, GrantTerms)]>> {
        let record = &self.key.record;
        let range = GrantRange { key: (record.account, record.key_id), grantee: Some(self.principal) };
        let (mut granted, mut after) = (Vec::new(), None);
        loop {
            let batch = self.registry.grants(range, after.as_ref(), MAX_SCAN)?;
            let whole = batch.len() == MAX_SCAN;
            after = batch.last().map(FoundGrant::record_id);
            // Two grantees may share a tag, so the name decides.
            granted.extend(
                batch
                    .into_iter()
                    .filter(|grant| grant.record.terms.grantee() == self.principal)
                    .map(|grant| (grant.id, grant.record.terms)),
            );
            if !whole {
                return Ok(granted.into());
            }
        }
    }
}

impl fmt::Debug for KeyGrants<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyGrants").field("key", &self.key.arn).field("principal", self.principal).finish()
    }
}
