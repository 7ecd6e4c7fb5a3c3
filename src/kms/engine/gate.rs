//! Admission of operations until the KMS is closed.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::error::{Error, ErrorKind, Result};
use crate::fork_guard::ForkGuard;
use crate::lock::{Condvar, Mutex, MutexGuard};
use crate::shard::{CachePadded, SHARDS, shard_index};

/// Counts the operations in progress, and rejects new ones once the KMS is closed.
///
/// Entering and leaving changes one counter per shard of threads, so that threads do not slow each
/// other down. Both sides first change their own value and then read the other one, in one order
/// for all threads. An operation is therefore either counted when the KMS is closed, or rejected.
#[derive(Debug, Default)]
pub(in crate::kms) struct Gate {
    is_closed: AtomicBool,
    running: [CachePadded<AtomicUsize>; SHARDS],
    fork_guard: ForkGuard,
    /// Orders the last operations to leave and the caller that waits for them.
    leaving: Mutex<()>,
    left: Condvar,
    steps: Mutex<ClosingSteps>,
}

/// The completed steps of closing. A step that failed can be repeated.
#[derive(Debug, Default)]
pub(in crate::kms) struct ClosingSteps {
    /// Counts and the state of the audit chain are in the store.
    pub(in crate::kms) is_saved: bool,
    pub(in crate::kms) is_trail_closed: bool,
    pub(in crate::kms) is_store_closed: bool,
}

/// An operation in progress.
#[must_use = "the operation is in progress as long as this value exists"]
pub(in crate::kms) struct InProgress<'a> {
    gate: &'a Gate,
    shard: usize,
}

impl Gate {
    /// Admits an operation.
    ///
    /// # Errors
    /// - [`Closed`](ErrorKind::Closed) if the KMS was closed.
    pub(in crate::kms) fn enter(&self) -> Result<InProgress<'_>> {
        let shard = shard_index();
        self.running[shard].fetch_add(1, Ordering::SeqCst);
        let entered = InProgress { gate: self, shard };
        if self.is_closed() {
            return Err(Error::new(ErrorKind::Closed, "the KMS was closed; nothing was done: build it again"));
        }
        Ok(entered)
    }

    pub(in crate::kms) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    /// Rejects new operations and waits until those in progress have ended. Returns the steps of
    /// closing, to one caller at a time.
    pub(in crate::kms) fn close(&self) -> MutexGuard<'_, ClosingSteps> {
        self.is_closed.store(true, Ordering::SeqCst);
        // In a child of `fork`, operations of other threads of the parent never end.
        if self.fork_guard.is_here() {
            let mut leaving = self.leaving.lock();
            while self.count() > 0 {
                leaving = self.left.wait(leaving);
            }
        }
        self.steps.lock()
    }

    /// Returns the steps of closing when no handle is left.
    pub(in crate::kms) fn steps(&mut self) -> &ClosingSteps {
        self.steps.as_mut()
    }

    fn count(&self) -> usize {
        self.running.iter().map(|shard| shard.load(Ordering::SeqCst)).sum()
    }
}

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        self.gate.running[self.shard].fetch_sub(1, Ordering::SeqCst);
        if self.gate.is_closed() {
            let _leaving = self.gate.leaving.lock();
            self.gate.left.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::thread;

    use super::*;

    #[test]
    fn closing_waits_for_what_runs_and_admits_nothing_new() -> Result<()> {
        let gate = Gate::default();
        let (first, second) = (gate.enter()?, gate.enter()?);
        thread::scope(|scope| {
            let closing = scope.spawn(|| drop(gate.close()));
            while !gate.is_closed() {
                thread::yield_now();
            }
            assert_eq!(gate.enter().err().map(|error| error.kind()), Some(ErrorKind::Closed));
            drop(first);
            assert!(!closing.is_finished(), "one is still running");
            drop(second);
            closing.join().expect("no thread panicked");
        });
        drop(gate.close());
        assert!(gate.enter().is_err());
        Ok(())
    }

    #[test]
    fn nothing_runs_once_the_gate_is_closed() {
        for _ in 0..200 {
            let (gate, running) = (Gate::default(), AtomicU32::new(0));
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        while let Ok(_entered) = gate.enter() {
                            running.fetch_add(1, Ordering::SeqCst);
                            running.fetch_sub(1, Ordering::SeqCst);
                        }
                    });
                }
                drop(gate.close());
                assert_eq!(running.load(Ordering::SeqCst), 0);
            });
        }
    }
}
