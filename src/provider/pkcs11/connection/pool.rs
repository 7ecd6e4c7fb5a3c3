//! Sessions of one token in one generation, up to the token's limit. The most recently used session
//! is lent first.

use std::sync::Arc;
use std::time::Duration;

use cryptoki::session::Session;
use cryptoki::slot::Slot;

use crate::lock::{Condvar, Mutex, MutexGuard};
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::module::ModuleLease;

/// A session that is closed when it is dropped. After its generation has ended it is not closed, as
/// its handle may already belong to another session.
#[derive(Debug)]
pub(in crate::provider::pkcs11) struct OpenSession(Box<Opened>);

#[derive(Debug)]
struct Opened {
    lease: Arc<ModuleLease>,
    generation: u64,
    session: Option<Session>,
}

impl OpenSession {
    /// Opens a session. The caller must be inside the module. The session is read-write, as some
    /// tokens have no other.
    pub(in crate::provider::pkcs11) fn open(
        lease: &Arc<ModuleLease>,
        generation: u64,
        slot: Slot,
    ) -> Result<Self, TokenError> {
        let session = lease.module().client().open_rw_session_no_drop(slot)?;
        Ok(Self(Box::new(Opened { lease: Arc::clone(lease), generation, session: Some(session) })))
    }

    pub(in crate::provider::pkcs11) fn session(&self) -> &Session {
        self.0.session.as_ref().expect("the session is present until it is dropped")
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        if let Some(_call) = self.lease.enter_now(self.generation) {
            // A session that cannot be closed is already closed, or ends with its token.
            let _ = session.close();
        }
    }
}

/// Session pool of one token.
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
    /// Number of callers that wait for a session. A return without waiters needs no notification.
    waiting: usize,
}

impl Pool {
    pub(in crate::provider::pkcs11) fn new(most: usize) -> Self {
        let state = State { idle: Vec::new(), lent: 0, most: most.max(1), waiting: 0 };
        Self { state: Mutex::new(state), returned: Condvar::new() }
    }

    /// Lends a session, or permission to open one, after waiting for a free place.
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

    /// Frees a place, and stores its session if it is reusable.
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

    /// Records that the token has no more sessions: those that are lent now are the maximum.
    pub(in crate::provider::pkcs11) fn is_full(&self) {
        let mut state = self.lock();
        state.most = (state.lent.saturating_sub(1)).clamp(1, state.most);
    }

    /// Returns the maximum number of sessions.
    pub(in crate::provider::pkcs11) fn most(&self) -> usize {
        self.lock().most
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// A place in the pool, with its session once it is open. Without [`Lent::give_back`] the session
/// is closed.
#[derive(Debug)]
pub(in crate::provider::pkcs11) struct Lent<'a> {
    session: Option<OpenSession>,
    pool: &'a Pool,
    is_back: bool,
}

impl Lent<'_> {
    /// Returns the session, and opens it if necessary.
    pub(in crate::provider::pkcs11) fn session(
        &mut self,
        open: impl FnOnce() -> Result<OpenSession, TokenError>,
    ) -> Result<&Session, TokenError> {
        if self.session.is_none() {
            self.session = Some(open()?);
        }
        Ok(self.session.as_ref().expect("the session was just opened").session())
    }

    /// Closes the session, so that the next one is new.
    pub(in crate::provider::pkcs11) fn renew(&mut self) {
        drop(self.session.take());
    }

    /// Returns a reusable session to the pool.
    pub(in crate::provider::pkcs11) fn give_back(mut self) {
        let session = self.session.take();
        self.pool.take_back(session);
        self.is_back = true;
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        // The session is closed first, so that no other one is opened while the token still counts
        // this one.
        drop(self.session.take());
        if !self.is_back {
            self.pool.take_back(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn state(pool: &Pool) -> (usize, usize) {
        let state = pool.lock();
        (state.lent, state.waiting)
    }

    #[test]
    fn a_place_is_waited_for_and_lent_once() -> Result<(), TokenError> {
        let pool = Pool::new(2);
        let (one, two) = (pool.lend(Duration::ZERO)?, pool.lend(Duration::ZERO)?);
        let error = pool.lend(Duration::from_millis(10)).expect_err("both are lent");
        assert_eq!((error.class(), error.to_string().as_str()), (ErrorClass::Busy, "all 2 sessions are in use"));
        assert_eq!(state(&pool), (2, 0), "nobody waits any more");
        thread::scope(|scope| {
            let waiting = scope.spawn(|| pool.lend(LONG).map(Lent::give_back));
            while state(&pool).1 == 0 {
                thread::yield_now();
            }
            assert_eq!(state(&pool), (2, 1));
            let returned = Instant::now();
            drop(one);
            let lent = waiting.join().expect("no thread panicked");
            assert!(returned.elapsed() < LONG / 2, "it was not told: {:?}", returned.elapsed());
            lent
        })?;
        assert_eq!(state(&pool), (1, 0));
        two.give_back();
        assert_eq!(state(&pool), (0, 0));
        Ok(())
    }

    #[test]
    fn a_token_without_more_sessions_sets_the_maximum() -> Result<(), TokenError> {
        let pool = Pool::new(4);
        assert_eq!((pool.most(), Pool::new(0).most()), (4, 1));
        let places = [pool.lend(LONG)?, pool.lend(LONG)?, pool.lend(LONG)?];
        // The last one of them got no session.
        pool.is_full();
        assert_eq!(pool.most(), 2);
        drop(places);
        let _one = pool.lend(LONG)?;
        pool.is_full();
        assert_eq!(pool.most(), 1, "one is always possible");
        pool.lend(Duration::ZERO).expect_err("it is lent");
        Ok(())
    }
}
