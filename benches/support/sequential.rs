//! The obvious store in PostgreSQL: as few statements as possible, each of which waits for the answer
//! to the one before it.

use std::fmt;
use std::sync::{Mutex, MutexGuard};

use strongroom::store::{
    Change, CommitError, Expectation, KeyStore, MAX_SCAN, Pending, Record, RecordId, Revision, Scan, StoreId,
    WriteChanges,
};
use strongroom::{Error, ErrorKind, Result};
use tokio::runtime::Runtime;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Row, Statement};

/// The same plans as those of `PostgresStore`. Without indexes, its costs look high enough to compile
/// each statement.
const PLANS: &str = "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off";

/// A store with a connection for each thread.
pub(crate) struct SequentialStore {
    id: StoreId,
    runtime: Runtime,
    connections: Vec<Mutex<Connection>>,
}

struct Connection {
    client: Client,
    revision: Statement,
    lock: Statement,
    get: Statement,
    scan: Statement,
    write: Statement,
}

type Parameters<'a> = [&'a (dyn ToSql + Sync)];

fn failed(error: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Store, error.to_string())
}

impl Connection {
    async fn open(conninfo: &str, schema: &str) -> Result<Self, tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::connect(conninfo, NoTls).await?;
        tokio::spawn(connection);
        client.batch_execute(&format!("SET search_path = {schema}; {PLANS}")).await?;
        Ok(Self {
            revision: client.prepare("SELECT revision FROM store").await?,
            lock: client.prepare("SELECT revision FROM store FOR UPDATE").await?,
            get: client
                .prepare(
                    "SELECT revision, body, ord FROM unnest($1::int2[], $2::bytea[], $3::bytea[]) WITH ORDINALITY \
                     AS x (kind, account, name, ord) JOIN record USING (kind, account, name)",
                )
                .await?,
            scan: client
                .prepare(
                    "SELECT revision, body, account, name FROM record WHERE kind = $1 AND (account, name) > ($2, $3) \
                     ORDER BY account, name LIMIT $4",
                )
                .await?,
            write: client
                .prepare(
                    "WITH gone AS (DELETE FROM record r USING unnest($6::int2[], $7::bytea[], $8::bytea[]) \
                       AS d (kind, account, name) WHERE (r.kind, r.account, r.name) = (d.kind, d.account, d.name)), \
                     step AS (UPDATE store SET revision = $5) \
                     INSERT INTO record SELECT kind, account, name, $5, body FROM \
                       unnest($1::int2[], $2::bytea[], $3::bytea[], $4::bytea[]) AS p (kind, account, name, body) \
                     ON CONFLICT (kind, account, name) DO UPDATE SET revision = excluded.revision, body = excluded.body",
                )
                .await?,
            client,
        })
    }

    async fn get_all(&self, ids: &[RecordId]) -> Result<Vec<Option<Record>>> {
        let Names(kinds, accounts, names) = ids.iter().collect();
        let rows = self.client.query(&self.get, &[&kinds, &accounts, &names]).await.map_err(failed)?;
        let mut found = vec![None; ids.len()];
        for row in &rows {
            let place = usize::try_from(row.try_get::<_, i64>(2).map_err(failed)? - 1).map_err(failed)?;
            found[place] = Some(record(row)?);
        }
        Ok(found)
    }

    async fn write(&self, changes: Vec<Change>, revision: Revision) -> Result<()> {
        let number = i64::try_from(revision.0).map_err(failed)?;
        let (put, gone): (Vec<_>, Vec<_>) = changes.into_iter().partition(|change| change.body.is_some());
        let Names(kinds, accounts, names) = put.iter().map(|change| &change.id).collect();
        let bodies: Vec<_> = put.iter().filter_map(|change| change.body.as_deref()).collect();
        let gone: Names = gone.iter().map(|change| &change.id).collect();
        let parameters: &Parameters<'_> = &[&kinds, &accounts, &names, &bodies, &number, &gone.0, &gone.1, &gone.2];
        self.client.execute(&self.write, parameters).await.map_err(failed)?;
        self.client.batch_execute("COMMIT").await.map_err(failed)
    }
}

/// The names of records as parallel arrays.
struct Names(Vec<i16>, Vec<Vec<u8>>, Vec<Vec<u8>>);

impl<'a> FromIterator<&'a RecordId> for Names {
    fn from_iter<I: IntoIterator<Item = &'a RecordId>>(ids: I) -> Self {
        let mut names = Self(Vec::new(), Vec::new(), Vec::new());
        for id in ids {
            names.0.push(id.kind.code().into());
            names.1.push(id.account.as_bytes().to_vec());
            names.2.push(id.name.clone());
        }
        names
    }
}

