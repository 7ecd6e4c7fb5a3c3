//! The metrics of maintenance.

use crate::clock::Timestamp;
use crate::error::Result;
use crate::key::KeyState;
use crate::kms::engine::core::Core;
use crate::kms::records::key::KeyRecord;
use crate::kms::request::MaintenanceReport;
use crate::metrics::{FAILURE, Label, Metric, Metrics};
use crate::provider::MemberState;

/// Every state of a cluster member.
const MEMBER_STATES: [MemberState; 4] =
    [MemberState::Active, MemberState::Unreachable, MemberState::CredentialRejected, MemberState::Unresponsive];

const fn member_label(state: MemberState) -> &'static str {
    match state {
        MemberState::Active => "active",
        MemberState::Unreachable => "unreachable",
        MemberState::CredentialRejected => "credential_rejected",
        MemberState::Unresponsive => "unresponsive",
    }
}

/// The keys that a sweep has visited, after their due work.
#[derive(Debug, Default)]
pub(super) struct KeyCensus {
    by_state: [u64; KeyState::ALL.len()],
}

impl KeyCensus {
    /// Counts a key.
    pub(super) fn count(&mut self, core: &Core, record: &KeyRecord, now: Timestamp) {
        // The state of a key in an HSM depends on its custom key store, which may be unreadable.
        let state = core.registry.state_of(record, now).unwrap_or_else(|_| record.state_at(now));
        for (count, counted) in self.by_state.iter_mut().zip(KeyState::ALL) {
            *count += u64::from(state == *counted);
        }
    }

    /// Sets the gauge. The sweep must have visited every key.
    pub(super) fn report(&self, metrics: &Metrics) {
        for (count, state) in self.by_state.iter().zip(KeyState::ALL) {
            metrics.set(Metric::Keys, &[Label::new("state", state.as_str())], *count);
        }
    }
}

/// Reports the result of a run of maintenance to the recorder.
pub(super) fn report_run(core: &Core, run: &Result<MaintenanceReport>) {
    let metrics = core.registry.metrics();
    if !metrics.is_enabled() {
        return;
    }
    let result = match run {
        Ok(report) if report.is_complete() => "complete",
        Ok(_) => "incomplete",
        Err(_) => FAILURE,
    };
    metrics.count_result(Metric::MaintenanceRuns, result);
    if let Ok(report) = run {
        let problems = report.failed.len() + report.unfinished.len() + usize::from(report.not_scrubbed.is_some());
        metrics.set(Metric::MaintenanceProblems, &[], u64::try_from(problems).unwrap_or(u64::MAX));
        let postponed = u64::from(report.destruction_postponed_until.is_some());
        metrics.set(Metric::DestructionPostponed, &[], postponed);
        if report.is_complete() {
            let seconds = core.time.now().unix_millis() / 1_000;
            metrics.set(Metric::MaintenanceLastSuccess, &[], u64::try_from(seconds).unwrap_or_default());
        }
    }
    if core.hsms.is_empty() {
        return;
    }
    let members = core.hsms.members();
    for state in MEMBER_STATES {
        let count = members.iter().filter(|member| member.state == state).count();
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        metrics.set(Metric::HsmMembers, &[Label::new("state", member_label(state))], count);
    }
}
