//! Records as rows: every statement that runs on an open store.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, Statement, params};

use super::failure::{failed, reason};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;
use crate::store::error::StoreError;
use crate::store::{Change, CommitError, Expectation, MAX_SCAN, Record, RecordId, Revision, Scan, StoreId};

const ID: &str = "SELECT id FROM store";
const REVISION: &str = "SELECT revision FROM store";
const ADVANCE: &str = "UPDATE store SET revision = ?1";
const GET: &str = "SELECT revision, body FROM record WHERE kind = ?1 AND account = ?2 AND name = ?3";
const REVISION_OF: &str = "SELECT revision FROM record WHERE kind = ?1 AND account = ?2 AND name = ?3";
const PUT: &str = "INSERT INTO record (kind, account, name, revision, body) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT DO UPDATE SET revision = excluded.revision, body = excluded.body";
const DELETE: &str = "DELETE FROM record WHERE kind = ?1 AND account = ?2 AND name = ?3";
const SCAN_ALL: &str = "SELECT account, name, revision, body FROM record
    WHERE kind = ?1 AND revision > ?3 ORDER BY account, name LIMIT ?2";
const SCAN_ALL_AFTER: &str = "SELECT account, name, revision, body FROM record
    WHERE kind = ?1 AND revision > ?3 AND (account, name) > (?4, ?5) ORDER BY account, name LIMIT ?2";
const SCAN_ACCOUNT: &str = "SELECT account, name, revision, body FROM record
    WHERE kind = ?1 AND revision > ?3 AND account = ?4 ORDER BY name LIMIT ?2";
const SCAN_ACCOUNT_AFTER: &str = "SELECT account, name, revision, body FROM record
    WHERE kind = ?1 AND revision > ?3 AND account = ?4 AND name > ?5 ORDER BY name LIMIT ?2";
const CHECK: &str = "PRAGMA integrity_check";

/// The result of [`CHECK`] if it finds no damage.
const WHOLE: &str = "ok";

/// Reads the identity of the store.
pub(super) fn store_id(connection: &Connection) -> Result<StoreId> {
    connection.query_row(ID, [], |row| row.get(0)).map(StoreId).map_err(failed)
}

/// Reads the revision of the last commit.
pub(super) fn revision(connection: &Connection) -> Result<Revision> {
    let mut statement = connection.prepare_cached(REVISION).map_err(failed)?;
    statement.query_row([], |row| row.get(0)).map_err(failed).and_then(from_column)
}

/// Reads one record.
pub(super) fn get(connection: &Connection, id: &RecordId) -> Result<Option<Record>> {
    let mut statement = connection.prepare_cached(GET).map_err(failed)?;
    let key = params![id.kind.code(), id.account.as_bytes(), id.name];
    let found = statement.query_row(key, |row| Ok((row.get(0)?, body(row, 1)?))).optional().map_err(failed)?;
    found.map(|(revision, body)| Ok(Record { revision: from_column(revision)?, body })).transpose()
}

/// Reads records that were written after a revision, in order from one consistent state. A statement
/// sees one state of the file from its first row to its last.
pub(super) fn scan(connection: &Connection, scan: &Scan, since: Revision) -> Result<Vec<(RecordId, Record)>> {
    let (kind, after, since) = (scan.kind.code(), scan.after.as_ref(), to_column(since)?);
    let limit = i64::try_from(scan.limit.min(MAX_SCAN)).expect("bounded by MAX_SCAN");
    let prepare = |sql| connection.prepare_cached(sql).map_err(failed);
    let mut statement = prepare(match (scan.account, after) {
        (None, None) => SCAN_ALL,
        (None, Some(_)) => SCAN_ALL_AFTER,
        (Some(_), None) => SCAN_ACCOUNT,
        (Some(_), Some(_)) => SCAN_ACCOUNT_AFTER,
    })?;
    let account = scan.account.as_ref().or(after.map(|after| &after.account)).map(AccountId::as_bytes);
    let found = match (account, after) {
        (Some(account), Some(after)) => statement.query(params![kind, limit, since, account, after.name]),
        (Some(account), None) => statement.query(params![kind, limit, since, account]),
        (None, _) => statement.query(params![kind, limit, since]),
    };
    let mut rows = found.map_err(failed)?;
    let mut records = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        records.push(record(scan, row)?);
    }
    Ok(records)
}

