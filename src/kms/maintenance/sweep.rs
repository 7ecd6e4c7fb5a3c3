//! The maintenance sweep, which performs due work for keys that are not being accessed.

use std::time::Duration;

use super::census::{KeyCensus, report_run};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::key::KeyArn;
use crate::kms::engine::due_keys::DueKeys;
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::change::commit_change;
use crate::kms::records::key::KeyRecord;
use crate::kms::records::names::key_named_in;
use crate::kms::request::MaintenanceReport;
use crate::kms::storage::trusted_time::ClockTrust;
use crate::metrics::Metric;
use crate::store::MAX_SCAN;

/// The maximum difference between the confirmed time and the clock.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(3_600);

/// The time after which a run reads every key again, whether it changed or not.
const READ_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// The same, if there is a recorder, for which such a run counts the keys.
const COUNTED_AFTER: Duration = Duration::from_secs(3_600);

impl Kms {
    /// Performs all due work, in all accounts:
    ///
    /// - rotates every key whose automatic rotation is due;
    /// - deletes expired imported material;
    /// - deletes every key whose waiting period has ended, with its aliases;
    /// - has the store overwrite the remains of deleted records
    ///   ([`KeyStore::scrub`](crate::store::KeyStore::scrub));
    /// - generates wrapping keys for later imports, in the sizes that were requested before.
    ///
    /// Nothing else deletes keys or material automatically. Run it as often as due work should take
    /// effect. Several runs may be in progress simultaneously, including in several processes that
    /// share a store. Requires the authority's handle.
    ///
    /// A clock that jumps forward destroys nothing. A jump is an advance by more than the [clock
    /// tolerance](crate::KmsBuilder::clock_tolerance), 26 hours by default, since the last run in
    /// any process. Unless this process has itself observed that much time pass, this run deletes
    /// nothing and reports how long deletions are postponed
    /// ([`MaintenanceReport::destruction_postponed_until`]). A run that finds the clock a day later
    /// confirms it. [`Kms::confirm_clock`] confirms it immediately. Until then, the deletion of a
    /// due key can be canceled. A clock that moves backward revives nothing.
    ///
    /// Unfinished work in an HSM is completed or undone: a creation that was interrupted more than
    /// 15 minutes ago, and the destruction of a deleted key that a member missed. The same applies
    /// to material of a deleted key that a custom [provider](crate::provider::KeyMaterialProvider)
    /// holds. Until this succeeds, every run reports it as failed.
    ///
    /// A key whose work fails, or whose record is damaged, is reported and left unchanged, and
    /// processing continues with the other keys. If a step fails, the other steps still run: check
    /// [`MaintenanceReport::is_complete`].
    ///
    /// The first run of a process reads every key, and so does a run a day later, or an hour later if
    /// the KMS has a [recorder](crate::KmsBuilder::metrics), for which it counts the keys. The runs in
    /// between read the keys that have changed or have work to do.
    ///
    /// # Errors
    /// - [`AccessDenied`](crate::ErrorKind::AccessDenied) if the handle is narrowed.
    /// - [`Store`](crate::ErrorKind::Store) if the store cannot be read at all.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    ///
    /// use strongroom::key::DeletionWindow;
    /// use strongroom::{Kms, ManualClock, Timestamp};
    ///
    /// let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
    /// let kms = Kms::builder().clock(Arc::clone(&clock)).build()?;
    /// let key = kms.create_key(Default::default())?;
    /// kms.schedule_key_deletion(key.key_id(), DeletionWindow::default())?;
    /// assert!(kms.run_maintenance()?.deleted.is_empty());
    /// clock.advance_days(30); // a jump: the clock may have been set incorrectly
    /// assert!(kms.run_maintenance()?.destruction_postponed_until.is_some());
    /// clock.advance_days(1);
    /// let report = kms.run_maintenance()?;
    /// assert_eq!(report.deleted, [key.arn().clone()]);
    /// assert!(report.is_complete());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn run_maintenance(&self) -> Result<MaintenanceReport> {
        self.authority_call("run_maintenance", |_| {
            let run = self.sweep();
            report_run(&self.core, &run);
            run
        })
    }

    fn sweep(&self) -> Result<MaintenanceReport> {
        let now = self.core.time.now();
        // Destruction must be due by the clock itself, not only by a later time that it showed
        // before.
        let (clock, trust) = self.core.time.sweep(&self.core.registry)?;
        let may_destroy = trust == ClockTrust::Trusted;
        let mut report = MaintenanceReport::default();
        if let ClockTrust::WaitsUntil(until) = trust {
            report.destruction_postponed_until = Some(until);
        }
        let steps = [
            self.sweep_keys(&mut report, may_destroy.then_some(clock), now),
            if may_destroy { self.finish_in_hsms(&mut report, now) } else { Ok(()) },
            self.destroy_what_was_left(&mut report, now),
            self.core.maintain_marks(now).map(|failed| report.unfinished.extend(failed)),
        ];
        // On every run, because an earlier sweep may have been interrupted between its commits and
        // this step.
        report.not_scrubbed = self.core.registry.scrub().err();
        let more = [
            self.core.material.wrapping_keys.refill(&self.core.material.backend),
            self.core.metering.add_usage(&self.core.registry),
            self.core.audit.save_chain(&self.core.registry),
        ];
        report.unfinished.extend(steps.into_iter().chain(more).filter_map(Result::err));
        Ok(report)
    }

    /// Confirms that the clock is correct, after a pause or a jump that [`Kms::run_maintenance`]
    /// does not trust. The next run deletes everything that is due. `time` is the current time from
    /// another source, and may differ from the clock by up to an hour. Requires the authority's
    /// handle.
    ///
    /// # Errors
    /// - [`AccessDenied`](ErrorKind::AccessDenied) if the handle is narrowed.
    /// - [`Validation`](ErrorKind::Validation) if the clock shows another time.
    /// - [`Store`](ErrorKind::Store) if the store cannot be written.
    /// - [`Audit`](ErrorKind::Audit) if the audit trail cannot be written.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    ///
    /// use strongroom::key::DeletionWindow;
    /// use strongroom::{Clock, Kms, ManualClock, Timestamp};
    ///
    /// let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
    /// let kms = Kms::builder().clock(Arc::clone(&clock)).build()?;
    /// let key = kms.create_key(Default::default())?;
    /// kms.schedule_key_deletion(key.key_id(), DeletionWindow::default())?;
    /// clock.advance_days(30);
    /// assert!(kms.confirm_clock(Timestamp::from_unix_millis(0)).is_err());
    /// kms.confirm_clock(clock.now())?;
    /// assert_eq!(kms.run_maintenance()?.deleted, [key.arn().clone()]);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn confirm_clock(&self, time: Timestamp) -> Result<()> {
        let _in_progress = self.check_authority("confirm_clock")?;
        let mut event = self.authority_event("confirm_clock");
        event.parameters.push(("time", time.to_string().into()));
        self.recorded(event, |call_context| {
            let (registry, trusted_clock) = (&self.core.registry, &self.core.time);
            let now = self.core.time.reading();
            if now.since(time).max(time.since(now)) > CONFIRMED_WITHIN {
                let text = format!(
                    "cannot confirm the clock: it shows {now}, which differs from {time} by more than an hour; \
                     set the clock first"
                );
                return Err(Error::new(ErrorKind::Validation, text));
            }
            commit_change(&self.core, call_context, |_| Ok((vec![trusted_clock.confirmation(registry, now)?], ())))?;
            trusted_clock.confirm(now);
            Ok(())
        })
    }

    /// Performs the due work of each key. Nothing is destroyed without a trusted clock.
    ///
    /// Reads the keys that were written since the last run, and those with work until now. After a
    /// period, in a new process, and after a failure, reads every key instead.
    fn sweep_keys(&self, report: &mut MaintenanceReport, clock: Option<Timestamp>, now: Timestamp) -> Result<()> {
        let (registry, metrics) = (&self.core.registry, self.core.registry.metrics());
        // Before any key is read: later changes are found by the next run.
        let revision = registry.sealed().latest_revision()?;
        let kept = self.core.due_keys.take(revision, now);
        let mut census = (kept.is_none() && metrics.is_enabled()).then(KeyCensus::default);
        let period = if metrics.is_enabled() { COUNTED_AFTER } else { READ_AFTER };
        let mut due = kept.unwrap_or_else(|| DueKeys::new(now, period));
        self.note_changed_keys(&mut due, census.as_mut(), now)?;
        due.set_seen(revision);
        for id in due.take_unreadable() {
            // From the store: a cached key may still be readable.
            match registry.read::<KeyRecord>(&id) {
                Ok(Some((_, record))) => due.note((record.account, record.key_id), record.next_due(now)),
                Ok(None) => {}
                Err(error) => {
                    report.failed.push((KeyArn::new(self.locality().clone(), id.account, key_named_in(&id)), error));
                    due.note_unreadable(id);
                }
            }
        }
        let mut overdue = 0;
        for (account, key_id) in due.until(now) {
            let arn = || KeyArn::new(self.locality().clone(), account, key_id);
            let record = match registry.key(account, key_id) {
                Ok(Some(key)) => key,
                Ok(None) => {
                    due.forget((account, key_id));
                    continue;
                }
                Err(error) => {
                    report.failed.push((arn(), error));
                    continue;
                }
            };
            let record = &record.record;
            let (done, list) = if let Some(clock) = clock.filter(|clock| record.is_past_deletion(*clock)) {
                (self.core.delete_if_due(account, key_id, clock), &mut report.deleted)
            } else if let Some(clock) = clock.filter(|clock| record.has_expired_material(*clock)) {
                (self.core.expire_if_due(account, key_id, clock), &mut report.expired)
            } else if record.is_rotation_due(now) {
                (self.core.rotate_if_due(account, key_id, now), &mut report.rotated)
            } else {
                (Ok(false), &mut report.rotated)
            };
            match done {
                Ok(true) => list.push(arn()),
                Ok(false) => {}
                Err(error) => report.failed.push((arn(), error)),
            }
            match registry.key(account, key_id) {
                Ok(Some(key)) => {
                    due.note((account, key_id), key.record.next_due(now));
                    overdue += u64::from(key.record.is_rotation_due(now));
                    if let Some(census) = &mut census {
                        census.count(&self.core, &key.record, now);
                    }
                }
                Ok(None) => due.forget((account, key_id)),
                // The next run reads it again.
                Err(_) => {}
            }
        }
        self.core.due_keys.keep(due);
        if let Some(census) = &census {
            census.report(metrics);
        }
        if metrics.is_enabled() {
            metrics.set(Metric::KeysRotationOverdue, &[], overdue);
        }
        Ok(())
    }

    /// Notes the next work of every key that was written after the revision of the list. Counts those
    /// that have none now.
    fn note_changed_keys(&self, due: &mut DueKeys, mut census: Option<&mut KeyCensus>, now: Timestamp) -> Result<()> {
        let (since, mut after) = (due.seen(), None);
        loop {
            let page = self.core.registry.keys_or_problems(since, after, MAX_SCAN)?;
            for found in page.keys {
                let record = match found {
                    Ok(record) => record,
                    Err((id, _)) => {
                        due.note_unreadable(id);
                        continue;
                    }
                };
                let next = record.next_due(now);
                due.note((record.account, record.key_id), next);
                if let Some(census) = &mut census
                    && next.is_none_or(|next| next > now)
                {
                    census.count(&self.core, &record, now);
                }
            }
            after = page.last;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    fn finish_in_hsms(&self, report: &mut MaintenanceReport, now: Timestamp) -> Result<()> {
        for (account, key_id, error) in self.core.reconcile_intents(now)? {
            report.failed.push((KeyArn::new(self.locality().clone(), account, key_id), error));
        }
        Ok(())
    }

    fn destroy_what_was_left(&self, report: &mut MaintenanceReport, now: Timestamp) -> Result<()> {
        for (account, key_id, error) in self.core.destroy_what_was_left(now)? {
            report.failed.push((KeyArn::new(self.locality().clone(), account, key_id), error));
        }
        Ok(())
    }
}
