//! What a token is made of, and what of it belongs to one process.

use std::ops::Deref;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};

use super::capabilities::TokenCapabilities;
use super::health::Breaker;
use crate::birthplace::Birthplace;
use crate::provider::pkcs11::config::{CallMode, PinProvider, TokenConfig};
use crate::provider::pkcs11::connection::Attachment;
use crate::provider::pkcs11::error::TokenError;
use crate::provider::pkcs11::module::workers::Workers;
use crate::provider::pkcs11::module::{Membership, Module};

/// What belongs to one process: a child that was forked starts with nothing.
pub(super) struct Local {
    pub(super) birthplace: Birthplace,
    pub(super) attachment: ArcSwapOption<Attachment>,
    pub(super) connecting: Mutex<Connecting>,
    pub(super) connected: Condvar,
    pub(super) workers: Option<Workers>,
    pub(super) breaker: Breaker,
}

#[derive(Debug, Default)]
pub(super) struct Connecting {
    pub(super) under_way: bool,
    pub(super) ended: bool,
    /// Part in the module for as long as the token is used, so that it is not finalised while the token is looked for.
    pub(super) membership: Option<Arc<Membership>>,
}

/// What all clones of a token share.
pub(super) struct Inner {
    pub(super) module: Module,
    pub(super) config: TokenConfig,
    pub(super) pin: ArcSwap<Box<dyn PinProvider>>,
    pub(super) capabilities: ArcSwapOption<TokenCapabilities>,
    /// Of the process in which the token was made.
    pub(super) local: Arc<Local>,
    /// Of a child that was forked from it, in that child.
    pub(super) forked: ArcSwapOption<Local>,
}

impl Local {
    pub(super) fn new(config: &TokenConfig, breaker: Breaker) -> Self {
        let workers = match config.call_mode {
            CallMode::Direct => None,
            CallMode::Deadline { threads, .. } => Some(Workers::new(&config.selector.to_string(), threads)),
        };
        Self {
            birthplace: Birthplace::here(),
            attachment: ArcSwapOption::empty(),
            connecting: Mutex::default(),
            connected: Condvar::new(),
            workers,
            breaker,
        }
    }

    pub(super) fn connecting(&self) -> MutexGuard<'_, Connecting> {
        self.connecting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // As in `local`: what was inherited is not dropped.
        let inherited = [Some(Arc::clone(&self.local)), self.forked.load_full()].into_iter().flatten();
        inherited.filter(|local| !local.birthplace.is_here()).for_each(std::mem::forget);
    }
}

/// What belongs to the process that calls.
pub(super) enum Here<'a> {
    Made(&'a Arc<Local>),
    Forked(Guard<Option<Arc<Local>>>),
}

impl Deref for Here<'_> {
    type Target = Arc<Local>;

    fn deref(&self) -> &Arc<Local> {
        match self {
            Self::Made(local) => local,
            Self::Forked(local) => local.as_ref().expect("one was put there, and none is ever taken out"),
        }
    }
}

impl Inner {
    /// The state of the process that calls.
    pub(super) fn local(&self) -> Here<'_> {
        if self.local.birthplace.is_here() {
            return Here::Made(&self.local);
        }
        let inherited = self.forked.load();
        if inherited.as_ref().is_some_and(|local| local.birthplace.is_here()) {
            return Here::Forked(inherited);
        }
        let child = Arc::new(Local::new(&self.config, self.local.breaker.fresh()));
        self.forked.compare_and_swap(&inherited, Some(child));
        // What a parent had is never dropped here: its locks may be held by threads that this process does not have.
        std::mem::forget(Guard::into_inner(inherited));
        Here::Forked(self.forked.load())
    }

    /// The same error, with the name of the token.
    pub(super) fn named(&self, error: TokenError) -> TokenError {
        error.at(&self.config.selector.to_string())
    }
}
