//! Names of tables and columns.

use crate::context::EncryptionContext;
use crate::error::{Error, ErrorKind, Result};

/// The maximum length of a name in bytes.
const MAX_NAME: usize = 255;

/// Returns the context of a column: the pairs `table` and `column`.
///
/// # Errors
/// - [`ErrorKind::Validation`] if a name is empty, too long, or contains control characters.
pub(super) fn place(table: &str, column: &str) -> Result<EncryptionContext> {
    check_name("the name of a table", table)?;
    check_name("the name of a column", column)?;
    Ok(EncryptionContext::from([("table", table), ("column", column)]))
}

/// Rejects a name that is empty, too long, or contains control characters.
///
/// # Errors
/// - [`ErrorKind::Validation`] in these cases.
pub(super) fn check_name(what: &str, name: &str) -> Result<()> {
    if !(1..=MAX_NAME).contains(&name.len()) || name.chars().any(char::is_control) {
        let text = format!("{what} must have 1 to {MAX_NAME} bytes and no control characters");
        return Err(Error::new(ErrorKind::Validation, text));
    }
    Ok(())
}
