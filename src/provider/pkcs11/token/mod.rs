//! A single token. It is connected on demand, reconnected after a loss, and called again where a
//! retry is safe.

pub(in crate::provider::pkcs11) mod capabilities;
mod connect;
mod cryptography;
pub(in crate::provider::pkcs11) mod health;
mod instance_mark;
mod keys;
mod retry;
mod session;
mod state;

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};

use self::capabilities::TokenCapabilities;
use self::health::{Breaker, TokenHealth};
use self::retry::{RetryPolicy, Task};
use self::state::{Inner, ProcessState};
use crate::provider::pkcs11::config::{CallMode, IvMode, PinProvider, TokenConfig};
use crate::provider::pkcs11::connection::SessionContext;
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::module::deadline_executor::DeadlineExecutor;
use crate::provider::pkcs11::module::{MAX_DISCOVERY_ATTEMPTS, Module};
use crate::provider::pkcs11::object;
use crate::provider::pkcs11::reference::TokenKeyHandle;
use crate::span::StepSpan;

/// Delay before the first repeated search for a token that may be hidden. Each further delay is
/// longer by the same amount.
const DISCOVERY_BACKOFF: Duration = Duration::from_millis(20);

/// Factor by which an explicit connection may exceed the deadline of an operation, as it may have
/// to generate key pairs.
const CONNECT_DEADLINES: u32 = 8;

/// A token. Cheap to clone. All clones refer to the same token.
///
/// Creating one has no side effects. The token is found and logged in to by [`Token::connect`] or
/// by the first operation.
///
/// # Examples
/// A key in SoftHSM 2:
/// ```no_run
/// use strongroom::SecretBytes;
/// use strongroom::provider::pkcs11::{
///     FixedPin, GCM_OVERHEAD, HealthState, KEY_ID_LENGTH, Module, NewKey, Token, TokenConfig, TokenKeyKind, TokenSelector,
/// };
///
/// let module = Module::load("/usr/lib/softhsm/libsofthsm2.so")?;
/// let pin = FixedPin::new(SecretBytes::copy_from_slice(b"1234"));
/// let token = Token::new(&module, TokenConfig::new(TokenSelector::Label("payments".into())), pin);
/// assert_eq!(token.health().state, HealthState::Disconnected);
/// token.connect()?.check_kind(TokenKeyKind::Aes256)?;
/// token.check()?;
/// assert_eq!(token.config().selector(), &TokenSelector::Label("payments".into()));
/// assert_eq!(token.capabilities().map(|able| able.label.clone()).as_deref(), Some("payments"));
///
/// let id = token.random(KEY_ID_LENGTH)?;
/// let key = token.generate_key(&NewKey::new(id.expose_secret(), "payments 2026", TokenKeyKind::Aes256))?;
/// let protection = token.key_protection(&key)?;
/// assert!(protection.sensitive && !protection.extractable);
///
/// let ciphertext = token.encrypt(&key, b"row 17", b"4711")?;
/// assert_eq!(ciphertext.len(), 4 + GCM_OVERHEAD);
/// assert_eq!(token.decrypt(&key, b"row 17", &ciphertext)?.expose_secret(), b"4711");
/// token.verify_key(&key)?;
///
/// token.destroy_objects(id.expose_secret())?;
/// assert_eq!(token.count_objects(id.expose_secret())?, 0);
/// token.disconnect();
/// # Ok::<(), strongroom::provider::pkcs11::TokenError>(())
/// ```
#[derive(Clone)]
pub struct Token(Arc<Inner>);

impl Token {
    /// Creates a token of a module.
    pub fn new(module: &Module, config: TokenConfig, pin: impl PinProvider + 'static) -> Self {
        let breaker = Breaker::new(config.breaker_failures, config.breaker_pause);
        let process = Arc::new(ProcessState::new(&config, breaker));
        let pin: Box<dyn PinProvider> = Box::new(pin);
        Self(Arc::new(Inner {
            module: module.clone(),
            config,
            pin: ArcSwap::from_pointee(pin),
            capabilities: ArcSwapOption::empty(),
            process,
            forked: ArcSwapOption::empty(),
        }))
    }

    /// Returns the module of the token.
    pub fn module(&self) -> &Module {
        &self.0.module
    }