fn record(row: &Row) -> Result<Record> {
    let revision: i64 = row.try_get(0).map_err(failed)?;
    let body: &[u8] = row.try_get(1).map_err(failed)?;
    Ok(Record { revision: Revision(u64::try_from(revision).map_err(failed)?), body: body.into() })
}

impl SequentialStore {
    /// Opens the store in a schema that [`PostgresStore`](strongroom::store::PostgresStore) created.
    pub(crate) fn open(conninfo: &str, schema: &str, connections: usize) -> Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(failed)?;
        let open = || runtime.block_on(Connection::open(conninfo, schema)).map(Mutex::new).map_err(failed);
        let connections: Vec<_> = (0..connections).map(|_| open()).collect::<Result<_>>()?;
        let id = {
            let first = connections[0].lock().expect("no panic");
            let row = runtime.block_on(first.client.query_one("SELECT id FROM store", &[])).map_err(failed)?;
            let id: &[u8] = row.try_get(0).map_err(failed)?;
            StoreId(id.try_into().map_err(failed)?)
        };
        Ok(Self { id, runtime, connections })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        let idle = self.connections.iter().find_map(|connection| connection.try_lock().ok());
        idle.unwrap_or_else(|| self.connections[0].lock().expect("no panic"))
    }
}

struct Next<'a> {
    store: &'a SequentialStore,
    connection: &'a Connection,
    revision: Revision,
}

impl Pending for Next<'_> {
    fn revision(&self) -> Revision {
        self.revision
    }

    fn get(&mut self, id: &RecordId) -> Result<Option<Record>> {
        Ok(self.store.runtime.block_on(self.connection.get_all(std::slice::from_ref(id)))?.pop().flatten())
    }
}

impl KeyStore for SequentialStore {
    fn id(&self) -> StoreId {
        self.id
    }

    fn revision(&self) -> Result<Revision> {
        let connection = self.connection();
        let row = self.runtime.block_on(connection.client.query_one(&connection.revision, &[])).map_err(failed)?;
        Ok(Revision(u64::try_from(row.get::<_, i64>(0)).map_err(failed)?))
    }

    fn get_all(&self, ids: &[RecordId]) -> Result<Vec<Option<Record>>> {
        let connection = self.connection();
        self.runtime.block_on(connection.get_all(ids))
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<(RecordId, Record)>> {
        let connection = self.connection();
        let kind = i16::from(scan.kind.code());
        let limit = i64::try_from(scan.limit.min(MAX_SCAN)).map_err(failed)?;
        let (account, name) = scan
            .after
            .as_ref()
            .map_or((Vec::new(), Vec::new()), |after| (after.account.as_bytes().to_vec(), after.name.clone()));
        let parameters: &Parameters<'_> = &[&kind, &account, &name, &limit];
        let rows = self.runtime.block_on(connection.client.query(&connection.scan, parameters)).map_err(failed)?;
        let named = rows.iter().map(|row| {
            let account = String::from_utf8_lossy(row.try_get(2).map_err(failed)?).parse()?;
            Ok((RecordId { kind: scan.kind, account, name: row.try_get(3).map_err(failed)? }, record(row)?))
        });
        let all: Vec<(RecordId, Record)> = named.collect::<Result<_>>()?;
        Ok(all.into_iter().filter(|(id, _)| scan.account.is_none_or(|account| account == id.account)).collect())
    }

    fn commit(&self, expected: &[Expectation], changes: &mut WriteChanges<'_>) -> Result<Revision, CommitError> {
        let connection = self.connection();
        let client = &connection.client;
        let begin = async {
            client.batch_execute("BEGIN").await.map_err(failed)?;
            let row = client.query_one(&connection.lock, &[]).await.map_err(failed)?;
            let ids: Vec<_> = expected.iter().map(|expectation| expectation.id.clone()).collect();
            let found = connection.get_all(&ids).await?;
            let is_unmet = |(wanted, found): &(&Expectation, Option<Record>)| {
                found.as_ref().map(|record| record.revision) != wanted.revision
            };
            if let Some((unmet, _)) = expected.iter().zip(found).find(is_unmet) {
                return Ok(Err(unmet.id.clone()));
            }
            Ok::<_, Error>(Ok(Revision(u64::try_from(row.get::<_, i64>(0)).map_err(failed)? + 1)))
        };
        let result = match self.runtime.block_on(begin)? {
            Err(id) => Err(CommitError::Conflict(id)),
            Ok(revision) => changes(&mut Next { store: self, connection: &connection, revision })
                .and_then(|changes| self.runtime.block_on(connection.write(changes, revision)).map(|()| revision))
                .map_err(CommitError::from),
        };
        if result.is_err() {
            self.runtime.block_on(client.batch_execute("ROLLBACK")).map_err(failed)?;
        }
        result
    }
}

impl fmt::Debug for SequentialStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SequentialStore").field("id", &self.id).finish_non_exhaustive()
    }
}
