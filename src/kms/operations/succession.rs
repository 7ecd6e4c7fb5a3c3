//! Continued use of a store that was copied, restored, or moved.

use crate::error::Result;
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::change::commit_change;
use crate::kms::request::SuccessionReport;

impl Kms {
    /// Declares that the HSMs belong to this store, after it was copied, restored, or moved.
    /// Requires the authority's handle.
    ///
    /// A copy of a store contains every key and every deletion that the original contained at that
    /// time. A copy must not destroy keys that the original still uses. A store can detect that it
    /// is in a different location, or that a copy of it moved the mark in an HSM. It then creates,
    /// destroys, and undoes nothing there. Such operations fail with
    /// [`CopiedStore`](crate::ErrorKind::CopiedStore). The store still encrypts, decrypts, and
    /// signs.
    ///
    /// Call this method once, in the store that remains in use, when no other copy is in use. It
    /// leaves all other copies behind. Keys in HSMs and providers that are pending deletion start
    /// their full waiting period again. Their deletion may have been canceled after the copy was
    /// created. Cancel the deletion of keys that you still need. Then apply the deletions that the
    /// copy lacks ([`Kms::apply_deletions`]).
    ///
    /// Calling it in a store that was never copied has only one effect: it raises the message
    /// counts of keys in HSMs, as after any restoration.
    ///
    /// # Errors
    /// - [`AccessDenied`](crate::ErrorKind::AccessDenied) if the handle is narrowed.
    /// - [`Store`](crate::ErrorKind::Store) if the store fails before anything is changed.
    /// - [`Audit`](crate::ErrorKind::Audit) if the audit trail fails before anything is changed.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    ///
    /// let kms = Kms::in_memory()?;
    /// assert!(kms.declare_successor()?.is_complete());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn declare_successor(&self) -> Result<SuccessionReport> {
        let _in_progress = self.check_authority("declare_successor")?;
        self.recorded(self.authority_event("declare_successor"), |call_context| {
            let postponed = commit_change(&self.core, call_context, |call_context| {
                let (mut edits, postponed) = self.core.postponed(call_context.now())?;
                edits.extend(self.core.succession()?);
                Ok((edits, postponed))
            })?;
            Ok(SuccessionReport { postponed, ..self.core.take_over()? })
        })
    }
}
