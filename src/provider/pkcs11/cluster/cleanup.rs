//! Erases what the generation of a named key leaves behind: the reservation of a complete key, or
//! both objects of a failed generation.

use std::thread;
use std::time::{Duration, Instant};

use super::claim::{Claim, PAUSE};
use super::members::{Member, Pkcs11Cluster};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::reference::id_text;

/// The time limit for repeated attempts to erase one object, and for waiting until abandoned calls
/// have returned.
const PERSISTENCE: Duration = Duration::from_secs(4);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

impl Pkcs11Cluster {
    /// Erases the reservation of a complete key. The key is kept even if this fails.
    pub(super) fn release(&self, reservation: &Claim) -> Result<()> {
        let mut failed = Ok(());
        for member in self.members.iter() {
            if let Err(error) = self.persistently(member, || reservation.erase(member)) {
                let text = format!(
                    "the key was generated, but its reservation could not be erased from {} ({error}): remove the \
                     object with the CKA_ID {} from that member, and then find the key",
                    member.name,
                    id_text(reservation.id())
                );
                failed = Err(Error::new(ErrorKind::KeyUnavailable, text).with_source(error));
            }
        }
        failed
    }

    /// Erases the key of a reservation, and then the reservation, on the members where the
    /// reservation was attempted. Returns the error of the generation, extended by the objects that
    /// may remain.
    pub(super) fn undo(&self, attempted: &[&Member], reservation: &Claim, id: &[u8], error: Error) -> Error {
        let mut text = error.to_string();
        for member in attempted {
            if let Err(failure) = self.undo_on(member, reservation, id) {
                text.push_str(&leftovers(member, reservation, id, &failure));
            }
        }
        if text == error.to_string() { error } else { Error::new(error.kind(), text).with_source(error) }
    }

    /// Erases both objects on one member, each only when no earlier call can still create or erase
    /// one. See the module documentation of `named.rs`.
    fn undo_on(&self, member: &Member, reservation: &Claim, id: &[u8]) -> Result<(), TokenError> {
        wait_for_calls(member, Instant::now() + PERSISTENCE)?;
        self.persistently(member, || member.token.destroy_labelled(id, reservation.label()))?;
        wait_for_calls(member, Instant::now() + PERSISTENCE)?;
        self.persistently(member, || reservation.erase(member))
    }

    /// Runs an idempotent operation on a member and repeats it if it fails, even if the circuit
    /// breaker has opened.
    fn persistently<T>(&self, member: &Member, work: impl Fn() -> Result<T, TokenError>) -> Result<T, TokenError> {
        let until = Instant::now() + PERSISTENCE;
        let mut pause = PAUSE;
        let mut done = work();
        while done.is_err() && Instant::now() < until && self.check_connected().is_ok() {
            thread::sleep(pause);
            pause = LONGEST_PAUSE.min(pause * 2);
            // Another attempt while a call hangs would only block another thread.
            if wait_for_calls(member, until).is_err() {
                break;
            }
            // Unlike a normal operation, this calls the token even while its circuit breaker is
            // open.
            done = member.token.connect().and_then(|_| work());
        }
        done
    }
}

/// Waits until every call to a member that its caller abandoned has returned
/// ([`CallMode::Deadline`]).
///
/// [`CallMode::Deadline`]: crate::provider::pkcs11::CallMode::Deadline
fn wait_for_calls(member: &Member, until: Instant) -> Result<(), TokenError> {
    while member.token.health().stuck_calls > 0 {
        if Instant::now() >= until {
            return Err(TokenError::new(ErrorClass::TokenLost, "a call to the token has not returned"));
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// Describes the objects that an operator must remove from a member. The key comes first, because a
/// key without its reservation can be found. The objects are identified by label, because other
/// processes may have objects with the same CKA_ID.
fn leftovers(member: &Member, reservation: &Claim, id: &[u8], failure: &TokenError) -> String {
    let when = if member.token.health().stuck_calls > 0 { "after this process has exited, " } else { "" };
    format!(
        "; the objects of this attempt could not be erased ({failure}): {when}remove from {} any object with the \
         CKA_LABEL '{}' and the CKA_ID {}, and then any object with the same label and the CKA_ID {}",
        member.name,
        reservation.label(),
        id_text(id),
        id_text(reservation.id())
    )
}
