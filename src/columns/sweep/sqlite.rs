//! A sweep over a table in SQLite.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, params};

use super::column_names::{MAX_BATCH_BYTES, SweepColumns, qualified, quoted};
use super::rows::{SweepChange, SweepRow, SweepTable};
use crate::columns::row_id::RowId;

/// A table in SQLite, for [`Sweep::run`](super::Sweep::run). The primary key is one column of integers
/// or text.
///
/// The values may be `BLOB` or `TEXT`. Set a `busy_timeout` if other connections write. A batch ends
/// early after 32 MiB of values.
///
/// # Examples
/// ```
/// use std::ops::ControlFlow;
///
/// use rusqlite::{Connection, params};
/// use strongroom::columns::{Column, ColumnKeys, Encrypted, RowId, SqliteSweepTable, Sweep, SweepColumns};
/// use strongroom::Kms;
///
/// let kms = Kms::in_memory()?;
/// let keys = ColumnKeys::new(&kms, kms.create_key(Default::default())?.key_id())?;
/// let column = Column::<Vec<u8>>::new(&keys, "users", "phone")?;
/// let database = Connection::open_in_memory()?;
/// database.execute_batch(
///     "CREATE TABLE users (id INTEGER PRIMARY KEY, phone TEXT);
///      INSERT INTO users VALUES (1, '+44 20 7946 0123'), (2, NULL), (3, '');
///      ALTER TABLE users ADD COLUMN phone_encrypted BLOB;",
/// )?;
///
/// let sweep = Sweep::convert(&column, |_row, plaintext| Ok(plaintext.to_vec()));
/// let columns = SweepColumns::new("users", "id", "phone").target("phone_encrypted");
/// let report = sweep.run(&mut SqliteSweepTable::new(&database, columns), |_| ControlFlow::Continue(()))?;
/// assert!(report.is_complete() && report.changed() == 2);
/// let read = |id: i64| database.query_row("SELECT phone_encrypted FROM users WHERE id = ?1", [id], |row| row.get(0));
/// let stored: Option<Encrypted<Vec<u8>>> = read(1)?;
/// assert_eq!(column.decrypt(&RowId::new(1), &stored.ok_or("a value")?)?, b"+44 20 7946 0123");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SqliteSweepTable<'c> {
    connection: &'c Connection,
    columns: SweepColumns,
}

impl<'c> SqliteSweepTable<'c> {
    /// Creates a table on a connection that is in no transaction.
    pub const fn new(connection: &'c Connection, columns: SweepColumns) -> Self {
        Self { connection, columns }
    }

    fn select(&self, condition: &str) -> String {
        let columns = &self.columns;
        let (key, source) = (qualified(&columns.key), qualified(&columns.source));
        format!(
            "SELECT {key}, {source}, {}, {} FROM {} WHERE {source} IS NOT NULL{}{condition} ORDER BY {key} LIMIT ?1",
            SweepColumns::or_null(columns.tenant.as_deref()),
            SweepColumns::or_null(columns.index.as_deref()),
            columns.quoted_table(),
            columns.target_is_empty(),
        )
    }

    /// Compares the old value as a blob and as text, each without a conversion: SQLite converts the
    /// parameter into the encoding of the database, and a blob never equals text. The collation of a
    /// column must not make different values equal.
    fn update(&self) -> String {
        let columns = &self.columns;
        let source = qualified(&columns.source);
        let tenant = columns.tenant.as_deref().map(qualified);
        let tenant = tenant.map(|tenant| format!(" AND CAST({tenant} AS TEXT) IS ?5 COLLATE BINARY"));
        let index = |index| format!(", {} = coalesce(?6, {})", quoted(index), qualified(index));
        format!(
            "UPDATE {} SET {} = ?1{} WHERE {} = ?2 AND ({source} = ?3 OR {source} = ?4 COLLATE BINARY){}{}",
            columns.quoted_table(),
            quoted(columns.written()),
            columns.index.as_deref().map(index).unwrap_or_default(),
            qualified(&columns.key),
            tenant.unwrap_or_default(),
            columns.target_is_empty(),
        )
    }
}

/// Parses a position, and returns the value of the primary key.
enum Key<'a> {
    Integer(i64),
    Text(&'a str),
}

impl<'a> Key<'a> {
    fn parse(cursor: &'a str) -> rusqlite::Result<Self> {
        let invalid = || rusqlite::Error::InvalidParameterName("the position of a sweep".to_owned());
        match cursor.split_at_checked(2) {
            Some(("i:", number)) => number.parse().map(Self::Integer).map_err(|_| invalid()),
            Some(("t:", text)) => Ok(Self::Text(text)),
            _ => Err(invalid()),
        }
    }
}

