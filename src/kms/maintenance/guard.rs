//! Maintenance on a thread of its own, for those who ask for one.

use std::fmt;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::kms::engine::handle::Kms;
use crate::kms::request::MaintenanceReport;
use crate::lock::{Condvar, Mutex};

/// Runs maintenance on a thread as long as it lives. Dropping it lets a sweep that is under way end, and waits for that.
#[must_use = "maintenance ends when the guard is dropped"]
pub struct MaintenanceGuard {
    signal: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
}

/// How the guard tells the thread to stop.
#[derive(Default)]
struct Signal {
    is_stopped: Mutex<bool>,
    changed: Condvar,
}

impl Kms {
    /// Runs [`Kms::run_maintenance`] at once and then after every `interval`, on a thread of its own, until the guard is
    /// dropped. `report` is told what each run did, or why it failed; a run that failed stops nothing. Any number of
    /// processes over one store may do so. Needs the authority's handle.
    ///
    /// # Errors
    /// [`AccessDenied`](ErrorKind::AccessDenied) for a narrowed handle; [`Validation`](ErrorKind::Validation) for an interval of
    /// zero; [`Internal`](ErrorKind::Internal) if the operating system makes no thread.
    ///
    /// # Examples
    /// ```
    /// use std::sync::mpsc;
    /// use std::time::Duration;
    /// use strongroom::Kms;
    ///
    /// let kms = Kms::in_memory()?;
    /// let (sender, reports) = mpsc::channel();
    /// let guard = kms.maintain_every(Duration::from_secs(3_600), move |report| {
    ///     sender.send(report.is_ok()).ok(); // log what failed
    /// })?;
    /// assert_eq!(reports.recv(), Ok(true));
    /// drop(guard);
    /// assert!(reports.recv().is_err());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn maintain_every(
        &self,
        interval: Duration,
        mut report: impl FnMut(Result<MaintenanceReport>) + Send + 'static,
    ) -> Result<MaintenanceGuard> {
        self.authority_call("maintain_every", |_| match interval.is_zero() {
            true => Err(Error::new(ErrorKind::Validation, "maintenance needs an interval")),
            false => Ok(()),
        })?;
        let signal = Arc::new(Signal::default());
        let (kms, stop) = (self.clone(), Arc::clone(&signal));
        let run = move || {
            loop {
                report(kms.run_maintenance());
                if stop.is_stopped_within(interval) {
                    break;
                }
            }
        };
        let spawned = thread::Builder::new().name("strongroom maintenance".to_owned()).spawn(run);
        let thread = self.authority_call("maintain_every", |_| {
            let text = "the operating system cannot start a thread for maintenance";
            spawned.map_err(|error| Error::new(ErrorKind::Internal, text).with_source(error))
        })?;
        Ok(MaintenanceGuard { signal, thread: Some(thread) })
    }
}

impl MaintenanceGuard {
    /// Whether the thread still runs: it ends before the guard only if `report` panics.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Signal {
    fn stop(&self) {
        *self.is_stopped.lock() = true;
        self.changed.notify_all();
    }

    /// Waits, and returns early if the guard is dropped.
    fn is_stopped_within(&self, interval: Duration) -> bool {
        let guard = self.is_stopped.lock();
        let waited = self.changed.wait_timeout_while(guard, interval, |is_stopped| !*is_stopped);
        *waited.0
    }
}

impl Drop for MaintenanceGuard {
    fn drop(&mut self) {
        self.signal.stop();
        // Dropped by `report` itself, it cannot wait for the thread that it is on.
        if let Some(thread) = self.thread.take().filter(|thread| thread.thread().id() != thread::current().id()) {
            // A panic of `report` was told where it happened.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for MaintenanceGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaintenanceGuard").field("is_running", &self.is_running()).finish_non_exhaustive()
    }
}
