//! The loop over the batches of a table.

use std::fmt;
use std::ops::ControlFlow;

use super::error::SweepError;
use super::plan::{Rules, Source};
use super::report::SweepReport;
use super::rows::{SweepPlan, SweepRow, SweepTable};
use crate::columns::blind_index::IndexValue;
use crate::columns::column::Column;
use crate::columns::row_id::RowId;
use crate::columns::value::ColumnValue;
use crate::error::Result;

/// The number of rows of a batch, unless another is set.
const DEFAULT_BATCH: usize = 500;

/// The largest number of rows of a batch.
const MAX_BATCH: usize = 10_000;

/// Re-encrypts the rows of a column whose key, or version of the key, is not the newest. Also converts
/// plaintext columns and those of another scheme, and recomputes index values.
///
/// A sweep reads rows in batches, in the order of their positions, and replaces each value only if it
/// is still the one that was read. It can therefore run while other programs write, be interrupted at
/// any time, and be repeated: rows that are current are left alone. Nothing needs to be stored, but a
/// program that stores [`SweepReport::cursor`] can continue there.
///
/// A row that cannot be decrypted or converted is left unchanged and reported. An outage of the KMS
/// or the database stops the sweep.
///
/// Values are decrypted in this process, so the handle of the column needs the permissions to decrypt
/// and encrypt. The key that is compared with is the one that encrypts when the batch is examined.
/// Nothing authenticates the key and version in a stored value before it is decrypted: to decrypt
/// every row as a check, use [`rewrite_all`](Self::rewrite_all) with [`dry_run`](Self::dry_run).
///
/// # Examples
/// ```
/// # use std::collections::BTreeMap;
/// # use std::convert::Infallible;
/// # use std::ops::{Bound, ControlFlow};
/// # use strongroom::columns::{SweepChange, SweepRow, SweepTable};
/// use strongroom::columns::{Column, ColumnKeys, RowId, Sweep};
/// use strongroom::Kms;
/// # struct Table(BTreeMap<String, Vec<u8>>);
/// # impl SweepTable for Table {
/// #     type Error = Infallible;
/// #     fn read_batch(&mut self, after: Option<&str>, limit: usize) -> Result<Vec<SweepRow>, Infallible> {
/// #         let start = after.map_or(Bound::Unbounded, Bound::Excluded);
/// #         let rows = self.0.range::<str, _>((start, Bound::Unbounded)).take(limit);
/// #         Ok(rows.map(|(id, stored)| SweepRow::new(id, RowId::new(id), stored.clone())).collect())
/// #     }
/// #     fn replace(&mut self, changes: &[SweepChange]) -> Result<usize, Infallible> {
/// #         for change in changes {
/// #             self.0.insert(change.cursor().to_owned(), change.new_bytes().to_vec());
/// #         }
/// #         Ok(changes.len())
/// #     }
/// # }
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?.key_id();
/// let column = Column::<String>::new(&ColumnKeys::new(&kms, key)?, "users", "phone")?;
/// # let rows = ["1", "2", "3"].map(|id| Ok((id.to_owned(), column.encrypt(&RowId::new(id), "+49 30 901820")?.into_bytes())));
/// # let mut table = Table(rows.into_iter().collect::<Result<_, strongroom::Error>>()?);
/// kms.rotate_key_on_demand(key)?;
///
/// let preview = Sweep::new(&column).dry_run().run(&mut table, |_| ControlFlow::Continue(()))?;
/// assert_eq!((preview.examined(), preview.changed()), (3, 3));
///
/// // Two rows, and the rest another time.
/// let first = Sweep::new(&column).batch_size(2).run(&mut table, |_| ControlFlow::Break(()))?;
/// assert!(first.changed() == 2 && !first.is_complete());
/// let cursor = first.cursor().ok_or("a position")?;
/// let rest = Sweep::new(&column).start_after(cursor).run(&mut table, |_| ControlFlow::Continue(()))?;
/// assert!(rest.changed() == 1 && rest.is_complete());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub struct Sweep<T> {
    rules: Rules<T>,
    batch: usize,
    dry_run: bool,
    start_after: Option<String>,
}

impl<T: ColumnValue> Sweep<T> {
    /// Creates a sweep that re-encrypts the values of a column.
    ///
    /// It shares no cached data key with the column, which may still have one of an older version.
    pub fn new(column: &Column<T>) -> Self {
        Self::with_source(column, Source::Encrypted)
    }

