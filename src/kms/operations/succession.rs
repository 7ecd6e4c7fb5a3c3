//! A store that goes on after it was copied, restored or moved.

use crate::error::Result;
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::change::commit_change;
use crate::kms::request::SuccessionReport;

impl Kms {
    /// Declares this store the one that its HSMs belong to, after it was copied, restored or moved. Needs the authority's handle.
    ///
    /// A copy of a store holds every key and every deletion that the original held when it was made. To keep a copy from
    /// destroying keys that the original still uses, a store that finds itself in another place, or finds that a copy of it
    /// moved the mark in an HSM, creates, destroys and undoes nothing there: such operations fail with
    /// [`CopiedStore`](crate::ErrorKind::CopiedStore). It still encrypts, decrypts and signs.
    ///
    /// Call this once in the store that goes on, when no other copy of it is in use. All others are left behind by it.
    /// Keys in HSMs and providers whose deletion is pending get their whole waiting period again, as it may have been
    /// cancelled after the copy was made: cancel what is still wanted. Then apply the deletions that the copy lacks
    /// ([`Kms::apply_deletions`]). Calling it in a store that was never copied does no harm, but for the counts of messages of
    /// keys in HSMs, which are raised as after any restoration.
    ///
    /// # Errors
    /// [`AccessDenied`](crate::ErrorKind::AccessDenied) for a narrowed handle; [`Store`](crate::ErrorKind::Store) and
    /// [`Audit`](crate::ErrorKind::Audit) if nothing was changed.
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
        self.check_authority("declare_successor")?;
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
