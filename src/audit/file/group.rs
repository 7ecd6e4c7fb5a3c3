//! Group commit: callers that wait for the disk at the same time share one write.
//!
//! A caller that finds no leader becomes the leader. It writes the lines of all waiting callers and
//! then notifies them together. Lines that arrive in the meantime form the next group, whose leader
//! is called when the write is done. The lock of the trail is therefore never held while MACs are
//! computed or the disk is busy. A completed write wakes each affected caller once.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::audit::line::{ChangeStep, LineKind};
use crate::lock::{Condvar, Mutex, MutexGuard};

/// The maximum time that a leader waits for expected callers.
const MAX_BATCH_WINDOW: Duration = Duration::from_millis(2);

/// A line to be written. Its number and MAC are determined when it is written.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) kind: LineKind,
    /// A JSON object.
    pub(super) body: String,
    /// The step of a change that the line records.
    pub(super) step: Option<ChangeStep>,
}

/// The result of a write.
pub(super) type Written = Result<(), Arc<io::Error>>;

/// The state of a group.
#[derive(Debug)]
enum Stage {
    /// The group is being collected or written.
    Open,
    /// The preceding group is written, and one of the waiting callers must become the leader.
    Leaderless,
    Done(Written),
}

/// The role of a caller that waited for its group.
#[derive(Debug)]
pub(super) enum Role {
    /// Writes for the group.
    Leader,
    /// Another caller has written for the group.
    Follower(Written),
}

/// Lines that are written together, as seen by the callers that wait for them.
#[derive(Debug)]
pub(super) struct Group {
    stage: Mutex<Stage>,
    changed: Condvar,
}

