//! Requests that are rejected before they reach an operation.

use crate::audit::{Action, ParameterValue, RefusedRequests};
use crate::error::{Error, Result};
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::call::abridged_for_audit;
use crate::kms::pipeline::change::{CallContext, write_outcome};

/// Maximum length in bytes of a member that the event of a rejected request contains unabridged: that
/// of the longest identifier. Even if every byte is escaped, the event is not too long to store.
const MAX_NOTED: usize = 2_048;

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

    /// Records a request that was rejected because it could not be parsed or is not valid, with the
    /// parameters that are known. Returns the error for the caller: the given one, or the failure to
    /// record it.
    pub(crate) fn refuse_request(&self, action: Action, parameters: &[(&'static str, &str)], error: Error) -> Error {
        let refused: Result<()> = self.core.gate.enter().and_then(|_in_progress| {
            let mut event = self.new_event(action, self.core.time.now());
            let noted = |text: &str| ParameterValue::from(abridged_for_audit(text, MAX_NOTED));
            event.parameters = parameters.iter().map(|(name, text)| (*name, noted(text))).collect();
            self.recorded(event, |_| Err(error.clone()))
        });
        refused.err().unwrap_or(error)
    }
}
