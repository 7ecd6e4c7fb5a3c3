//! The key under which new keys travel from member to member.

use super::claim::Claim;
use super::failure::{WithMember as _, refusal, refusal_to_make};
use super::members::{Member, Pkcs11Cluster};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::MemberState;
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::reference::{TokenKeyHandle, TokenKeyKind};
use crate::secret::SecretBytes;

/// The beginning of the CKA_LABEL of a replication key that is installed from here.
const REPLICATION_LABEL: &str = "replication key";

impl Pkcs11Cluster {
    /// Puts the replication key into every member that has none yet, from outside: 32 uniformly random bytes, the same for all.
    /// Done when the tokens are set up, while the cluster is connected; better yet, the HSMs are given it in a ceremony of
    /// their vendor, so that no process ever sees it.
    ///
    /// A member that has it already must have this value: calling it again with the same one changes nothing. Of several
    /// processes that do this at the same time with different values, at most one succeeds.
    ///
    /// # Errors
    /// - [`AlreadyExists`](ErrorKind::AlreadyExists) if a member has another replication key; what this call installed is
    ///   removed.
    /// - [`KeyUnavailable`](ErrorKind::KeyUnavailable) if a member does not answer, refuses, or has a key under the id that it
    ///   does not protect; the members before it keep the key.
    /// - [`UnsupportedOperation`](ErrorKind::UnsupportedOperation) for a cluster that its vendor manages.
    pub fn install_replication_key(&self, value: &SecretBytes) -> Result<()> {
        let Some(id) = self.shared.replication_key.as_deref() else {
            let text = "the vendor of the cluster replicates keys, without a replication key";
            return Err(Error::new(ErrorKind::UnsupportedOperation, text));
        };
        self.check_connected()?;
        let mut lacking = Vec::new();
        for member in self.members.iter() {
            if member.token.count_objects(id).map_err(|error| refusal(&error).with_member(member))? == 0 {
                lacking.push(member);
            } else {
                self.check_replication_key(member, value)?;
            }
        }
        let claim = self.claim(id, REPLICATION_LABEL)?;
        let installed = lacking.iter().try_for_each(|member| self.install_on(member, &claim, value));
        if installed.as_ref().is_err_and(|error| error.kind() == ErrorKind::AlreadyExists) {
            claim.undo(lacking);
        }
        installed
    }

    fn install_on(&self, member: &Member, claim: &Claim, value: &SecretBytes) -> Result<()> {
        let keeps = match member.token.import_wrapping_key(claim.id(), claim.label(), value) {
            Ok(_) => claim.keeps(member).inspect_err(|_| claim.undo([member])),
            // It was taken since it was looked at.
            Err(error) if error.class() == ErrorClass::Denied && claim.is_taken(member) => Ok(false),
            Err(error) => Err(error),
        };
        let failed = |error: TokenError| refusal_to_make(&error).with_member(member);
        if keeps.map_err(failed)? {
            return Ok(());
        }
        // Another process was first: all is well if it installed the same value.
        claim.undo([member]);
        claim.wait_for_one(member).map_err(failed)?;
        self.check_replication_key(member, value)
    }

    /// Rejects the replication key of a member if it is not protected, or has another value.
    fn check_replication_key(&self, member: &Member, value: &SecretBytes) -> Result<()> {
        let key = self.replication_key(member).map_err(|error| refusal(&error).with_member(member))?;
        let is_same = member.token.is_wrapping_key(&key, value).map_err(|error| refusal(&error).with_member(member))?;
        if is_same {
            return Ok(());
        }
        let text = format!("{} has another replication key under this id already", member.name);
        Err(Error::new(ErrorKind::AlreadyExists, text))
    }

    /// Returns the members that answer, each with its replication key, and the errors of the others. A member that does not
    /// protect its replication key is an error, so that no key is created that would be wrapped under it.
    #[expect(clippy::type_complexity, reason = "two lists of pairs, taken apart at once")]
    pub(super) fn active_with_replication_keys(
        &self,
    ) -> Result<(Vec<(&Member, TokenKeyHandle)>, Vec<(&Member, TokenError)>)> {
        let (mut active, mut reasons) = (Vec::new(), Vec::new());
        for member in self.members.iter() {
            let (state, reason) = member.state();
            if state != MemberState::Active {
                let text = reason.unwrap_or_else(|| "it is not connected".to_owned());
                reasons.push((member, TokenError::new(ErrorClass::TokenLost, text)));
                continue;
            }
            match self.replication_key(member) {
                Ok(wrapping) => active.push((member, wrapping)),
                Err(error) if error.rejected_for().is_some() => return Err(refusal_to_make(&error).with_member(member)),
                Err(error) => reasons.push((member, error)),
            }
        }
        Ok((active, reasons))
    }

    /// The key under which keys travel, as a member has it. That it is the same everywhere shows when what was wrapped
    /// under it is unwrapped and opens the canary.
    fn replication_key(&self, member: &Member) -> Result<TokenKeyHandle, TokenError> {
        let id = self.shared.replication_key.as_deref().unwrap_or_default();
        member.token.adopt_key(id, REPLICATION_LABEL, TokenKeyKind::WrappingAes256)
    }
}
