//! Runs tasks with a token, and retries them where this is safe and may help.

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

/// Delay before the first retry of a call to a busy token. It doubles with each retry.
const BUSY_PAUSE: Duration = Duration::from_millis(5);

/// Maximum number of retries of a call to a busy token.
const BUSY_RETRIES: u32 = 4;

/// Retry policy of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryPolicy {
    /// The operation is idempotent.
    Safe,
    /// The operation is idempotent and accesses objects. Some tokens run such operations correctly
    /// only one at a time.
    SafeAlone,
    /// The operation creates or destroys objects, and must run only once.
    Never,
}

/// A task to run with a token, and the means to determine afterwards whether the token caused a
/// failure.
pub(super) struct Task<F> {
    pub(super) retry: RetryPolicy,
    /// The key whose canary is tested. Without a key, the token itself is tested.
    pub(super) key: Option<TokenKeyHandle>,
    pub(super) work: F,
}

/// Remaining retries of an operation.
struct RetryBudget {
    lost: u32,
    busy: u32,
    ambiguous: u32,
}

impl Inner {
    /// Runs a task. If it must run only once, the connection is tested first.
    pub(super) fn attempt<T, F>(&self, process: &ProcessState, task: &Task<F>) -> Result<T, TokenError>
    where
        F: Fn(SessionContext<'_>) -> Result<T, TokenError>,
    {
        if task.retry == RetryPolicy::Never {
            // A task that must run only once should not be the one to discover that a session died
            // long ago.
            self.in_turns(process, &Task { retry: RetryPolicy::Safe, key: None, work: object::token_is_well })?;
        }
        self.in_turns(process, task)
    }

    /// Locks the objects of a token that requires object operations to run one at a time. This
    /// includes operations with a key whose handle must be looked up first.
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
        locked.map(Some).ok_or_else(|| {
            TokenError::new(ErrorClass::Busy, "the token is busy creating or searching for another object")
        })
    }

    /// Runs a task, and retries it where this is safe and may help.
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

    /// Determines the meaning of an ambiguous error.
    fn diagnose(&self, connection: &Arc<Connection>, error: TokenError, key: Option<&TokenKeyHandle>) -> TokenError {
        let asked = match error.class() {
            ErrorClass::Ambiguous => self.once(connection, Session::New, |context| match key {
                Some(key) => object::key_is_well(context, key, &self.config.backend),
                None => object::token_is_well(context),
            }),
            // After a token is gone, some modules show a token without keys.
            ErrorClass::KeyMissing => self.once(connection, Session::New, object::token_is_well),
            _ => return error,
        };
        match asked {
            Ok(()) => error,
            Err(unwell) if matches!(unwell.class(), ErrorClass::Busy | ErrorClass::SessionLost) => unwell,
            Err(unwell) => error.found_to_be(ErrorClass::TokenLost, &format!("the token does not respond ({unwell})")),
        }
    }

    /// Returns `true` if the operation is to be retried after a diagnosed error. Also updates the
    /// circuit breaker.
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
                // The token is healthy, so the failure may have been transient. Otherwise, the
                // input is invalid or the key is missing.
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

/// Converts an error after the last attempt into its meaning for the caller.
fn finalize_error(error: TokenError) -> TokenError {
    match error.class() {
        ErrorClass::Ambiguous => error.found_to_be(ErrorClass::BadInput, "the token works but rejected the input"),
        _ => error,
    }
}
