//! The replication key, which wraps new keys for the other members.

use super::claim::Claim;
use super::failure::{WithMember as _, refusal, refusal_to_make};
use super::members::{Member, Pkcs11Cluster};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::MemberState;
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::reference::{TokenKeyHandle, TokenKeyKind};
use crate::secret::SecretBytes;

/// The prefix of the CKA_LABEL of a replication key installed by strongroom.
const REPLICATION_LABEL: &str = "replication key";

impl Pkcs11Cluster {
    /// Imports the replication key into every member that does not have one yet. The value is 32
    /// uniformly random bytes, the same for all members.
    ///
    /// Call this while the cluster is connected, when the tokens are set up. A key ceremony of the
    /// HSM vendor is preferable, because then no process ever sees the key.
    ///
    /// A member that already has a replication key must have this value. Repeating the call with
    /// the same value changes nothing. If several processes install different values at the same
    /// time, at most one succeeds.
    ///
    /// # Errors
    /// - [`AlreadyExists`](ErrorKind::AlreadyExists) if a member has another replication key. The
    ///   keys that this call installed are removed.
    /// - [`KeyUnavailable`](ErrorKind::KeyUnavailable) if a member does not respond, refuses the
    ///   operation, or has a key under the ID that it does not protect. The members before it keep
    ///   the key.
    /// - [`UnsupportedOperation`](ErrorKind::UnsupportedOperation) for a vendor-managed cluster.
    ///
    /// # Examples
    /// ```no_run
    /// use strongroom::provider::pkcs11::Pkcs11Cluster;
    /// use strongroom::{Kms, Result};
    ///
    /// /// Sets up the members of a connected cluster, once.
    /// fn set_up(cluster: &Pkcs11Cluster, kms: &Kms) -> Result<()> {
    ///     cluster.install_replication_key(&kms.generate_random(32)?)
    /// }
    /// ```
    pub fn install_replication_key(&self, value: &SecretBytes) -> Result<()> {
        let Some(id) = self.shared.replication_key.as_deref() else {
            let text = "the cluster needs no replication key, because its vendor replicates keys";
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
            // The ID was taken after it was checked.
            Err(error) if error.class() == ErrorClass::Denied && claim.is_taken(member) => Ok(false),
            Err(error) => Err(error),
        };
        let failed = |error: TokenError| refusal_to_make(&error).with_member(member);
        if keeps.map_err(failed)? {
            return Ok(());
        }
        // Another process was first. This succeeds if it installed the same value.
        claim.undo([member]);
        claim.wait_for_one(member).map_err(failed)?;
        self.check_replication_key(member, value)
    }

    /// Rejects the replication key of a member if it is not protected or has another value.
    fn check_replication_key(&self, member: &Member, value: &SecretBytes) -> Result<()> {
        let key = self.replication_key(member).map_err(|error| refusal(&error).with_member(member))?;
        let is_same = member.token.is_wrapping_key(&key, value).map_err(|error| refusal(&error).with_member(member))?;
        if is_same {
            return Ok(());
        }
        let text = format!("{} already has another replication key with this id", member.name);
        Err(Error::new(ErrorKind::AlreadyExists, text))
    }

    /// Returns the members that respond, each with its replication key, and the errors of the
    /// others. A member that does not protect its replication key is an error, so that no key is
    /// ever wrapped under it.
    #[expect(clippy::type_complexity, reason = "the callers immediately destructure the two lists of pairs")]
    pub(super) fn active_with_replication_keys(
        &self,
    ) -> Result<(Vec<(&Member, TokenKeyHandle)>, Vec<(&Member, TokenError)>)> {
        let (mut active, mut reasons) = (Vec::new(), Vec::new());
        for member in self.members.iter() {
            let (state, reason) = member.state();
            if state != MemberState::Active {
                let text = reason.unwrap_or_else(|| "not connected".to_owned());
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

    /// Returns the replication key of a member. Whether all members have the same one is checked
    /// when a wrapped key is unwrapped and decrypts the canary.
    fn replication_key(&self, member: &Member) -> Result<TokenKeyHandle, TokenError> {
        let id = self.shared.replication_key.as_deref().unwrap_or_default();
        member.token.adopt_key(id, REPLICATION_LABEL, TokenKeyKind::WrappingAes256)
    }
}
