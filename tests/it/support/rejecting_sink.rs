//! An audit sink that rejects events on request.

use std::sync::atomic::{AtomicBool, Ordering};

use strongroom::audit::{AuditEvent, AuditSink};
use strongroom::{Error, ErrorKind, Result};

/// Accepts events, and rejects all of them once it is set.
#[derive(Debug, Default)]
pub(crate) struct RejectingSink(pub(crate) AtomicBool);

impl AuditSink for RejectingSink {
    fn record(&self, _: AuditEvent) -> Result<()> {
        match self.0.load(Ordering::SeqCst) {
            true => Err(Error::new(ErrorKind::Audit, "the disk is full")),
            false => Ok(()),
        }
    }
}
