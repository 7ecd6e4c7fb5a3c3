//! Group commit: changes of several threads that wait for the lock of the store share one
//! transaction.
//!
//! The commits of a group take effect one after the other, each with its own revision and on the
//! state that the previous one left, exactly as if each had its own transaction. They become
//! visible and durable together. A commit that fails has no effect on the others, except if the
//! transaction itself fails, which then fails all of them.
//!
//! At most two groups are in progress. The second waits for the lock of the server while the first
//! is being made durable, and the third collects commits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::failure;
use super::transaction::{Reads, Transaction};
use super::writer::Writer;
use crate::error::{Error, Result};
use crate::lock::{Condvar, Mutex};
use crate::store::error::StoreError;
use crate::store::{CommitError, Expectation, Pending, Record, RecordId, Revision, WriteChanges, check_named};

/// The maximum number of groups in progress: as many as there are connections for commits.
pub(super) const MAX_GROUPS: usize = 2;

/// The maximum number of commits in a group. It bounds the size of a transaction.
const MAX_MEMBERS: usize = 32;

/// Commits of this process, merged into groups.
pub(super) struct Groups {
    writer: Writer,
    queue: Arc<Queue>,
}

/// Commits that wait for a group.
#[derive(Default)]
struct Queue {
    state: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    members: VecDeque<Arc<Member>>,
    groups_in_progress: usize,
}

/// A commit of one thread.
struct Member {
    expected: Vec<Expectation>,
    prefetch: Vec<RecordId>,
    /// The group and the position in it, once it has one.
    place: Mutex<Option<(Arc<Group>, usize)>>,
}

impl Groups {
    pub(super) fn new(writer: Writer) -> Self {
        Self { writer, queue: Arc::default() }
    }

    /// Commits the changes of one thread.
    pub(super) fn commit(
        &self,
        expected: &[Expectation],
        prefetch: &[RecordId],
        changes: &mut WriteChanges<'_>,
    ) -> Result<Revision, CommitError> {
        let place = Mutex::new(None);
        let member = Arc::new(Member { expected: expected.to_vec(), prefetch: prefetch.to_vec(), place });
        let (group, number) = self.join(&member).map_err(Error::from)?;
        let mut turn = group.wait_for_turn(&self.writer, number).map_err(Error::from)?;
        let changed = turn.apply(expected, changes);
        drop(turn);
        let revision = changed?;
        group.wait_for_result(&self.writer).map_err(Error::from)?;
        Ok(revision)
    }

    /// Waits until the commit belongs to a group. The thread whose commit has waited longest starts
    /// the group.
    fn join(&self, member: &Arc<Member>) -> Result<(Arc<Group>, usize), StoreError> {
        let (timeout, begun) = (self.writer.timeout(), Instant::now());
        let mut waiting = self.queue.state.lock();
        waiting.members.push_back(Arc::clone(member));
        loop {
            if let Some(place) = member.place.lock().take() {
                return Ok(place);
            }
            let is_first = waiting.members.front().is_some_and(|first| Arc::ptr_eq(first, member));
            if is_first && waiting.groups_in_progress < MAX_GROUPS {
                waiting.groups_in_progress += 1;
                let count = waiting.members.len().min(MAX_MEMBERS);
                let members: Vec<_> = waiting.members.drain(..count).collect();
                drop(waiting);
                return Ok((self.start(&members), 0));
            }
            let left = timeout.saturating_sub(begun.elapsed());
            if left.is_zero() {
                waiting.members.retain(|other| !Arc::ptr_eq(other, member));
                self.queue.changed.notify_all();
                return Err(StoreError::Busy("earlier commits of this process are still in progress".into()));
            }
            waiting = self.queue.changed.wait_timeout(waiting, left).0;
        }
    }

    /// Starts the transaction of a group. The first member is that of the calling thread.
    fn start(&self, members: &[Arc<Member>]) -> Arc<Group> {
        let slot = Slot(Arc::clone(&self.queue));
        let state = State { slot: Some(slot), transaction: None, turn: 0, result: None };
        let group = Arc::new(Group { state: Mutex::new(state), changed: Condvar::new(), members: members.len() });
        for (number, member) in members.iter().enumerate().skip(1) {
            *member.place.lock() = Some((Arc::clone(&group), number));
        }
        // A lock in between lets no member miss this notification.
        drop(self.queue.state.lock());
        self.queue.changed.notify_all();
        let outcome = Outcome(&group);
        let reads = Reads {
            revisions: members.iter().flat_map(|member| &member.expected).map(|wanted| wanted.id.clone()).collect(),
            records: members.iter().flat_map(|member| &member.prefetch).cloned().collect(),
        };
        match self.writer.begin(reads) {
            Ok(transaction) => {
                group.state.lock().transaction = Some(transaction);
                std::mem::forget(outcome);
                group.changed.notify_all();
            }
            Err(error) => outcome.publish(Err(error)),
        }
        group
    }
}

