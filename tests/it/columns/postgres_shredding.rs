//! The destruction of one tenant's data in PostgreSQL, with the files of the server.

use tokio_postgres::{Client, NoTls};

use super::shredding::{Row, Service, check_files};
use super::support::TestResult;
use crate::support::postgres::{self, Database, SUPERUSER};

async fn read(client: &Client) -> TestResult<Vec<Row>> {
    let rows = client.query("SELECT id, tenant, email, email_index FROM users ORDER BY id", &[]).await?;
    let row = |row: &tokio_postgres::Row| -> Result<Row, tokio_postgres::Error> {
        Ok(Row { id: row.try_get(0)?, tenant: row.try_get(1)?, stored: row.try_get(2)?, index: row.try_get(3)? })
    };
    Ok(rows.iter().map(row).collect::<Result<_, _>>()?)
}

async fn connect(url: &str) -> TestResult<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

#[test]
fn nothing_of_a_deleted_tenant_remains_in_postgresql() -> TestResult {
    // Statements with their parameters would be logged, too.
    let settings = [("log_statement", "all"), ("wal_level", "logical")];
    let test = "columns::postgres_shredding::nothing_of_a_deleted_tenant_remains_in_postgresql";
    let Some(server) = postgres::own(test, &settings) else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let service = Service::create(folder.path())?;
    let database = Database::create(&server)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let rows = runtime.block_on(async {
        let client = connect(&database.url()).await?;
        client
            .batch_execute(
                "CREATE TABLE users (id bigint PRIMARY KEY, tenant text, email bytea, email_index bytea, note text);
                 CREATE INDEX users_by_email ON users (email_index)",
            )
            .await?;
        let insert = "INSERT INTO users VALUES ($1, $2, $3, $4, 'a note in plaintext')";
        for row in service.rows()? {
            client.execute(insert, &[&row.id, &row.tenant, &row.stored, &row.index]).await?;
        }
        // Versions of rows that are dead.
        client.batch_execute("UPDATE users SET note = note || '!'").await?;
        read(&client).await
    })?;
    service.check_all_open(&rows)?;

    // A backup: a copy of the database, which copies its files.
    let backup = server.url("backup");
    server.sql(SUPERUSER, &format!("CREATE DATABASE backup TEMPLATE {}", database.name()))?;
    server.sql(SUPERUSER, "CHECKPOINT")?;
    let deleted = service.shred(&rows)?;
    check_files(server.folder(), "a note in plaintext")?;
    check_files(folder.path(), "alias/tenant/acme")?;
    for url in [database.url(), backup] {
        let rows = runtime.block_on(async { read(&connect(&url).await?).await })?;
        service.check_shredded(&rows, &deleted)?;
    }
    Ok(())
}
