//! The thread that calls a service.
//!
//! The clients of services are asynchronous, and the traits of strongroom block. A thread that blocks may
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

/// The largest number of threads that resolve host names at a time. A resolver that hangs occupies no
/// more.
const RESOLVERS: usize = 8;

/// Time that the thread has to notice the deadline of a call.
const GRACE: Duration = Duration::from_secs(1);

/// Accepts calls for the thread, which ends when this is dropped.
///
/// # Examples
/// ```
/// use std::time::{Duration, Instant};
/// use strongroom_upstream::{Interruption, Worker};
///
/// let worker = Worker::start("example", "a service")?;
/// let answer = worker.run(Instant::now() + Duration::from_secs(60), async { 17 });
/// assert_eq!(answer, Ok(17));
/// let hanging = worker.run(Instant::now() + Duration::from_millis(10), std::future::pending::<()>());
/// assert_eq!(hanging, Err(Interruption::TimedOut));
/// # Ok::<(), strongroom::Error>(())
/// ```
pub struct Worker {
    calls: UnboundedSender<Call>,
    process: u32,
}

type Call = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The reason why there is no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interruption {
    /// The deadline passed. The call was cancelled.
    TimedOut,
    /// The thread belongs to the parent of this process, or the call panicked.
    Lost,
}

impl Worker {
    /// Starts the thread. `name` is its name, and `service` is named in errors.
    ///
    /// # Errors
    /// - [`ErrorKind::Internal`] if the operating system cannot start a thread.
    pub fn start(name: &'static str, service: &str) -> Result<Self> {
        let cannot_start = |error: std::io::Error| {
            let text = format!("cannot start the thread that calls {service}: {error}");
            Error::new(ErrorKind::Internal, text).with_source(error)
        };
        let (calls, received) = unbounded_channel();
        let (started, starting) = mpsc::sync_channel(1);
        // The thread creates the runtime, as an asynchronous caller could not drop it.
        let run = move || match runtime(name) {
            Ok(runtime) => {
                let _ = started.send(Ok(()));
                serve(runtime, received);
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        };
        thread::Builder::new().name(name.to_owned()).spawn(run).map_err(cannot_start)?;
        match starting.recv() {
            Ok(Ok(())) => Ok(Self { calls, process: process::id() }),
            Ok(Err(error)) => Err(cannot_start(error)),
            Err(_) => {
                let text = format!("the thread that calls {service} ended when it started");
                Err(Error::new(ErrorKind::Internal, text))
            }
        }
    }

    /// Runs a call in the thread, and blocks until it ends. At the deadline, the call is dropped.
    ///
    /// # Errors
    /// - [`Interruption::TimedOut`] if the deadline passed.
    /// - [`Interruption::Lost`] if the process was forked, or if the call panicked.
    pub fn run<T: Send + 'static>(
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

fn runtime(name: &str) -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().max_blocking_threads(RESOLVERS).thread_name(name).build()
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

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "strongroom-test";

    fn worker() -> Worker {
        Worker::start(NAME, "a service").unwrap()
    }

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
        let worker = worker();
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
        let worker = worker();
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
        let worker = worker();
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
        let mut worker = worker();
        worker.process = worker.process.wrapping_add(1);
        assert_eq!(worker.run(after(Duration::from_secs(60)), async { 17 }), Err(Interruption::Lost));
    }
}
