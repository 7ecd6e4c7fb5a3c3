//! Names that several processes may claim at the same time. No token refuses a second object of one CKA_ID, so a process first
//! creates its object, under a CKA_LABEL that no other object has, and then looks for objects of other processes. It
//! recognizes its own object by that label, and erases no other.

use std::thread;
use std::time::Duration;

use super::failure::unavailable;
use super::members::{Member, Pkcs11Cluster};
use crate::crypto::{CryptoBackend, CryptoError};
use crate::error::Result;
use crate::provider::pkcs11::error::TokenError;

/// Random bytes in a label, which are written in hexadecimal.
const NONCE: usize = 16;

/// Maximum number of looks for objects of other processes, and the pause between two looks.
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
    /// The claim of this call to a CKA_ID. The label begins with `prefix`, for people.
    pub(super) fn new(id: &[u8], prefix: &str, backend: &CryptoBackend) -> Result<Self, CryptoError> {
        let mut nonce = [0; NONCE];
        backend.random().fill(&mut nonce)?;
        let label = format!("{prefix} {}", base16ct::lower::encode_string(&nonce));
        Ok(Self { id: id.to_vec(), prefix: format!("{prefix} "), label })
    }

    pub(super) fn id(&self) -> &[u8] {
        &self.id
    }

    /// The CKA_LABEL of what this call creates.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// Returns `true` if the object of this claim, created on a member, keeps the name, and `false` if another object has it.
    /// Of several simultaneous claims, the one whose label sorts first keeps the name, and waits until the others are erased.
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
            // Seen twice: a token that several processes share may hide an object for a moment.
            alone = is_alone;
            thread::sleep(PAUSE);
        }
        Ok(false)
    }

    /// Returns `true` if this claim precedes the object with another label. An object that is not a claim is older.
    fn precedes(&self, other: &[u8]) -> bool {
        let is_claim = other.strip_prefix(self.prefix.as_bytes()).is_some_and(|nonce| nonce.len() == 2 * NONCE);
        is_claim && self.label.as_bytes() < other
    }

    /// Returns `true` if a member has no object with a CKA_ID but those with the label of this claim.
    pub(super) fn is_alone(&self, member: &Member, id: &[u8]) -> Result<bool, TokenError> {
        let is_alone = || Ok(member.token.labels(id)?.iter().all(|label| label.as_slice() == self.label.as_bytes()));
        if !is_alone()? {
            return Ok(false);
        }
        // Seen twice: a token that several processes share may hide an object for a moment.
        thread::sleep(PAUSE);
        is_alone()
    }

    /// Returns `true` if a member has an object of the name.
    pub(super) fn is_taken(&self, member: &Member) -> bool {
        member.token.count_objects(&self.id).is_ok_and(|count| count > 0)
    }

    /// Waits until a member shows at most one object of the name.
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

    /// Erases the objects of this claim on these members. On a member that does not answer they remain, and the name stays
    /// in use.
    pub(super) fn undo<'a>(&self, members: impl IntoIterator<Item = &'a Member>) {
        for member in members {
            let _ = self.erase(member);
        }
    }
}

impl Pkcs11Cluster {
    /// Claims a CKA_ID with the randomness of the cluster.
    pub(super) fn claim(&self, id: &[u8], label: &str) -> Result<Claim> {
        Ok(Claim::new(id, label, self.backend()?)?)
    }

    /// The software of the first member.
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
