//! The activity of a connection: which requests are being answered, and when the last one ended.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::connections::Place;
use super::limits::Limits;

/// Tracks the requests of a connection.
#[derive(Debug)]
pub(super) struct Activity {
    place: Place,
    state: Mutex<Phase>,
    idle_time: Duration,
    leaves_input: AtomicBool,
}

#[derive(Debug)]
struct Phase {
    in_flight: usize,
    /// The time at which the connection is closed unless a request arrives.
    deadline: Instant,
}

/// A request that is being read or answered. Ends when dropped.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Activity>);

/// A call that is queued or runs. Ends when dropped.
#[derive(Debug)]
pub(super) struct Calling<'a>(&'a Activity);

impl Activity {
    pub(super) fn new(limits: &Limits, accepted: Instant, place: Place) -> Arc<Self> {
        let phase = Phase { in_flight: 0, deadline: accepted + limits.first_request_time };
        Arc::new(Self {
            place,
            state: Mutex::new(phase),
            idle_time: limits.idle_time,
            leaves_input: AtomicBool::new(false),
        })
    }

    /// Starts a request.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        self.phase().in_flight += 1;
        self.place.progress();
        InFlight(Arc::clone(self))
    }

    /// Returns the time at which to look again, or `None` if the connection must be closed.
    pub(super) fn next_check(&self, now: Instant) -> Option<Instant> {
        let phase = self.phase();
        match phase.in_flight {
            0 if phase.deadline <= now => None,
            0 => Some(phase.deadline),
            _ => Some(now + self.idle_time),
        }
    }

    /// Completes if another connection needs the place of this one.
    pub(super) async fn place_taken(&self) {
        self.place.taken().await;
    }

    /// Returns `true` if a request was answered before its body had arrived, so that the client may
    /// still be sending it.
    pub(super) fn leaves_input(&self) -> bool {
        self.leaves_input.load(Ordering::Acquire)
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InFlight {
    /// Keeps the connection until the call has ended.
    pub(super) fn call(&self) -> Calling<'_> {
        self.0.place.begin_call();
        Calling(&self.0)
    }

    /// Notes that the body of the request will not be read.
    pub(super) fn leave_input(&self) {
        self.0.leaves_input.store(true, Ordering::Release);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut phase = self.0.phase();
        phase.in_flight -= 1;
        phase.deadline = Instant::now() + self.0.idle_time;
        drop(phase);
        self.0.place.progress();
    }
}

impl Drop for Calling<'_> {
    fn drop(&mut self) {
        self.0.place.end_call();
    }
}