    /// Creates a sweep that encrypts values of another form: plaintext, or the ciphertext of another
    /// scheme, which the function decrypts. The table reads the old column and writes a new one.
    ///
    /// # Examples
    /// ```
    /// use strongroom::columns::{Column, ColumnKeys, Encrypted, RowId, Sweep, SweepRow};
    /// use strongroom::{Error, ErrorKind, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let keys = ColumnKeys::new(&kms, kms.create_key(Default::default())?.key_id())?;
    /// let column = Column::<String>::new(&keys, "users", "phone")?;
    /// let sweep = Sweep::convert(&column, |_row, plaintext| {
    ///     String::from_utf8(plaintext.to_vec()).map_err(|_| Error::new(ErrorKind::Validation, "not text"))
    /// });
    /// let plan = sweep.plan(&[SweepRow::new("1", RowId::new(1), b"+49 30 901820".to_vec())])?;
    /// let stored = Encrypted::from_bytes(plan.changes()[0].new_bytes().to_vec())?;
    /// assert_eq!(column.decrypt(&RowId::new(1), &stored)?, "+49 30 901820");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn convert(column: &Column<T>, convert: impl Fn(&RowId, &[u8]) -> Result<T> + Send + Sync + 'static) -> Self {
        Self::with_source(column, Source::Other(Box::new(convert)))
    }

    /// Creates a sweep like [`convert`](Self::convert) that writes to the column that it reads. Bytes
    /// that have the form of a stored value are treated as converted.
    ///
    /// Use it only if no old value can begin with the byte 1 or 2, for example for text. Prefer two
    /// columns otherwise.
    ///
    /// # Examples
    /// ```
    /// use strongroom::columns::{Column, ColumnKeys, RowId, Sweep, SweepRow};
    /// use strongroom::Kms;
    ///
    /// let kms = Kms::in_memory()?;
    /// let keys = ColumnKeys::new(&kms, kms.create_key(Default::default())?.key_id())?;
    /// let column = Column::<Vec<u8>>::new(&keys, "users", "phone")?;
    /// let done = column.encrypt(&RowId::new(1), b"+49 30 901820")?.into_bytes();
    /// let sweep = Sweep::convert_in_place(&column, |_row, plaintext| Ok(plaintext.to_vec()));
    /// let rows = [SweepRow::new("1", RowId::new(1), done), SweepRow::new("2", RowId::new(2), b"+44".to_vec())];
    /// let plan = sweep.plan(&rows)?;
    /// assert_eq!((plan.current(), plan.changes().len()), (1, 1));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn convert_in_place(
        column: &Column<T>,
        convert: impl Fn(&RowId, &[u8]) -> Result<T> + Send + Sync + 'static,
    ) -> Self {
        Self::with_source(column, Source::Mixed(Box::new(convert)))
    }

    fn with_source(column: &Column<T>, source: Source<T>) -> Self {
        let rules = Rules { column: column.with_empty_cache(), source, index: None, rewrite_all: false };
        Self { rules, batch: DEFAULT_BATCH, dry_run: false, start_after: None }
    }

    /// Also keeps an index column up to date: rows whose index value is not the one that the function
    /// computes are changed, too. Every row is then decrypted.
    ///
    /// # Examples
    /// ```
    /// # use strongroom::key::{KeySpec, KeyUsage};
    /// # use strongroom::request::CreateKeyRequest;
    /// use strongroom::columns::{BlindIndex, Column, ColumnKeys, RowId, Sweep, SweepRow};
    /// use strongroom::Kms;
    ///
    /// # let kms = Kms::in_memory()?;
    /// # let keys = ColumnKeys::new(&kms, kms.create_key(Default::default())?.key_id())?;
    /// # let hmac = CreateKeyRequest::default().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
    /// # let index_keys = ColumnKeys::new(&kms, kms.create_key(hmac)?.key_id())?;
    /// let column = Column::<String>::new(&keys, "users", "email")?;
    /// let index = BlindIndex::builder(&index_keys, "users", "email").build()?;
    /// let sweep = Sweep::new(&column).index(move |row, email: &String| index.of_text(row.tenant_name(), email));
    ///
    /// let stored = column.encrypt(&RowId::new(1), "alice@example.com")?.into_bytes();
    /// let plan = sweep.plan(&[SweepRow::new("1", RowId::new(1), stored.clone()).with_index(None)])?;
    /// assert_eq!(plan.changes()[0].new_bytes(), stored); // only the index value is missing
    /// assert!(plan.changes()[0].index_value().is_some());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn index(mut self, index: impl Fn(&RowId, &T) -> Result<IndexValue> + Send + Sync + 'static) -> Self {
        self.rules.index = Some(Box::new(index));
        self
    }

    /// Changes every row, not only those of old keys: after the padding or the use of cached data keys
    /// was changed.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::columns::{Column, ColumnKeys, RowId, Sweep, SweepRow};
    ///
    /// let kms = Kms::in_memory()?;
    /// let keys = ColumnKeys::new(&kms, kms.create_key(Default::default())?.key_id())?;
    /// let stored = Column::<String>::new(&keys, "users", "phone")?.encrypt(&RowId::new(1), "+49 30 901820")?;
    ///
    /// let padded = Column::<String>::builder(&keys, "users", "phone").pad_to(64).build()?;
    /// let rows = [SweepRow::new("1", RowId::new(1), stored.into_bytes())];
    /// assert_eq!(Sweep::new(&padded).plan(&rows)?.changes().len(), 0);
    /// assert_eq!(Sweep::new(&padded).rewrite_all().plan(&rows)?.changes().len(), 1);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub const fn rewrite_all(mut self) -> Self {
        self.rules.rewrite_all = true;
        self
    }

    /// Sets the number of rows of a batch, 1 to 10,000. Other numbers are raised or lowered. Default:
    /// 500. The rows of a batch change in one transaction.
    pub const fn batch_size(mut self, rows: usize) -> Self {
        self.batch = if rows == 0 {
            1
        } else if rows > MAX_BATCH {
            MAX_BATCH
        } else {
            rows
        };
        self
    }

    /// Changes nothing, but does everything else: the report contains the number of rows that would
    /// have changed, and those that cannot be converted.
    pub const fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    /// Continues after a position: the [`cursor`](SweepReport::cursor) of an earlier report.
    pub fn start_after(mut self, cursor: impl Into<String>) -> Self {
        self.start_after = Some(cursor.into());
        self
    }

    /// Examines rows and returns the changes to make, for a program that reads and writes the table
    /// itself, for example with an asynchronous driver.
    ///
    /// A plan may use a data key that was cached for an earlier plan of the same sweep. After a rotation,
    /// create another sweep.
    ///
    /// # Errors
    /// - The errors of the KMS that are not the fault of a row, such as an outage.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::columns::{Column, ColumnKeys, RowId, Sweep, SweepRow};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?.key_id();
    /// let column = Column::<String>::new(&ColumnKeys::new(&kms, key)?, "users", "phone")?;
    /// let old = column.encrypt(&RowId::new(1), "+49 30 901820")?.into_bytes();
    /// kms.rotate_key_on_demand(key)?;
    /// let new = column.encrypt(&RowId::new(2), "+44 20 7946 0123")?.into_bytes();
    ///
    /// let rows = [SweepRow::new("1", RowId::new(1), old), SweepRow::new("2", RowId::new(2), new)];
    /// let plan = Sweep::new(&column).plan(&rows)?;
    /// assert_eq!((plan.changes().len(), plan.current()), (1, 1));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn plan(&self, rows: &[SweepRow]) -> Result<SweepPlan> {
        self.rules.plan(rows)
    }

    /// Processes the table. `progress` is called after each batch, whose changes are then committed.
    /// It can stop the sweep.
    ///
    /// # Errors
    /// - [`SweepError::Table`] if the database fails.
    /// - [`SweepError::Kms`] if the KMS fails, other than for one row.
    /// - [`SweepError::Order`] if the table returns a row twice.
    /// - [`SweepError::Key`] if two rows have the same primary key, or one has none.
    /// - [`SweepError::Target`] or [`SweepError::Index`] if the table lacks a column that the sweep needs.
    pub fn run<S: SweepTable>(
        &self,
        table: &mut S,
        mut progress: impl FnMut(&SweepReport) -> ControlFlow<()>,
    ) -> Result<SweepReport, SweepError<S::Error>> {
        self.check_table(table.has_target(), table.has_index())?;
        let mut report = self.new_report();
        let mut positions = Positions::default();
        loop {
            let rows = table.read_batch(report.cursor(), self.batch_limit()).map_err(SweepError::Table)?;
            let Some(last) = positions.advance(report.cursor(), &rows)? else {
                report.reach_end();
                return Ok(report);
            };
            if !table.is_unique(report.cursor(), &last).map_err(SweepError::Table)? {
                return Err(SweepError::Key);
            }
            let plan = self.plan(&rows)?;
            let replaced = match self.replaces(&plan) {
                true => table.replace(plan.changes()).map_err(SweepError::Table)?,
                false => plan.changes().len(),
            };
            report.add(plan, replaced, last);
            if progress(&report).is_break() {
                return Ok(report);
            }
        }
    }

    /// Compares the sweep with what the table knows about its columns.
    pub(super) fn check_table<E>(
        &self,
        has_target: Option<bool>,
        has_index: Option<bool>,
    ) -> Result<(), SweepError<E>> {
        let needs_target = self.rules.source.needs_target();
        if has_target.is_some_and(|has| has != needs_target) {
            return Err(SweepError::Target);
        }
        match has_index == Some(false) && self.rules.index.is_some() {
            true => Err(SweepError::Index),
            false => Ok(()),
        }
    }

    /// Returns the report before the first batch. Data keys of an earlier run are dropped: the key may
    /// have been rotated since.
    pub(super) fn new_report(&self) -> SweepReport {
        if let Some(cache) = self.rules.column.cache() {
            cache.clear();
        }
        SweepReport::starting_after(self.start_after.clone())
    }

    /// Returns the number of rows to read at a time.
    pub(super) const fn batch_limit(&self) -> usize {
        self.batch
    }

    /// Returns `true` if the changes of a plan are to be applied.
    pub(super) fn replaces(&self, plan: &SweepPlan) -> bool {
        !self.dry_run && !plan.changes().is_empty()
    }
}

