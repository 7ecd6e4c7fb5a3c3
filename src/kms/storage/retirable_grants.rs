//! The grants that a principal may retire, found without reading any other grant.
//!
//! Each grant that names a retiring principal is accompanied by a record in that principal's
//! account. One commit creates or deletes both.

use super::edit::Edit;
use super::registry::Registry;
use super::stored_grants::FoundGrant;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::identity::Principal;
use crate::kms::records::retirable_grant::{PrincipalTag, RetirableGrant};
use crate::kms::records::stored_record::StoredRecord;
use crate::policy::GrantTerms;
use crate::store::RecordId;

impl Registry {
    /// Returns the write that indexes a new grant by its retiring principal, if it names one.
    pub(in crate::kms) fn put_retirable(&self, terms: &GrantTerms, grant: &RecordId) -> Result<Option<Edit>> {
        let retiring = terms.retiring_principal().map(|retiring| self.retirable_id(retiring, grant));
        retiring.map(|id| Edit::put(id, &RetirableGrant, None)).transpose()
    }

    /// Returns the writes that delete a grant and its index record.
    pub(in crate::kms) fn delete_grant(&self, grant: &FoundGrant) -> Result<Vec<Edit>> {
        let place = grant.record_id();
        let retirable = grant.record.terms.retiring_principal().map(|retiring| self.retirable_id(retiring, &place));
        let mut edits = vec![Edit::delete(place, grant.revision)];
        if let Some(id) = retirable
            && let Some(expected) = self.revision_of(&id)?
        {
            edits.push(Edit::delete(id, expected));
        }
        Ok(edits)
    }

    /// Returns at most `limit` grants that a principal may retire because they name it, in
    /// ascending order after `after`. Grants on keys whose waiting period has ended by `now` are
    /// omitted.
    pub(in crate::kms) fn retirable_grants(
        &self,
        retiring: &Principal,
        after: Option<&RecordId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<FoundGrant>> {
        let tag = self.principal_tag(retiring);
        let account = retiring.account();
        let mut found = Vec::new();
        let mut after = match after {
            Some(grant) => self.retirable_id(retiring, grant),
            None => RetirableGrant::start(&tag, account),
        };
        loop {
            let wanted = limit - found.len();
            let names = self.list_opened(RetirableGrant::KIND, Some(account), Some(after), wanted)?;
            let Some((last, ..)) = names.last() else { return Ok(found) };
            after = last.clone();
            for (id, _, body) in &names {
                let Some(place) = RetirableGrant::grant_in(id, &tag) else { return Ok(found) };
                RetirableGrant::decode(id, body.expose_secret())?;
                let place = place?;
                // A grant that was retired since the names were read no longer exists.
                let Some(grant) = self.grant_at(&place)? else { continue };
                let key = self.key(grant.account, grant.key_id)?;
                if key.is_some_and(|key| !key.record.is_past_deletion(now)) {
                    found.push(grant);
                }
            }
            if names.len() < wanted || found.len() >= limit {
                return Ok(found);
            }
        }
    }

    fn retirable_id(&self, retiring: &Principal, grant: &RecordId) -> RecordId {
        RetirableGrant::record_id(&self.principal_tag(retiring), retiring.account(), grant)
    }

    fn principal_tag(&self, principal: &Principal) -> PrincipalTag {
        let text = principal.stored_name();
        let identity =
            self.sealed().identity().identify(&[b"retiring", principal.account().as_bytes(), text.as_bytes()]);
        identity.first_chunk().copied().unwrap_or_default()
    }
}
