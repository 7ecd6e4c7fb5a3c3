//! The progress and the result of a sweep.

use std::fmt;

use super::failure::SweepFailure;
use super::rows::SweepPlan;

/// The maximum number of failures that a report lists.
const MAX_FAILURES: usize = 100;

/// The progress of a sweep, after each batch and at the end.
///
/// # Examples
/// ```
/// use strongroom::columns::SweepReport;
///
/// let report = SweepReport::default();
/// assert_eq!((report.examined(), report.current(), report.changed()), (0, 0, 0));
/// assert_eq!((report.changed_by_others(), report.failed()), (0, 0));
/// assert!(report.cursor().is_none() && report.failures().is_empty());
/// assert!(!report.is_complete(), "it has not reached the end");
/// ```
#[derive(Clone, Default)]
pub struct SweepReport {
    examined: u64,
    current: u64,
    changed: u64,
    changed_by_others: u64,
    failed: u64,
    failures: Vec<SweepFailure>,
    cursor: Option<String>,
    at_end: bool,
}

impl SweepReport {
    /// Returns the number of rows that were read.
    pub const fn examined(&self) -> u64 {
        self.examined
    }

    /// Returns the number of rows that needed no change.
    pub const fn current(&self) -> u64 {
        self.current
    }

    /// Returns the number of rows that were changed, or that a dry run would have changed.
    pub const fn changed(&self) -> u64 {
        self.changed
    }

    /// Returns the number of rows that another program changed or deleted between the read and the
    /// change. The next sweep examines them again.
    pub const fn changed_by_others(&self) -> u64 {
        self.changed_by_others
    }

    /// Returns the number of rows that could not be converted and are unchanged.
    pub const fn failed(&self) -> u64 {
        self.failed
    }

    /// Returns the first 100 rows that could not be converted.
    pub fn failures(&self) -> &[SweepFailure] {
        &self.failures
    }

    /// Returns the position of the last row that was processed. Store it, and continue after it with
    /// [`Sweep::start_after`](super::Sweep::start_after).
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// Returns `true` if the end was reached, and no row failed or was changed by others.
    pub const fn is_complete(&self) -> bool {
        self.at_end && self.failed == 0 && self.changed_by_others == 0
    }

    /// Creates a report that continues after a position.
    pub(super) fn starting_after(cursor: Option<String>) -> Self {
        Self { cursor, ..Self::default() }
    }

    /// Adds a batch, of whose changes this number took effect.
    pub(super) fn add(&mut self, plan: SweepPlan, replaced: usize, cursor: String) {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let replaced = replaced.min(plan.changes.len());
        self.examined += plan.current + count(plan.changes.len() + plan.failures.len());
        self.current += plan.current;
        self.changed += count(replaced);
        self.changed_by_others += count(plan.changes.len() - replaced);
        self.failed += count(plan.failures.len());
        let room = MAX_FAILURES - self.failures.len();
        self.failures.extend(plan.failures.into_iter().take(room));
        self.cursor = Some(cursor);
    }

    /// Records that there are no more rows.
    pub(super) const fn reach_end(&mut self) {
        self.at_end = true;
    }
}

/// Shows numbers and reasons, and not the position, which may be personal data.
impl fmt::Debug for SweepReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SweepReport")
            .field("examined", &self.examined)
            .field("current", &self.current)
            .field("changed", &self.changed)
            .field("changed_by_others", &self.changed_by_others)
            .field("failed", &self.failed)
            .field("failures", &self.failures)
            .field("at_end", &self.at_end)
            .finish_non_exhaustive()
    }
}
