//! Scheduled deletion of keys: a waiting period during which nothing is lost, and its cancellation.

use super::keys::next_state;
use crate::error::Result;
use crate::key::{DeletionWindow, KeyArn, KeyEvent, Operation, Origin};
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::call::CallSpec;
use crate::kms::records::key::Deletion;
use crate::kms::request::{KeyReference, ScheduleKeyDeletionResponse};
use crate::policy::RequestParameter;

impl Kms {
    /// Starts the waiting period of 7 to 30 days, after which the key, its material, and its
    /// aliases are deleted. Until then the key cannot be used, and [`Kms::cancel_key_deletion`]
    /// cancels the deletion.
    ///
    /// # Errors
    /// - [`NotFound`](crate::ErrorKind::NotFound) if the key does not exist.
    /// - [`InvalidState`](crate::ErrorKind::InvalidState) if the key is already pending deletion.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::key::{DeletionWindow, KeyState};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?;
    /// let scheduled = kms.schedule_key_deletion(key.key_id(), DeletionWindow::from_days(7)?)?;
    /// assert_eq!(scheduled.key_state, KeyState::PendingDeletion);
    /// kms.cancel_key_deletion(key.key_id())?;
    /// assert_eq!(kms.describe_key(key.key_id())?.state(), KeyState::Disabled);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn schedule_key_deletion(
        &self,
        key: impl KeyReference,
        window: DeletionWindow,
    ) -> Result<ScheduleKeyDeletionResponse> {
        let conditions = [RequestParameter::ScheduleKeyDeletionPendingWindowInDays(window.days())];
        let call = CallSpec::new(Operation::ScheduleKeyDeletion)
            .conditions(&conditions)
            .parameter("pendingWindowInDays", window.days());
        self.key_change(call, &key, |target, call_context| {
            let mut record = target.record().clone();
            let date = call_context.now().plus_days(window.days());
            record.state = next_state(target, KeyEvent::ScheduleDeletion, call_context.now())?;
            record.deletion = Some(Deletion { date, window });
            let scheduled = ScheduleKeyDeletionResponse {
                key_arn: target.arn().clone(),
                deletion_date: date,
                pending_window: window,
                key_state: record.state,
            };
            Ok((target.put(record), scheduled))
        })
    }

    /// Cancels the deletion of a key. The key is then disabled, never immediately enabled. If
    /// imported material is missing, it is pending import.
    ///
    /// # Errors
    /// - [`NotFound`](crate::ErrorKind::NotFound) if the key does not exist, or its waiting period
    ///   has ended by a trusted clock ([`Kms::run_maintenance`] defines when a clock is trusted).
    /// - [`InvalidState`](crate::ErrorKind::InvalidState) if the key is not pending deletion.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::{DeletionWindow, KeyState};
    /// use strongroom::{ErrorKind, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?.key_id();
    /// kms.schedule_key_deletion(key, DeletionWindow::default())?;
    /// kms.cancel_key_deletion(key)?;
    /// assert_eq!(kms.describe_key(key)?.state(), KeyState::Disabled);
    /// kms.enable_key(key)?;
    /// assert_eq!(kms.cancel_key_deletion(key).unwrap_err().kind(), ErrorKind::InvalidState);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn cancel_key_deletion(&self, key: impl KeyReference) -> Result<KeyArn> {
        let mut rescued = None;
        let done = self.key_change(CallSpec::new(Operation::CancelKeyDeletion), &key, |target, call_context| {
            let mut record = target.record().clone();
            let event = match record.origin == Origin::External && !record.is_complete(call_context.now()) {
                true => KeyEvent::CancelDeletionWithoutMaterial,
                false => KeyEvent::CancelDeletion,
            };
            record.state = next_state(target, event, call_context.now())?;
            record.deletion = None;
            let mut edits = self.core.marks_of_cancelled_deletion(&record, call_context.now())?;
            rescued = Some(record.clone());
            edits.extend(target.put(record));
            Ok((edits, target.arn().clone()))
        });
        if let (Ok(_), Some(record)) = (&done, rescued) {
            self.core.set_marks_of(&record);
        }
        done
    }
}
