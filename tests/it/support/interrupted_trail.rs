//! An audit log that stops between the intent of a change and its outcome.

use strongroom::Result;
use strongroom::audit::{Attachment, AuditChain, AuditEvent, AuditSink, ChainState, FileTrail, Outcome};

/// A file-backed audit log that loses the outcome of every change, like a process that is killed in
/// between.
#[derive(Debug)]
pub(crate) struct InterruptedTrail(pub(crate) FileTrail);

impl AuditSink for InterruptedTrail {
    fn record(&self, event: AuditEvent) -> Result<()> {
        let is_outcome = event.change.is_some() && event.outcome != Outcome::Intent;
        if is_outcome { Ok(()) } else { self.0.record(event) }
    }

    fn attach(&self, attachment: &Attachment<'_>) -> Result<Option<ChainState>> {
        self.0.attach(attachment)
    }

    fn chain(&self) -> Option<&dyn AuditChain> {
        self.0.chain()
    }
}
