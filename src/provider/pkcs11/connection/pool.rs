//! Sessions of one token in one generation: as many as it has, the last used first.

use std::sync::Arc;
use std::time::Duration;

use cryptoki::session::Session;
use cryptoki::slot::Slot;

use crate::lock::{Condvar, Mutex, MutexGuard};
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::module::ModuleLease;

/// A session that is closed when it is dropped, unless its generation is over: then its number may be another's by now.
#[derive(Debug)]
pub(in crate::provider::pkcs11) struct OpenSession(Box<Opened>);

#[derive(Debug)]
struct Opened {
    lease: Arc<ModuleLease>,
    generation: u64,
    session: Option<Session>,
}

impl OpenSession {
    /// Opens a session; the caller is inside the module. Read and write, as some tokens have no other.
    pub(in crate::provider::pkcs11) fn open(
        lease: &Arc<ModuleLease>,
        generation: u64,
        slot: Slot,
    ) -> Result<Self, TokenError> {
        let session = lease.module().client().open_rw_session_no_drop(slot)?;
        Ok(Self(Box::new(Opened { lease: Arc::clone(lease), generation, session: Some(session) })))
    }

    pub(in crate::provider::pkcs11) fn session(&self) -> &Session {
        self.0.session.as_ref().expect("a session is taken out only when it is dropped")
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        if let Some(_call) = self.lease.enter_now(self.generation) {
            // A session that cannot be closed is gone already, or goes with its token.
            let _ = session.close();
        }
    }
}

/// The sessions of one token.
#[derive(Debug)]
pub(in crate::provider::pkcs11) struct Pool {
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Debug)]
struct State {
    idle: Vec<OpenSession>,
    lent: usize,
    most: usize,
    /// Who waits for a session: whoever returns one need not wake anybody if there is nobody.
    waiting: usize,
}

impl Pool {
    pub(in crate::provider::pkcs11) fn new(most: usize) -> Self {
        let state = State { idle: Vec::new(), lent: 0, most: most.max(1), waiting: 0 };
        Self { state: Mutex::new(state), returned: Condvar::new() }
    }

    /// Lends a session, or leave to open one, after waiting until one is free.
    pub(in crate::provider::pkcs11) fn lend(&self, wait: Duration) -> Result<Lent<'_>, TokenError> {
        let full = |state: &mut State| state.lent >= state.most;
        let mut state = self.lock();
        if full(&mut state) {
            state.waiting += 1;
            let waited = self.returned.wait_timeout_while(state, wait, full);
            let timeout;
            (state, timeout) = waited;
            state.waiting -= 1;
            if timeout.timed_out() {
                let text = format!("all {} sessions are in use", state.most);
                return Err(TokenError::new(ErrorClass::Busy, text));
            }
        }
        state.lent += 1;
        Ok(Lent { session: state.idle.pop(), pool: self, is_back: false })
    }

    /// A place is free again, with its session if that is as good as new.
    fn take_back(&self, session: Option<OpenSession>) {
        let mut state = self.lock();
        state.idle.extend(session);
        state.lent -= 1;
        let is_awaited = state.waiting > 0;
        drop(state);
        if is_awaited {
            self.returned.notify_one();
        }
    }

    /// The token says that it has no more sessions: those that are lent now are all there are.
    pub(in crate::provider::pkcs11) fn is_full(&self) {
        let mut state = self.lock();
        state.most = (state.lent.saturating_sub(1)).clamp(1, state.most);
    }

    /// How many sessions there may be.
    pub(in crate::provider::pkcs11) fn most(&self) -> usize {
        self.lock().most
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// A place in the pool, with its session once it is open. Without [`Lent::give_back`] the session is closed.
#[derive(Debug)]
pub(in crate::provider::pkcs11) struct Lent<'a> {
    session: Option<OpenSession>,
    pool: &'a Pool,
    is_back: bool,
}

impl Lent<'_> {
    /// The session, opened if need be.
    pub(in crate::provider::pkcs11) fn session(
        &mut self,
        open: impl FnOnce() -> Result<OpenSession, TokenError>,
    ) -> Result<&Session, TokenError> {
        if self.session.is_none() {
            self.session = Some(open()?);
        }
        Ok(self.session.as_ref().expect("it is open now").session())
    }

    /// Closes the session, so that the next one is new.
    pub(in crate::provider::pkcs11) fn renew(&mut self) {
        drop(self.session.take());
    }

    /// The session is as good as new.
    pub(in crate::provider::pkcs11) fn give_back(mut self) {
        let session = self.session.take();
        self.pool.take_back(session);
        self.is_back = true;
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        // The session goes first, so that nobody opens another while the token still counts this one.
        drop(self.session.take());
        if !self.is_back {
            self.pool.take_back(None);
        }
    }
}
