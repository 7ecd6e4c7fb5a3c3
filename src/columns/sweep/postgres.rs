//! A sweep over a table in PostgreSQL.

use std::ops::ControlFlow;
use std::sync::Arc;

use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, IsolationLevel, Row, Statement};

use super::column_names::{MAX_BATCH_BYTES, SweepColumns, qualified, quoted};
use super::error::SweepError;
use super::report::SweepReport;
use super::rows::{SweepChange, SweepPlan, SweepRow};
use super::run::{Positions, Sweep};
use crate::columns::row_id::RowId;
use crate::columns::value::ColumnValue;
use crate::error::{Error, ErrorKind};

/// A table in PostgreSQL, and a sweep over it with `tokio-postgres`. The primary key is one column of
/// any type, which identifies a row by its text in PostgreSQL: `42`, or a UUID with hyphens. A
/// [`RowId`] must be created from the same text, which programs write differently for
/// floating-point numbers and times.
///
/// The values may be `bytea` or, for a conversion, `text`. Values are encrypted and decrypted on
/// Tokio's threads for blocking work. A batch ends early after 32 MiB of values. It locks the rows that
/// it changes until it is committed, so transactions that change several rows may wait for it.
///
/// # Examples
/// ```no_run
/// use std::ops::ControlFlow;
///
/// use strongroom::columns::{Column, PostgresSweepTable, Sweep, SweepColumns};
///
/// async fn renew(client: &mut tokio_postgres::Client, phone: &Column<String>) -> Result<(), Box<dyn std::error::Error>> {
///     let table = PostgresSweepTable::new(SweepColumns::new("users", "id", "phone"));
///     let report = table.run(client, Sweep::new(phone), |report| {
///         println!("{} rows", report.examined());
///         ControlFlow::Continue(())
///     });
///     assert!(report.await?.is_complete());
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct PostgresSweepTable {
    columns: SweepColumns,
}

/// The maximum number of attempts to change a batch.
const MAX_ATTEMPTS: usize = 10;

/// The failures of a transaction that another transaction caused.
const RETRIED: [SqlState; 2] = [SqlState::T_R_DEADLOCK_DETECTED, SqlState::T_R_SERIALIZATION_FAILURE];

/// The prepared statements of a table.
struct Statements {
    first: Statement,
    next: Statement,
    first_unique: Statement,
    next_unique: Statement,
    update: Statement,
}

impl PostgresSweepTable {
    /// Creates a table.
    pub const fn new(columns: SweepColumns) -> Self {
        Self { columns }
    }