    /// Returns the configuration of the token.
    pub fn config(&self) -> &TokenConfig {
        &self.0.config
    }

    /// Finds the token, logs in and determines its capabilities, unless this has already happened.
    ///
    /// # Errors
    /// - [`ErrorClass::TokenLost`] if the token is missing.
    /// - [`ErrorClass::Denied`] if it rejects the PIN, which is not tried again until
    ///   [`Token::set_pin`].
    /// - [`ErrorClass::Fatal`] if it fails its self-test.
    pub fn connect(&self) -> Result<Arc<TokenCapabilities>, TokenError> {
        let process = self.0.process();
        process.connecting().ended = false;
        let mut attempts = 1;
        loop {
            process.breaker.try_now();
            let generation = self.module().generation();
            let work = Task { retry: RetryPolicy::Safe, key: None, work: object::token_is_well };
            let Err(error) = self.run_within(&process, CONNECT_DEADLINES, work) else { break };
            // If the token was only hidden, it is visible after another initialization.
            let looked_anew = error.class() == ErrorClass::TokenLost && self.module().generation() != generation;
            if !looked_anew || !self.module().hides_tokens() || attempts == MAX_DISCOVERY_ATTEMPTS {
                return Err(error);
            }
            thread::sleep(DISCOVERY_BACKOFF * attempts);
            attempts += 1;
        }
        self.capabilities()
            .ok_or_else(|| TokenError::new(ErrorClass::TokenLost, "the token was disconnected during the operation"))
    }

    /// Closes the connection. Operations are rejected until [`Token::connect`].
    pub fn disconnect(&self) {
        let process = self.0.process();
        let lease = {
            let mut connecting = process.connecting();
            connecting.ended = true;
            connecting.lease.take()
        };
        process.connection.store(None);
        drop(lease);
        process.breaker.reset();
    }

    /// Replaces the PIN, after the last one was rejected or changed.
    pub fn set_pin(&self, pin: impl PinProvider + 'static) {
        let pin: Box<dyn PinProvider> = Box::new(pin);
        self.0.pin.store(Arc::new(pin));
        self.0.process().breaker.reset();
    }

    /// Returns `true` if an operation would be tried now. It would not while the circuit breaker is
    /// open, the PIN is rejected, or the module is wedged.
    pub(in crate::provider::pkcs11) fn may_be_tried(&self) -> bool {
        let process = self.0.process();
        !self.module().is_wedged() && process.breaker.lets_through()
    }

    /// Returns the capabilities of the token, if it was ever connected.
    pub fn capabilities(&self) -> Option<Arc<TokenCapabilities>> {
        self.0.capabilities.load_full()
    }

    /// Returns the health of the token without calling it.
    ///
    /// # Examples
    /// ```no_run
    /// use strongroom::SecretBytes;
    /// use strongroom::provider::pkcs11::{FixedPin, HealthState, Module, Token, TokenConfig, TokenSelector};
    ///
    /// let module = Module::load("/usr/lib/softhsm/libsofthsm2.so")?;
    /// let wrong = FixedPin::new(SecretBytes::copy_from_slice(b"0000"));
    /// let token = Token::new(&module, TokenConfig::new(TokenSelector::Label("payments".into())), wrong);
    /// assert!(token.connect().is_err());
    /// assert_eq!(token.health().state, HealthState::PinRejected); // and not tried again
    ///
    /// token.set_pin(FixedPin::new(SecretBytes::copy_from_slice(b"1234")));
    /// token.check()?;
    /// assert_eq!(token.health().state, HealthState::Connected);
    /// # Ok::<(), strongroom::provider::pkcs11::TokenError>(())
    /// ```
    pub fn health(&self) -> TokenHealth {
        let process = self.0.process();
        let (state, failures, last_error) = process.breaker.report(process.connection.load().is_some());
        TokenHealth {
            state,
            failures,
            last_error,
            stuck_calls: process.executor.as_ref().map_or(0, DeadlineExecutor::stuck),
            module_wedged: self.0.module.is_wedged(),
            generation: self.0.module.generation(),
        }
    }

