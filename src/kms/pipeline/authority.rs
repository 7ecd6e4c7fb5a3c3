//! Operations that only the authority may perform. The authority is the handle that the builder
//! returned.

use crate::audit::{Action, AuditEvent};
use crate::error::{Error, ErrorKind, Result};
use crate::kms::engine::gate::InProgress;
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::change::{CallContext, write_outcome};

impl Kms {
    /// Admits an operation of the authority. Rejects a narrowed handle and records the rejection in
    /// the audit log.
    pub(in crate::kms) fn check_authority(&self, what: &'static str) -> Result<InProgress<'_>> {
        let in_progress = self.core.gate.enter()?;
        if self.is_authority() {
            return Ok(in_progress);
        }
        let text =
            format!("{what} requires the handle returned by the builder, not one narrowed to {}", self.principal);
        self.recorded(self.authority_event(what), |_| Err(Error::new(ErrorKind::AccessDenied, text)))
    }

    /// Creates the event of an operation that only the authority may perform.
    pub(in crate::kms) fn authority_event(&self, what: &'static str) -> AuditEvent {
        self.new_event(Action::Authority(what), self.core.time.now())
    }

    /// Runs an operation that only the authority may perform. A failure writes an event; after a
    /// success, `run` is responsible for events.
    pub(in crate::kms) fn authority_call<T>(
        &self,
        what: &'static str,
        run: impl FnOnce(&mut CallContext) -> Result<T>,
    ) -> Result<T> {
        let _in_progress = self.check_authority(what)?;
        let event = self.authority_event(what);
        let observation = self.core.observe(event.action);
        let mut call_context = CallContext::new(event);
        // Changes have separate events. Any other commit is a preparation, even if a later step
        // failed.
        let result = run(&mut call_context);
        observation.record_keys(&call_context.event.keys);
        let result =
            result.or_else(|error| write_outcome(&self.core, CallContext::new(call_context.event), Err(error)));
        observation.finish(result)
    }
}
