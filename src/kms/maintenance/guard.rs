//! Maintenance on a background thread.

use std::fmt;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::kms::engine::handle::Kms;
use crate::kms::request::MaintenanceReport;
use crate::lock::{Condvar, Mutex};

/// Runs maintenance on a thread for as long as the guard exists. Dropping the guard waits for a
/// sweep in progress to finish.
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// use strongroom::{Kms, Result};
/// use strongroom::maintenance::{MaintenanceGuard, MaintenanceReport};
///
/// struct Service {
///     kms: Kms,
///     maintenance: MaintenanceGuard, // dropped with the service
/// }
///
/// let kms = Kms::in_memory()?;
/// let maintenance = kms.maintain_every(Duration::from_secs(3_600), |report: Result<MaintenanceReport>| {
///     if !report.is_ok_and(|report| report.is_complete()) {
///         eprintln!("maintenance is not complete");
///     }
/// })?;
/// let service = Service { kms, maintenance };
/// assert!(service.maintenance.is_running());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[must_use = "maintenance ends when the guard is dropped"]
pub struct MaintenanceGuard {
    signal: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
}

/// The stop signal from the guard to the thread.
#[derive(Default)]
struct Signal {
    is_stopped: Mutex<bool>,
    changed: Condvar,
}

impl Kms {
    /// Runs [`Kms::run_maintenance`] immediately and then after every `interval`, on a background
    /// thread, until the guard is dropped or the KMS is [closed](Kms::close). Requires the
    /// authority's handle.
    ///
    /// `report` receives the result of each run. A failed run does not stop later runs. Any number
    /// of processes that share a store may run maintenance.
    ///
    /// # Errors
    /// - [`AccessDenied`](ErrorKind::AccessDenied) if the handle is narrowed.
    /// - [`Validation`](ErrorKind::Validation) if the interval is zero.
    /// - [`Internal`](ErrorKind::Internal) if the operating system cannot create a thread.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
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
    ///     sender.send(report.is_ok()).ok(); // log failures
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
        let signal = Arc::new(Signal::default());
        let (kms, stop) = (self.clone(), Arc::clone(&signal));
        let run = move || {
            loop {
                report(kms.run_maintenance());
                if stop.is_stopped_within(interval) || kms.is_closed() {
                    break;
                }
            }
        };
        let thread = self.authority_call("maintain_every", |_| {
            if interval.is_zero() {
                return Err(Error::new(ErrorKind::Validation, "the maintenance interval must not be zero"));
            }
            let spawned = thread::Builder::new().name("strongroom maintenance".to_owned()).spawn(run);
            let text = "cannot spawn the maintenance thread";
            spawned.map_err(|error| Error::new(ErrorKind::Internal, text).with_source(error))
        })?;
        Ok(MaintenanceGuard { signal, thread: Some(thread) })
    }
}

impl MaintenanceGuard {
    /// Returns `true` while the thread is running. It ends before the guard is dropped only if
    /// `report` panics or the KMS was closed.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Signal {
    fn stop(&self) {
        *self.is_stopped.lock() = true;
        self.changed.notify_all();
    }

    /// Waits for `interval`, and returns early if the guard is dropped.
    fn is_stopped_within(&self, interval: Duration) -> bool {
        let guard = self.is_stopped.lock();
        let waited = self.changed.wait_timeout_while(guard, interval, |is_stopped| !*is_stopped);
        *waited.0
    }
}

impl Drop for MaintenanceGuard {
    fn drop(&mut self) {
        self.signal.stop();
        // If `report` itself drops the guard, the guard cannot wait for its own thread.
        if let Some(thread) = self.thread.take().filter(|thread| thread.thread().id() != thread::current().id()) {
            // A panic in `report` was already reported where it occurred.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for MaintenanceGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaintenanceGuard").field("is_running", &self.is_running()).finish_non_exhaustive()
    }
}
