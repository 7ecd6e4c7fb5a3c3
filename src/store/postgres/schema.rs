//! The tables of a store, and the migrations that create them.

use tokio_postgres::Client;

use super::connect::{self, Session};
use super::failure::reason;
use super::options::Settings;
use crate::store::error::StoreError;

/// The migrations from an empty schema to the format of this release. A store whose `format` is n
/// has the first n applied. Released migrations are never changed; new ones are appended.
pub(super) const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE store (
        one boolean PRIMARY KEY DEFAULT true CHECK (one),
        format integer NOT NULL,
        id bytea NOT NULL CHECK (octet_length(id) = 16),
        revision bigint NOT NULL CHECK (revision >= 0)
    ) WITH (fillfactor = 50);
    CREATE TABLE record (
        kind smallint NOT NULL,
        account bytea NOT NULL CHECK (octet_length(account) = 12),
        name bytea NOT NULL,
        revision bigint NOT NULL,
        body bytea NOT NULL,
        PRIMARY KEY (kind, account, name)
    ) WITH (fillfactor = 70);
    ALTER TABLE record ALTER COLUMN body SET STORAGE EXTERNAL;
    INSERT INTO store (format, id, revision)
        VALUES (1, decode(replace(gen_random_uuid()::text, '-', ''), 'hex'), 0);
"];

/// Creates the schema and the tables, unless they exist.
pub(super) async fn create(settings: &Settings) -> Result<(), StoreError> {
    let Session { client, driver, .. } = connect::connect(settings).await?;
    let created = create_with(&client, settings).await;
    drop(client);
    if created.is_err() {
        driver.abort();
    }
    created
}

async fn create_with(client: &Client, settings: &Settings) -> Result<(), StoreError> {
    let schema = settings.quoted_schema();
    // One at a time: concurrent statements of this kind fail.
    let begin = format!(
        "BEGIN; SELECT pg_advisory_xact_lock(hashtext('strongroom')); CREATE SCHEMA IF NOT EXISTS {schema}; \
         SET LOCAL search_path = {schema}"
    );
    client.batch_execute(&begin).await.map_err(reason)?;
    let found = client.query_typed("SELECT FROM pg_tables WHERE schemaname = current_schema()", &[]).await;
    if found.map_err(reason)?.is_empty() {
        for step in MIGRATIONS {
            client.batch_execute(step).await.map_err(reason)?;
        }
    }
    client.batch_execute("COMMIT").await.map_err(reason)
}
