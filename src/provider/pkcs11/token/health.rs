//! How a token is: what it did last, and whether it is left alone for a while.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::lock::{Mutex, MutexGuard};
use crate::provider::pkcs11::error::{ErrorClass, TokenError};

/// How a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HealthState {
    /// There is no connection, because nobody asked for one yet or it was ended.
    Disconnected,
    /// It answers.
    Connected,
    /// It did not answer the last time.
    Failing,
    /// It failed so often that it is left alone for a while; then one operation tries it.
    CircuitOpen,
    /// It refused the PIN, which is not tried again until it is set anew.
    PinRejected,
}

/// How a token is, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenHealth {
    /// The state.
    pub state: HealthState,
    /// How often it failed since it last answered.
    pub failures: u32,
    /// What it failed with last.
    pub last_error: Option<TokenError>,
    /// Calls that were given up and still run.
    pub stuck_calls: usize,
    /// Whether a call of any token of its module does not come back.
    pub module_wedged: bool,
    /// The generation of its module.
    pub generation: u64,
}

/// Lets operations through to a token, unless it failed too often.
#[derive(Debug)]
pub(in crate::provider::pkcs11) struct Breaker {
    most: u32,
    pause: Duration,
    /// Whether the state says anything: as long as all goes well, nobody needs its lock.
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

/// How often a token may answer to a login what may or may not mean a wrong PIN, before the PIN is not tried any more.
pub(in crate::provider::pkcs11) const UNCLEAR_LOGINS: u32 = 2;

impl Breaker {
    pub(in crate::provider::pkcs11) fn new(most: u32, pause: Duration) -> Self {
        Self { most: most.max(1), pause, troubled: AtomicBool::new(false), state: Mutex::default() }
    }

    /// A breaker of the same kind that nothing has happened to, for a child that was forked.
    pub(in crate::provider::pkcs11) fn fresh(&self) -> Self {
        Self::new(self.most, self.pause)
    }

    /// Refuses while the token is left alone. When the pause is over, one operation passes and starts the next pause,
    /// which its success ends.
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
            let error = last.unwrap_or_else(|| TokenError::new(ErrorClass::TokenLost, "it failed"));
            return Err(error.found_to_be(ErrorClass::TokenLost, "left alone after too many failures"));
        }
        state.not_before = Some(now + self.pause);
        Ok(())
    }

    /// Refuses if the PIN is not to be tried any more.
    pub(in crate::provider::pkcs11) fn check_pin(&self) -> Result<(), TokenError> {
        match &self.lock().refused {
            Some(refused) => Err(refused.clone()),
            None => Ok(()),
        }
    }

    /// Whether an operation would be let through now.
    pub(in crate::provider::pkcs11) fn lets_through(&self) -> bool {
        let state = self.lock();
        state.refused.is_none() && state.not_before.is_none_or(|not_before| Instant::now() >= not_before)
    }

    /// The token answered, be it with a refusal of the input.
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

    /// The token did not answer.
    pub(in crate::provider::pkcs11) fn failure(&self, error: &TokenError) {
        self.change(|state| {
            state.failures = state.failures.saturating_add(1);
            state.last_error = Some(error.clone());
            if state.failures >= self.most {
                state.not_before = Some(Instant::now() + self.pause);
            }
        });
    }

    /// A login failed: the PIN is not tried again if it is wrong, and not often if it may be.
    pub(in crate::provider::pkcs11) fn login_failed(&self, error: &TokenError) {
        self.change(|state| {
            state.unclear_logins += u32::from(error.is_of_unclear_login());
            if error.class() == ErrorClass::Denied || state.unclear_logins > UNCLEAR_LOGINS {
                state.refused = Some(error.clone());
            }
        });
    }

    /// A login succeeded.
    pub(in crate::provider::pkcs11) fn logged_in(&self) {
        self.change(|state| state.unclear_logins = 0);
    }

    /// Ends the pause.
    pub(in crate::provider::pkcs11) fn try_now(&self) {
        self.change(|state| state.not_before = None);
    }

    /// There is another PIN to try, or a reason to try at once.
    pub(in crate::provider::pkcs11) fn reset(&self) {
        self.change(|state| *state = State::default());
    }

    /// The state, the number of failures and the last error.
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
