//! Admission of calls into a module: many concurrent calls, or one exclusive initialization. Waits
//! have deadlines, so none lasts forever.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::lock::{Condvar, Mutex, MutexGuard};

/// Set in the counter while a thread waits to close the gate, or has closed it.
const SHUT: usize = 1 << (usize::BITS - 1);

/// Counts the calls inside a module, and excludes new ones while the module is reinitialized.
#[derive(Debug, Default)]
pub(in crate::provider::pkcs11) struct Gate {
    /// Number of calls inside, combined with [`SHUT`], which changes only together with the state.
    /// While it is not set, a call needs only this counter.
    inside: AtomicUsize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    closing: bool,
    closed: bool,
}

impl Gate {
    /// Enters for a call, after waiting for an initialization in progress. Returns `None` on
    /// timeout.
    pub(in crate::provider::pkcs11) fn enter(&self, wait: Duration) -> Option<Inside<'_>> {
        if self.step_in() {
            return Some(Inside(self));
        }
        self.step_out();
        let done = self.changed.wait_timeout_while(self.lock(), wait, |state| state.closing || state.closed);
        let (_open, timeout) = done;
        if timeout.timed_out() {
            return None;
        }
        self.step_in();
        Some(Inside(self))
    }

    /// Enters immediately, unless the module is being initialized. Suitable for callers that may
    /// already be inside: a thread that waits for all calls to leave does not exclude them.
    pub(in crate::provider::pkcs11) fn enter_now(&self) -> Option<Inside<'_>> {
        let was_open = self.step_in();
        // Leaves again when it is dropped.
        let inside = Inside(self);
        (was_open || !self.lock().closed).then_some(inside)
    }

    /// Increments the counter and returns `true` if the gate was open. If it was not, the closing
    /// thread may have missed this call.
    fn step_in(&self) -> bool {
        self.inside.fetch_add(1, Ordering::Acquire) & SHUT == 0
    }

    fn step_out(&self) {
        if self.inside.fetch_sub(1, Ordering::Release) == SHUT + 1 {
            // The lock ensures that a thread that has just checked the counter is waiting by now.
            drop(self.lock());
            self.changed.notify_all();
        }
    }

    /// Waits until no call is inside, and excludes new ones. Returns `None` on timeout, with the
    /// gate unchanged. The caller must not be inside.
    pub(in crate::provider::pkcs11) fn close(&self, wait: Duration) -> Option<Closed<'_>> {
        let deadline = Instant::now() + wait;
        let mut state = self.lock();
        while state.closing || state.closed {
            state = self.wait_until(state, deadline)?;
        }
        state.closing = true;
        self.inside.fetch_or(SHUT, Ordering::AcqRel);
        while self.is_in_use() {
            let left = deadline.saturating_duration_since(Instant::now());
            let (waited, timeout) = self.changed.wait_timeout(state, left);
            state = waited;
            if timeout.timed_out() && self.is_in_use() {
                state.closing = false;
                self.open(state);
                return None;
            }
        }
        state.closing = false;
        state.closed = true;
        Some(Closed(self))
    }

    /// Admits calls again. The caller has already updated the state.
    fn open(&self, state: MutexGuard<'_, State>) {
        self.inside.fetch_and(!SHUT, Ordering::AcqRel);
        drop(state);
        self.changed.notify_all();
    }

    /// Returns `true` if a call is inside.
    pub(in crate::provider::pkcs11) fn is_in_use(&self) -> bool {
        self.inside.load(Ordering::Acquire) & !SHUT > 0
    }

    fn wait_until<'a>(&self, state: MutexGuard<'a, State>, deadline: Instant) -> Option<MutexGuard<'a, State>> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        Some(self.changed.wait_timeout(state, left).0)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// A call inside the gate.
#[derive(Debug)]
pub(in crate::provider::pkcs11) struct Inside<'a>(&'a Gate);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.step_out();
    }
}

/// Exclusive access: no call is inside.
#[derive(Debug)]
pub(in crate::provider::pkcs11) struct Closed<'a>(&'a Gate);

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closed = false;
        self.0.open(state);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_call_that_stays_inside_keeps_the_gate_open_for_others() {
        let gate = Gate::default();
        let stuck = gate.enter(LONG).expect("the gate is open");
        assert!(gate.close(SHORT).is_none());
        assert!(gate.enter(SHORT).is_some());
        drop(stuck);
        assert!(gate.close(SHORT).is_some());
    }

    #[test]
    fn nobody_enters_a_closed_gate() {
        let gate = Gate::default();
        let closed = gate.close(SHORT).expect("no call is inside");
        assert!(gate.enter(SHORT).is_none());
        assert!(gate.enter_now().is_none());
        assert!(gate.close(SHORT).is_none());
        assert!(!gate.is_in_use(), "a rejected call does not count");
        drop(closed);
        assert!(gate.enter(SHORT).is_some());
        assert!(gate.close(SHORT).is_some(), "the gate closes again");
    }

    #[test]
    fn who_waits_to_close_comes_in_when_the_last_one_leaves() {
        let gate = Gate::default();
        let inside = gate.enter(LONG).expect("the gate is open");
        thread::scope(|scope| {
            let closer = scope.spawn(|| gate.close(LONG).is_some());
            while gate.enter(Duration::ZERO).is_some() {
                thread::yield_now();
            }
            assert!(gate.enter_now().is_some(), "a call that is inside may enter again");
            drop(inside);
            assert!(closer.join().expect("no thread panicked"));
        });
        assert!(gate.enter(SHORT).is_some());
    }

    #[test]
    fn who_waits_is_told_when_the_last_one_leaves_and_when_the_gate_opens() {
        let gate = Gate::default();
        let in_time = |waits: &dyn Fn() -> bool| {
            let started = Instant::now();
            assert!(waits());
            assert!(started.elapsed() < LONG / 2, "it waited until the timeout");
        };
        let inside = gate.enter(LONG).expect("the gate is open");
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(SHORT);
                drop(inside);
            });
            in_time(&|| gate.close(LONG).is_some());
        });
        let waiters: [&dyn Fn() -> bool; 2] = [&|| gate.enter(LONG).is_some(), &|| gate.close(LONG).is_some()];
        for waits in waiters {
            let closed = gate.close(SHORT).expect("no call is inside");
            thread::scope(|scope| {
                scope.spawn(|| {
                    thread::sleep(SHORT);
                    drop(closed);
                });
                in_time(waits);
            });
        }
    }
}
