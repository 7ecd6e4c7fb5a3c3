//! Runs long work on a few threads.

use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// The number of processors of the smallest machine on which the long versions of tests run.
const THREADS: usize = 2;

/// Runs the work for every item and returns the results in no particular order. Stops at the first
/// failure.
pub(crate) fn run<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, Box<dyn std::error::Error>> + Sync,
) -> Result<Vec<R>, Box<dyn std::error::Error>> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            match work(item) {
                Ok(result) => done.push(result),
                Err(error) => {
                    next.store(items.len(), Ordering::Relaxed);
                    return Err(error.to_string());
                }
            }
        }
        Ok(done)
    };
    thread::scope(|scope| {
        let workers = [(); THREADS].map(|()| scope.spawn(worker));
        let mut all = Vec::with_capacity(items.len());
        for worker in workers {
            all.extend(worker.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked))?);
        }
        Ok(all)
    })
}
