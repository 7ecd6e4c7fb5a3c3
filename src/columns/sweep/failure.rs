//! A row that a sweep cannot convert.

use std::fmt;

use crate::error::Error;

/// A row that could not be converted.
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::columns::{Column, ColumnKeys, RowId, Sweep, SweepRow};
///
/// let kms = Kms::in_memory()?;
/// let keys = ColumnKeys::new(&kms, kms.create_key(Default::default())?.key_id())?;
/// let sweep = Sweep::new(&Column::<String>::new(&keys, "users", "phone")?);
/// let plan = sweep.plan(&[SweepRow::new("17", RowId::new(17), b"+49 30 901820".to_vec())])?;
/// let [failure] = plan.failures() else { panic!("the row contains plaintext") };
/// assert_eq!(failure.cursor(), "17");
/// assert!(failure.error().to_string().contains("users.phone"));
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone)]
pub struct SweepFailure {
    cursor: String,
    error: Error,
}

impl SweepFailure {
    pub(super) fn new(cursor: String, error: Error) -> Self {
        Self { cursor, error }
    }

    /// Returns the position of the row.
    pub fn cursor(&self) -> &str {
        &self.cursor
    }

    /// Returns the reason.
    pub const fn error(&self) -> &Error {
        &self.error
    }
}

/// Shows the reason and not the position, which may be personal data.
impl fmt::Debug for SweepFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SweepFailure").field("error", &self.error).finish_non_exhaustive()
    }
}