/// The right to have a group in progress.
struct Slot(Arc<Queue>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.state.lock().groups_in_progress -= 1;
        self.0.changed.notify_all();
    }
}

/// Several commits in one transaction.
struct Group {
    state: Mutex<State>,
    changed: Condvar,
    members: usize,
}

struct State {
    /// Returned when the group has ended.
    slot: Option<Slot>,
    /// Absent before it has begun, while a member uses it, and after it has ended.
    transaction: Option<Transaction>,
    /// The number of members that have applied their changes or failed.
    turn: usize,
    /// The result for all members whose changes are in the transaction.
    result: Option<Result<(), Arc<StoreError>>>,
}

impl Group {
    /// Waits until all earlier members have applied their changes.
    fn wait_for_turn<'a>(&'a self, writer: &'a Writer, number: usize) -> Result<Turn<'a>, StoreError> {
        let mut state = self.state.lock();
        loop {
            if let Some(Err(error)) = &state.result {
                return Err(failure::copy(error));
            }
            if state.turn == number
                && let Some(transaction) = state.transaction.take()
            {
                return Ok(Turn { group: self, writer, transaction: Some(transaction) });
            }
            state = self.changed.wait(state);
        }
    }

    /// Waits until the transaction has ended. The first thread that finds all changes applied ends
    /// it.
    fn wait_for_result(&self, writer: &Writer) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        loop {
            if let Some(result) = &state.result {
                return result.clone().map_err(|error| failure::copy(&error));
            }
            if state.turn == self.members
                && let Some(transaction) = state.transaction.take()
            {
                drop(state);
                let outcome = Outcome(self);
                outcome.publish(writer.finish(transaction));
                state = self.state.lock();
            } else {
                state = self.changed.wait(state);
            }
        }
    }

    fn end(&self, result: Result<(), StoreError>) {
        let mut state = self.state.lock();
        state.result = Some(result.map_err(Arc::new));
        let slot = state.slot.take();
        drop(state);
        self.changed.notify_all();
        drop(slot);
    }
}

/// The duty to publish a result, even if the thread panics.
struct Outcome<'a>(&'a Group);

impl Outcome<'_> {
    fn publish(self, result: Result<(), StoreError>) {
        self.0.end(result);
        std::mem::forget(self);
    }
}

impl Drop for Outcome<'_> {
    fn drop(&mut self) {
        self.0.end(Err(StoreError::Ambiguous("the thread that committed has panicked".into())));
    }
}

/// The exclusive use of the transaction by one member. It passes on to the next member when it is
/// dropped, even if the thread panics.
struct Turn<'a> {
    group: &'a Group,
    writer: &'a Writer,
    transaction: Option<Transaction>,
}

impl Turn<'_> {
    /// Adds the changes of the member to the transaction, unless an expectation does not hold or
    /// the member fails.
    fn apply(&mut self, expected: &[Expectation], changes: &mut WriteChanges<'_>) -> Result<Revision, CommitError> {
        let transaction = self.transaction.as_mut().expect("present until the turn is over");
        transaction.check(expected).map_err(CommitError::Conflict)?;
        let mut pending = Next { writer: self.writer, transaction, read: Vec::new() };
        let changes = changes(&mut pending)?;
        check_named(expected, &pending.read, &changes)?;
        Ok(transaction.apply(changes))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.group.state.lock();
        state.turn += 1;
        let is_last = state.turn == self.group.members;
        match self.transaction.take() {
            Some(transaction) if is_last && transaction.is_empty() => {
                drop(state);
                self.writer.roll_back(transaction);
                self.group.end(Ok(()));
            }
            transaction => {
                state.transaction = transaction;
                drop(state);
                self.group.changed.notify_all();
            }
        }
    }
}

/// A commit in progress.
struct Next<'a> {
    writer: &'a Writer,
    transaction: &'a mut Transaction,
    read: Vec<RecordId>,
}

impl Pending for Next<'_> {
    fn revision(&self) -> Revision {
        self.transaction.revision()
    }

    fn get(&mut self, id: &RecordId) -> Result<Option<Record>> {
        self.read.push(id.clone());
        if let Some(known) = self.transaction.known(id) {
            return Ok(known);
        }
        let record = self.writer.read(self.transaction, id)?;
        self.transaction.note(id.clone(), record.clone());
        Ok(record)
    }
}
