//! A transaction in two round trips: the lock and all reads, then the write and the commit.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;

use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::types::ToSql;

use super::failure::{cause, is_answer, reason, text};
use super::join::Pipeline;
use super::options::Settings;
use super::outcome::{Attempt, Written};
use super::pool::{Loan, Pool};
use super::rows::{self, Head, Names};
use super::schema::check_format;
use crate::store::error::{Cause, StoreError};
use crate::store::{Change, Expectation, Record, RecordId, Revision};

/// A transaction that holds the lock of the store. Dropping it closes its connection, which rolls
/// it back.
pub(super) struct Transaction {
    loan: Loan,
    /// The revision before the transaction.
    last: Revision,
    number: u64,
    /// The revisions of records when the transaction began.
    revisions: BTreeMap<RecordId, Option<Revision>>,
    /// Records when the transaction began, as far as they were read.
    known: BTreeMap<RecordId, Option<Record>>,
    /// The number of commits in the transaction.
    commits: u64,
    /// The changes of these commits.
    changed: BTreeMap<RecordId, Changed>,
}

/// The last change to a record.
struct Changed {
    revision: Revision,
    /// Absent if the record was deleted.
    body: Option<Arc<[u8]>>,
}

/// The records that a transaction reads together with taking the lock.
pub(super) struct Reads {
    /// Records whose revisions are expected.
    pub(super) revisions: BTreeSet<RecordId>,
    /// Records that are probably read.
    pub(super) records: BTreeSet<RecordId>,
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
pub(super) async fn begin(pool: &Arc<Pool>, settings: &Settings, reads: &Reads) -> Result<Transaction, StoreError> {
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

async fn begin_on(loan: Loan, lock: &str, reads: &Reads) -> Result<Transaction, StoreError> {
    let warnings = loan.warnings();
    let (expected, prefetch): (Names, Names) = (reads.revisions.iter().collect(), reads.records.iter().collect());
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
    Ok(Transaction {
        loan,
        last,
        number,
        revisions: reads.revisions.iter().cloned().zip(revisions).collect(),
        known: reads.records.iter().cloned().zip(records).collect(),
        commits: 0,
        changed: BTreeMap::new(),
    })
}

/// The settings of the transaction come first. Those of a session may weaken durability, and a
/// connection pooler between the server and this process may forget them. The server gives up
/// before this process does, so that no lock outlives a failed commit.
fn lock_statement(settings: &Settings) -> String {
    let (schema, timeout) = (settings.quoted_schema(), settings.timeout_millis());
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
    /// Returns the revision that the next commit will have.
    pub(super) fn revision(&self) -> Revision {
        Revision(self.last.0 + self.commits + 1)
    }

    /// Returns what identifies the transaction on a server.
    pub(super) fn attempt(&self) -> Attempt {
        Attempt {
            number: self.number,
            timeline: self.loan.timeline(),
            revision: Revision(self.last.0 + self.commits),
            changed: self
                .changed
                .iter()
                .map(|(id, Changed { revision, body })| {
                    (id.clone(), Written { revision: *revision, body: body.clone() })
                })
                .collect(),
        }
    }

    /// Returns `true` if there are no commits in the transaction.
    pub(super) fn is_empty(&self) -> bool {
        self.commits == 0
    }

    /// Returns a record whose expectation does not hold as an error.
    pub(super) fn check(&self, expected: &[Expectation]) -> Result<(), RecordId> {
        let revision = |id| match self.changed.get(id) {
            Some(Changed { revision, body }) => body.as_ref().map(|_| *revision),
            None => self.revisions.get(id).copied().flatten(),
        };
        let unmet = expected.iter().find(|expectation| revision(&expectation.id) != expectation.revision);
        unmet.map_or(Ok(()), |expectation| Err(expectation.id.clone()))
    }

    /// Adds a commit. If it changes a record repeatedly, the last change counts.
    pub(super) fn apply(&mut self, changes: Vec<Change>) -> Revision {
        let revision = self.revision();
        let changed = |Change { id, body }: Change| (id, Changed { revision, body: body.map(Into::into) });
        self.changed.extend(changes.into_iter().map(changed));
        self.commits += 1;
        revision
    }

    /// Returns a record as the last commit in the transaction left it, if it was read or changed.
    pub(super) fn known(&self, id: &RecordId) -> Option<Option<Record>> {
        match self.changed.get(id) {
            Some(Changed { revision, body }) => {
                Some(body.as_ref().map(|body| Record { revision: *revision, body: Arc::clone(body) }))
            }
            None => self.known.get(id).cloned(),
        }
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

    /// Writes the changes of all commits and ends the transaction, in one round trip.
    pub(super) async fn commit(self) -> Result<Head, Failed> {
        let write = Write::new(&self).map_err(Failed::Nothing)?;
        if self.loan.is_closed() {
            return Err(Failed::Nothing(StoreError::Unreachable("the connection was lost".into())));
        }
        let warnings = self.loan.warnings();
        let (written, committed) = {
            let link = &*self.loan;
            let mut pipeline = Pipeline::new();
            pipeline.add(async { link.client().query_opt(&link.statements.write, &write.parameters()).await });
            pipeline.add(async { link.client().batch_execute("COMMIT").await.map(|()| None) });
            let mut answers = pipeline.run().await.into_iter();
            (answers.next().expect("two answers"), answers.next().expect("two answers"))
        };
        // After a failed write, COMMIT succeeds and rolls back.
        let row = match written {
            Ok(Some(row)) => row,
            Ok(None) => return Err(Failed::Nothing(StoreError::Damaged("the row of the store is missing".into()))),
            Err(error) if is_answer(&error) => return Err(Failed::Nothing(reason(error))),
            Err(error) => return Err(Failed::Unknown(cause(error))),
        };
        committed.map_err(|error| Failed::Unknown(cause(error)))?;
        // The server warns if it stopped waiting for a synchronous replica.
        if self.loan.warnings() != warnings {
            return Err(Failed::Unknown("the server committed with a warning".into()));
        }
        let head = rows::head_of(&row).map_err(|error| Failed::Unknown(text(&error).into()))?;
        drop(write);
        self.loan.finish();
        Ok(head)
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

/// The parameters of the statement that writes the changes.
struct Write<'a> {
    put: Names,
    revisions: Vec<i64>,
    bodies: Vec<&'a [u8]>,
    gone: Names,
    new: i64,
    old: i64,
}

impl<'a> Write<'a> {
    fn new(transaction: &'a Transaction) -> Result<Self, StoreError> {
        let new = rows::to_column(Revision(transaction.last.0 + transaction.commits))?;
        let old = rows::to_column(transaction.last)?;
        let (mut put, mut gone) = (Names::default(), Names::default());
        let (mut revisions, mut bodies) = (Vec::new(), Vec::new());
        for (id, Changed { revision, body }) in &transaction.changed {
            match body {
                Some(body) => {
                    put.push(id);
                    revisions.push(rows::to_column(*revision)?);
                    bodies.push(&body[..]);
                }
                None => gone.push(id),
            }
        }
        Ok(Self { put, revisions, bodies, gone, new, old })
    }

    fn parameters(&self) -> [&(dyn ToSql + Sync); 10] {
        let ([put_1, put_2, put_3], [gone_1, gone_2, gone_3]) = (self.put.parameters(), self.gone.parameters());
        [put_1, put_2, put_3, &self.revisions, &self.bodies, gone_1, gone_2, gone_3, &self.new, &self.old]
    }
}
