//! Questions about the server and the tables as a whole: where the store is, and whether the table
//! is intact.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::failure::{reason, text};
use super::options::Settings;
use crate::store::error::StoreError;

/// Distinguishes the table from its copies: by the cluster of the server, its timeline if `$2`, the
/// database and the table. A dump that is restored has another table, a base backup that is
/// restored or promoted another timeline.
const LOCATION: &str = "
SELECT substring(sha256(convert_to(concat_ws('/', s.system_identifier,
        CASE WHEN $2 THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) ELSE '' END, d.oid, c.oid), 'UTF8')) FOR 16)
    FROM pg_control_system() s, pg_catalog.pg_database d,
        pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE d.datname = current_database() AND n.nspname = $1 AND c.relname = 'store'";

/// Returns the location of the store, if the server reveals it.
pub(super) async fn location(client: &Client, settings: &Settings) -> Option<[u8; 16]> {
    let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
        [(&settings.schema, Type::TEXT), (&settings.location_has_timeline, Type::BOOL)];
    let row = client.query_typed_opt(LOCATION, &parameters).await.ok()??;
    row.try_get::<_, &[u8]>(0).ok()?.try_into().ok()
}

/// The contents of the table according to one way of reading it.
#[derive(Debug, PartialEq, Eq)]
struct Contents {
    records: i64,
    /// A sum over the names and revisions, as a number in decimal digits.
    checksum: String,
}

/// Reads the table once in the order of its pages and once through its index, both from one
/// snapshot, and returns the differences. Reads every body, so that the server finds damaged pages.
pub(super) async fn damage(client: &Client, schema: &str) -> Result<Vec<StoreError>, StoreError> {
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0";
    client.batch_execute(begin).await.map_err(reason)?;
    let found = compare(client, schema).await;
    // Also ends a failed transaction.
    client.batch_execute("ROLLBACK").await.map_err(reason)?;
    match found {
        Ok((table, index)) if table == index => Ok(Vec::new()),
        Ok((table, index)) => {
            let difference = format!("the table has {} records, its index {}", table.records, index.records);
            Ok(vec![StoreError::Damaged(difference.into())])
        }
        Err(damaged @ StoreError::Damaged(_)) => Ok(vec![damaged]),
        // The server reports some damage as an internal error.
        Err(internal @ StoreError::Rejected(_)) => Ok(vec![StoreError::Damaged(text(&internal).into())]),
        Err(error) => Err(error),
    }
}

async fn compare(client: &Client, schema: &str) -> Result<(Contents, Contents), StoreError> {
    let sum = "count(*), coalesce(sum(hashtextextended(kind || encode(account || '/' || name, 'hex'), 0)), 0)::text";
    let by_table = "SET LOCAL enable_seqscan = on; SET LOCAL enable_indexscan = off; \
                    SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_bitmapscan = off";
    client.batch_execute(by_table).await.map_err(reason)?;
    let bodies = format!("SELECT {sum}, sum(get_byte(sha256(body), 0)) FROM {schema}.record");
    let table = contents(client, &bodies).await?;
    let by_index = "SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = on; \
                    SET LOCAL enable_indexonlyscan = on";
    client.batch_execute(by_index).await.map_err(reason)?;
    let index = contents(client, &format!("SELECT {sum} FROM {schema}.record WHERE kind >= 0")).await?;
    Ok((table, index))
}

async fn contents(client: &Client, query: &str) -> Result<Contents, StoreError> {
    let row = client.query_typed_one(query, &[]).await.map_err(reason)?;
    Ok(Contents { records: row.try_get(0).map_err(reason)?, checksum: row.try_get(1).map_err(reason)? })
}
