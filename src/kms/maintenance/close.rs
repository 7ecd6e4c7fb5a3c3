//! Closing the KMS.

use crate::error::{Error, Result};
use crate::kms::engine::core::Core;
use crate::kms::engine::handle::Kms;

impl Kms {
    /// Ends the use of the store in an orderly way, and reports what could not be completed.
    /// Requires the authority's handle.
    ///
    /// - New operations are rejected with [`Closed`](crate::ErrorKind::Closed), on every clone of
    ///   this handle and every handle that was created from it, in all threads. They leave no event
    ///   in the audit trail.
    /// - Operations in progress continue, and this call waits for them. This includes a sweep of
    ///   [`run_maintenance`](Kms::run_maintenance), which may take a while. An iterator ends with
    ///   an error when it fetches its next page.
    /// - Usage counts that are only in memory ([`metered_keys`](Kms::metered_keys)) are added to the
    ///   store, and the state of the audit chain is saved, so that a truncated trail is detected.
    /// - The store is closed ([`KeyStore::close`](crate::store::KeyStore::close)). A
    ///   `SqliteStore` copies its log into the main file and closes its connections.
    ///   If no other process uses the store, only the main file remains. A store that is shared
    ///   with another `Kms` through an `Arc` is closed for that one, too.
    /// - The audit trail is synced to disk and released ([`AuditSink::close`](crate::audit::AuditSink::close)).
    ///
    /// A thread of [`maintain_every`](Kms::maintain_every) ends instead of starting its next run.
    /// Numbers of messages that this process has reserved for keys in HSMs are skipped. Connections
    /// to HSMs are closed, and secrets in memory are wiped, when the last handle is dropped.
    ///
    /// If this call fails, it leaves an event in the audit trail, and later operations are still
    /// rejected. Call it again to repeat the steps that failed. Once it has succeeded, another call does nothing. A `Kms` that is dropped
    /// without this call writes the same data, but ignores failures.
    ///
    /// Do not call this from code that an operation itself calls, such as a custom policy or
    /// provider: it would wait for that operation forever.
    ///
    /// # Errors
    /// - [`AccessDenied`](crate::ErrorKind::AccessDenied) if the handle is narrowed.
    /// - [`Store`](crate::ErrorKind::Store) if the counts or the state of the audit chain cannot be
    ///   written, or the store cannot be closed.
    /// - [`Audit`](crate::ErrorKind::Audit) if the audit trail cannot be synced to disk.
    ///
    /// # Examples
    /// ```
    /// use strongroom::{ErrorKind, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let clone = kms.clone();
    /// kms.close()?;
    /// assert!(clone.is_closed());
    /// assert_eq!(clone.create_key(Default::default()).unwrap_err().kind(), ErrorKind::Closed);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn close(&self) -> Result<()> {
        if !self.is_authority() {
            return self.check_authority("close").map(drop);
        }
        let Err(error) = self.core.close() else { return Ok(()) };
        let text = format!("cannot complete closing the KMS: {error}; call close again to repeat what failed");
        let failed = Error::new(error.kind(), text).with_source(error);
        self.recorded(self.authority_event("close"), |_| Err(failed))
    }

    /// Returns `true` if the KMS was closed with [`Kms::close`], by this or another handle.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    ///
    /// let kms = Kms::in_memory()?;
    /// assert!(!kms.is_closed());
    /// kms.clone().close()?;
    /// assert!(kms.is_closed());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn is_closed(&self) -> bool {
        self.core.gate.is_closed()
    }
}

impl Core {
    fn close(&self) -> Result<()> {
        let mut steps = self.gate.close();
        if !steps.is_saved {
            let (counts, chain) = (self.metering.add_usage(&self.registry), self.audit.save_chain(&self.registry));
            counts.and(chain)?;
            steps.is_saved = true;
        }
        if !steps.is_store_closed {
            self.registry.sealed().close()?;
            steps.is_store_closed = true;
        }
        // Last, because a failure of an earlier step is recorded in the trail.
        if !steps.is_trail_closed {
            self.audit.close()?;
            steps.is_trail_closed = true;
        }
        Ok(())
    }
}
