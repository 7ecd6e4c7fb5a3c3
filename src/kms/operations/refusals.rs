//! Requests that are rejected before they reach an operation.

use crate::audit::{Action, ParameterValue};
use crate::error::{Error, Result};
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::call::abridged_for_audit;

/// Maximum length in bytes of a member that the event of a rejected request contains unabridged: that
/// of the longest identifier. Even if every byte is escaped, the event is not too long to store.
const MAX_NOTED: usize = 2_048;

impl Kms {
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
