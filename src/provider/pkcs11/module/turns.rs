//! One at a time, with a deadline instead of waiting for ever.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Turns to do what only one at a time may do.
#[derive(Debug, Default)]
pub(in crate::provider::pkcs11) struct Turns {
    taken: Mutex<bool>,
    ended: Condvar,
}

impl Turns {
    /// The next turn, after waiting for the one that is taken; `None` when the time is over.
    pub(in crate::provider::pkcs11) fn take(self: &Arc<Self>, wait: Duration) -> Option<Turn> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.ended.wait_timeout_while(taken, wait, |taken| *taken);
        let (mut taken, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            return None;
        }
        *taken = true;
        Some(Turn(Arc::clone(self)))
    }
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(in crate::provider::pkcs11) struct Turn(Arc<Turns>);

impl Drop for Turn {
    fn drop(&mut self) {
        *self.0.taken.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.0.ended.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn who_waits_gets_the_turn_when_it_ends_and_nobody_before() {
        let turns = Arc::new(Turns::default());
        let first = turns.take(Duration::ZERO).expect("nobody has it");
        assert!(turns.take(Duration::from_millis(20)).is_none());
        thread::scope(|scope| {
            let waiting = scope.spawn(|| turns.take(Duration::from_secs(60)).is_some());
            drop(first);
            assert!(waiting.join().expect("no panic"));
        });
        assert!(turns.take(Duration::ZERO).is_some());
    }
}
