//! The shared state of a token, and its per-process part.

use std::ops::Deref;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption, Guard};

use super::capabilities::TokenCapabilities;
use super::health::Breaker;
use crate::fork_guard::ForkGuard;
use crate::lock::{Condvar, Mutex, MutexGuard};
use crate::provider::pkcs11::config::{CallMode, PinProvider, TokenConfig};
use crate::provider::pkcs11::connection::Connection;
use crate::provider::pkcs11::error::TokenError;
use crate::provider::pkcs11::module::deadline_executor::DeadlineExecutor;
use crate::provider::pkcs11::module::{Module, ModuleLease};

/// Per-process state. A forked child starts with an empty one.
pub(super) struct ProcessState {
    pub(super) fork_guard: ForkGuard,
    pub(super) connection: ArcSwapOption<Connection>,
    pub(super) connecting: Mutex<Connecting>,
    pub(super) connected: Condvar,
    pub(super) executor: Option<DeadlineExecutor>,
    pub(super) breaker: Breaker,
}

#[derive(Debug, Default)]
pub(super) struct Connecting {
    pub(super) under_way: bool,
    pub(super) ended: bool,
    /// Lease of the module for as long as the token is used, so that the module is not finalized
    /// while the token is looked up.
    pub(super) lease: Option<Arc<ModuleLease>>,
}

/// State shared by all clones of a token.
pub(super) struct Inner {
    pub(super) module: Module,
    pub(super) config: TokenConfig,
    pub(super) pin: ArcSwap<Box<dyn PinProvider>>,
    pub(super) capabilities: ArcSwapOption<TokenCapabilities>,
    /// State of the process that created the token.
    pub(super) process: Arc<ProcessState>,
    /// State of a forked child, in that child.
    pub(super) forked: ArcSwapOption<ProcessState>,
}

impl ProcessState {
    pub(super) fn new(config: &TokenConfig, breaker: Breaker) -> Self {
        let executor = match config.call_mode {
            CallMode::Direct => None,
            CallMode::Deadline { threads, .. } => Some(DeadlineExecutor::new(&config.selector.to_string(), threads)),
        };
        Self {
            fork_guard: ForkGuard::here(),
            connection: ArcSwapOption::empty(),
            connecting: Mutex::default(),
            connected: Condvar::new(),
            executor,
            breaker,
        }
    }

    pub(super) fn connecting(&self) -> MutexGuard<'_, Connecting> {
        self.connecting.lock()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // As in `process`, inherited state is not dropped.
        let inherited = [Some(Arc::clone(&self.process)), self.forked.load_full()].into_iter().flatten();
        inherited.filter(|process| !process.fork_guard.is_here()).for_each(std::mem::forget);
    }
}

/// State of the calling process.
pub(super) enum CurrentProcess<'a> {
    Made(&'a Arc<ProcessState>),
    Forked(Guard<Option<Arc<ProcessState>>>),
}

impl Deref for CurrentProcess<'_> {
    type Target = Arc<ProcessState>;

    fn deref(&self) -> &Arc<ProcessState> {
        match self {
            Self::Made(process) => process,
            Self::Forked(process) => process.as_ref().expect("the value was just set and is never removed"),
        }
    }
}

impl Inner {
    /// Returns the state of the calling process.
    pub(super) fn process(&self) -> CurrentProcess<'_> {
        if self.process.fork_guard.is_here() {
            return CurrentProcess::Made(&self.process);
        }
        let inherited = self.forked.load();
        if inherited.as_ref().is_some_and(|process| process.fork_guard.is_here()) {
            return CurrentProcess::Forked(inherited);
        }
        let child = Arc::new(ProcessState::new(&self.config, self.process.breaker.fresh()));
        self.forked.compare_and_swap(&inherited, Some(child));
        // The parent's state is never dropped here: its locks may be held by threads that do not
        // exist in this process.
        std::mem::forget(Guard::into_inner(inherited));
        CurrentProcess::Forked(self.forked.load())
    }

    /// Returns the error with the name of the token prepended.
    pub(super) fn named(&self, error: TokenError) -> TokenError {
        error.at(&self.config.selector.to_string())
    }
}
