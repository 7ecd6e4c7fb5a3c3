//! A commit in two round trips: the lock and everything it reads, then the write and the commit.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::types::ToSql;

use super::failure::{cause, is_answer, reason};
use super::join::Pipeline;
use super::options::Settings;
use super::pool::{Loan, Pool};
use super::rows::{self, Names};
use super::schema::check_format;
use crate::store::error::{Cause, StoreError};
use crate::store::{Change, Expectation, Record, RecordId, Revision};

/// A transaction that holds the lock of the store. Dropping it closes its connection, which rolls
/// it back.
pub(super) struct Transaction {
    loan: Loan,
    /// The revision before this commit.
    last: Revision,
    number: u64,
    /// Records read so far.
    known: BTreeMap<RecordId, Option<Record>>,
}

/// The records that a commit reads together with taking the lock.
pub(super) struct Reads {
    pub(super) expected: Vec<Expectation>,
    pub(super) prefetch: Vec<RecordId>,
}

/// The result of starting a transaction.
pub(super) enum Begun {
    /// All expectations hold.
    Locked(Transaction),
    /// The transaction must be rolled back, because this record is not at the expected revision.
    Conflict(Transaction, RecordId),
}

enum Answer {
    Locked(Vec<SimpleQueryMessage>),
    Revisions(Vec<Option<Revision>>),
    Records(Vec<Option<Record>>),
}

/// Starts a transaction, takes the lock of the store, and then checks the expectations and reads
/// records, in one round trip. Each statement sees the state after the lock was granted, because
/// the isolation level is READ COMMITTED.
///
/// If a connection that was idle turns out to be lost, tries again with a new one.
pub(super) async fn begin(pool: &Arc<Pool>, settings: &Settings, reads: &Reads) -> Result<Begun, StoreError> {
    let lock = lock_statement(settings);
    loop {
        let loan = pool.borrow().await?;
        let is_reused = loan.is_reused;
        match begin_on(loan, &lock, reads).await {
            Err(StoreError::Unreachable(_) | StoreError::ReadOnly(_)) if is_reused => pool.forget_idle(),
            result => return result,
        }
    }
}

async fn begin_on(loan: Loan, lock: &str, reads: &Reads) -> Result<Begun, StoreError> {
    let warnings = loan.warnings();
    let expected: Names = reads.expected.iter().map(|expectation| &expectation.id).collect();
    let prefetch: Names = reads.prefetch.iter().collect();
    let (revisions, records, locked) = {
        let mut pipeline = Pipeline::new();
        let link = &*loan;
        pipeline.add(async { Ok(Answer::Locked(link.client().simple_query(lock).await.map_err(reason)?)) });
        pipeline.add(async { Ok(Answer::Revisions(rows::revisions_of(link, &expected).await?)) });
        pipeline.add(async { Ok(Answer::Records(rows::get_all(link, &prefetch).await?)) });
        let answers = pipeline.run().await.into_iter().collect::<Result<Vec<_>, StoreError>>()?;
        match <[Answer; 3]>::try_from(answers).ok() {
            Some([Answer::Locked(locked), Answer::Revisions(revisions), Answer::Records(records)]) => {
                (revisions, records, locked)
            }
            _ => unreachable!("answers are in the order of the requests"),
        }
    };
    // The server warns if the session is still in a transaction.
    if loan.warnings() != warnings {
        return Err(StoreError::Rejected("the server warned when a transaction was started".into()));
    }
    let (last, number) = read_lock(&locked)?;
    let known = reads.prefetch.iter().cloned().zip(records).collect();
    let transaction = Transaction { loan, last, number, known };
    let unmet = reads.expected.iter().zip(revisions).find(|(expectation, found)| expectation.revision != *found);
    Ok(match unmet {
        Some((expectation, _)) => Begun::Conflict(transaction, expectation.id.clone()),
        None => Begun::Locked(transaction),
    })
}

/// The settings of the transaction come first. Those of a session may weaken durability, and a
/// connection pooler between the server and this process may forget them. The server gives up
/// before this process does, so that no lock outlives a failed commit.
fn lock_statement(settings: &Settings) -> String {
    let (schema, timeout) = (settings.quoted_schema(), settings.timeout.as_millis().max(4));
    let (lock, idle) = (timeout * 3 / 4, timeout);
    format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
         SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit') \
           WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, true), \
           set_config('lock_timeout', '{lock}', true), set_config('statement_timeout', '{timeout}', true), \
           set_config('idle_in_transaction_session_timeout', '{idle}', true); \
         SELECT revision, pg_current_xact_id(), format FROM {schema}.store FOR NO KEY UPDATE"
    )
}