    /// Processes the table, like [`Sweep::run`].
    ///
    /// # Errors
    /// - [`SweepError::Table`] if the database fails.
    /// - [`SweepError::Kms`] if the KMS fails, other than for one row.
    /// - [`SweepError::Key`] if two rows have the same primary key, or one has none.
    /// - [`SweepError::Target`] or [`SweepError::Index`] if the table lacks a column that the sweep needs.
    pub async fn run<T: ColumnValue + 'static>(
        &self,
        client: &mut Client,
        sweep: Sweep<T>,
        mut progress: impl FnMut(&SweepReport) -> ControlFlow<()>,
    ) -> Result<SweepReport, SweepError<tokio_postgres::Error>> {
        sweep.check_table(Some(self.columns.has_target()), Some(self.columns.index.is_some()))?;
        let statements = self.prepare(client, sweep.batch_limit()).await.map_err(SweepError::Table)?;
        if self.has_null_keys(client).await.map_err(SweepError::Table)? {
            return Err(SweepError::Key);
        }
        let sweep = Arc::new(sweep);
        let mut report = sweep.new_report();
        let mut positions = Positions::default();
        loop {
            let rows = statements.read(client, report.cursor()).await;
            let rows = rows.map_err(SweepError::Table)?;
            let Some(last) = positions.advance(report.cursor(), &rows)? else {
                report.reach_end();
                return Ok(report);
            };
            if !statements.is_unique(client, report.cursor(), &last).await.map_err(SweepError::Table)? {
                return Err(SweepError::Key);
            }
            let plan = plan(&sweep, rows).await?;
            let replaced = match sweep.replaces(&plan) {
                true => self.replace(client, &statements, plan.changes()).await.map_err(SweepError::Table)?,
                false => plan.changes().len(),
            };
            report.add(plan, replaced, last);
            if progress(&report).is_break() {
                return Ok(report);
            }
        }
    }

    async fn prepare(&self, client: &Client, limit: usize) -> Result<Statements, tokio_postgres::Error> {
        let columns = &self.columns;
        let (key, source, table) = (qualified(&columns.key), qualified(&columns.source), columns.quoted_table());
        let types = client.prepare(&format!("SELECT {key}, {source} FROM {table} LIMIT 0")).await?;
        let kind = |column: usize| types.columns().get(column).map_or(Type::TEXT, |column| column.type_().clone());
        let (key_type, value_type) = (kind(0), kind(1));
        let (value, length) = match value_type {
            Type::BYTEA => (source.clone(), source.clone()),
            _ => (format!("convert_to({source}::text, 'UTF8')"), format!("{source}::text")),
        };
        let cast = format!("::text::{}.{}", quoted(key_type.schema()), quoted(key_type.name()));
        let tenant = SweepColumns::or_null(columns.tenant.as_deref());
        let index = SweepColumns::or_null(columns.index.as_deref());
        let empty = columns.target_is_empty();
        // The sum of the lengths ends a batch. It does not read the values themselves. The limit is a
        // number and no parameter, so that every plan of the server knows that few rows are read.
        let select = |after: &str| {
            format!(
                "SELECT id, value, tenant, index FROM (SELECT {key}::text AS id, {value} AS value, \
                 {tenant}::text AS tenant, {index}::bytea AS index, {key} AS position, octet_length({length}) AS own, \
                 sum(octet_length({length})) OVER (ORDER BY {key} ROWS UNBOUNDED PRECEDING) AS total FROM {table} \
                 WHERE {source} IS NOT NULL{empty}{after} ORDER BY {key} LIMIT {limit}) batch \
                 WHERE total - own < {MAX_BATCH_BYTES} ORDER BY position"
            )
        };
        let unique = |after: &str| {
            format!(
                "SELECT count(*) = count(DISTINCT {key}) AND coalesce(bool_and({key} = {key}{cast}), true) \
                 FROM {table} WHERE {key} <= $1{cast}{after}"
            )
        };
        let new_index = |index| format!(", {} = coalesce($4, {})", quoted(index), qualified(index));
        let tenant_number = if columns.index.is_some() { 5 } else { 4 };
        let same_tenant = |tenant| {
            let tenant = qualified(tenant);
            format!(" AND {tenant}::text COLLATE \"C\" IS NOT DISTINCT FROM ${tenant_number}")
        };
        let update = format!(
            "UPDATE {table} SET {} = $1{} WHERE {key} = $2{cast} AND {value} = $3{}{empty}",
            quoted(columns.written()),
            columns.index.as_deref().map(new_index).unwrap_or_default(),
            columns.tenant.as_deref().map(same_tenant).unwrap_or_default(),
        );
        let after = |number| format!(" AND {key} > ${number}{cast}");
        Ok(Statements {
            first: client.prepare(&select("")).await?,
            next: client.prepare(&select(&after(1))).await?,
            first_unique: client.prepare(&unique("")).await?,
            next_unique: client.prepare(&unique(&after(2))).await?,
            update: client.prepare(&update).await?,
        })
    }

    /// Returns `true` if a row has no primary key: it would be in no batch.
    async fn has_null_keys(&self, client: &Client) -> Result<bool, tokio_postgres::Error> {
        let (key, source) = (qualified(&self.columns.key), qualified(&self.columns.source));
        let table = self.columns.quoted_table();
        let exists = format!("SELECT EXISTS (SELECT FROM {table} WHERE {key} IS NULL AND {source} IS NOT NULL)");
        client.query_one(&exists, &[]).await?.try_get(0)
    }

    /// Applies the changes. Repeats them if the server aborted the transaction to resolve a deadlock with
    /// a writer.
    async fn replace(
        &self,
        client: &mut Client,
        statements: &Statements,
        changes: &[SweepChange],
    ) -> Result<usize, tokio_postgres::Error> {
        for _ in 1..MAX_ATTEMPTS {
            match self.replace_once(client, statements, changes).await {
                Err(error) if error.code().is_some_and(|code| RETRIED.contains(code)) => {}
                result => return result,
            }
        }
        self.replace_once(client, statements, changes).await
    }

    async fn replace_once(
        &self,
        client: &mut Client,
        statements: &Statements,
        changes: &[SweepChange],
    ) -> Result<usize, tokio_postgres::Error> {
        // In other levels, a row that a writer changed would be an error.
        let transaction = client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start().await?;
        let mut replaced = 0;
        for change in changes {
            let (new, key, old) = (change.new_bytes(), change.cursor(), change.old_bytes());
            let (index, tenant) = (change.index_value(), change.tenant_name());
            let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&new, &key, &old];
            if self.columns.index.is_some() {
                parameters.push(&index);
            }
            if self.columns.tenant.is_some() {
                parameters.push(&tenant);
            }
            replaced += transaction.execute(&statements.update, &parameters).await?;
        }
        transaction.commit().await?;
        Ok(usize::try_from(replaced).unwrap_or(usize::MAX))
    }
}

impl Statements {
    async fn read(&self, client: &Client, after: Option<&str>) -> Result<Vec<SweepRow>, tokio_postgres::Error> {
        let rows = match after {
            None => client.query(&self.first, &[]).await?,
            Some(cursor) => client.query(&self.next, &[&cursor]).await?,
        };
        rows.iter().map(row_of).collect()
    }

    /// Returns `true` if all keys of a batch differ, and are the values of their texts.
    async fn is_unique(&self, client: &Client, after: Option<&str>, last: &str) -> Result<bool, tokio_postgres::Error> {
        let row = match after {
            None => client.query_one(&self.first_unique, &[&last]).await?,
            Some(cursor) => client.query_one(&self.next_unique, &[&last, &cursor]).await?,
        };
        row.try_get(0)
    }
}

fn row_of(row: &Row) -> Result<SweepRow, tokio_postgres::Error> {
    let cursor: String = row.try_get(0)?;
    let tenant: Option<String> = row.try_get(2)?;
    let id = tenant.into_iter().fold(RowId::new(&cursor), RowId::tenant);
    Ok(SweepRow::new(cursor, id, row.try_get(1)?).with_index(row.try_get(3)?))
}

/// Examines rows on a thread for blocking work, because the KMS may wait for its audit trail.
async fn plan<T: ColumnValue + 'static>(
    sweep: &Arc<Sweep<T>>,
    rows: Vec<SweepRow>,
) -> Result<SweepPlan, SweepError<tokio_postgres::Error>> {
    let sweep = Arc::clone(sweep);
    let planned = tokio::task::spawn_blocking(move || sweep.plan(&rows)).await;
    let planned = planned.map_err(|error| {
        let text = "the thread that encrypts values ended early";
        SweepError::Kms(Error::new(ErrorKind::Internal, text).with_source(error))
    });
    Ok(planned??)
}
