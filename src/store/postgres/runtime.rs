//! The thread that speaks to the server. Callers block until it has their answer, whether or not
//! they are inside another asynchronous runtime.

use std::future::Future;
use std::io;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::failure;
use crate::error::{Error, ErrorKind, Result};
use crate::lock::Mutex;
use crate::store::error::StoreError;

/// A single-threaded runtime. All connections of a store belong to it.
#[derive(Debug)]
pub(super) struct Runtime {
    /// The name of the store, for errors.
    name: String,
    handle: Handle,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Runtime {
    /// Starts the thread. It creates the runtime itself, because a runtime cannot be entered or
    /// dropped inside another one.
    pub(super) fn start(name: String) -> Result<Self> {
        let failed = |error| Error::new(ErrorKind::Internal, "cannot start the thread of a store").with_source(error);
        let (stop, stopped) = oneshot::channel();
        let (started, has_started) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("strongroom-postgres".into())
            .spawn(move || match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => {
                    runtime.block_on(async {
                        // The other end waits for the handle.
                        let _ = started.send(Ok(Handle::current()));
                        // A request to stop, or a store that was dropped.
                        let _ = stopped.await;
                    });
                    // Does not wait for the resolution of names, which can take long.
                    runtime.shutdown_background();
                }
                Err(error) => drop(started.send(Err(error))),
            })
            .map_err(failed)?;
        let handle = has_started.recv().unwrap_or_else(|lost| Err(io::Error::other(lost))).map_err(failed)?;
        Ok(Self { name, handle, running: Mutex::new(Some(Running { stop, thread })) })
    }

    /// Starts work whose result nobody waits for.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        drop(self.handle.spawn(work));
    }

    /// Runs work on the thread of the runtime and waits for its result, no longer than `timeout`.
    ///
    /// # Errors
    /// - [`StoreError::Unreachable`] after `timeout`.
    /// - [`StoreError::Closed`] if the thread ended first. Nothing is known about the work.
    pub(super) fn run<T: Send + 'static>(
        &self,
        timeout: Duration,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.spawn(async move {
            let result = tokio::time::timeout(timeout, work).await.unwrap_or_else(|_| Err(failure::timed_out(timeout)));
            // A receiver always waits, unless its thread panicked.
            let _ = sender.send(result);
        });
        receiver.recv().unwrap_or_else(|_| Err(StoreError::Closed(self.name.clone())))
    }

    /// Ends the thread and, with it, all connections.
    pub(super) fn stop(&self) {
        if let Some(Running { stop, thread }) = self.running.lock().take() {
            let _ = stop.send(());
            // A thread that panicked has ended, too.
            let _ = thread.join();
        }
    }

    /// Leaves the thread alone, in a child of `fork`, which has no such thread.
    pub(super) fn leak(&self) {
        // The parent may have held the lock at the time of the fork.
        if let Some(mut running) = self.running.try_lock() {
            std::mem::forget(running.take());
        }
    }
}
