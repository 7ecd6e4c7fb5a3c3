//! Stored values as parameters and columns of `rusqlite`.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use super::blind_index::IndexValue;
use super::stored::Encrypted;

/// Stores the value as a `BLOB`. `Option<Encrypted<T>>` is `NULL` if it is `None`.
impl<T> ToSql for Encrypted<T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.as_bytes())))
    }
}

/// Accepts a `BLOB` only: text is plaintext, or was encoded by another program.
impl<T> FromSql for Encrypted<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Self::try_from(value.as_blob()?).map_err(|error| FromSqlError::Other(Box::new(error)))
    }
}

/// Stores the index value as a `BLOB`.
impl ToSql for IndexValue {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.as_bytes())))
    }
}
