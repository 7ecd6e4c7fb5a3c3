//! A mutex with a timeout, whose guard does not borrow the mutex.

use std::sync::Arc;
use std::time::Duration;

use crate::lock::{Condvar, Mutex};

/// A mutex that protects no data and is locked with a timeout.
#[derive(Debug, Default)]
pub(in crate::provider::pkcs11) struct TimedMutex {
    taken: Mutex<bool>,
    ended: Condvar,
}

impl TimedMutex {
    /// Locks the mutex, or returns `None` after the timeout.
    pub(in crate::provider::pkcs11) fn lock(self: &Arc<Self>, wait: Duration) -> Option<TimedMutexGuard> {
        let taken = self.taken.lock();
        let waited = self.ended.wait_timeout_while(taken, wait, |taken| *taken);
        let (mut taken, timeout) = waited;
        if timeout.timed_out() {
            return None;
        }
        *taken = true;
        Some(TimedMutexGuard(Arc::clone(self)))
    }
}

/// Unlocks the mutex when it is dropped.
#[derive(Debug)]
pub(in crate::provider::pkcs11) struct TimedMutexGuard(Arc<TimedMutex>);

impl Drop for TimedMutexGuard {
    fn drop(&mut self) {
        *self.0.taken.lock() = false;
        self.0.ended.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_waiting_caller_locks_the_mutex_when_it_is_unlocked_and_not_before() {
        let mutex = Arc::new(TimedMutex::default());
        let first = mutex.lock(Duration::ZERO).expect("the mutex is free");
        assert!(mutex.lock(Duration::from_millis(20)).is_none());
        thread::scope(|scope| {
            let waiting = scope.spawn(|| mutex.lock(Duration::from_secs(60)).is_some());
            drop(first);
            assert!(waiting.join().expect("no thread panicked"));
        });
        assert!(mutex.lock(Duration::ZERO).is_some());
    }
}
