//! The names of a table and its columns in SQL.

/// The number of bytes of values after which a batch ends.
pub(super) const MAX_BATCH_BYTES: usize = 32 << 20;

/// The names of a table and its columns, for the ready implementations of a sweep.
///
/// They are quoted in SQL, so they may contain any characters. They must come from the program, and
/// not from its input.
///
/// # Examples
/// ```
/// use strongroom::columns::SweepColumns;
///
/// // Converts the plaintext of `phone` into `phone_encrypted`, and fills an index.
/// let columns = SweepColumns::new("users", "id", "phone")
///     .schema("crm")
///     .tenant("tenant")
///     .target("phone_encrypted")
///     .index("phone_index");
/// assert!(format!("{columns:?}").contains("phone_encrypted"));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct SweepColumns {
    schema: Option<String>,
    table: String,
    pub(super) key: String,
    pub(super) source: String,
    pub(super) target: Option<String>,
    pub(super) tenant: Option<String>,
    pub(super) index: Option<String>,
}

impl SweepColumns {
    /// Specifies a table, its primary key of one column, and the column with the values.
    pub fn new(table: impl Into<String>, key: impl Into<String>, column: impl Into<String>) -> Self {
        Self {
            schema: None,
            table: table.into(),
            key: key.into(),
            source: column.into(),
            target: None,
            tenant: None,
            index: None,
        }
    }

    /// Sets the schema of the table.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = Some(schema.into());
        self
    }

    /// Sets the column with the tenant. A row without one has no tenant.
    pub fn tenant(mut self, column: impl Into<String>) -> Self {
        self.tenant = Some(column.into());
        self
    }

    /// Sets the column to write to, for a [conversion](super::Sweep::convert). Only rows are read in
    /// which it is `NULL`. The old column is left unchanged: drop it later.
    pub fn target(mut self, column: impl Into<String>) -> Self {
        self.target = Some(column.into());
        self
    }

    /// Sets the column with the index value.
    pub fn index(mut self, column: impl Into<String>) -> Self {
        self.index = Some(column.into());
        self
    }

    /// Returns the quoted name of the table, and the alias that [`qualified`] columns have.
    pub(super) fn quoted_table(&self) -> String {
        let schema = self.schema.as_deref().map(|schema| format!("{}.", quoted(schema)));
        format!("{}{} AS sweep", schema.unwrap_or_default(), quoted(&self.table))
    }

    /// Returns `true` if values are written to another column than they are read from.
    pub(super) fn has_target(&self) -> bool {
        self.target.as_ref().is_some_and(|target| *target != self.source)
    }

    /// Returns the column to write to.
    pub(super) fn written(&self) -> &str {
        self.target.as_deref().unwrap_or(&self.source)
    }

    /// Returns a column, or `NULL` if there is none.
    pub(super) fn or_null(column: Option<&str>) -> String {
        column.map_or_else(|| "NULL".to_owned(), qualified)
    }

    /// Returns the condition that the new column is still empty, if there is one.
    pub(super) fn target_is_empty(&self) -> String {
        self.target.as_deref().map(|target| format!(" AND {} IS NULL", qualified(target))).unwrap_or_default()
    }
}

/// Quotes a name for SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns a column with the alias of the table. An unqualified name is the column of the result in
/// the `ORDER BY` of PostgreSQL, and text in SQLite if no column has it.
pub(super) fn qualified(column: &str) -> String {
    format!("sweep.{}", quoted(column))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted() {
        assert_eq!(SweepColumns::new("a \"b\"", "id", "c").schema("s").quoted_table(), r#""s"."a ""b""" AS sweep"#);
        let columns = (SweepColumns::or_null(None), SweepColumns::or_null(Some("x")));
        assert_eq!(columns, ("NULL".into(), "sweep.\"x\"".into()));
    }
}