impl Group {
    fn new() -> Arc<Self> {
        Arc::new(Self { stage: Mutex::new(Stage::Open), changed: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, Stage> {
        // A stage is consistent at any time.
        self.stage.lock()
    }

    /// Waits until the group is written or needs a leader.
    pub(super) fn wait(&self) -> Role {
        let mut stage = self.lock();
        loop {
            match &*stage {
                Stage::Open => stage = self.changed.wait(stage),
                Stage::Leaderless => {
                    *stage = Stage::Open;
                    return Role::Leader;
                }
                Stage::Done(written) => return Role::Follower(written.clone()),
            }
        }
    }

    /// Makes one of the current or future waiting callers the leader.
    pub(super) fn call_leader(&self) {
        *self.lock() = Stage::Leaderless;
        self.changed.notify_one();
    }

    /// Notifies all waiting callers of the result.
    pub(super) fn finish(&self, written: Written) {
        *self.lock() = Stage::Done(written);
        self.changed.notify_all();
    }
}

/// The group that is being collected.
#[derive(Debug)]
pub(super) struct Queue {
    entries: Vec<Entry>,
    group: Arc<Group>,
    /// `true` if there is a leader, or one has been called.
    led: bool,
    /// `true` while the leader waits for the callers that it expects.
    window_open: bool,
    /// The estimated number of concurrent callers.
    expected: usize,
    /// The duration of the last write.
    write_time: Duration,
}

impl Queue {
    pub(super) fn new() -> Self {
        let write_time = Duration::ZERO;
        Self { entries: Vec::new(), group: Group::new(), led: false, window_open: false, expected: 0, write_time }
    }

    /// Adds a line. Returns its group, and `true` if the caller leads it.
    pub(super) fn push(&mut self, entry: Entry) -> (Arc<Group>, bool) {
        self.entries.push(entry);
        (Arc::clone(&self.group), !std::mem::replace(&mut self.led, true))
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns `true`, once, if the leader was waiting for the line that was just added.
    pub(super) fn completes_batch(&mut self) -> bool {
        self.window_open && self.entries.len() >= self.expected && std::mem::take(&mut self.window_open)
    }

    /// Returns the time for which waiting for more lines is worthwhile. Callers served by the last
    /// write are likely to return soon, and would otherwise have to wait for another write. A
    /// single caller never waits.
    pub(super) fn batch_window(&self) -> Duration {
        if self.entries.len() < self.expected { (self.write_time / 2).min(MAX_BATCH_WINDOW) } else { Duration::ZERO }
    }

    /// Returns `true` if the leader is still waiting for callers.
    pub(super) const fn is_window_open(&self) -> bool {
        self.window_open
    }

    /// Records that the leader starts or stops waiting for callers.
    pub(super) const fn set_window_open(&mut self, window_open: bool) {
        self.window_open = window_open;
    }

    /// Removes the group and starts the next one.
    pub(super) fn take(&mut self, buffer: Vec<Entry>) -> (Vec<Entry>, Arc<Group>) {
        (std::mem::replace(&mut self.entries, buffer), std::mem::replace(&mut self.group, Group::new()))
    }

    /// Records a completed write. Returns the group that needs a leader, if any caller is waiting.
    pub(super) fn written(&mut self, served: usize, write_time: Duration) -> Option<Arc<Group>> {
        // The callers that wait now are different from those that were just served.
        let reached = served >= self.expected;
        self.expected = if reached { served + self.entries.len() } else { served };
        self.write_time = write_time;
        self.led = !self.entries.is_empty();
        self.led.then(|| Arc::clone(&self.group))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(queue: &mut Queue, lines: usize) -> Vec<bool> {
        let entry = || Entry { kind: LineKind::Event, body: "{}".into(), step: None };
        (0..lines).map(|_| queue.push(entry()).1).collect()
    }

    #[test]
    fn one_leads_and_the_next_group_gets_a_leader_only_if_somebody_waits() {
        let mut queue = Queue::new();
        assert_eq!(push(&mut queue, 3), [true, false, false]);
        let (entries, first) = queue.take(Vec::new());
        assert_eq!(push(&mut queue, 2), [false, false], "the leader is still writing");
        let second = queue.written(entries.len(), Duration::ZERO).expect("two callers wait");
        assert!(!Arc::ptr_eq(&first, &second));
        second.call_leader();
        assert!(matches!(second.wait(), Role::Leader));
        let (entries, second) = queue.take(Vec::new());
        assert!(queue.written(entries.len(), Duration::ZERO).is_none(), "no caller waits");
        second.finish(Err(Arc::new(io::Error::other("full"))));
        for _ in 0..2 {
            assert!(matches!(second.wait(), Role::Follower(Err(reason)) if reason.to_string() == "full"));
        }
        assert_eq!(push(&mut queue, 1), [true], "no leader is writing");
    }

    #[test]
    fn a_leader_waits_only_for_callers_who_were_there_before() {
        let (mut queue, write) = (Queue::new(), Duration::from_millis(1));
        for _ in 0..3 {
            push(&mut queue, 1);
            assert_eq!(queue.batch_window(), Duration::ZERO, "a single caller never waits");
            queue.take(Vec::new());
            queue.written(1, write);
        }
        push(&mut queue, 4);
        queue.take(Vec::new());
        push(&mut queue, 2);
        queue.written(4, write); // six callers
        assert_eq!(queue.batch_window(), write / 2);
        queue.set_window_open(true);
        push(&mut queue, 3);
        assert!(!queue.completes_batch());
        push(&mut queue, 1);
        assert!(queue.completes_batch() && !queue.completes_batch() && !queue.is_window_open());
        assert_eq!(queue.batch_window(), Duration::ZERO);
        queue.take(Vec::new());
        queue.written(6, Duration::from_secs(9));
        push(&mut queue, 2); // the others are gone
        assert_eq!(queue.batch_window(), MAX_BATCH_WINDOW);
        queue.take(Vec::new());
        queue.written(2, write);
        push(&mut queue, 2);
        assert_eq!(queue.batch_window(), Duration::ZERO);
    }
}
