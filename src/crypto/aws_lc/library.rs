//! The name of the underlying library.

/// The name used in reports.
pub(super) const LIBRARY: &str = "aws-lc-rs";
