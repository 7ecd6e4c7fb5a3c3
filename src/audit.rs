//! What happened: an event for every call, allowed or refused, and for everything that the library does by itself.
//!
//! An event is written before the result of its operation is released. A change writes two: its intent before the
//! commit and its outcome after it, so that a process that dies in between leaves a trace. If the trail cannot be
//! written, the operation fails.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Timestamp;
use crate::context::EncryptionContext;
use crate::error::{ErrorKind, Result};
use crate::identity::{AccountId, Principal};
use crate::key::{KeyId, Operation};
use crate::shard::{self, Apart, SHARDS};

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// A caller asked for an operation.
    Call(Operation),
    /// The library gave a key new material, because its rotation was due or was asked for.
    RotateKey,
    /// The library deleted a key whose waiting period had ended.
    DeleteKey,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(operation) => f.write_str(operation.api_name()),
            Self::RotateKey => f.write_str("RotateKey"),
            Self::DeleteKey => f.write_str("DeleteKey"),
        }
    }
}

/// How far the action had come when the event was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// A change is about to be committed. An outcome follows, unless the process ends in between.
    Intent,
    /// It was done.
    Success,
    /// It was refused or failed, for this reason.
    Failure(ErrorKind),
}

/// A key that an action touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyResource {
    /// The account that owns the key.
    pub account: AccountId,
    /// The key.
    pub key_id: KeyId,
}

/// A parameter of a call: never plaintext, ciphertext, key material or a token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParameterValue {
    /// A text.
    Text(Cow<'static, str>),
    /// A number.
    Number(u64),
}

impl From<&'static str> for ParameterValue {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for ParameterValue {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<u64> for ParameterValue {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for ParameterValue {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

/// One entry of the audit trail, with the fields of a CloudTrail record that make sense inside a process.
///
/// The encryption context is kept in clear, as it is no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditEvent {
    /// When it was written, by the clock of the `Kms`.
    pub time: Timestamp,
    /// What was done.
    pub action: Action,
    /// Who asked for it; for what the library does by itself, the root of the key's account.
    pub principal: Principal,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether it was only a dry run.
    pub dry_run: bool,
    /// The keys that it touched, as far as they exist: one for most operations, two for re-encryption.
    pub keys: [Option<KeyResource>; 2],
    /// The encryption context of the call, if it has one that is not empty.
    pub context: Option<EncryptionContext>,
    /// The encryption context of the ciphertext that is re-encrypted, if it has one that is not empty.
    pub source_context: Option<EncryptionContext>,
    /// Parameters worth keeping, by the names of the AWS KMS API.
    pub parameters: Vec<(&'static str, ParameterValue)>,
}

impl AuditEvent {
    /// Makes an event of a successful action without a key; the public fields take the rest.
    pub const fn new(time: Timestamp, action: Action, principal: Principal) -> Self {
        Self {
            time,
            action,
            principal,
            outcome: Outcome::Success,
            dry_run: false,
            keys: [None, None],
            context: None,
            source_context: None,
            parameters: Vec::new(),
        }
    }

    /// Whether the action only reads. Cryptographic operations do, as in CloudTrail.
    pub const fn read_only(&self) -> bool {
        match self.action {
            Action::Call(operation) => operation.is_read_only(),
            Action::RotateKey | Action::DeleteKey => false,
        }
    }
}

/// Receives the audit trail.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use strongroom::audit::{Action, MemoryTrail};
/// use strongroom::{Kms, Operation};
///
/// let trail = Arc::new(MemoryTrail::default());
/// let kms = Kms::builder().audit(Arc::clone(&trail)).build()?;
/// kms.list_keys(Default::default())?;
/// assert_eq!(trail.events()[0].action, Action::Call(Operation::ListKeys));
/// # Ok::<(), strongroom::Error>(())
/// ```
pub trait AuditSink: fmt::Debug + Send + Sync {
    /// Keeps an event, as durably as the sink promises, before it returns.
    ///
    /// # Errors
    /// Any error, if it could not be kept; the result of the operation is withheld then.
    fn record(&self, event: AuditEvent) -> Result<()>;
}

