//! A sweep over a table in PostgreSQL.

use std::ops::ControlFlow;
use std::sync::Arc;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, Statement};

use super::column_names::{SweepColumns, quoted};
use super::error::SweepError;
use super::report::SweepReport;
use super::rows::{SweepChange, SweepPlan, SweepRow};
use super::run::{Sweep, last_cursor};
use crate::columns::row_id::RowId;
use crate::columns::value::ColumnValue;
use crate::error::{Error, ErrorKind};

/// A table in PostgreSQL, and a sweep over it with `tokio-postgres`. The primary key is one column of
/// any type, which identifies a row by its text: `42`, or a UUID with hyphens.
///
/// The values may be `bytea` or, for a conversion, `text`. Values are encrypted and decrypted on
/// Tokio's threads for blocking work.
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

/// The prepared statements of a table.
struct Statements {
    first: Statement,
    next: Statement,
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
    pub async fn run<T: ColumnValue + 'static>(
        &self,
        client: &mut Client,
        sweep: Sweep<T>,
        mut progress: impl FnMut(&SweepReport) -> ControlFlow<()>,
    ) -> Result<SweepReport, SweepError<tokio_postgres::Error>> {
        let statements = self.prepare(client).await.map_err(SweepError::Table)?;
        let sweep = Arc::new(sweep);
        let mut report = sweep.new_report();
        loop {
            let rows = statements.read(client, report.cursor(), sweep.batch_limit()).await;
            let rows = rows.map_err(SweepError::Table)?;
            let Some(last) = last_cursor(&report, &rows)? else {
                report.reach_end();
                return Ok(report);
            };
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

    async fn prepare(&self, client: &Client) -> Result<Statements, tokio_postgres::Error> {
        let columns = &self.columns;
        let (key, source, table) = (quoted(&columns.key), quoted(&columns.source), columns.quoted_table());
        let types = client.prepare(&format!("SELECT {key}, {source} FROM {table} LIMIT 0")).await?;
        let kind = |column: usize| types.columns().get(column).map_or(Type::TEXT, |column| column.type_().clone());
        let (key_type, value_type) = (kind(0), kind(1));
        let value = match value_type {
            Type::BYTEA => source.clone(),
            _ => format!("convert_to({source}::text, 'UTF8')"),
        };
        let cast = format!("::text::{}.{}", quoted(key_type.schema()), quoted(key_type.name()));
        let tenant = SweepColumns::or_null(columns.tenant.as_deref());
        let index = SweepColumns::or_null(columns.index.as_deref());
        let empty = columns.target_is_empty();
        let select = |after: &str| {
            format!(
                "SELECT {key}::text, {value}, {tenant}::text, {index}::bytea FROM {table} \
                 WHERE {source} IS NOT NULL{empty}{after} ORDER BY {key} LIMIT $1"
            )
        };
        let new_index = columns.index.as_deref().map(|index| format!(", {0} = coalesce($4, {0})", quoted(index)));
        let update = format!(
            "UPDATE {table} SET {} = $1{} WHERE {key} = $2{cast} AND {value} = $3{empty}",
            quoted(columns.written()),
            new_index.unwrap_or_default(),
        );
        Ok(Statements {
            first: client.prepare(&select("")).await?,
            next: client.prepare(&select(&format!(" AND {key} > $2{cast}"))).await?,
            update: client.prepare(&update).await?,
        })
    }

    async fn replace(
        &self,
        client: &mut Client,
        statements: &Statements,
        changes: &[SweepChange],
    ) -> Result<usize, tokio_postgres::Error> {
        let transaction = client.transaction().await?;
        let mut replaced = 0;
        for change in changes {
            let (new, key, old) = (change.new_bytes(), change.cursor(), change.old_bytes());
            let index = change.index_value();
            let parameters: [&(dyn ToSql + Sync); 4] = [&new, &key, &old, &index];
            let used = if self.columns.index.is_some() { 4 } else { 3 };
            replaced += transaction.execute(&statements.update, &parameters[..used]).await?;
        }
        transaction.commit().await?;
        Ok(usize::try_from(replaced).unwrap_or(usize::MAX))
    }
}

impl Statements {
    async fn read(
        &self,
        client: &Client,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<SweepRow>, tokio_postgres::Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = match after {
            None => client.query(&self.first, &[&limit]).await?,
            Some(cursor) => client.query(&self.next, &[&limit, &cursor]).await?,
        };
        rows.iter().map(row_of).collect()
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
