//! A bounded pool of connections, opened on demand and lent to one thread at a time.

use std::time::Duration;

use rusqlite::Connection;

use super::connection::{self, Role};
use super::file::StoreFile;
use crate::error::Error;
use crate::lock::{Condvar, Mutex, MutexGuard};
use crate::store::error::StoreError;

/// Connections of one role to one file. Only the process that opened the store may use them. The
/// store checks this before every use.
pub(super) struct Pool {
    role: Role,
    busy_timeout: Duration,
    most: usize,
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<Connection>,
    lent: usize,
    is_closed: bool,
}

impl Pool {
    pub(super) fn new(role: Role, most: usize, busy_timeout: Duration) -> Self {
        let (state, returned) = (Mutex::default(), Condvar::new());
        Self { role, busy_timeout, most: most.max(1), state, returned }
    }

    /// Returns the connections that are currently idle.
    pub(super) fn idle(&mut self) -> impl Iterator<Item = &Connection> {
        self.state.as_mut().idle.iter()
    }

    /// Lends no more connections, waits until all are returned, and removes them.
    pub(super) fn close(&self) -> Vec<Connection> {
        let mut state = self.state();
        state.is_closed = true;
        self.returned.notify_all();
        while state.lent > 0 {
            state = self.returned.wait(state);
        }
        std::mem::take(&mut state.idle)
    }

    /// Leaves all connections open, for a process that must not close them.
    pub(super) fn leak(&mut self) {
        let state = self.state.as_mut();
        std::mem::take(&mut state.idle).into_iter().for_each(std::mem::forget);
    }

    /// Runs `work` with a connection. Waits for one if all are in use.
    pub(super) fn with<T, E: From<Error>>(
        &self,
        file: &StoreFile,
        work: impl FnOnce(&mut Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut loan = self.borrow(file).map_err(Error::from)?;
        let result = work(loan.connection.as_mut().expect("a loan keeps its connection until it is dropped"));
        loan.finished = true;
        result
    }

    fn borrow(&self, file: &StoreFile) -> Result<Loan<'_>, StoreError> {
        let mut state = self.state();
        while !state.is_closed && state.idle.is_empty() && state.lent >= self.most {
            state = self.returned.wait(state);
        }
        if state.is_closed {
            return Err(StoreError::Closed(file.path().display().to_string()));
        }
        state.lent += 1;
        let mut loan = Loan { pool: self, connection: state.idle.pop(), finished: false };
        drop(state);
        if loan.connection.is_none() {
            let connection = connection::open(file.path(), self.role, self.busy_timeout)?;
            // The new connection has opened the files by name.
            file.check_still_there()?;
            loan.connection = Some(connection);
        }
        Ok(loan)
    }

    /// The guarded state is always consistent, even if the lock is poisoned.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// A borrowed connection. It is closed if its work did not complete, or if a transaction is still
/// open.
struct Loan<'a> {
    pool: &'a Pool,
    connection: Option<Connection>,
    finished: bool,
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        let usable = self.connection.take().filter(|connection| self.finished && connection.is_autocommit());
        let mut state = self.pool.state();
        state.lent -= 1;
        state.idle.extend(usable);
        let is_closed = state.is_closed;
        drop(state);
        if is_closed {
            // The caller that closes the pool waits for the same signal.
            self.pool.returned.notify_all();
        } else {
            self.pool.returned.notify_one();
        }
    }
}