fn read_lock(messages: &[SimpleQueryMessage]) -> Result<(Revision, u64), StoreError> {
    let row = messages.iter().rev().find_map(|message| match message {
        SimpleQueryMessage::Row(row) if row.len() == 3 => Some(row),
        _ => None,
    });
    let row = row.ok_or_else(|| StoreError::Damaged("the row of the store is missing".into()))?;
    let number = |column| row.get(column).and_then(|text: &str| text.parse().ok());
    match (number(0), number(1), row.get(2).and_then(|text: &str| text.parse().ok())) {
        (Some(revision), Some(number), Some(format)) => {
            check_format(format)?;
            Ok((Revision(revision), number))
        }
        _ => Err(StoreError::Damaged("the row of the store is malformed".into())),
    }
}

impl Transaction {
    /// Returns the revision that the commit will have.
    pub(super) fn revision(&self) -> Revision {
        Revision(self.last.0 + 1)
    }

    /// Returns the server's number of the transaction.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Returns a record that was already read.
    pub(super) fn known(&self, id: &RecordId) -> Option<&Option<Record>> {
        self.known.get(id)
    }

    /// Adds a record that was read in this transaction.
    pub(super) fn note(&mut self, id: RecordId, record: Option<Record>) {
        self.known.insert(id, record);
    }

    /// Reads a record in this transaction.
    pub(super) fn read(&self, id: &RecordId) -> impl Future<Output = Result<Option<Record>, StoreError>> + use<> {
        let (link, names) = (self.loan.link(), Names::from_iter([id]));
        async move { Ok(rows::get_all(&link, &names).await?.pop().flatten()) }
    }

    /// Writes the changes and commits, in one round trip. If a record is changed repeatedly, the
    /// last change counts.
    pub(super) async fn commit(self, changes: Vec<Change>) -> Result<Revision, Failed> {
        let revision = self.revision();
        let write = Write::new(changes, revision, self.last).map_err(Failed::Nothing)?;
        if self.loan.is_closed() {
            return Err(Failed::Nothing(StoreError::Unreachable("the connection was lost".into())));
        }
        let warnings = self.loan.warnings();
        let (written, committed) = {
            let link = &*self.loan;
            let mut pipeline = Pipeline::new();
            pipeline.add(async { link.client().execute(&link.statements.write, &write.parameters()).await });
            pipeline.add(async { link.client().batch_execute("COMMIT").await.map(|()| 1) });
            let mut answers = pipeline.run().await.into_iter();
            (answers.next().expect("two answers"), answers.next().expect("two answers"))
        };
        // After a failed write, COMMIT succeeds and rolls back.
        match written {
            Ok(1) => {}
            Ok(_) => return Err(Failed::Nothing(StoreError::Damaged("the row of the store is missing".into()))),
            Err(error) if is_answer(&error) => return Err(Failed::Nothing(reason(error))),
            Err(error) => return Err(Failed::Unknown(cause(error))),
        }
        committed.map_err(|error| Failed::Unknown(cause(error)))?;
        // The server warns if it stopped waiting for a synchronous replica.
        if self.loan.warnings() != warnings {
            return Err(Failed::Unknown("the server committed with a warning".into()));
        }
        self.loan.finish();
        Ok(revision)
    }

    /// Ends the transaction without effect.
    pub(super) async fn roll_back(self) {
        if self.loan.client().batch_execute("ROLLBACK").await.is_ok() {
            self.loan.finish();
        }
    }
}

/// The reason why a transaction was not committed.
pub(super) enum Failed {
    /// It certainly had no effect.
    Nothing(StoreError),
    /// It may have been committed.
    Unknown(Cause),
}

/// The parameters of the statement that writes a commit.
struct Write {
    put: Names,
    revisions: Vec<i64>,
    bodies: Vec<Vec<u8>>,
    gone: Names,
    new: i64,
    old: i64,
}

impl Write {
    fn new(changes: Vec<Change>, revision: Revision, last: Revision) -> Result<Self, StoreError> {
        let (new, old) = (rows::to_column(revision)?, rows::to_column(last)?);
        let (mut put, mut gone, mut bodies) = (Names::default(), Names::default(), Vec::new());
        let changes: BTreeMap<_, _> = changes.into_iter().map(|change| (change.id, change.body)).collect();
        for (id, body) in changes {
            match body {
                Some(body) => {
                    put.push(&id);
                    bodies.push(body);
                }
                None => gone.push(&id),
            }
        }
        Ok(Self { put, revisions: vec![new; bodies.len()], bodies, gone, new, old })
    }

    fn parameters(&self) -> [&(dyn ToSql + Sync); 10] {
        let ([put_1, put_2, put_3], [gone_1, gone_2, gone_3]) = (self.put.parameters(), self.gone.parameters());
        [put_1, put_2, put_3, &self.revisions, &self.bodies, gone_1, gone_2, gone_3, &self.new, &self.old]
    }
}
