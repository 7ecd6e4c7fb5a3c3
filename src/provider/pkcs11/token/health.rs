//! Health of a token, and its circuit breaker.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::lock::{Mutex, MutexGuard};
use crate::provider::pkcs11::error::{ErrorClass, TokenError};

/// State of a token.
///
/// # Examples
/// ```no_run
/// use strongroom::provider::pkcs11::{HealthState, Token};
///
/// /// Returns a line for a status page.
/// fn status(token: &Token) -> String {
///     let health = token.health();
///     match health.state {
///         HealthState::Connected => "up".to_owned(),
///         HealthState::Disconnected => "not in use".to_owned(),
///         _ => format!("down after {} failures", health.failures),
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HealthState {
    /// There is no connection: none was requested yet, or the token was disconnected.
    Disconnected,
    /// The token responds.
    Connected,
    /// The token did not respond to the last request.
    Failing,
    /// The token failed so often that it is not called for a while. Then a single operation tries
    /// it.
    CircuitOpen,
    /// The token rejected the PIN, which is not tried again until it is set again.
    PinRejected,
}

/// State of a token, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenHealth {
    /// State of the token.
    pub state: HealthState,
    /// Number of failures since the token last responded.
    pub failures: u32,
    /// The last failure.
    pub last_error: Option<TokenError>,
    /// Number of abandoned calls that are still running.
    pub stuck_calls: usize,
    /// `true` if a call to any token of its module has not returned.
    pub module_wedged: bool,
    /// Generation of its module.
    pub generation: u64,
}

/// A circuit breaker, which rejects operations after too many failures of a token.
#[derive(Debug)]
pub(in crate::provider::pkcs11) struct Breaker {
    most: u32,
    pause: Duration,
    /// `true` if the state holds any failure. Without failures, no operation needs to lock the
    /// state.
    troubled: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    not_before: Option<Instant>,
    last_error: Option<TokenError>,
    refused: Option<TokenError>,
    unclear_logins: u32,
}

/// Maximum number of login failures that do not reveal whether the PIN is wrong, before the PIN is
/// no longer tried.
pub(in crate::provider::pkcs11) const UNCLEAR_LOGINS: u32 = 2;

impl Breaker {
    pub(in crate::provider::pkcs11) fn new(most: u32, pause: Duration) -> Self {
        Self { most: most.max(1), pause, troubled: AtomicBool::new(false), state: Mutex::default() }
    }

    /// Returns a breaker with the same settings and no failures, for a forked child.
    pub(in crate::provider::pkcs11) fn fresh(&self) -> Self {
        Self::new(self.most, self.pause)
    }

    /// Rejects operations while the circuit breaker is open. After the pause, one operation passes
    /// and starts the next pause, which ends when that operation succeeds.
    pub(in crate::provider::pkcs11) fn check(&self) -> Result<(), TokenError> {
        if !self.troubled.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut state = self.lock();
        if let Some(refused) = &state.refused {
            return Err(refused.clone());
        }
        let Some(not_before) = state.not_before else { return Ok(()) };
        let now = Instant::now();
        if now < not_before {
            let last = state.last_error.clone();
            let error = last.unwrap_or_else(|| TokenError::new(ErrorClass::TokenLost, "the last operation failed"));
            return Err(error.found_to_be(ErrorClass::TokenLost, "not used for now after too many failures"));
        }
        state.not_before = Some(now + self.pause);
        Ok(())
    }

    /// Rejects if the PIN must not be tried again.
    pub(in crate::provider::pkcs11) fn check_pin(&self) -> Result<(), TokenError> {
        match &self.lock().refused {
            Some(refused) => Err(refused.clone()),
            None => Ok(()),
        }
    }

    /// Returns `true` if an operation would be admitted now.
    pub(in crate::provider::pkcs11) fn lets_through(&self) -> bool {
        let state = self.lock();
        state.refused.is_none() && state.not_before.is_none_or(|not_before| Instant::now() >= not_before)
    }

    /// Records that the token responded, even if it rejected the input.
    pub(in crate::provider::pkcs11) fn success(&self) {
        if !self.troubled.load(Ordering::Acquire) {
            return;
        }
        self.change(|state| {
            if state.failures > 0 {
                state.failures = 0;
                state.not_before = None;
                state.last_error = None;
            }
        });
    }

    /// Records that the token did not respond.
    pub(in crate::provider::pkcs11) fn failure(&self, error: &TokenError) {
        self.change(|state| {
            state.failures = state.failures.saturating_add(1);
            state.last_error = Some(error.clone());
            if state.failures >= self.most {
                state.not_before = Some(Instant::now() + self.pause);
            }
        });
    }

    /// Records a failed login. A wrong PIN is not tried again, and a possibly wrong one only a few
    /// times.
    pub(in crate::provider::pkcs11) fn login_failed(&self, error: &TokenError) {
        self.change(|state| {
            state.unclear_logins += u32::from(error.is_of_unclear_login());
            if error.class() == ErrorClass::Denied || state.unclear_logins > UNCLEAR_LOGINS {
                state.refused = Some(error.clone());
            }
        });
    }

    /// Records a successful login.
    pub(in crate::provider::pkcs11) fn logged_in(&self) {
        self.change(|state| state.unclear_logins = 0);
    }

    /// Ends the pause.
    pub(in crate::provider::pkcs11) fn try_now(&self) {
        self.change(|state| state.not_before = None);
    }

    /// Resets the breaker, because the PIN was replaced or there is a reason to try immediately.
    pub(in crate::provider::pkcs11) fn reset(&self) {
        self.change(|state| *state = State::default());
    }

    /// Returns the state, the number of failures and the last error.
    pub(in crate::provider::pkcs11) fn report(&self, connected: bool) -> (HealthState, u32, Option<TokenError>) {
        let state = self.lock();
        let named = match (&state.refused, state.not_before, state.failures) {
            (Some(_), ..) => HealthState::PinRejected,
            (None, Some(_), _) => HealthState::CircuitOpen,
            (None, None, 1..) => HealthState::Failing,
            (None, None, 0) if connected => HealthState::Connected,
            (None, None, 0) => HealthState::Disconnected,
        };
        (named, state.failures, state.refused.as_ref().or(state.last_error.as_ref()).cloned())
    }

    fn change(&self, work: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        work(&mut state);
        let troubled = state.failures > 0 || state.not_before.is_some() || state.refused.is_some();
        self.troubled.store(troubled, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}
