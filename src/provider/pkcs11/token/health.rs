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
            state.failures = 0;
            state.not_before = None;
            state.last_error = None;
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

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);

    fn lost() -> TokenError {
        TokenError::new(ErrorClass::Busy, "it does not answer")
    }

    fn state(breaker: &Breaker) -> (HealthState, u32) {
        let (state, failures, _) = breaker.report(true);
        (state, failures)
    }

    /// Returns `true` if operations are let through. The answer of `lets_through` is the same.
    fn lets(breaker: &Breaker) -> bool {
        let lets = breaker.lets_through();
        assert_eq!(breaker.check().is_ok(), lets);
        lets
    }

    #[test]
    fn too_many_failures_open_it_for_a_pause() {
        let breaker = Breaker::new(3, LONG);
        assert_eq!(breaker.report(false), (HealthState::Disconnected, 0, None));
        assert_eq!(breaker.report(true), (HealthState::Connected, 0, None));
        for failures in 1..=2 {
            breaker.failure(&lost());
            assert!(lets(&breaker));
            assert_eq!(state(&breaker), (HealthState::Failing, failures));
        }
        breaker.success();
        assert_eq!(breaker.report(true), (HealthState::Connected, 0, None), "the failures are not counted together");
        for _ in 0..3 {
            assert!(lets(&breaker));
            breaker.failure(&lost());
        }
        assert!(!lets(&breaker));
        let error = breaker.check().expect_err("it is open");
        assert_eq!(error.class(), ErrorClass::TokenLost, "{error}");
        assert_eq!(error.to_string(), "not used for now after too many failures: it does not answer");
        assert_eq!(breaker.report(true), (HealthState::CircuitOpen, 3, Some(lost())));
        breaker.check_pin().expect("the PIN was not rejected");

        breaker.try_now();
        assert!(lets(&breaker));
        assert_eq!(state(&breaker), (HealthState::Failing, 3));
        breaker.failure(&lost());
        assert_eq!(state(&breaker), (HealthState::CircuitOpen, 4), "one more failure opens it again");
        breaker.success();
        assert!(lets(&breaker));
        assert_eq!(breaker.report(true), (HealthState::Connected, 0, None));
    }

    #[test]
    fn after_the_pause_one_operation_at_a_time_tries() {
        let breaker = Breaker::new(0, LONG);
        assert!(lets(&breaker), "it takes at least one failure");
        breaker.failure(&lost());
        for _ in 0..2 {
            assert!(!lets(&breaker));
            breaker.lock().not_before = Some(Instant::now());
            assert!(breaker.lets_through());
            breaker.check().expect("the first one tries");
            assert_eq!(state(&breaker), (HealthState::CircuitOpen, 1), "nothing succeeded yet");
        }
        assert!(!lets(&breaker), "the second one waits for another pause");
    }

    fn failed_login(class: ErrorClass) -> TokenError {
        TokenError::new(class, "it rejects the PIN").of_login()
    }

    fn assert_refused(breaker: &Breaker, error: &TokenError) {
        assert!(!breaker.lets_through());
        for refused in [breaker.check(), breaker.check_pin()] {
            assert_eq!(refused.as_ref(), Err(error));
        }
        assert_eq!(breaker.report(true), (HealthState::PinRejected, 0, Some(error.clone())));
    }

    #[test]
    fn a_rejected_pin_is_not_tried_until_it_is_replaced() {
        let breaker = Breaker::new(3, LONG);
        let denied = failed_login(ErrorClass::Denied);
        breaker.login_failed(&denied);
        assert_refused(&breaker, &denied);
        breaker.success();
        breaker.try_now();
        assert_refused(&breaker, &denied);
        assert!(breaker.fresh().lets_through(), "a child has not tried it");
        breaker.reset();
        assert!(lets(&breaker));
        breaker.check_pin().expect("another PIN was set");
        assert_eq!(breaker.report(true), (HealthState::Connected, 0, None));
    }

    #[test]
    fn a_pin_that_may_be_wrong_is_tried_a_few_times() {
        let breaker = Breaker::new(3, LONG);
        let unclear = failed_login(ErrorClass::Ambiguous);
        let mut count = 0;
        for error in [&unclear, &failed_login(ErrorClass::TokenLost), &unclear] {
            breaker.login_failed(error);
            count += 1;
            assert!(lets(&breaker), "{count}");
            breaker.check_pin().expect("it may be right");
        }
        breaker.logged_in();
        for _ in 0..UNCLEAR_LOGINS {
            breaker.login_failed(&unclear);
            assert!(lets(&breaker), "the earlier ones no longer count");
        }
        breaker.login_failed(&unclear);
        assert_refused(&breaker, &unclear);
    }
}
