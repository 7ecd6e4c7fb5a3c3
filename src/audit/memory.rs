//! An in-memory trail.

use super::{AuditEvent, AuditSink};
use crate::error::Result;
use crate::lock::Mutex;
use crate::shard::{CachePadded, SHARDS, shard_index};

/// The default number of events that a [`MemoryTrail`] keeps in each of its eight shards.
pub const DEFAULT_TRAIL_CAPACITY: usize = 16_384;

/// Keeps the latest events in memory, in bounded space. The oldest events are dropped and counted.
///
/// Threads are distributed over eight shards, so that they rarely wait for each other. Events of
/// one thread keep their order; events of different threads are merged by time.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use strongroom::Kms;
/// use strongroom::audit::MemoryTrail;
///
/// let trail = Arc::new(MemoryTrail::with_capacity(2));
/// let kms = Kms::builder().audit(Arc::clone(&trail)).build()?;
/// for _ in 0..3 {
///     kms.list_keys(Default::default())?;
/// }
/// assert_eq!((trail.events().len(), trail.dropped()), (2, 1)); // one thread uses one shard
/// trail.clear();
/// assert!(trail.events().is_empty());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Debug)]
pub struct MemoryTrail {
    shards: [CachePadded<Mutex<Shard>>; SHARDS],
    shard_capacity: usize,
}

/// A ring buffer: once it is full, each event replaces the oldest.
#[derive(Debug, Default)]
struct Shard {
    events: Vec<AuditEvent>,
    oldest: usize,
    dropped: u64,
}

impl Shard {
    fn push(&mut self, event: AuditEvent, capacity: usize) {
        if self.events.len() < capacity {
            self.events.push(event);
            return;
        }
        self.events[self.oldest] = event;
        self.oldest = if self.oldest + 1 == capacity { 0 } else { self.oldest + 1 };
        self.dropped += 1;
    }

    fn in_order(&self) -> impl Iterator<Item = &AuditEvent> {
        let (later, earlier) = self.events.split_at(self.oldest);
        earlier.iter().chain(later)
    }
}

impl MemoryTrail {
    /// Creates a trail that keeps the latest `capacity` events in each of its eight shards.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { shards: std::array::from_fn(|_| CachePadded::default()), shard_capacity: capacity.max(1) }
    }

    /// Returns the retained events, ordered by time.
    pub fn events(&self) -> Vec<AuditEvent> {
        let mut events = Vec::new();
        for shard in &self.shards {
            events.extend(shard.lock().in_order().cloned());
        }
        events.sort_by_key(|event| event.time);
        events
    }

    /// Returns the number of events that were replaced by later ones.
    pub fn dropped(&self) -> u64 {
        self.shards.iter().map(|shard| shard.lock().dropped).sum()
    }

    /// Removes all events and resets the count of dropped events.
    pub fn clear(&self) {
        for shard in &self.shards {
            *shard.lock() = Shard::default();
        }
    }
}

impl Default for MemoryTrail {
    fn default() -> Self {
        Self::with_capacity(DEFAULT_TRAIL_CAPACITY)
    }
}

impl AuditSink for MemoryTrail {
    fn record(&self, event: AuditEvent) -> Result<()> {
        self.shards[shard_index()].lock().push(event, self.shard_capacity);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::audit::Action;
    use crate::clock::Timestamp;
    use crate::identity::{AccountId, Principal};
    use crate::key::Operation;

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
    fn events_of_one_moment_keep_their_order_when_the_oldest_make_room() -> Result<()> {
        for count in 0..8_u32 {
            let trail = MemoryTrail::with_capacity(3);
            for number in 0..count {
                let parameters = vec![("numberOfBytes", number.into())];
                trail.record(AuditEvent { parameters, ..event(7) })?;
            }
            let kept = trail.events().into_iter().map(|mut event| event.parameters.remove(0).1);
            assert!(kept.eq((count.saturating_sub(3)..count).map(Into::into)), "{count}");
        }
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
                        trail.record(event(step * 4 + thread)).expect("the memory sink does not fail");
                        std::thread::sleep(Duration::from_micros(1));
                    }
                });
            }
        });
        let times: Vec<_> = trail.events().iter().map(|event| event.time.unix_millis()).collect();
        assert_eq!(times, (0..400).collect::<Vec<_>>());
    }
}
