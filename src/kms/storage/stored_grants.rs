//! Stored grants: all grants on a key, or those of one grantee on it, found without reading any
//! other grant.
//!
//! A grant ID starts with 8 bytes that identify its grantee, so that all grants of one grantee on
//! one key are adjacent.

use super::registry::Registry;
use crate::crypto::SecureRandom;
use crate::error::Result;
use crate::identity::{AccountId, Principal};
use crate::key::KeyId;
use crate::kms::records::grant::GrantRecord;
use crate::kms::records::stored_record::StoredRecord;
use crate::policy::GrantId;
use crate::store::{RecordId, RecordKind, Revision};

/// Length in bytes of the grantee tag at the start of a grant ID.
const GRANTEE_TAG: usize = 8;

/// Selects the grants on one key, or those of one grantee on it.
#[derive(Clone, Copy, Debug)]
pub(in crate::kms) struct GrantRange<'a> {
    pub(in crate::kms) key: (AccountId, KeyId),
    pub(in crate::kms) grantee: Option<&'a Principal>,
}

/// A grant with its location and revision.
pub(in crate::kms) struct FoundGrant {
    pub(in crate::kms) account: AccountId,
    pub(in crate::kms) key_id: KeyId,
    pub(in crate::kms) id: GrantId,
    pub(in crate::kms) revision: Revision,
    pub(in crate::kms) record: GrantRecord,
}

impl FoundGrant {
    pub(in crate::kms) fn record_id(&self) -> RecordId {
        GrantRecord::record_id(self.account, self.key_id, self.id)
    }

    fn new(place: &RecordId, revision: Revision, record: GrantRecord) -> Result<Self> {
        let (key_id, id) = GrantRecord::ids_in(place)?;
        Ok(Self { account: place.account, key_id, id, revision, record })
    }
}

impl Registry {
    /// Generates the ID of a new grant.
    pub(in crate::kms) fn new_grant_id(
        &self,
        key_id: KeyId,
        grantee: &Principal,
        random: &dyn SecureRandom,
    ) -> Result<GrantId> {
        let mut bytes = [0; 32];
        bytes[..GRANTEE_TAG].copy_from_slice(&self.grantee_tag(key_id, grantee));
        random.fill(&mut bytes[GRANTEE_TAG..])?;
        Ok(GrantId::from_bytes(bytes))
    }

    /// Returns one grant as currently stored.
    pub(in crate::kms) fn grant(&self, account: AccountId, key_id: KeyId, id: GrantId) -> Result<Option<FoundGrant>> {
        self.grant_at(&GrantRecord::record_id(account, key_id, id))
    }

    pub(in crate::kms) fn grant_at(&self, place: &RecordId) -> Result<Option<FoundGrant>> {
        let found = self.read(place)?;
        found.map(|(revision, record)| FoundGrant::new(place, revision, record)).transpose()
    }

    /// Returns at most `limit` grants in ascending order after `after`. Returns fewer only if no
    /// more of the range follow.
    pub(in crate::kms) fn grants(
        &self,
        range: GrantRange<'_>,
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<Vec<FoundGrant>> {
        let (account, key_id) = range.key;
        let tag = range.grantee.map(|grantee| self.grantee_tag(key_id, grantee));
        let prefix = [key_id.as_bytes().as_slice(), tag.as_ref().map_or(&[], |tag| tag.as_slice())].concat();
        let start = RecordId { kind: RecordKind::Grant, account, name: prefix.clone() };
        let after = after.cloned().max(Some(start));
        let found = self.list_opened(GrantRecord::KIND, Some(account), after, limit)?;
        let of_range = found.into_iter().filter(|(id, ..)| id.name.starts_with(&prefix));
        of_range
            .map(|(id, revision, body)| FoundGrant::new(&id, revision, GrantRecord::decode(&id, body.expose_secret())?))
            .collect()
    }

    fn grantee_tag(&self, key_id: KeyId, grantee: &Principal) -> [u8; GRANTEE_TAG] {
        let (account, text) = (grantee.account(), grantee.stored_name());
        let parts = [b"grantee".as_slice(), key_id.as_bytes(), account.as_bytes(), text.as_bytes()];
        let mut tag = [0; GRANTEE_TAG];
        tag.copy_from_slice(&self.sealed().identity().identify(&parts)[..GRANTEE_TAG]);
        tag
    }
}
