//! The result of a sweep over objects.

use std::fmt;

use object_store::path::Path;

/// The maximum number of paths that a report lists.
const MAX_LISTED: usize = 100;

/// The numbers of objects that a sweep examined and changed.
///
/// # Examples
/// ```
/// use strongroom::objects::ObjectSweepReport;
///
/// let report = ObjectSweepReport::default();
/// assert_eq!((report.examined(), report.current(), report.changed()), (0, 0, 0));
/// assert_eq!((report.changed_by_others(), report.too_large(), report.failed()), (0, 0, 0));
/// assert!(report.last().is_none() && report.failures().is_empty() && report.large_objects().is_empty());
/// assert!(!report.is_complete(), "it has not reached the end");
/// ```
#[derive(Default)]
pub struct ObjectSweepReport {
    current: u64,
    changed: u64,
    changed_by_others: u64,
    too_large: u64,
    failed: u64,
    large_objects: Vec<Path>,
    failures: Vec<(Path, object_store::Error)>,
    last: Option<Path>,
    at_end: bool,
}

impl ObjectSweepReport {
    /// Returns the number of objects that were examined.
    pub const fn examined(&self) -> u64 {
        self.current + self.changed + self.changed_by_others + self.too_large + self.failed
    }

    /// Returns the number of objects that needed no change.
    pub const fn current(&self) -> u64 {
        self.current
    }

    /// Returns the number of objects that were changed, or that a dry run would have changed.
    pub const fn changed(&self) -> u64 {
        self.changed
    }

    /// Returns the number of objects that another program replaced or deleted between the read and the
    /// write. The next sweep examines them again.
    pub const fn changed_by_others(&self) -> u64 {
        self.changed_by_others
    }

    /// Returns the number of objects that are unchanged because they are too large to be replaced
    /// conditionally: see [`ObjectSweep::max_in_memory`](super::ObjectSweep::max_in_memory).
    pub const fn too_large(&self) -> u64 {
        self.too_large
    }

    /// Returns the number of objects that could not be read or replaced, and are unchanged.
    pub const fn failed(&self) -> u64 {
        self.failed
    }

    /// Returns the first 100 objects that are too large.
    pub fn large_objects(&self) -> &[Path] {
        &self.large_objects
    }

    /// Returns the first 100 objects that could not be read or replaced, with the reason.
    pub fn failures(&self) -> &[(Path, object_store::Error)] {
        &self.failures
    }

    /// Returns the last object that was examined.
    pub const fn last(&self) -> Option<&Path> {
        self.last.as_ref()
    }

    /// Returns `true` if all objects were examined, and all of them are current now.
    pub const fn is_complete(&self) -> bool {
        self.at_end && self.failed == 0 && self.changed_by_others == 0 && self.too_large == 0
    }

    pub(super) const fn add_current(&mut self) {
        self.current += 1;
    }

    pub(super) const fn add_changed(&mut self) {
        self.changed += 1;
    }

    pub(super) const fn add_changed_by_others(&mut self) {
        self.changed_by_others += 1;
    }

    pub(super) fn add_too_large(&mut self, path: Path) {
        self.too_large += 1;
        if self.large_objects.len() < MAX_LISTED {
            self.large_objects.push(path);
        }
    }

    pub(super) fn add_failure(&mut self, path: Path, error: object_store::Error) {
        self.failed += 1;
        if self.failures.len() < MAX_LISTED {
            self.failures.push((path, error));
        }
    }

    pub(super) fn reach(&mut self, path: Path) {
        self.last = Some(path);
    }

    pub(super) const fn reach_end(&mut self) {
        self.at_end = true;
    }
}

impl fmt::Debug for ObjectSweepReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectSweepReport")
            .field("current", &self.current)
            .field("changed", &self.changed)
            .field("changed_by_others", &self.changed_by_others)
            .field("too_large", &self.too_large)
            .field("failures", &self.failures)
            .field("at_end", &self.at_end)
            .finish_non_exhaustive()
    }
}
