//! Expiration of parameters.

use super::delete::removal_of;
use super::handle::{Parameters, is_due, read_parameter};
use super::name::arn_of;
use super::policies::ParameterPolicy;
use super::put::{count_edit, read_count};
use super::record::ParameterRecord;
use super::response::ParameterMaintenanceReport;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;
use crate::kms::StoredParameterRecord;
use crate::text::sanitize_for_error;

/// Number of records that are read at once.
const BATCH: usize = 100;

impl Parameters {
    /// Deletes expired parameters of all accounts, and reports those whose notifications are due. An
    /// expired parameter does not exist for callers even before it is deleted. Requires the handle
    /// that the builder returned. Call it as often as [`Kms::run_maintenance`](crate::Kms::run_maintenance).
    ///
    /// Nothing notifies anyone: the caller passes the report on. Nothing is deleted while the clock is
    /// not trusted, as for keys.
    ///
    /// # Errors
    /// - [`AccessDenied`](ErrorKind::AccessDenied) if the handle is narrowed.
    /// - [`Store`](ErrorKind::Store) if the store cannot be read.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    ///
    /// use strongroom::parameters::{ParameterTier, Parameters, PutParameterRequest};
    /// use strongroom::{Kms, ManualClock, Timestamp};
    ///
    /// let clock = Arc::new(ManualClock::new("2026-01-01T00:00:00Z".parse()?));
    /// let parameters = Parameters::new(&Kms::builder().clock(Arc::clone(&clock)).build()?);
    /// let policies = r#"[{"Type": "Expiration", "Version": "1.0",
    ///     "Attributes": {"Timestamp": "2026-01-02T00:00:00Z"}}]"#;
    /// let request = PutParameterRequest::string("/shop/sale", "20 %").tier(ParameterTier::Advanced);
    /// parameters.put(request.policies(policies))?;
    ///
    /// clock.advance_days(1);
    /// assert!(parameters.get("/shop/sale").is_err());
    /// let report = parameters.run_maintenance()?;
    /// assert_eq!(report.deleted, ["arn:aws:ssm:local:000000000000:parameter/shop/sale"]);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn run_maintenance(&self) -> Result<ParameterMaintenanceReport> {
        self.kms.parameter_maintenance("run_parameter_maintenance", |now, trusted| {
            let mut report = ParameterMaintenanceReport::default();
            let mut after: Option<(AccountId, Vec<u8>)> = None;
            loop {
                let position = after.as_ref().map(|(account, name)| (*account, name.as_slice()));
                let batch = self.kms.scan_parameters(position, BATCH)?;
                let Some((account, last)) = batch.last() else { return Ok(report) };
                after = Some((*account, last.name.clone()));
                for (account, stored) in &batch {
                    if let Err(error) = self.maintain(*account, stored, (now, trusted), &mut report) {
                        let name = sanitize_for_error(&String::from_utf8_lossy(&stored.name));
                        report.failed.push((name, error.to_string()));
                    }
                }
            }
        })
    }

    fn maintain(
        &self,
        account: AccountId,
        stored: &StoredParameterRecord,
        (now, trusted): (Timestamp, Option<Timestamp>),
        report: &mut ParameterMaintenanceReport,
    ) -> Result<()> {
        let record = ParameterRecord::decode(stored.body.expose_secret())?;
        let key = std::str::from_utf8(&stored.name)
            .map_err(|_| Error::new(ErrorKind::Internal, "the store returned a parameter with an invalid name"))?;
        let arn = arn_of(key, self.kms.locality(), account);
        if !record.is_expired(now) {
            let is_any_due = |is_kind: fn(&ParameterPolicy) -> bool| {
                let mut policies = record.current.policies.iter().map(|(policy, _)| policy).filter(is_kind);
                policies.any(|policy| is_due(&record.current, policy, now))
            };
            if is_any_due(|policy| matches!(policy, ParameterPolicy::ExpirationNotification(_))) {
                report.expiring.push(arn.clone());
            }
            if is_any_due(|policy| matches!(policy, ParameterPolicy::NoChangeNotification(_))) {
                report.unchanged.push(arn);
            }
            return Ok(());
        }
        let Some(trusted) = trusted.filter(|trusted| record.is_expired(*trusted)) else {
            report.postponed.push(arn);
            return Ok(());
        };
        if self.delete_expired(account, key, trusted)? {
            report.deleted.push(arn);
        }
        Ok(())
    }

    /// Deletes a parameter, unless it no longer is expired. Returns `true` if this call deleted it.
    fn delete_expired(&self, account: AccountId, key: &str, trusted: Timestamp) -> Result<bool> {
        let deleted = self.kms.expired_parameter_call(account, key, |call| {
            call.commit(|call| {
                let found = read_parameter(call, key)?;
                let Some(loaded) = found.filter(|loaded| loaded.record.is_expired(trusted)) else {
                    return Ok((Vec::new(), false));
                };
                let (count_revision, mut count) = read_count(call)?;
                let tier = loaded.record.current.tier;
                *count.of_mut(tier) = count.of(tier).saturating_sub(1);
                let mut edits = removal_of(call, key, &loaded)?;
                edits.push(count_edit(count_revision, count));
                Ok((edits, true))
            })
        })?;
        Ok(deleted.unwrap_or_default())
    }
}
