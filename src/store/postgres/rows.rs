//! Records as rows: reads, and the parameters of statements.

use tokio_postgres::Row;

use super::failure::reason;
use super::link::Link;
use super::schema::check_format;
use crate::identity::AccountId;
use crate::store::error::StoreError;
use crate::store::{MAX_SCAN, Record, RecordId, RecordKind, Revision, Scan};

/// The names of records as parallel arrays.
#[derive(Default)]
pub(super) struct Names {
    kinds: Vec<i16>,
    accounts: Vec<Vec<u8>>,
    names: Vec<Vec<u8>>,
}

impl Names {
    pub(super) fn push(&mut self, id: &RecordId) {
        self.kinds.push(id.kind.code().into());
        self.accounts.push(id.account.as_bytes().to_vec());
        self.names.push(id.name.clone());
    }

    pub(super) fn len(&self) -> usize {
        self.kinds.len()
    }

    /// Returns the three parameters of a statement.
    pub(super) fn parameters(&self) -> [&(dyn tokio_postgres::types::ToSql + Sync); 3] {
        [&self.kinds, &self.accounts, &self.names]
    }
}

impl<'a> FromIterator<&'a RecordId> for Names {
    fn from_iter<I: IntoIterator<Item = &'a RecordId>>(ids: I) -> Self {
        let mut names = Self::default();
        ids.into_iter().for_each(|id| names.push(id));
        names
    }
}

/// The last commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) revision: Revision,
    /// A random value that the commit wrote. If the store goes back, the next commit with the same
    /// revision has another one.
    pub(super) token: [u8; 16],
}

/// Reads the last commit. Fails if another process has migrated the store.
pub(super) async fn head(link: &Link) -> Result<Head, StoreError> {
    let row = link.client().query_one(&link.statements.head, &[]).await.map_err(reason)?;
    check_format(row.try_get::<_, i32>(2).map_err(reason)?.into())?;
    head_of(&row)
}

/// Returns the commit in the first two columns of a row.
pub(super) fn head_of(row: &Row) -> Result<Head, StoreError> {
    let token: &[u8] = row.try_get(1).map_err(reason)?;
    let token = token.try_into().map_err(|_| StoreError::Damaged("a token has a wrong length".into()))?;
    Ok(Head { revision: from_column(row.try_get(0).map_err(reason)?)?, token })
}

/// Reads records in the order of their names, from one consistent state: that of one statement.
pub(super) async fn get_all(link: &Link, names: &Names) -> Result<Vec<Option<Record>>, StoreError> {
    if names.len() == 0 {
        return Ok(Vec::new());
    }
    let rows = link.client().query(&link.statements.get_all, &names.parameters()).await.map_err(reason)?;
    in_order(names, &rows, |row| record(row, 1))
}

/// Reads the revisions of records, in the order of their names.
pub(super) async fn revisions_of(link: &Link, names: &Names) -> Result<Vec<Option<Revision>>, StoreError> {
    let rows = link.client().query(&link.statements.revisions_of, &names.parameters()).await.map_err(reason)?;
    in_order(names, &rows, |row| from_column(row.try_get(1).map_err(reason)?))
}

/// Reads records that were written after a revision, in order from one consistent state.
pub(super) async fn scan(link: &Link, scan: &Scan, since: Revision) -> Result<Vec<(RecordId, Record)>, StoreError> {
    let kind = i16::from(scan.kind.code());
    let limit = i64::try_from(scan.limit.min(MAX_SCAN)).expect("bounded by MAX_SCAN");
    // The name after a name is the name followed by a zero byte.
    let from = scan.after.as_ref().map_or_else(Vec::new, |after| [&after.name[..], &[0]].concat());
    let account = scan.account.or(scan.after.as_ref().map(|after| after.account));
    let account = account.map_or_else(Vec::new, |account| account.as_bytes().to_vec());
    let statement = if scan.account.is_some() { &link.statements.scan_account } else { &link.statements.scan_all };
    let rows =
        link.client().query(statement, &[&kind, &account, &from, &limit, &to_column(since)?]).await.map_err(reason)?;
    if rows.len() > MAX_SCAN {
        return Err(StoreError::Damaged("the server returned more records than requested".into()));
    }
    rows.iter().map(|row| Ok((id(scan.kind, row)?, record(row, 2)?))).collect()
}

fn in_order<T: Clone>(
    names: &Names,
    rows: &[Row],
    read: impl Fn(&Row) -> Result<T, StoreError>,
) -> Result<Vec<Option<T>>, StoreError> {
    let mut found = vec![None; names.len()];
    for row in rows {
        let number: i64 = row.try_get(0).map_err(reason)?;
        let place = usize::try_from(number - 1).ok().and_then(|number| found.get_mut(number));
        *place.ok_or_else(|| StoreError::Damaged("the server returned an unrequested record".into()))? =
            Some(read(row)?);
    }
    Ok(found)
}

fn id(kind: RecordKind, row: &Row) -> Result<RecordId, StoreError> {
    let account: &[u8] = row.try_get(0).map_err(reason)?;
    let account = std::str::from_utf8(account).ok().and_then(|text| AccountId::parse(text).ok());
    let account = account.ok_or_else(|| StoreError::Damaged("a record belongs to no account".into()))?;
    Ok(RecordId { kind, account, name: row.try_get(1).map_err(reason)? })
}

/// Reads a revision and a body, in this order, from column `first`.
fn record(row: &Row, first: usize) -> Result<Record, StoreError> {
    let revision = from_column(row.try_get(first).map_err(reason)?)?;
    let body: Option<&[u8]> = row.try_get(first + 1).map_err(reason)?;
    let body = body.ok_or_else(|| StoreError::Damaged("the body of a record is too long".into()))?;
    Ok(Record { revision, body: body.into() })
}

pub(super) fn from_column(revision: i64) -> Result<Revision, StoreError> {
    u64::try_from(revision).map(Revision).map_err(|_| StoreError::Damaged("a revision is negative".into()))
}

pub(super) fn to_column(revision: Revision) -> Result<i64, StoreError> {
    i64::try_from(revision.0).map_err(|_| StoreError::Damaged("the revisions are exhausted".into()))
}
