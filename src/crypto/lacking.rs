//! Algorithms that tests need and the default backend may lack.

use std::io::{self, Write};

use super::FASTEST;

/// Returns `true` if the capability report of the default backend lists one of the parts as rejected,
/// and reports the test as not run. Only the backend of FIPS rejects any.
pub(crate) fn default_lacks(test: &str, parts: &[&str]) -> bool {
    let rejected = parts.iter().find(|part| FASTEST.check_allowed(part).is_err());
    if let Some(part) = rejected {
        // Not with `println`, whose output the test runner hides if a test passes.
        let _ = writeln!(io::stderr(), "not run: {test} (the backend rejects {part})");
    }
    rejected.is_some()
}
