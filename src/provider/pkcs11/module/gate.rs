//! Who may call into a module: many calls at once, or its initialisation alone, with deadlines instead of waiting for
//! ever.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::lock::{Condvar, Mutex, MutexGuard};

/// Set in the count as long as somebody waits to close the gate, or has closed it.
const SHUT: usize = 1 << (usize::BITS - 1);

/// Counts the calls that are inside a module and keeps new ones out while it is initialised anew.
#[derive(Debug, Default)]
pub(in crate::provider::pkcs11) struct Gate {
    /// How many are inside, and [`SHUT`], which changes only with the state: while it is not set, the count is all that
    /// a call needs.
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
    /// Enters for a call, after waiting for an initialisation that is under way; `None` when the time is over.
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

    /// Enters at once, if the module is not being initialised. Good for those who may be inside already: whoever waits
    /// for everyone to leave does not keep them out.
    pub(in crate::provider::pkcs11) fn enter_now(&self) -> Option<Inside<'_>> {
        let was_open = self.step_in();
        // Leaves again when it is dropped.
        let inside = Inside(self);
        (was_open || !self.lock().closed).then_some(inside)
    }

    /// Counts one more; whether the gate was open. If not, whoever closes it may not have seen this one.
    fn step_in(&self) -> bool {
        self.inside.fetch_add(1, Ordering::Acquire) & SHUT == 0
    }

    fn step_out(&self) {
        if self.inside.fetch_sub(1, Ordering::Release) == SHUT + 1 {
            // The lock makes sure that whoever has just looked at the count is waiting by now.
            drop(self.lock());
            self.changed.notify_all();
        }
    }

    /// Waits until nobody is inside and keeps everybody out; `None`, and nothing changed, when the time is over. Whoever
    /// calls this must not be inside.
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

    /// Lets everybody in again; the state says so already.
    fn open(&self, state: MutexGuard<'_, State>) {
        self.inside.fetch_and(!SHUT, Ordering::AcqRel);
        drop(state);
        self.changed.notify_all();
    }

    /// Whether a call is inside.
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

/// One call that is inside.
#[derive(Debug)]
pub(in crate::provider::pkcs11) struct Inside<'a>(&'a Gate);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.step_out();
    }
}

/// Nobody else is inside.
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
        let stuck = gate.enter(LONG).expect("it is open");
        assert!(gate.close(SHORT).is_none());
        assert!(gate.enter(SHORT).is_some());
        drop(stuck);
        assert!(gate.close(SHORT).is_some());
    }

    #[test]
    fn nobody_enters_a_closed_gate() {
        let gate = Gate::default();
        let closed = gate.close(SHORT).expect("nobody is inside");
        assert!(gate.enter(SHORT).is_none());
        assert!(gate.enter_now().is_none());
        assert!(gate.close(SHORT).is_none());
        assert!(!gate.is_in_use(), "who was refused does not count");
        drop(closed);
        assert!(gate.enter(SHORT).is_some());
        assert!(gate.close(SHORT).is_some(), "it closes again");
    }

    #[test]
    fn who_waits_to_close_comes_in_when_the_last_one_leaves() {
        let gate = Gate::default();
        let inside = gate.enter(LONG).expect("it is open");
        thread::scope(|scope| {
            let closer = scope.spawn(|| gate.close(LONG).is_some());
            while gate.enter(Duration::ZERO).is_some() {
                thread::yield_now();
            }
            assert!(gate.enter_now().is_some(), "who is inside may enter once more");
            drop(inside);
            assert!(closer.join().expect("no panic"));
        });
        assert!(gate.enter(SHORT).is_some());
    }
}
