//! A sink that forwards to two sinks.

use super::{Attachment, AuditChain, AuditEvent, AuditSink, ChainState};
use crate::error::{Error, ErrorKind, Result};

/// Forwards every event to two sinks, first to `A`, then to `B`. Both must store it.
///
/// At most one of the sinks may have a chain.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use strongroom::Kms;
/// use strongroom::audit::{Tee, FileTrail, MemoryTrail};
///
/// # let directory = tempfile::tempdir()?;
/// let recent = Arc::new(MemoryTrail::default());
/// let kms = Kms::builder().audit(Tee(FileTrail::new(directory.path()), Arc::clone(&recent))).build()?;
/// kms.list_keys(Default::default())?;
/// assert_eq!(recent.events().len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Tee<A, B>(
    /// The sink that receives every event first.
    pub A,
    /// The sink that receives the events stored by the first one.
    pub B,
);

impl<A: AuditSink, B: AuditSink> AuditSink for Tee<A, B> {
    fn record(&self, event: AuditEvent) -> Result<()> {
        self.0.record(event.clone())?;
        self.1.record(event)
    }

    fn attach(&self, attachment: &Attachment<'_>) -> Result<Option<ChainState>> {
        if self.0.chain().is_some() && self.1.chain().is_some() {
            return Err(Error::new(ErrorKind::Audit, "cannot combine two audit sinks that both have a chain"));
        }
        Ok(self.0.attach(attachment)?.or(self.1.attach(attachment)?))
    }

    fn chain(&self) -> Option<&dyn AuditChain> {
        self.0.chain().or_else(|| self.1.chain())
    }

    /// Closes both sinks, even if one of them fails.
    fn close(&self) -> Result<()> {
        let (first, second) = (self.0.close(), self.1.close());
        first.and(second)
    }
}
