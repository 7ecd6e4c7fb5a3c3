//! The activity of a connection: which requests are being answered, and when the last one ended.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::limits::Limits;

/// Tracks the requests of a connection.
#[derive(Debug)]
pub(super) struct Activity {
    state: Mutex<Phase>,
    idle_time: Duration,
}

#[derive(Debug)]
struct Phase {
    in_flight: usize,
    /// The time at which the connection is closed unless a request arrives.
    deadline: Instant,
}

/// A request that is being answered. Ends when dropped.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Activity>);

impl Activity {
    pub(super) fn new(limits: &Limits, accepted: Instant) -> Arc<Self> {
        let phase = Phase { in_flight: 0, deadline: accepted + limits.first_request_time };
        Arc::new(Self { state: Mutex::new(phase), idle_time: limits.idle_time })
    }

    /// Starts a request.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        self.phase().in_flight += 1;
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

    fn phase(&self) -> std::sync::MutexGuard<'_, Phase> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut phase = self.0.phase();
        phase.in_flight -= 1;
        phase.deadline = Instant::now() + self.0.idle_time;
    }
}