impl rusqlite::ToSql for Key<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Integer(number) => number.to_sql(),
            Self::Text(text) => text.to_sql(),
        }
    }
}

fn row_of(row: &Row<'_>) -> rusqlite::Result<SweepRow> {
    let (cursor, id) = match row.get_ref(0)? {
        ValueRef::Integer(number) => (format!("i:{number}"), RowId::new(number)),
        ValueRef::Text(_) => {
            let text: String = row.get(0)?;
            (format!("t:{text}"), RowId::new(text))
        }
        other => return Err(rusqlite::Error::InvalidColumnType(0, "primary key".to_owned(), other.data_type())),
    };
    let stored = match row.get_ref(1)? {
        ValueRef::Blob(bytes) | ValueRef::Text(bytes) => bytes.to_vec(),
        other => return Err(rusqlite::Error::InvalidColumnType(1, "value".to_owned(), other.data_type())),
    };
    let id = match row.get_ref(2)? {
        ValueRef::Null => id,
        ValueRef::Integer(tenant) => id.tenant(tenant.to_string()),
        _ => id.tenant(row.get::<_, String>(2)?),
    };
    Ok(SweepRow::new(cursor, id, stored).with_index(row.get(3)?))
}

/// Reads rows until they have [`MAX_BATCH_BYTES`].
fn collect(rows: impl Iterator<Item = rusqlite::Result<SweepRow>>) -> rusqlite::Result<Vec<SweepRow>> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    for row in rows {
        let row = row?;
        bytes += row.stored().len();
        batch.push(row);
        if bytes >= MAX_BATCH_BYTES {
            break;
        }
    }
    Ok(batch)
}

impl SweepTable for SqliteSweepTable<'_> {
    type Error = rusqlite::Error;

    fn read_batch(&mut self, after: Option<&str>, limit: usize) -> rusqlite::Result<Vec<SweepRow>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        match after {
            None => {
                let mut select = self.connection.prepare_cached(&self.select(""))?;
                collect(select.query_map([limit], row_of)?)
            }
            Some(cursor) => {
                let condition = format!(" AND {} > ?2", qualified(&self.columns.key));
                let mut select = self.connection.prepare_cached(&self.select(&condition))?;
                collect(select.query_map(params![limit, Key::parse(cursor)?], row_of)?)
            }
        }
    }

    fn replace(&mut self, changes: &[SweepChange]) -> rusqlite::Result<usize> {
        // The first statement writes, so the transaction waits for the lock instead of failing later.
        let transaction = self.connection.unchecked_transaction()?;
        let mut replaced = 0;
        {
            let mut update = transaction.prepare_cached(&self.update())?;
            for change in changes {
                update.raw_bind_parameter(1, change.new_bytes())?;
                update.raw_bind_parameter(2, Key::parse(change.cursor())?)?;
                update.raw_bind_parameter(3, change.old_bytes())?;
                update.raw_bind_parameter(4, ToSqlOutput::Borrowed(ValueRef::Text(change.old_bytes())))?;
                if self.columns.tenant.is_some() {
                    update.raw_bind_parameter(5, change.tenant_name())?;
                }
                if self.columns.index.is_some() {
                    update.raw_bind_parameter(6, change.index_value())?;
                }
                replaced += update.raw_execute()?;
            }
        }
        transaction.commit()?;
        Ok(replaced)
    }

    fn is_unique(&mut self, after: Option<&str>, last: &str) -> rusqlite::Result<bool> {
        let key = qualified(&self.columns.key);
        let start = after.map(|_| format!(" AND {key} > ?2")).unwrap_or_default();
        let table = self.columns.quoted_table();
        let count = format!("SELECT count(*) = count(DISTINCT {key}) FROM {table} WHERE {key} <= ?1{start}");
        let mut count = self.connection.prepare_cached(&count)?;
        count.raw_bind_parameter(1, Key::parse(last)?)?;
        if let Some(after) = after {
            count.raw_bind_parameter(2, Key::parse(after)?)?;
        }
        let mut rows = count.raw_query();
        rows.next()?.map_or(Ok(false), |row| row.get(0))
    }

    fn has_target(&self) -> Option<bool> {
        Some(self.columns.has_target())
    }

    fn has_index(&self) -> Option<bool> {
        Some(self.columns.index.is_some())
    }
}
