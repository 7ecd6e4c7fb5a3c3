//! Operations of the authority alone: the handle that the builder returned.

use crate::audit::{Action, AuditEvent};
use crate::error::{Error, ErrorKind, Result};
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::change::CallContext;

impl Kms {
    /// Refuses a narrowed handle, and has the trail tell of it.
    pub(in crate::kms) fn check_authority(&self, what: &'static str) -> Result<()> {
        if self.is_authority() {
            return Ok(());
        }
        let text = format!("{what} needs the handle that the builder returned, not one narrowed to {}", self.principal);
        self.recorded(self.authority_event(what), |_| Err(Error::new(ErrorKind::AccessDenied, text)))
    }

    /// The event of what only the authority may do.
    pub(in crate::kms) fn authority_event(&self, what: &'static str) -> AuditEvent {
        let mut event = AuditEvent::new(self.core.time.now(), Action::Authority(what), self.principal.clone());
        event.via_service = self.via_service().cloned();
        event
    }

    /// Runs what only the authority may do. A failure leaves an event; what a success leaves is for `run` to write.
    pub(in crate::kms) fn authority_call<T>(
        &self,
        what: &'static str,
        run: impl FnOnce(&mut CallContext) -> Result<T>,
    ) -> Result<T> {
        self.check_authority(what)?;
        let mut call_context = CallContext::new(self.authority_event(what));
        // Changes have events of their own. What was committed beside them is a preparation, whatever came after that commit.
        run(&mut call_context).or_else(|error| self.recorded(call_context.event, |_| Err(error)))
    }
}