/// Notices that a table returns rows again, so that every sweep ends.
///
/// It remembers the position after 1, 2, 4, 8, ... batches, and therefore finds every cycle (Brent's
/// algorithm). The order of positions is known to the table only.
#[derive(Default)]
pub(super) struct Positions {
    remembered: Option<String>,
    batches: u64,
    next: u64,
}

impl Positions {
    /// Returns the position of the last row of a batch, or `None` for an empty batch.
    ///
    /// # Errors
    /// - [`SweepError::Order`] if a position repeats.
    pub(super) fn advance<E>(
        &mut self,
        after: Option<&str>,
        rows: &[SweepRow],
    ) -> Result<Option<String>, SweepError<E>> {
        let Some(last) = rows.last().map(SweepRow::cursor) else { return Ok(None) };
        let positions = || after.into_iter().chain(rows.iter().map(SweepRow::cursor));
        let repeats = positions().zip(positions().skip(1)).any(|(one, next)| one == next);
        if repeats || [after, self.remembered.as_deref()].contains(&Some(last)) {
            return Err(SweepError::Order);
        }
        self.batches += 1;
        if self.batches >= self.next {
            (self.remembered, self.next) = (Some(last.to_owned()), self.batches.saturating_mul(2));
        }
        Ok(Some(last.to_owned()))
    }
}

impl<T> fmt::Debug for Sweep<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sweep")
            .field("column", &self.rules.column)
            .field("batch", &self.batch)
            .field("dry_run", &self.dry_run)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[test]
    fn every_cycle_of_positions_is_noticed() {
        let row = |position: u32| SweepRow::new(position.to_string(), RowId::new(position), Vec::new());
        for (lead, cycle) in [(0, 1), (0, 2), (3, 1), (5, 7), (0, 64), (100, 33)] {
            let (mut positions, mut after) = (Positions::default(), None);
            let found = (0..2_000).find(|step| {
                let number = if *step < lead { *step } else { lead + (step - lead) % cycle };
                match positions.advance::<Infallible>(after.as_deref(), &[row(number)]) {
                    Ok(last) => after = last,
                    Err(_) => return true,
                }
                false
            });
            assert!(found.is_some_and(|step| step >= lead + cycle), "{lead} and {cycle}: {found:?}");
        }
        let mut positions = Positions::default();
        let twice = positions.advance::<Infallible>(None, &[row(1), row(1), row(2)]);
        assert!(matches!(twice, Err(SweepError::Order)));
        for number in 1..1_000 {
            assert!(positions.advance::<Infallible>(None, &[row(number)]).is_ok());
        }
    }
}
