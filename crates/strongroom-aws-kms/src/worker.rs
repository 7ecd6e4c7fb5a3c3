//! The thread that calls AWS KMS.
//!
//! The official client is asynchronous, and the traits of strongroom block. A thread that blocks may
//! belong to a runtime, which must not wait for itself: so all calls run in the runtime of a separate
//! thread.

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};
use std::{fmt, process, thread};

use strongroom::{Error, ErrorKind, Result};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The name of the thread.
const NAME: &str = "strongroom-aws-kms";

/// The largest number of threads that resolve host names at a time. A resolver that hangs occupies no
/// more.
const RESOLVERS: usize = 8;

/// Time that the thread has to notice the deadline of a call.
const GRACE: Duration = Duration::from_secs(1);

/// Accepts calls for the thread, which ends when this is dropped.
pub(crate) struct Worker {
    calls: UnboundedSender<Call>,
    process: u32,
}

type Call = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The reason why there is no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interruption {
    /// The deadline passed. The call was cancelled.
    TimedOut,
    /// The thread belongs to the parent of this process, or the call panicked.
    Lost,
}

impl Worker {
    /// Starts the thread.
    pub(crate) fn start() -> Result<Self> {
        let (calls, received) = unbounded_channel();
        let (started, starting) = mpsc::sync_channel(1);
        // The thread creates the runtime, as an asynchronous caller could not drop it.
        let run = move || match runtime() {
            Ok(runtime) => {
                let _ = started.send(Ok(()));
                serve(runtime, received);
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        };
        thread::Builder::new().name(NAME.to_owned()).spawn(run).map_err(cannot_start)?;
        match starting.recv() {
            Ok(Ok(())) => Ok(Self { calls, process: process::id() }),
            Ok(Err(error)) => Err(cannot_start(error)),
            Err(_) => Err(Error::new(ErrorKind::Internal, "the thread that calls AWS KMS ended when it started")),
        }
    }

    /// Runs a call in the thread, and blocks until it ends. At the deadline, the call is dropped.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        deadline: Instant,
        call: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Interruption> {
        if self.process != process::id() {
            return Err(Interruption::Lost);
        }
        let (sender, result) = mpsc::sync_channel(1);
        let call = async move {
            let result = tokio::time::timeout_at(deadline.into(), call).await;
            // A caller that waits no longer is not an error.
            let _ = sender.send(result);
        };
        self.calls.send(Box::pin(call)).map_err(|_| Interruption::Lost)?;
        match result.recv_timeout(deadline.saturating_duration_since(Instant::now()) + GRACE) {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(_)) | Err(RecvTimeoutError::Timeout) => Err(Interruption::TimedOut),
            Err(RecvTimeoutError::Disconnected) => Err(Interruption::Lost),
        }
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().max_blocking_threads(RESOLVERS).thread_name(NAME).build()
}

/// Runs calls until no handle is left.
fn serve(runtime: Runtime, mut calls: UnboundedReceiver<Call>) {
    runtime.block_on(async {
        while let Some(call) = calls.recv().await {
            tokio::spawn(call);
        }
    });
    // Nothing waits for the connections that are left, nor for a resolver that hangs.
    runtime.shutdown_background();
}

fn cannot_start(error: std::io::Error) -> Error {
    let text = format!("cannot start the thread that calls AWS KMS: {error}");
    Error::new(ErrorKind::Internal, text).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(time: Duration) -> Instant {
        Instant::now() + time
    }

    #[test]
    fn a_call_that_takes_too_long_is_dropped() {
        struct Guard(mpsc::Sender<()>);
        impl Drop for Guard {
            fn drop(&mut self) {
                let _ = self.0.send(());
            }
        }
        let worker = Worker::start().unwrap();
        let (dropped, drops) = mpsc::channel();
        let guard = Guard(dropped);
        let call = async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        };
        assert_eq!(worker.run(after(Duration::from_millis(20)), call), Err(Interruption::TimedOut));
        drops.recv_timeout(Duration::from_secs(60)).expect("the call is dropped");
        assert_eq!(worker.run(after(Duration::from_secs(60)), async { 17 }), Ok(17));
    }

    #[test]
    fn a_call_that_panics_does_not_end_the_thread() {
        let worker = Worker::start().unwrap();
        let panics = async {
            assert!(worker_is_named(), "the call runs in the thread");
            panic!("a fault of the client");
        };
        assert_eq!(worker.run::<()>(after(Duration::from_secs(60)), panics), Err(Interruption::Lost));
        assert_eq!(worker.run(after(Duration::from_secs(60)), async { 17 }), Ok(17));
    }

    fn worker_is_named() -> bool {
        thread::current().name() == Some(NAME)
    }

    #[test]
    fn the_thread_ends_with_its_last_handle() {
        let worker = Worker::start().unwrap();
        let (ended, ends) = mpsc::channel::<()>();
        // A task of the runtime lives as long as the runtime does.
        let task = async move {
            tokio::spawn(async move {
                let _ended = ended;
                std::future::pending::<()>().await;
            });
        };
        assert_eq!(worker.run(after(Duration::from_secs(60)), task), Ok(()));
        drop(worker);
        assert_eq!(ends.recv_timeout(Duration::from_secs(60)), Err(RecvTimeoutError::Disconnected));
    }

    #[test]
    fn a_forked_process_gets_an_error() {
        let mut worker = Worker::start().unwrap();
        worker.process = worker.process.wrapping_add(1);
        assert_eq!(worker.run(after(Duration::from_secs(60)), async { 17 }), Err(Interruption::Lost));
    }
}
