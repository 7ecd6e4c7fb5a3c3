//! Requests whose signatures were refused, counted for the audit trail.
//!
//! A refused request has no principal, and strangers can send any number of them. So the trail gets
//! one event per interval that counts them, instead of an event for each. The log has a line for
//! each of them.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use strongroom::audit::RefusedRequests;
use strongroom::{Kms, Timestamp};

use crate::error::Result;

/// The requests that were refused since the last event.
#[derive(Debug)]
pub(crate) struct Refusals(Mutex<RefusedRequests>);

impl Refusals {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(since_now()))
    }

    /// Counts a request, with the known access key that it named.
    pub(crate) fn count(&self, exception: &str, access_key_id: Option<&str>, peer: IpAddr) {
        self.requests().add(exception, access_key_id, &peer.to_canonical().to_string());
    }

    /// Writes the event, if a request was refused. If that fails, the next event contains them too.
    pub(crate) fn record(&self, kms: &Kms) -> Result<()> {
        let requests = std::mem::replace(&mut *self.requests(), since_now());
        kms.record_refused_requests(&requests).map_err(|error| {
            self.requests().merge(requests);
            error.into()
        })
    }

    fn requests(&self) -> MutexGuard<'_, RefusedRequests> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn since_now() -> RefusedRequests {
    RefusedRequests::since(Timestamp::from(SystemTime::now()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use strongroom::audit::MemoryTrail;

    use super::*;

    #[test]
    fn requests_that_could_not_be_recorded_are_in_the_next_event() -> Result<()> {
        let refusals = Refusals::new();
        let (one, two) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let closed = Kms::in_memory()?;
        closed.close()?;
        refusals.count("InvalidSignatureException", None, one);
        assert!(refusals.record(&closed).is_err());
        refusals.count("InvalidSignatureException", Some("AKIAIOSFODNN7EXAMPLE"), two);

        let trail = Arc::new(MemoryTrail::default());
        let kms = Kms::builder().audit(Arc::clone(&trail)).build()?;
        refusals.record(&kms)?;
        refusals.record(&kms)?;
        let events = trail.events();
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(events[0].parameters[1], ("requests", 2_u64.into()));
        Ok(())
    }
}
