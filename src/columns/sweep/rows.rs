//! The rows that a sweep reads, and the changes that it writes.

use std::fmt;

use super::failure::SweepFailure;
use crate::columns::blind_index::IndexValue;
use crate::columns::row_id::RowId;

/// A row that a sweep examines.
///
/// # Examples
/// ```
/// use strongroom::columns::{RowId, SweepRow};
///
/// let row = SweepRow::new("00042", RowId::new(42), b"stored bytes".to_vec()).with_index(Some(b"index".to_vec()));
/// assert_eq!((row.cursor(), row.stored()), ("00042", &b"stored bytes"[..]));
/// assert!(!format!("{row:?}").contains("stored bytes"));
/// ```
#[derive(Clone)]
pub struct SweepRow {
    pub(super) cursor: String,
    pub(super) row: RowId,
    pub(super) stored: Vec<u8>,
    pub(super) index: Option<Vec<u8>>,
}

impl SweepRow {
    /// Creates a row from its position in the order of the table, its identity, and the bytes in its
    /// column.
    pub fn new(cursor: impl Into<String>, row: RowId, stored: Vec<u8>) -> Self {
        Self { cursor: cursor.into(), row, stored, index: None }
    }

    /// Sets the bytes in the index column, or `None` for `NULL`.
    #[must_use]
    pub fn with_index(mut self, index: Option<Vec<u8>>) -> Self {
        self.index = index;
        self
    }

    /// Returns the position of the row.
    pub fn cursor(&self) -> &str {
        &self.cursor
    }

    /// Returns the bytes in the column.
    pub fn stored(&self) -> &[u8] {
        &self.stored
    }
}

/// Shows no bytes: the column may contain plaintext.
impl fmt::Debug for SweepRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SweepRow").field("row", &self.row).field("length", &self.stored.len()).finish_non_exhaustive()
    }
}

/// A change of one row, which applies only if the row still has the bytes and the tenant that were
/// read. The bytes are not enough: a row that was deleted and inserted again may have the same plaintext.
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::columns::{Column, ColumnKeys, RowId, Sweep, SweepRow};
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?.key_id();
/// let column = Column::<String>::new(&ColumnKeys::new(&kms, key)?, "users", "phone")?;
/// let stored = column.encrypt(&RowId::new(7), "+49 30 901820")?.into_bytes();
/// kms.rotate_key_on_demand(key)?;
///
/// let plan = Sweep::new(&column).plan(&[SweepRow::new("7", RowId::new(7), stored.clone())])?;
/// let [change] = plan.changes() else { panic!("the version of the key is old") };
/// // UPDATE users SET phone = new_bytes WHERE id = 7 AND phone = old_bytes AND tenant IS tenant_name
/// assert_eq!((change.cursor(), change.old_bytes()), ("7", &stored[..]));
/// assert_ne!(change.new_bytes(), stored);
/// assert!(change.tenant_name().is_none() && change.index_value().is_none());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone)]
pub struct SweepChange {
    pub(super) cursor: String,
    pub(super) old: Vec<u8>,
    pub(super) new: Vec<u8>,
    pub(super) tenant: Option<String>,
    pub(super) index: Option<IndexValue>,
}

impl SweepChange {
    /// Returns the position of the row.
    pub fn cursor(&self) -> &str {
        &self.cursor
    }

    /// Returns the bytes that the column must still contain.
    pub fn old_bytes(&self) -> &[u8] {
        &self.old
    }

    /// Returns the bytes to store. They equal the old ones if only the index value changes.
    pub fn new_bytes(&self) -> &[u8] {
        &self.new
    }

    /// Returns the tenant that the row must still have.
    pub fn tenant_name(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// Returns the index value to store, if the sweep has an index.
    pub const fn index_value(&self) -> Option<&IndexValue> {
        self.index.as_ref()
    }
}

/// Shows no bytes: the old ones may be plaintext.
impl fmt::Debug for SweepChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SweepChange").field("length", &self.new.len()).finish_non_exhaustive()
    }
}

/// The result of examining a batch of rows: the changes to make.
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::columns::{Column, ColumnKeys, RowId, Sweep, SweepRow};
///
/// let kms = Kms::in_memory()?;
/// let keys = ColumnKeys::new(&kms, kms.create_key(Default::default())?.key_id())?;
/// let column = Column::<String>::new(&keys, "users", "phone")?;
/// let stored = column.encrypt(&RowId::new(1), "+49 30 901820")?.into_bytes();
/// let plan = Sweep::new(&column).plan(&[SweepRow::new("1", RowId::new(1), stored.clone())])?;
/// assert_eq!((plan.changes().len(), plan.current(), plan.failures().len()), (0, 1, 0));
///
/// let plan = Sweep::new(&column).rewrite_all().plan(&[SweepRow::new("1", RowId::new(1), stored.clone())])?;
/// let [change] = plan.changes() else { panic!("every row changes") };
/// assert_eq!((change.cursor(), change.old_bytes()), ("1", &stored[..]));
/// assert!(change.new_bytes() != stored && change.index_value().is_none());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Debug)]
pub struct SweepPlan {
    pub(super) changes: Vec<SweepChange>,
    pub(super) current: u64,
    pub(super) failures: Vec<SweepFailure>,
}

