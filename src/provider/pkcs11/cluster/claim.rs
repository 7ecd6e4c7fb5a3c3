//! Claims of a name by several processes at the same time. No token rejects a second object with
//! the same CKA_ID. A process therefore first creates its object, under a CKA_LABEL that no other
//! object has, and then searches for objects of other processes. It recognizes its own object by
//! that label and erases no other.

use std::thread;
use std::time::Duration;

use super::failure::unavailable;
use super::members::{Member, Pkcs11Cluster};
use crate::crypto::{CryptoBackend, CryptoError};
use crate::error::Result;
use crate::provider::pkcs11::error::TokenError;

/// The number of random bytes in a label. They are encoded in hexadecimal.
const NONCE: usize = 16;

/// The maximum number of searches for objects of other processes, and the pause between two
/// searches.
pub(super) const LOOKS: u32 = 40;
pub(super) const PAUSE: Duration = Duration::from_millis(50);

/// One attempt to claim a name.
#[derive(Debug)]
pub(super) struct Claim {
    id: Vec<u8>,
    prefix: String,
    label: String,
}

impl Claim {
    /// Creates a claim to a CKA_ID for this call. The label starts with `prefix`, for human
    /// readers.
    pub(super) fn new(id: &[u8], prefix: &str, backend: &CryptoBackend) -> Result<Self, CryptoError> {
        let mut nonce = [0; NONCE];
        backend.random().fill(&mut nonce)?;
        let label = format!("{prefix} {}", base16ct::lower::encode_string(&nonce));
        Ok(Self { id: id.to_vec(), prefix: format!("{prefix} "), label })
    }

    pub(super) fn id(&self) -> &[u8] {
        &self.id
    }

    /// Returns the CKA_LABEL of the objects that this call creates.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// Returns `true` if the object of this claim, created on a member, keeps the name, and `false`
    /// if another object has it. Of several simultaneous claims, the one whose label sorts first
    /// keeps the name. It waits until the others are erased.
    pub(super) fn keeps(&self, member: &Member) -> Result<bool, TokenError> {
        let mut alone = false;
        for _ in 0..LOOKS {
            let labels = member.token.labels(&self.id)?;
            let mut others = labels.iter().filter(|label| label.as_slice() != self.label.as_bytes()).peekable();
            let is_alone = others.peek().is_none();
            if is_alone && alone {
                return Ok(true);
            }
            if others.any(|other| !self.precedes(other)) {
                return Ok(false);
            }
            // Checked twice, because a token shared by several processes may briefly hide an
            // object.
            alone = is_alone;
            thread::sleep(PAUSE);
        }
        Ok(false)
    }

    /// Returns `true` if this claim precedes the object with another label. An object that is not a
    /// claim counts as older.
    fn precedes(&self, other: &[u8]) -> bool {
        let is_claim = other.strip_prefix(self.prefix.as_bytes()).is_some_and(|nonce| nonce.len() == 2 * NONCE);
        is_claim && self.label.as_bytes() < other
    }

    /// Returns `true` if every object with a CKA_ID on a member has the label of this claim.
    pub(super) fn is_alone(&self, member: &Member, id: &[u8]) -> Result<bool, TokenError> {
        let is_alone = || Ok(member.token.labels(id)?.iter().all(|label| label.as_slice() == self.label.as_bytes()));
        if !is_alone()? {
            return Ok(false);
        }
        // Checked twice, because a token shared by several processes may briefly hide an object.
        thread::sleep(PAUSE);
        is_alone()
    }

    /// Returns `true` if a member has an object with the claimed name.
    pub(super) fn is_taken(&self, member: &Member) -> bool {
        member.token.count_objects(&self.id).is_ok_and(|count| count > 0)
    }

    /// Waits until a member shows at most one object with the claimed name.
    pub(super) fn wait_for_one(&self, member: &Member) -> Result<(), TokenError> {
        for _ in 0..LOOKS {
            if member.token.labels(&self.id)?.len() <= 1 {
                break;
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Erases the object of this claim on a member.
    pub(super) fn erase(&self, member: &Member) -> Result<(), TokenError> {
        member.token.destroy_labelled(&self.id, &self.label).map(drop)
    }

    /// Erases the objects of this claim on these members. On a member that does not respond they
    /// remain, and the name stays in use.
    pub(super) fn undo<'a>(&self, members: impl IntoIterator<Item = &'a Member>) {
        for member in members {
            let _ = self.erase(member);
        }
    }
}

impl Pkcs11Cluster {
    /// Claims a CKA_ID with random bytes from the cluster.
    pub(super) fn claim(&self, id: &[u8], label: &str) -> Result<Claim> {
        Ok(Claim::new(id, label, self.backend()?)?)
    }

    /// Returns the software backend of the first member.
    pub(super) fn backend(&self) -> Result<&CryptoBackend> {
        let first = self.members.first().ok_or_else(|| unavailable(&[]))?;
        Ok(&first.token.config().backend)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_claims_one_precedes_and_what_is_no_claim_precedes_both() {
        let claim = |nonce: String| Claim { id: vec![1], prefix: "key ".into(), label: format!("key {nonce}") };
        let (first, second) = (claim("0".repeat(2 * NONCE)), claim("f".repeat(2 * NONCE)));
        assert!(first.precedes(second.label.as_bytes()) && !second.precedes(first.label.as_bytes()));
        assert!(!first.precedes(first.label.as_bytes()));
        let nonce = |length| format!("key {}", "f".repeat(length));
        for older in
            ["", "key", "key ", "zzz", &nonce(2 * NONCE - 1), &nonce(2 * NONCE + 1), &nonce(NONCE + 2), &nonce(1)]
        {
            assert!(!first.precedes(older.as_bytes()), "{older}");
        }
    }
}