impl<S: AuditSink + ?Sized> AuditSink for std::sync::Arc<S> {
    fn record(&self, event: AuditEvent) -> Result<()> {
        (**self).record(event)
    }
}

/// How many events a [`MemoryTrail`] keeps in each of its parts unless told otherwise.
pub const DEFAULT_TRAIL_CAPACITY: usize = 16_384;

/// Keeps the latest events in memory, in bounded space: the oldest make room, and are counted.
///
/// Threads are dealt out to eight parts, so that few of them ever wait for each other. Events of one thread keep their
/// order; those of several are merged by time.
#[derive(Debug)]
pub struct MemoryTrail {
    shards: [Apart<Mutex<Shard>>; SHARDS],
    shard_capacity: usize,
}

#[derive(Debug, Default)]
struct Shard {
    events: VecDeque<AuditEvent>,
    dropped: u64,
}

impl MemoryTrail {
    /// Makes a trail that keeps the latest `capacity` events of each of its eight parts.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { shards: std::array::from_fn(|_| Apart::default()), shard_capacity: capacity.max(1) }
    }

    /// The events that are kept, by time.
    pub fn events(&self) -> Vec<AuditEvent> {
        let mut events: Vec<_> = self.shards.iter().flat_map(|shard| lock(shard).events.clone()).collect();
        events.sort_by_key(|event| event.time);
        events
    }

    /// How many events had to make room for later ones.
    pub fn dropped(&self) -> u64 {
        self.shards.iter().map(|shard| lock(shard).dropped).sum()
    }

    /// Forgets all events and the count of those dropped.
    pub fn clear(&self) {
        for shard in &self.shards {
            *lock(shard) = Shard::default();
        }
    }
}

fn lock(shard: &Apart<Mutex<Shard>>) -> MutexGuard<'_, Shard> {
    // A shard is whole between any two statements, so a panic elsewhere does not damage it.
    shard.0.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for MemoryTrail {
    fn default() -> Self {
        Self::with_capacity(DEFAULT_TRAIL_CAPACITY)
    }
}

impl AuditSink for MemoryTrail {
    fn record(&self, event: AuditEvent) -> Result<()> {
        let mut shard = lock(&self.shards[shard::of_this_thread()]);
        if shard.events.len() == self.shard_capacity {
            shard.events.pop_front();
            shard.dropped += 1;
        }
        shard.events.push_back(event);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn event(millis: i64) -> AuditEvent {
        let principal = Principal::root(AccountId::default());
        AuditEvent::new(Timestamp::from_unix_millis(millis), Action::Call(Operation::ListKeys), principal)
    }

    #[test]
    fn the_oldest_events_make_room_and_are_counted() -> Result<()> {
        let trail = MemoryTrail::with_capacity(3);
        for millis in 0..5 {
            trail.record(event(millis))?;
        }
        let times: Vec<_> = trail.events().iter().map(|event| event.time.unix_millis()).collect();
        assert_eq!((times, trail.dropped()), (vec![2, 3, 4], 2));
        trail.clear();
        assert_eq!((trail.events().len(), trail.dropped()), (0, 0));
        Ok(())
    }

    #[test]
    fn events_of_several_threads_are_merged_by_time() {
        let trail = MemoryTrail::default();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let trail = &trail;
                scope.spawn(move || {
                    for step in 0..100 {
                        trail.record(event(step * 4 + thread)).expect("memory does not fail");
                        std::thread::sleep(Duration::from_micros(1));
                    }
                });
            }
        });
        let times: Vec<_> = trail.events().iter().map(|event| event.time.unix_millis()).collect();
        assert_eq!(times, (0..400).collect::<Vec<_>>());
    }
}