impl SweepPlan {
    /// Returns the changes, in the order of the rows.
    pub fn changes(&self) -> &[SweepChange] {
        &self.changes
    }

    /// Returns the number of rows that need no change.
    pub const fn current(&self) -> u64 {
        self.current
    }

    /// Returns the rows that cannot be converted.
    pub fn failures(&self) -> &[SweepFailure] {
        &self.failures
    }
}

/// A table of rows with one encrypted column, for [`Sweep::run`](super::Sweep::run).
///
/// `SqliteSweepTable` is an implementation for `rusqlite`. `PostgresSweepTable` is the counterpart
/// for `tokio-postgres`.
///
/// # Contract
/// - Each row has a position, text that the table chooses. Positions are unique and never change, and
///   the order of positions is the order in which batches are read.
/// - A change applies only if the column still contains the old bytes, and the row still has the
///   tenant. Changes are committed before `replace` returns.
///
/// # Examples
/// ```
/// use std::collections::BTreeMap;
/// use std::convert::Infallible;
/// use std::ops::{Bound, ControlFlow};
///
/// use strongroom::columns::{Column, ColumnKeys, RowId, Sweep, SweepChange, SweepRow, SweepTable};
/// use strongroom::Kms;
///
/// struct Phones(BTreeMap<String, Vec<u8>>);
///
/// impl SweepTable for Phones {
///     type Error = Infallible;
///
///     fn read_batch(&mut self, after: Option<&str>, limit: usize) -> Result<Vec<SweepRow>, Infallible> {
///         let start = after.map_or(Bound::Unbounded, Bound::Excluded);
///         let rows = self.0.range::<str, _>((start, Bound::Unbounded)).take(limit);
///         Ok(rows.map(|(id, stored)| SweepRow::new(id, RowId::new(id), stored.clone())).collect())
///     }
///
///     fn replace(&mut self, changes: &[SweepChange]) -> Result<usize, Infallible> {
///         let mut replaced = 0;
///         for change in changes {
///             if let Some(stored) = self.0.get_mut(change.cursor()).filter(|stored| *stored == change.old_bytes()) {
///                 *stored = change.new_bytes().to_vec();
///                 replaced += 1;
///             }
///         }
///         Ok(replaced)
///     }
/// }
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?.key_id();
/// let column = Column::<String>::new(&ColumnKeys::new(&kms, key)?, "users", "phone")?;
/// let stored = |id: &str| column.encrypt(&RowId::new(id), "+49 30 901820").map(|stored| stored.into_bytes());
/// let mut phones = Phones(BTreeMap::from([("a".to_owned(), stored("a")?), ("b".to_owned(), stored("b")?)]));
///
/// kms.rotate_key_on_demand(key)?;
/// let report = Sweep::new(&column).run(&mut phones, |_| ControlFlow::Continue(()))?;
/// assert!(report.is_complete() && report.changed() == 2);
/// // The provided methods: nothing is known about the columns, and the keys of a map are unique.
/// assert!(phones.is_unique(None, "b")? && phones.has_target().is_none() && phones.has_index().is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait SweepTable {
    /// The errors of the database.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Returns the next rows after a position, or the first ones, in the order of positions. Rows
    /// whose column is `NULL` are omitted. No rows mean that the end is reached.
    ///
    /// # Errors
    /// - The errors of the database.
    fn read_batch(&mut self, after: Option<&str>, limit: usize) -> Result<Vec<SweepRow>, Self::Error>;

    /// Applies the changes of one batch, each only if the row still has the old bytes and the tenant.
    /// Returns the number of rows that were changed.
    ///
    /// # Errors
    /// - The errors of the database.
    fn replace(&mut self, changes: &[SweepChange]) -> Result<usize, Self::Error>;

    /// Returns `false` if two rows have the same position, or one has none, after the position `after`
    /// and up to `last`. The sweep then stops with [`SweepError::Key`](super::SweepError::Key). Without
    /// an implementation, the table is trusted.
    ///
    /// # Errors
    /// - The errors of the database.
    fn is_unique(&mut self, after: Option<&str>, last: &str) -> Result<bool, Self::Error> {
        let _ = (after, last);
        Ok(true)
    }

    /// Returns `true` if values are written to another column than they are read from. Without an
    /// implementation, a sweep does not check that it fits its table
    /// ([`SweepError::Target`](super::SweepError::Target)).
    fn has_target(&self) -> Option<bool> {
        None
    }

    /// Returns `true` if the table stores index values. Without an implementation, a sweep does not
    /// check it ([`SweepError::Index`](super::SweepError::Index)).
    fn has_index(&self) -> Option<bool> {
        None
    }
}