    /// Checks that the token responds, and connects to it if necessary.
    ///
    /// # Errors
    /// - The errors of [`Token::connect`].
    pub fn check(&self) -> Result<(), TokenError> {
        self.run(Task { retry: RetryPolicy::Safe, key: None, work: object::token_is_well })
    }

    /// Runs a task with the token, in the configured call mode.
    fn run<T, F>(&self, task: Task<F>) -> Result<T, TokenError>
    where
        T: Send + 'static,
        F: Fn(SessionContext<'_>) -> Result<T, TokenError> + Send + 'static,
    {
        self.run_within(&self.0.process(), 1, task)
    }

    fn run_within<T, F>(&self, process: &Arc<ProcessState>, deadlines: u32, task: Task<F>) -> Result<T, TokenError>
    where
        T: Send + 'static,
        F: Fn(SessionContext<'_>) -> Result<T, TokenError> + Send + 'static,
    {
        let _span = StepSpan::hsm_call();
        process.breaker.check().map_err(|error| self.0.named(error))?;
        let done = match (&process.executor, self.0.config.call_mode) {
            (Some(executor), CallMode::Deadline { deadline, .. }) => {
                let (inner, of_thread) = (Arc::clone(&self.0), Arc::clone(process));
                let work = move || inner.attempt(&of_thread, &task);
                executor.run(&self.0.module, deadline.saturating_mul(deadlines), work).unwrap_or_else(|error| {
                    if error.class() == ErrorClass::TokenLost {
                        process.breaker.failure(&error);
                    }
                    Err(error)
                })
            }
            _ => self.0.attempt(process, &task),
        };
        done.map_err(|error| self.0.named(error))
    }

    /// Runs an operation that searches for a key, or reads or changes its attributes.
    fn with_object<T: Send + 'static>(
        &self,
        key: &TokenKeyHandle,
        work: impl Fn(SessionContext<'_>, &TokenKeyHandle) -> Result<T, TokenError> + Send + 'static,
    ) -> Result<T, TokenError> {
        self.run_with(key, RetryPolicy::SafeAlone, work)
    }

    fn run_with<T: Send + 'static>(
        &self,
        key: &TokenKeyHandle,
        retry: RetryPolicy,
        work: impl Fn(SessionContext<'_>, &TokenKeyHandle) -> Result<T, TokenError> + Send + 'static,
    ) -> Result<T, TokenError> {
        let known = key.clone();
        self.run(Task { retry, key: Some(key.clone()), work: move |context: SessionContext<'_>| work(context, &known) })
    }

    /// Returns the capabilities, and determines them first if necessary.
    fn able(&self) -> Result<Arc<TokenCapabilities>, TokenError> {
        match self.capabilities() {
            Some(capabilities) => Ok(capabilities),
            None => self.connect(),
        }
    }

    /// Returns the source of initialization vectors, which is irrelevant without AES-GCM.
    fn iv_mode(&self) -> Result<IvMode, TokenError> {
        Ok(self.able()?.iv_mode.unwrap_or(IvMode::Caller))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("selector", self.0.config.selector())
            .field("module", &self.0.module)
            .field("health", &self.health().state)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use strongroom_pkcs11_faults::{PIN, SoftHsm};

    use super::*;
    use crate::provider::pkcs11::{FixedPin, TokenSelector};
    use crate::secret::SecretBytes;

    /// Returns a token of SoftHSM. Without SoftHSM, the test is reported as skipped, or fails if
    /// all tests are required.
    pub(super) fn soft_token(test: &str) -> Option<(SoftHsm, Token)> {
        let Some(hsm) = SoftHsm::new(&["one"]) else {
            assert!(std::env::var_os("STRONGROOM_REQUIRE").is_none_or(|value| value != "all"), "no SoftHSM 2");
            eprintln!("not run: {test}, as SoftHSM 2 is not installed");
            return None;
        };
        let module = Module::load(hsm.shim().path()).expect("the shim is a module");
        let config = TokenConfig::new(TokenSelector::Label("one".into())).circuit_breaker(u32::MAX, Duration::ZERO);
        let token = Token::new(&module, config, FixedPin::new(SecretBytes::copy_from_slice(PIN.as_bytes())));
        token.connect().expect("it is there");
        Some((hsm, token))
    }
}
