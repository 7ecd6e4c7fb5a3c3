//! Does something with a token, and again where that is safe and may help.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::session::Session;
use super::state::{Inner, ProcessState};
use crate::provider::pkcs11::connection::{Connection, SessionContext};
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::module::timed_mutex::TimedMutexGuard;
use crate::provider::pkcs11::object;
use crate::provider::pkcs11::reference::TokenKeyHandle;

/// How long an operation waits before it asks a busy token again, the first time. Twice as long each time.
const BUSY_PAUSE: Duration = Duration::from_millis(5);

/// How often a busy token is asked again.
const BUSY_RETRIES: u32 = 4;

/// Whether an operation may be done twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryPolicy {
    /// Doing it twice is as good as once.
    Safe,
    /// The same, and it is about objects: some tokens do it right only while nothing else is about them.
    SafeAlone,
    /// It makes or destroys something, and is about objects as well.
    Never,
}

/// Something to do with a token, and how to tell afterwards whether it was the token's fault.
pub(super) struct Task<F> {
    pub(super) retry: RetryPolicy,
    /// The key whose canary tells; without one the token itself is asked.
    pub(super) key: Option<TokenKeyHandle>,
    pub(super) work: F,
}

/// How often the same operation is still tried again.
struct RetryBudget {
    lost: u32,
    busy: u32,
    ambiguous: u32,
}

impl Inner {
    /// Does something, after the connection was tried if it may be done once only.
    pub(super) fn attempt<T, F>(&self, process: &ProcessState, task: &Task<F>) -> Result<T, TokenError>
    where
        F: Fn(SessionContext<'_>) -> Result<T, TokenError>,
    {
        if task.retry == RetryPolicy::Never {
            // What may be done once only is not what finds out that a session died long ago.
            self.in_turns(process, &Task { retry: RetryPolicy::Safe, key: None, work: object::token_is_well })?;
        }
        self.in_turns(process, task)
    }

    /// The turn to do something about objects of the token, if it does that right only one at a time: also for a key that
    /// has to be looked for before it is used.
    fn lock_objects<F>(&self, connection: &Connection, task: &Task<F>) -> Result<Option<TimedMutexGuard>, TokenError> {
        let is_sought = |key| connection.handle(key).is_none();
        if task.retry == RetryPolicy::Safe && !task.key.as_ref().is_some_and(is_sought) {
            return Ok(None);
        }
        let capabilities = self.capabilities.load();
        if !capabilities.as_ref().is_some_and(|capabilities| capabilities.quirks.objects_one_at_a_time) {
            return Ok(None);
        }
        let locked = self.module.lock_objects(self.config.session_wait);
        locked.map(Some).ok_or_else(|| TokenError::new(ErrorClass::Busy, "the token makes or looks for another object"))
    }

    /// Does it, and again where that is safe and may help.
    fn in_turns<T, F>(&self, process: &ProcessState, task: &Task<F>) -> Result<T, TokenError>
    where
        F: Fn(SessionContext<'_>) -> Result<T, TokenError>,
    {
        let repeats = u32::from(task.retry != RetryPolicy::Never);
        let mut left = RetryBudget { lost: repeats, busy: repeats * BUSY_RETRIES, ambiguous: repeats };
        loop {
            let kept = process.connection.load();
            let made;
            let connection = match kept.as_ref() {
                Some(connection) if connection.is_current() => connection,
                _ => {
                    made = self.obtain_connection(process)?;
                    &made
                }
            };
            let _locked = self.lock_objects(connection, task)?;
            let error = match self.once(connection, Session::Any, &task.work) {
                Ok(result) => {
                    process.breaker.success();
                    return Ok(result);
                }
                Err(error) => error,
            };
            let error = self.diagnose(connection, error, task.key.as_ref());
            if !self.should_retry(process, connection, &error, &mut left) {
                return Err(finalize_error(error));
            }
        }
    }

    /// Finds out what an answer means that may mean anything.
    fn diagnose(&self, connection: &Arc<Connection>, error: TokenError, key: Option<&TokenKeyHandle>) -> TokenError {
        let asked = match error.class() {
            ErrorClass::Ambiguous => self.once(connection, Session::New, |context| match key {
                Some(key) => object::key_is_well(context, key, &self.config.backend),
                None => object::token_is_well(context),
            }),
            // Where a token is gone, some see a token without keys.
            ErrorClass::KeyMissing => self.once(connection, Session::New, object::token_is_well),
            _ => return error,
        };
        match asked {
            Ok(()) => error,
            Err(unwell) if matches!(unwell.class(), ErrorClass::Busy | ErrorClass::SessionLost) => unwell,
            Err(unwell) => error.found_to_be(ErrorClass::TokenLost, &format!("the token does not answer ({unwell})")),
        }
    }

    /// Whether the operation is tried again, after an error that was judged. Keeps account of the token's health.
    fn should_retry(
        &self,
        process: &ProcessState,
        connection: &Arc<Connection>,
        error: &TokenError,
        left: &mut RetryBudget,
    ) -> bool {
        let mut take = |count: fn(&mut RetryBudget) -> &mut u32| {
            let count = count(left);
            let some = *count > 0;
            *count = count.saturating_sub(1);
            some
        };
        match error.class() {
            ErrorClass::SessionLost | ErrorClass::TokenLost => {
                Self::drop_connection(process, connection);
                let again = take(|left| &mut left.lost);
                if !again {
                    process.breaker.failure(error);
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
                process.breaker.success();
                take(|left| &mut left.ambiguous)
            }
            ErrorClass::BadInput | ErrorClass::Denied | ErrorClass::Fatal => {
                process.breaker.success();
                false
            }
        }
    }
}

/// What an error means to the caller once nothing more is tried.
fn finalize_error(error: TokenError) -> TokenError {
    match error.class() {
        ErrorClass::Ambiguous => error.found_to_be(ErrorClass::BadInput, "the token is well and refuses the input"),
        _ => error,
    }
}
