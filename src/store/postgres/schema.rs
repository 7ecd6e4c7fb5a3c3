//! The tables of a store: the migrations that create them, and the check that they are as expected.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::connect;
use super::failure::reason;
use super::options::{Settings, quoted};
use super::session::Session;
use crate::store::StoreId;
use crate::store::error::StoreError;

/// The migrations from an empty schema to the format of this release. A store whose `format` is n
/// has the first n applied. Released migrations are never changed; new ones are appended.
pub(super) const MIGRATIONS: &[&str] = &["
CREATE TABLE store (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    format integer NOT NULL,
    id bytea NOT NULL CHECK (octet_length(id) = 16),
    revision bigint NOT NULL CHECK (revision >= 0),
    token bytea NOT NULL CHECK (octet_length(token) = 16)
) WITH (fillfactor = 50);
CREATE TABLE record (
    kind smallint NOT NULL,
    account bytea NOT NULL CHECK (octet_length(account) = 12),
    name bytea NOT NULL,
    revision bigint NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (kind, account, name)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, toast.autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE record ALTER COLUMN body SET STORAGE EXTERNAL;
INSERT INTO store (format, id, revision, token)
    VALUES (1, uuid_send(gen_random_uuid()), 0, uuid_send(gen_random_uuid()));
"];

/// The result of [`DESCRIBE`] for the tables of this release.
const EXPECTED: [&str; 14] = [
    "record.account bytea not null",
    "record.body bytea not null",
    "record.kind smallint not null",
    "record.name bytea not null",
    "record.revision bigint not null",
    "record: permanent table",
    "record: primary key (kind, account, name)",
    "store.format integer not null",
    "store.id bytea not null",
    "store.one boolean not null",
    "store.revision bigint not null",
    "store.token bytea not null",
    "store: permanent table",
    "store: primary key (one)",
];

/// Describes the two tables of a schema, one property per row. Row-level security hides rows, and
/// an unlogged table is emptied by a crash.
const DESCRIBE: &str = "
WITH found AS (
    SELECT c.* FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname IN ('store', 'record')
)
SELECT relname || ': ' || CASE
        WHEN relkind <> 'r' THEN 'not a table' WHEN relpersistence <> 'p' THEN 'unlogged table'
        WHEN relrowsecurity THEN 'row-level security' ELSE 'permanent table' END FROM found
UNION ALL
SELECT f.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
        || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
    FROM found f JOIN pg_catalog.pg_attribute a ON a.attrelid = f.oid AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT f.relname || ': primary key (' || string_agg(a.attname, ', ' ORDER BY k.place) || ')'
    FROM found f JOIN pg_catalog.pg_index i ON i.indrelid = f.oid AND i.indisprimary
    CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k (number, place)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = f.oid AND a.attnum = k.number
    GROUP BY f.relname";

/// Returns the privileges that the current role lacks, one per row.
const MISSING_PRIVILEGES: &str = "
WITH found AS (
    SELECT c.oid, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname IN ('store', 'record')
)
SELECT 'USAGE of the schema' FROM pg_catalog.pg_namespace n
    WHERE n.nspname = $1 AND NOT has_schema_privilege(n.oid, 'USAGE')
UNION ALL
SELECT p.name || ' on ' || f.relname FROM found f
    CROSS JOIN (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE')) AS p (name)
    WHERE NOT CASE
        WHEN f.relname = 'record' OR p.name = 'SELECT' THEN has_table_privilege(f.oid, p.name)
        WHEN p.name = 'UPDATE' THEN has_column_privilege(f.oid, 'revision', p.name)
            AND has_column_privilege(f.oid, 'token', p.name)
        ELSE true END";

/// The earliest version of PostgreSQL with every function that a store uses.
const EARLIEST: i64 = 130_000;

/// The format of this release.
pub(super) fn format() -> i64 {
    i64::try_from(MIGRATIONS.len()).expect("few migrations")
}

/// Checks the format that a statement returned.
pub(super) fn check_format(found: i64) -> Result<(), StoreError> {
    let known = format();
    match found {
        _ if found == known => Ok(()),
        _ if found > known => Err(StoreError::NewerFormat { found, known }),
        _ => Err(StoreError::OlderFormat { found, known }),
    }
}

/// Checks that the server is suitable, and that its schema contains a store that the role can use.
/// Returns the identity of the store.
pub(super) async fn check(client: &Client, settings: &Settings) -> Result<StoreId, StoreError> {
    check_server(client, settings).await?;
    let found = describe(client, &settings.schema).await?;
    if found.is_empty() {
        return Err(StoreError::NoSchema { schema: settings.schema.clone() });
    }
    if let Err(altered) = check_tables(&found, &settings.schema) {
        // The tables of another format may differ.
        return match identity(client, settings).await {
            Err(format @ (StoreError::NewerFormat { .. } | StoreError::OlderFormat { .. })) => Err(format),
            _ => Err(altered),
        };
    }
    let missing = lines(client, MISSING_PRIVILEGES, &settings.schema).await?;
    if !missing.is_empty() {
        return Err(StoreError::AccessDenied(format!("the role lacks {}", join(&missing)).into()));
    }
    identity(client, settings).await
}

async fn check_server(client: &Client, settings: &Settings) -> Result<(), StoreError> {
    let query = "SELECT current_setting('server_version_num'), current_setting('server_version'), \
                 current_setting('fsync'), current_setting('full_page_writes')";
    let row = client.query_typed_one(query, &[]).await.map_err(reason)?;
    let column = |number: usize| row.try_get::<_, String>(number).map_err(reason);
    if column(0)?.parse().is_ok_and(|version: i64| version < EARLIEST) {
        return Err(StoreError::UnsuitableServer {
            setting: "server_version",
            found: column(1)?,
            wanted: "13 or later",
        });
    }
    for (number, setting) in [(2, "fsync"), (3, "full_page_writes")] {
        let found = column(number)?;
        if found != "on" && !settings.unsafe_server {
            return Err(StoreError::UnsuitableServer { setting, found, wanted: "on" });
        }
    }
    Ok(())
}

async fn describe(client: &Client, schema: &str) -> Result<BTreeSet<String>, StoreError> {
    lines(client, DESCRIBE, schema).await
}

async fn lines(client: &Client, query: &str, schema: &str) -> Result<BTreeSet<String>, StoreError> {
    let rows = client.query_typed(query, &[(&schema, Type::TEXT)]).await.map_err(reason)?;
    rows.iter().map(|row| row.try_get(0).map_err(reason)).collect()
}

fn check_tables(found: &BTreeSet<String>, schema: &str) -> Result<(), StoreError> {
    let expected: BTreeSet<String> = EXPECTED.iter().map(|line| (*line).to_owned()).collect();
    let missing = expected.difference(found).next().map(|line| format!("missing: {line}"));
    let difference = missing.or_else(|| Some(format!("unexpected: {}", found.difference(&expected).next()?)));
    difference.map_or(Ok(()), |difference| Err(StoreError::UnknownTables { schema: schema.to_owned(), difference }))
}

/// Returns the identity of a store whose format is that of this release.
async fn identity(client: &Client, settings: &Settings) -> Result<StoreId, StoreError> {
    let query = format!("SELECT format, id FROM {}.store", settings.quoted_schema());
    let row = client.query_typed(&query, &[]).await.map_err(reason)?.pop();
    let row = row.ok_or_else(|| StoreError::Damaged("the row of the store is missing".into()))?;
    check_format(row.try_get::<_, i32>(0).map_err(reason)?.into())?;
    let id: &[u8] = row.try_get(1).map_err(reason)?;
    id.try_into().map(StoreId).map_err(|_| StoreError::Damaged("the identity of the store has a wrong length".into()))
}

/// Creates the schema and the tables, or applies the missing migrations.
pub(super) async fn create(settings: &Arc<Settings>) -> Result<(), StoreError> {
    let session = connect_to_administer(settings).await?;
    migrate(&session.client, settings).await?;
    session.close().await;
    Ok(())
}

/// Connects with names resolved in the catalog only, like the sessions of an open store.
async fn connect_to_administer(settings: &Arc<Settings>) -> Result<Session, StoreError> {
    let session = connect::connect(settings).await?;
    session.client.batch_execute("SET search_path = pg_catalog").await.map_err(reason)?;
    check_server(&session.client, settings).await?;
    Ok(session)
}

async fn migrate(client: &Client, settings: &Settings) -> Result<(), StoreError> {
    let schema = settings.quoted_schema();
    // One process at a time, because concurrent statements that create a table fail. A role that
    // cannot create the schema can use one that exists.
    client.batch_execute("BEGIN; SELECT pg_advisory_xact_lock(hashtext('strongroom'))").await.map_err(reason)?;
    let exists = "SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1";
    let found = client.query_typed(exists, &[(&settings.schema, Type::TEXT)]).await.map_err(reason)?;
    if found.is_empty() {
        client.batch_execute(&format!("CREATE SCHEMA {schema}")).await.map_err(reason)?;
    }
    let found = describe(client, &settings.schema).await?;
    if found.contains("store.format integer not null") || found.is_empty() {
        let query = format!("SELECT format FROM {schema}.store");
        let format: i32 = match found.is_empty() {
            true => 0,
            false => client.query_typed_one(&query, &[]).await.map_err(reason)?.try_get(0).map_err(reason)?,
        };
        let applied = usize::try_from(format).ok().filter(|applied| *applied <= MIGRATIONS.len());
        let known = self::format();
        let applied = applied.ok_or(StoreError::NewerFormat { found: format.into(), known })?;
        client.batch_execute(&format!("SET LOCAL search_path = {schema}")).await.map_err(reason)?;
        for step in &MIGRATIONS[applied..] {
            client.batch_execute(step).await.map_err(reason)?;
        }
    }
    check_tables(&describe(client, &settings.schema).await?, &settings.schema)?;
    client.batch_execute("COMMIT").await.map_err(reason)
}

/// Grants a role the privileges that an open store needs.
pub(super) async fn grant(settings: &Arc<Settings>, role: &str) -> Result<(), StoreError> {
    let session = connect_to_administer(settings).await?;
    let (schema, role) = (settings.quoted_schema(), quoted(role));
    let grants = format!(
        "BEGIN; GRANT USAGE ON SCHEMA {schema} TO {role}; \
         GRANT SELECT, UPDATE (revision, token) ON {schema}.store TO {role}; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.record TO {role}; COMMIT"
    );
    session.client.batch_execute(&grants).await.map_err(reason)?;
    session.close().await;
    Ok(())
}

fn join(lines: &BTreeSet<String>) -> String {
    lines.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}
