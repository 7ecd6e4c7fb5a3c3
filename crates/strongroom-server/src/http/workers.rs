//! Threads for calls, with a bounded queue.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task;

use super::limits::Limits;

/// Runs calls on threads that may block.
#[derive(Debug)]
pub(super) struct Workers {
    /// One permit for each call that runs or waits.
    admitted: Arc<Semaphore>,
    /// One permit for each call that runs.
    running: Arc<Semaphore>,
}

/// The reason why a call has no result.
#[derive(Debug)]
pub(super) enum NotRun {
    /// The queue is full.
    QueueFull,
    /// The call panicked, or the server ends.
    Failed,
}

impl Workers {
    pub(super) fn new(limits: &Limits) -> Self {
        let workers = limits.workers.max(1);
        Self {
            admitted: Arc::new(Semaphore::new(workers.saturating_add(limits.queue))),
            running: Arc::new(Semaphore::new(workers)),
        }
    }

    /// Runs a call. Once it has started, it runs to its end even if the client goes away.
    pub(super) async fn run<T: Send + 'static>(&self, call: impl FnOnce() -> T + Send + 'static) -> Result<T, NotRun> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| NotRun::QueueFull)?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(|_| NotRun::Failed)?;
        let run = move || {
            let result = call();
            drop((admitted, running));
            result
        };
        task::spawn_blocking(run).await.map_err(|_| NotRun::Failed)
    }
}
