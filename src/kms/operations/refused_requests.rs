//! Requests that a server refused before they reached the `Kms`.

use crate::audit::{Action, RefusedRequests};
use crate::error::Result;
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::change::{CallContext, write_outcome};

impl Kms {
    /// Writes an event about requests that a server in front of this `Kms` refused because it could
    /// not authenticate them, for example because their signatures were wrong. Requires the
    /// authority's handle.
    ///
    /// Writes nothing if no request was refused. The event is an
    /// [`Action::RefuseRequests`]. Its type is `AwsServiceEvent` in the JSON form, so no principal
    /// appears as the sender of a request that nobody signed.
    ///
    /// # Errors
    /// - [`AccessDenied`](crate::ErrorKind::AccessDenied) if the handle is narrowed.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    ///
    /// use strongroom::audit::{MemoryTrail, RefusedRequests, to_json};
    /// use strongroom::{Kms, Timestamp};
    ///
    /// let trail = Arc::new(MemoryTrail::default());
    /// let kms = Kms::builder().audit(Arc::clone(&trail)).build()?;
    /// let mut refused = RefusedRequests::since(Timestamp::from_unix_millis(0));
    /// refused.add("InvalidSignatureException", Some("AKIAIOSFODNN7EXAMPLE"), "192.0.2.1");
    /// kms.record_refused_requests(&refused)?;
    /// let json = to_json(&trail.events()[0], kms.locality())?;
    /// assert!(json.contains(r#""eventType":"AwsServiceEvent""#));
    /// assert!(json.contains(r#""sourceIPAddresses":{"192.0.2.1":1}"#));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn record_refused_requests(&self, requests: &RefusedRequests) -> Result<()> {
        self.authority_call("record_refused_requests", |_| {
            if requests.is_empty() {
                return Ok(());
            }
            let mut event = self.new_event(Action::RefuseRequests, self.core.time.now());
            event.parameters = requests.parameters();
            write_outcome(&self.core, CallContext::new(event), Ok(()))
        })
    }
}
