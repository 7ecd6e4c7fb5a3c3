//! The version of the SQLite library that is linked, and the defect that the store must avoid.

use crate::store::error::StoreError;

/// A range of versions that contain the fix of the WAL-reset defect: the first one, and the first
/// one of the next series. Numbers as `sqlite3_libversion_number` returns them: 3.51.3 is 3,051,003.
///
/// SQLite up to 3.51.2 can corrupt a file in WAL mode if one connection checkpoints while another
/// one commits and resets the log (sqlite.org/wal.html, "The WAL-Reset Bug"). A store has
/// several connections, in several processes, so this is its normal mode of operation.
const FIXED: [(i32, i32); 3] = [(3_044_006, 3_045_000), (3_050_007, 3_051_000), (3_051_003, i32::MAX)];

/// Fails if the linked SQLite library can corrupt a store. The library that this crate bundles
/// cannot; the environment of a build may replace it by that of the system.
pub(super) fn check() -> Result<(), StoreError> {
    check_version(rusqlite::version_number(), rusqlite::version())
}

fn check_version(number: i32, version: &'static str) -> Result<(), StoreError> {
    let is_fixed = FIXED.iter().any(|(first, next)| (*first..*next).contains(&number));
    if is_fixed { Ok(()) } else { Err(StoreError::DefectiveLibrary { version }) }
}

#[cfg(test)]
mod tests {
    use super::{check, check_version};
    use crate::store::StoreError;

    #[test]
    fn a_library_that_can_corrupt_a_store_is_rejected() {
        for (number, version) in [
            (3_007_000, "3.7.0"),
            (3_044_005, "3.44.5"),
            (3_045_000, "3.45.0"),
            (3_050_006, "3.50.6"),
            (3_051_000, "3.51.0"),
            (3_051_002, "3.51.2"),
        ] {
            let result = check_version(number, version);
            assert!(matches!(result, Err(StoreError::DefectiveLibrary { version: named }) if named == version));
        }
        for number in [3_044_006, 3_050_007, 3_051_003, 3_053_000, 4_000_000] {
            assert!(check_version(number, "fixed").is_ok(), "{number}");
        }
    }

    #[test]
    fn the_bundled_library_is_accepted() {
        assert!(check().is_ok(), "{}", rusqlite::version());
    }
}
