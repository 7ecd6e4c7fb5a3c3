//! Erases what the generation of a named key leaves: the reservation of a complete key, and both objects of one that failed.

use std::thread;
use std::time::{Duration, Instant};

use super::claim::{Claim, PAUSE};
use super::members::{Member, Pkcs11Cluster};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::reference::id_text;

/// How long the attempts to erase one object are repeated, and how long the end of calls is waited for that were given up.
const PERSISTENCE: Duration = Duration::from_secs(4);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

impl Pkcs11Cluster {
    /// Erases a reservation whose key is complete. The key stays, whatever happens.
    pub(super) fn release(&self, reservation: &Claim) -> Result<()> {
        let mut failed = Ok(());
        for member in self.members.iter() {
            if let Err(error) = self.persistently(member, || reservation.erase(member)) {
                let text = format!(
                    "the key was generated and stays, but {} still has its reservation ({error}). Remove the object with the \
                     CKA_ID {} from it, and then find the key",
                    member.name,
                    id_text(reservation.id())
                );
                failed = Err(Error::new(ErrorKind::KeyUnavailable, text).with_source(error));
            }
        }
        failed
    }

    /// Erases the key of a reservation, and then the reservation, on the members where it was attempted. Returns the error of
    /// the generation, with the objects that may remain.
    pub(super) fn undo(&self, attempted: &[&Member], reservation: &Claim, id: &[u8], error: Error) -> Error {
        let mut text = error.to_string();
        for member in attempted {
            if let Err(failure) = self.undo_on(member, reservation, id) {
                text.push_str(&leftovers(member, reservation, id, &failure));
            }
        }
        if text == error.to_string() { error } else { Error::new(error.kind(), text).with_source(error) }
    }

    /// Erases both objects on one member, each while no earlier call can still create or erase one: see the beginning of
    /// `named.rs`.
    fn undo_on(&self, member: &Member, reservation: &Claim, id: &[u8]) -> Result<(), TokenError> {
        wait_for_calls(member, Instant::now() + PERSISTENCE)?;
        self.persistently(member, || member.token.destroy_labelled(id, reservation.label()))?;
        wait_for_calls(member, Instant::now() + PERSISTENCE)?;
        self.persistently(member, || reservation.erase(member))
    }

    /// Does something on a member and repeats it if it fails, which does no harm. A circuit breaker that has opened does not
    /// prevent it.
    fn persistently<T>(&self, member: &Member, work: impl Fn() -> Result<T, TokenError>) -> Result<T, TokenError> {
        let until = Instant::now() + PERSISTENCE;
        let mut pause = PAUSE;
        let mut done = work();
        while done.is_err() && Instant::now() < until && self.check_connected().is_ok() {
            thread::sleep(pause);
            pause = LONGEST_PAUSE.min(pause * 2);
            // Another attempt during a call that hangs would only cost another thread.
            if wait_for_calls(member, until).is_err() {
                break;
            }
            // Unlike an operation, this asks the token even while its circuit breaker is open.
            done = member.token.connect().and_then(|_| work());
        }
        done
    }
}

/// Waits until no call to a member runs that its caller gave up ([`CallMode::Deadline`]).
///
/// [`CallMode::Deadline`]: crate::provider::pkcs11::CallMode::Deadline
fn wait_for_calls(member: &Member, until: Instant) -> Result<(), TokenError> {
    while member.token.health().stuck_calls > 0 {
        if Instant::now() >= until {
            return Err(TokenError::new(ErrorClass::TokenLost, "a call to it has not returned"));
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// What an operator must remove from a member, in this order: a key without its reservation is found. By the label, as other
/// processes may have objects of the same CKA_ID.
fn leftovers(member: &Member, reservation: &Claim, id: &[u8], failure: &TokenError) -> String {
    let when = if member.token.health().stuck_calls > 0 { "after this process has ended, " } else { "" };
    format!(
        "; the call could not erase its objects ({failure}): {when}remove from {} any object with the CKA_LABEL '{}' and the CKA_ID {}, \
         and then any with this label and the CKA_ID {}",
        member.name,
        reservation.label(),
        id_text(id),
        id_text(reservation.id())
    )
}
