//! One token as a value: connected when it is needed, reconnected when it was lost, and asked again where that is safe.

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

/// How long a connection waits before it looks again for a token that may be hidden, the first time; each time longer by
/// as much.
const DISCOVERY_BACKOFF: Duration = Duration::from_millis(20);

/// How much longer than an operation an explicit connection may take: it may have key pairs to make.
const CONNECT_DEADLINES: u32 = 8;

/// A token. Cheap to clone; all clones are the same one.
///
/// Nothing happens when it is made: it is found and logged in to by [`Token::connect`], or by the first operation.
#[derive(Clone)]
pub struct Token(Arc<Inner>);

impl Token {
    /// A token of a module.
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

    /// Its module.
    pub fn module(&self) -> &Module {
        &self.0.module
    }

    /// Its settings.
    pub fn config(&self) -> &TokenConfig {
        &self.0.config
    }

    /// Finds the token, logs in and finds out what it can do, unless that is done already.
    ///
    /// # Errors
    /// [`ErrorClass::TokenLost`] if it is not there, [`ErrorClass::Denied`] if it refuses the PIN, which is not tried
    /// again until [`Token::set_pin`], [`ErrorClass::Fatal`] if it fails its self-test.
    pub fn connect(&self) -> Result<Arc<TokenCapabilities>, TokenError> {
        let process = self.0.process();
        process.connecting().ended = false;
        let mut attempts = 1;
        loop {
            process.breaker.try_now();
            let generation = self.module().generation();
            let work = Task { retry: RetryPolicy::Safe, key: None, work: object::token_is_well };
            let Err(error) = self.run_within(&process, CONNECT_DEADLINES, work) else { break };
            // If it was only hidden, it is seen after another initialisation.
            let looked_anew = error.class() == ErrorClass::TokenLost && self.module().generation() != generation;
            if !looked_anew || !self.module().hides_tokens() || attempts == MAX_DISCOVERY_ATTEMPTS {
                return Err(error);
            }
            thread::sleep(DISCOVERY_BACKOFF * attempts);
            attempts += 1;
        }
        self.capabilities()
            .ok_or_else(|| TokenError::new(ErrorClass::TokenLost, "the token was disconnected meanwhile"))
    }

    /// Ends the connection. Operations are refused until [`Token::connect`].
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

    /// Takes another PIN, after the last one was refused or changed.
    pub fn set_pin(&self, pin: impl PinProvider + 'static) {
        let pin: Box<dyn PinProvider> = Box::new(pin);
        self.0.pin.store(Arc::new(pin));
        self.0.process().breaker.reset();
    }

    /// Whether an operation would be tried now: not while the token is left alone, or refuses the PIN.
    pub(in crate::provider::pkcs11) fn may_be_tried(&self) -> bool {
        let process = self.0.process();
        !self.module().is_wedged() && process.breaker.lets_through()
    }

    /// What it can do, if it was ever connected.
    pub fn capabilities(&self) -> Option<Arc<TokenCapabilities>> {
        self.0.capabilities.load_full()
    }

    /// How it is, without asking it.
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

    /// Asks the token whether it is there, and connects to it if need be.
    ///
    /// # Errors
    /// As [`Token::connect`].
    pub fn check(&self) -> Result<(), TokenError> {
        self.run(Task { retry: RetryPolicy::Safe, key: None, work: object::token_is_well })
    }

    /// Does something with the token, in the way of calling that is set.
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

    /// Looks for a key, reads or changes what is said of it.
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

    /// The capabilities, found out now if need be.
    fn able(&self) -> Result<Arc<TokenCapabilities>, TokenError> {
        match self.capabilities() {
            Some(capabilities) => Ok(capabilities),
            None => self.connect(),
        }
    }

    /// Who makes initialisation vectors; without AES-GCM it does not matter.
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
