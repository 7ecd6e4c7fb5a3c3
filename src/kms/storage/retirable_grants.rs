//! Which grants a principal may retire, found without looking at any other grant.
//!
//! Beside each grant that names a retiring principal lies a record in the account of this principal. Its name is
//! `16 bytes for the principal ‖ 12 account ‖ 16 key id ‖ 32 grant id`, so that all grants of one principal lie beside each
//! other; its body is `u8 1`. Both are written and deleted by one commit.

use super::registry::{Edit, Registry};
use super::stored_grants::FoundGrant;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::Principal;
use crate::kms::records::grant::{place_bytes, read_place};
use crate::policy::GrantTerms;
use crate::store::{RecordId, RecordKind, Scan};

const LAYOUT: u8 = 1;

/// The bytes at the start of a name that stand for the principal.
const PRINCIPAL_TAG: usize = 16;

/// Makes sure that a body is one.
pub(in crate::kms) fn check(body: &[u8]) -> Result<()> {
    if body == [LAYOUT] {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Internal, "the record of a grant that can be retired has an unknown layout"))
}

impl Registry {
    /// The write that lets a new grant be found by its retiring principal, if it names one.
    pub(in crate::kms) fn put_retirable(&self, terms: &GrantTerms, grant: &RecordId) -> Option<Edit> {
        let id = self.retirable_id(terms.retiring()?, grant);
        Some(Edit::Put { id, body: vec![LAYOUT], expected: None })
    }

    /// The writes that delete a grant, and what it is found by.
    pub(in crate::kms) fn delete_grant(&self, grant: &FoundGrant) -> Result<Vec<Edit>> {
        let place = grant.record_id();
        let retirable = grant.record.terms.retiring().map(|retiring| self.retirable_id(retiring, &place));
        let mut edits = vec![Edit::Delete { id: place, expected: grant.revision }];
        if let Some(id) = retirable
            && let Some((expected, _)) = self.record(&id)?
        {
            edits.push(Edit::Delete { id, expected });
        }
        Ok(edits)
    }

    /// The grants that a principal may retire because they name it, in ascending order behind `after`, at most `limit`. Those on
    /// keys whose waiting period has ended at `now` are gone with them.
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
            None => RecordId { kind: RecordKind::RetirableGrant, account, name: tag.to_vec() },
        };
        loop {
            let wanted = limit - found.len();
            let scan =
                Scan { kind: RecordKind::RetirableGrant, account: Some(account), after: Some(after), limit: wanted };
            let names = self.sealed().scan(&scan)?;
            let Some((last, ..)) = names.last() else { return Ok(found) };
            after = last.clone();
            for (id, _, body) in &names {
                let Some(place) = id.name.strip_prefix(&tag) else { return Ok(found) };
                check(body.expose_secret())?;
                let place = read_place(place).ok_or_else(misnamed)?;
                // One that was retired since the names were read is gone.
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
        let name = [self.principal_tag(retiring).as_slice(), &place_bytes(grant)].concat();
        RecordId { kind: RecordKind::RetirableGrant, account: retiring.account(), name }
    }

    fn principal_tag(&self, principal: &Principal) -> [u8; PRINCIPAL_TAG] {
        let text = principal.to_string();
        let identity =
            self.sealed().identity().identify(&[b"retiring", principal.account().as_bytes(), text.as_bytes()]);
        let mut tag = [0; PRINCIPAL_TAG];
        tag.copy_from_slice(&identity[..PRINCIPAL_TAG]);
        tag
    }
}

fn misnamed() -> Error {
    Error::new(ErrorKind::Internal, "the store returned a grant that can be retired under a name that none has")
}
