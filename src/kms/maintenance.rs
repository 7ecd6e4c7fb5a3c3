//! The sweep that does what is due, for keys that nobody touches.

use super::handle::Kms;
use super::request::MaintenanceReport;
use super::time_mark::Trust;
use crate::error::Result;
use crate::key::KeyArn;
use crate::store::MAX_SCAN;

impl Kms {
    /// Rotates every key whose automatic rotation is due, deletes imported material that has expired, and deletes every key
    /// whose waiting period has ended, with its aliases, in all accounts. Only this deletes anything by itself. Then it
    /// has the store overwrite what is left of deleted records ([`KeyStore::scrub`](crate::store::KeyStore::scrub)). It also
    /// makes wrapping keys for imports ahead, of the sizes that were asked for before. Run it as often as due work should be noticed; many may
    /// run at once, also in several processes over one store. Needs the authority's handle.
    ///
    /// If the clock has moved on by more than 31 days since the last run, in whichever process, nothing is deleted by this run:
    /// the next one that finds the clock an hour later confirms it. So a clock that jumps by mistake destroys nothing, if it is put
    /// right within that hour. A clock that goes back revives nothing.
    ///
    /// What was begun in an HSM and not finished is finished or undone: a creation that was cut off over 15 minutes ago, and
    /// the destruction of a deleted key that a member missed. Until then it is reported as failed, every time.
    ///
    /// A key whose work fails is reported and left as it was; the others go on.
    ///
    /// # Errors
    /// [`AccessDenied`](crate::ErrorKind::AccessDenied) for a narrowed handle; [`Store`](crate::ErrorKind::Store) if the
    /// store cannot be read.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    ///
    /// use strongroom::{DeletionWindow, Kms, ManualClock, Timestamp};
    ///
    /// let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
    /// let kms = Kms::builder().clock(Arc::clone(&clock)).build()?;
    /// let key = kms.create_key(Default::default())?;
    /// kms.schedule_key_deletion(key.key_id(), DeletionWindow::default())?;
    /// assert!(kms.run_maintenance()?.deleted.is_empty());
    /// clock.advance_days(30);
    /// assert_eq!(kms.run_maintenance()?.deleted, [key.arn().clone()]);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn run_maintenance(&self) -> Result<MaintenanceReport> {
        self.check_authority("run_maintenance")?;
        let now = self.core.now();
        // What is destroyed was due by the clock itself, and not only by a later moment that it has shown before.
        let clock = self.core.clock.now();
        let trust = self.core.believed.sweep(&self.core.registry, clock)?;
        let may_destroy = trust == Trust::Trusted;
        let mut report = MaintenanceReport::default();
        if let Trust::WaitsUntil(until) = trust {
            report.destruction_waits_until = Some(until);
        }
        let mut after = None;
        loop {
            let batch = self.core.registry.keys(None, after, MAX_SCAN)?;
            let Some((account, key_id, ..)) = batch.last() else { break };
            after = Some((*account, *key_id));
            for (account, key_id, _, record) in batch {
                let (done, list) = if may_destroy && record.is_past_deletion(clock) {
                    (self.core.delete_if_due(account, key_id, clock), &mut report.deleted)
                } else if may_destroy && record.has_expired_material(clock) {
                    (self.core.expire_if_due(account, key_id, clock), &mut report.expired)
                } else if record.is_rotation_due(now) {
                    (self.core.rotate_if_due(account, key_id, now), &mut report.rotated)
                } else {
                    continue;
                };
                let arn = KeyArn::new(self.locality().clone(), account, key_id);
                match done {
                    Ok(true) => list.push(arn),
                    Ok(false) => {}
                    Err(error) => report.failed.push((arn, error)),
                }
            }
        }
        let unfinished = if may_destroy { self.core.reconcile_intents(now)? } else { Vec::new() };
        for (intent, error) in unfinished {
            let arn = KeyArn::new(self.locality().clone(), intent.account, intent.key_id);
            report.failed.push((arn, error));
        }
        // Every time: a sweep before may have been cut off between its commits and this.
        report.not_scrubbed = self.core.registry.scrub().err();
        self.core.wrapping_keys.refill(&self.core.backend)?;
        self.core.add_usage()?;
        self.core.save_trail()?;
        Ok(report)
    }
}
