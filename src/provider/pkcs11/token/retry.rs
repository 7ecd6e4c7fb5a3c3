//! Does something with a token, and again where that is safe and may help.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::session::Session;
use super::state::{Inner, Local};
use crate::provider::pkcs11::connection::{Attachment, Calls};
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::module::turns::Turn;
use crate::provider::pkcs11::object;
use crate::provider::pkcs11::reference::KeyReference;

/// How long an operation waits before it asks a busy token again, the first time. Twice as long each time.
const BUSY_PAUSE: Duration = Duration::from_millis(5);

/// How often a busy token is asked again.
const BUSY_RETRIES: u32 = 4;

/// Whether an operation may be done twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Doing it twice is as good as once.
    Safe,
    /// The same, and it is about objects: some tokens do it right only while nothing else is about them.
    SafeAlone,
    /// It makes or destroys something, and is about objects as well.
    Never,
}

/// Something to do with a token, and how to tell afterwards whether it was the token's fault.
pub(super) struct Task<F> {
    pub(super) repeat: Repeat,
    /// The key whose canary tells; without one the token itself is asked.
    pub(super) key: Option<KeyReference>,
    pub(super) work: F,
}

/// How often the same operation is still tried again.
struct Left {
    lost: u32,
    busy: u32,
    ambiguous: u32,
}

impl Inner {
    /// Does something, after the connection was tried if it may be done once only.
    pub(super) fn attempt<T, F>(&self, local: &Local, task: &Task<F>) -> Result<T, TokenError>
    where
        F: Fn(Calls<'_>) -> Result<T, TokenError>,
    {
        if task.repeat == Repeat::Never {
            // What may be done once only is not what finds out that a session died long ago.
            self.in_turns(local, &Task { repeat: Repeat::Safe, key: None, work: object::token_is_well })?;
        }
        self.in_turns(local, task)
    }

    /// The turn to do something about objects of the token, if it does that right only one at a time: also for a key that
    /// has to be looked for before it is used.
    fn turn_of_objects<F>(&self, attachment: &Attachment, task: &Task<F>) -> Result<Option<Turn>, TokenError> {
        let is_sought = |key| attachment.handle(key).is_none();
        if task.repeat == Repeat::Safe && !task.key.as_ref().is_some_and(is_sought) {
            return Ok(None);
        }
        let capabilities = self.capabilities.load();
        if !capabilities.as_ref().is_some_and(|capabilities| capabilities.quirks.objects_one_at_a_time) {
            return Ok(None);
        }
        let turn = self.module.turn_of_objects(self.config.session_wait);
        turn.map(Some).ok_or_else(|| TokenError::new(ErrorClass::Busy, "the token makes or looks for another object"))
    }

    /// Does it, and again where that is safe and may help.
    fn in_turns<T, F>(&self, local: &Local, task: &Task<F>) -> Result<T, TokenError>
    where
        F: Fn(Calls<'_>) -> Result<T, TokenError>,
    {
        let repeats = u32::from(task.repeat != Repeat::Never);
        let mut left = Left { lost: repeats, busy: repeats * BUSY_RETRIES, ambiguous: repeats };
        loop {
            let kept = local.attachment.load();
            let made;
            let attachment = match kept.as_ref() {
                Some(attachment) if attachment.is_current() => attachment,
                _ => {
                    made = self.attach(local)?;
                    &made
                }
            };
            let _turn = self.turn_of_objects(attachment, task)?;
            let error = match self.once(attachment, Session::Any, &task.work) {
                Ok(result) => {
                    local.breaker.success();
                    return Ok(result);
                }
                Err(error) => error,
            };
            let error = self.judge(attachment, error, task.key.as_ref());
            if !self.try_again(local, attachment, &error, &mut left) {
                return Err(conclude(error));
            }
        }
    }

    /// Finds out what an answer means that may mean anything.
    fn judge(&self, attachment: &Arc<Attachment>, error: TokenError, key: Option<&KeyReference>) -> TokenError {
        let asked = match error.class() {
            ErrorClass::Ambiguous => self.once(attachment, Session::New, |calls| match key {
                Some(key) => object::key_is_well(calls, key, &self.config.backend),
                None => object::token_is_well(calls),
            }),
            // Where a token is gone, some see a token without keys.
            ErrorClass::KeyMissing => self.once(attachment, Session::New, object::token_is_well),
            _ => return error,
        };
        match asked {
            Ok(()) => error,
            Err(unwell) if matches!(unwell.class(), ErrorClass::Busy | ErrorClass::SessionLost) => unwell,
            Err(unwell) => error.found_to_be(ErrorClass::TokenLost, &format!("the token does not answer ({unwell})")),
        }
    }

    /// Whether the operation is tried again, after an error that was judged. Keeps account of the token's health.
    fn try_again(&self, local: &Local, attachment: &Arc<Attachment>, error: &TokenError, left: &mut Left) -> bool {
        let mut take = |count: fn(&mut Left) -> &mut u32| {
            let count = count(left);
            let some = *count > 0;
            *count = count.saturating_sub(1);
            some
        };
        match error.class() {
            ErrorClass::SessionLost | ErrorClass::TokenLost => {
                Self::detach(local, attachment);
                let again = take(|left| &mut left.lost);
                if !again {
                    local.breaker.failure(error);
                }
                again
            }
            ErrorClass::Busy => {
                let again = take(|left| &mut left.busy);
                if again {
                    thread::sleep(BUSY_PAUSE * 2_u32.pow(BUSY_RETRIES - 1 - left.busy));
                }
                again
            }
            ErrorClass::Ambiguous | ErrorClass::KeyMissing => {
                // The token is well: it may have been a hiccup, and if not, it is the input, or the key is not there.
                local.breaker.success();
                take(|left| &mut left.ambiguous)
            }
            ErrorClass::BadInput | ErrorClass::Denied | ErrorClass::Fatal => {
                local.breaker.success();
                false
            }
        }
    }
}

/// What an error means to the caller once nothing more is tried.
fn conclude(error: TokenError) -> TokenError {
    match error.class() {
        ErrorClass::Ambiguous => error.found_to_be(ErrorClass::BadInput, "the token is well and refuses the input"),
        _ => error,
    }
}