fn record(scan: &Scan, row: &Row<'_>) -> Result<(RecordId, Record)> {
    let account: [u8; 12] = row.get(0).map_err(failed)?;
    let account = std::str::from_utf8(&account)
        .ok()
        .and_then(|text| AccountId::parse(text).ok())
        .ok_or_else(|| Error::new(ErrorKind::Store, "the store's file is corrupt: a record belongs to no account"))?;
    let id = RecordId { kind: scan.kind, account, name: row.get(1).map_err(failed)? };
    let revision = from_column(row.get(2).map_err(failed)?)?;
    Ok((id, Record { revision, body: body(row, 3).map_err(failed)? }))
}

/// Checks the whole file with SQLite: the tree of every table, the list of free pages, and that
/// each page belongs to one of them.
pub(super) fn damage(connection: &Connection) -> Result<Vec<StoreError>> {
    let lines = |mut check: Statement<'_>| check.query_map([], |row| row.get(0))?.collect();
    let found: rusqlite::Result<Vec<String>> = connection.prepare(CHECK).and_then(lines);
    match found.map_err(reason) {
        Ok(found) => {
            Ok(found.into_iter().filter(|line| line != WHOLE).map(|line| StoreError::Damaged(line.into())).collect())
        }
        // The file is too damaged to be traversed.
        Err(damaged @ StoreError::Damaged(_)) => Ok(vec![damaged]),
        Err(error) => Err(error.into()),
    }
}

/// Returns an error if an expectation does not hold.
pub(super) fn check(connection: &Connection, expected: &[Expectation]) -> Result<(), CommitError> {
    let mut statement = connection.prepare_cached(REVISION_OF).map_err(failed)?;
    for Expectation { id, revision } in expected {
        let key = params![id.kind.code(), id.account.as_bytes(), id.name];
        let found = statement.query_row(key, |row| row.get(0)).optional().map_err(failed)?;
        if found.map(from_column).transpose()? != *revision {
            return Err(CommitError::Conflict(id.clone()));
        }
    }
    Ok(())
}

/// Writes the changes of a commit and records it as the last one.
pub(super) fn apply(connection: &Connection, changes: &[Change], revision: Revision) -> Result<()> {
    let number = to_column(revision)?;
    let mut put = connection.prepare_cached(PUT).map_err(failed)?;
    let mut delete = connection.prepare_cached(DELETE).map_err(failed)?;
    for Change { id, body } in changes {
        let (kind, account, name) = (id.kind.code(), id.account.as_bytes(), &id.name);
        match body {
            Some(body) => put.execute(params![kind, account, name, number, body]),
            None => delete.execute(params![kind, account, name]),
        }
        .map_err(failed)?;
    }
    connection.prepare_cached(ADVANCE).and_then(|mut advance| advance.execute([number])).map_err(failed)?;
    Ok(())
}

fn body(row: &Row<'_>, column: usize) -> rusqlite::Result<Arc<[u8]>> {
    Ok(row.get_ref(column)?.as_blob()?.into())
}

fn from_column(revision: i64) -> Result<Revision> {
    u64::try_from(revision)
        .map(Revision)
        .map_err(|_| Error::new(ErrorKind::Store, "the store's file is corrupt: it contains a negative revision"))
}

fn to_column(revision: Revision) -> Result<i64> {
    i64::try_from(revision.0)
        .map_err(|_| Error::new(ErrorKind::Store, "the store's file is corrupt: its revisions are exhausted"))
}
