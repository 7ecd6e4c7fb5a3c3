//! The library behind this backend.

/// Its name, for reports.
pub(super) const LIBRARY: &str = "aws-lc-rs";
