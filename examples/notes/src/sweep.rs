//! Re-encryption of the values that are not under the newest version of their tenant's key.

use std::sync::Arc;

use serde::Serialize;
use strongroom::columns::{Column, ColumnValue, Sweep};

use crate::database::Database;
use crate::error::ApiError;
use crate::routes::blocking;
use crate::vault::Vault;

/// The number of rows of a batch, which change in one transaction.
const BATCH: i64 = 200;

/// The result of a sweep, in values.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Totals {
    examined: u64,
    changed: u64,
    /// Changed by a request while the sweep ran.
    changed_by_others: u64,
    /// Unreadable, for example because the keys of the tenant are deleted.
    failed: u64,
}

/// Re-encrypts all columns. It may run while requests are served, and be repeated or interrupted.
pub(crate) async fn sweep(database: &Database, vault: &Vault) -> Result<Totals, ApiError> {
    let mut totals = Totals::default();
    for column in [&vault.author, &vault.title, &vault.body] {
        sweep_column(database, column, &mut totals).await?;
    }
    sweep_column(database, &vault.tags, &mut totals).await?;
    Ok(totals)
}

async fn sweep_column<T: ColumnValue + 'static>(
    database: &Database,
    column: &Column<T>,
    totals: &mut Totals,
) -> Result<(), ApiError> {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let sweep = Arc::new(Sweep::new(column));
    let mut after = String::new();
    loop {
        let rows = database.sweep_rows(column.name(), &after, BATCH).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.cursor().to_owned();
        totals.examined += count(rows.len());
        let plan = {
            let sweep = Arc::clone(&sweep);
            blocking(move || sweep.plan(&rows)).await?
        };
        let replaced = database.replace(column.name(), plan.changes()).await?;
        totals.changed += replaced;
        totals.changed_by_others += count(plan.changes().len()) - replaced;
        totals.failed += count(plan.failures().len());
    }
}
