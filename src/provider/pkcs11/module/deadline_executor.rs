//! Calls with a deadline. They run on a bounded number of named threads, so a call that does not
//! return blocks one of these threads and not its caller.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{Module, StuckCall};
use crate::lock::{Condvar, Mutex, MutexGuard};
use crate::provider::pkcs11::error::{ErrorClass, TokenError};

/// Time after which an idle thread exits.
const IDLE: Duration = Duration::from_secs(10);

type Work = Box<dyn FnOnce() + Send>;

/// Threads for the calls of one token.
pub(in crate::provider::pkcs11) struct DeadlineExecutor {
    name: String,
    most: usize,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Work>,
    threads: usize,
    idle: usize,
    stuck: usize,
    ended: bool,
}

/// Stage of a call. Exactly one side moves it from `WAITING` or `RUNNING`.
const WAITING: u8 = 0;
const RUNNING: u8 = 1;
const DONE: u8 = 2;
const GIVEN_UP: u8 = 3;

/// One call: its result, and the stuck-call marker to remove if the call returns after its caller
/// has left.
struct Slot<T> {
    stage: AtomicU8,
    result: Mutex<Option<T>>,
    stuck: Mutex<Option<StuckCall>>,
    ready: Condvar,
}

impl DeadlineExecutor {
    pub(in crate::provider::pkcs11) fn new(name: &str, most: usize) -> Self {
        Self { name: name.to_owned(), most: most.max(1), shared: Arc::default() }
    }

    /// Returns the number of abandoned calls that are still running.
    pub(in crate::provider::pkcs11) fn stuck(&self) -> usize {
        self.shared.lock().stuck
    }

    /// Runs `work` on a thread and waits for it until the deadline.
    pub(in crate::provider::pkcs11) fn run<T: Send + 'static>(
        &self,
        module: &Module,
        deadline: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, TokenError> {
        let slot = Arc::new(Slot {
            stage: AtomicU8::new(WAITING),
            result: Mutex::new(None),
            stuck: Mutex::new(None),
            ready: Condvar::new(),
        });
        self.submit(Box::new({
            let (slot, shared) = (Arc::clone(&slot), Arc::clone(&self.shared));
            move || slot.run(&shared, work)
        }))?;
        if let Some(result) = slot.wait(deadline) {
            return Ok(result);
        }
        self.give_up(module, &slot)
    }

    fn submit(&self, work: Work) -> Result<(), TokenError> {
        let mut state = self.shared.lock();
        if state.stuck >= self.most {
            let text = format!("all {} concurrent calls of {} are stuck", self.most, self.name);
            return Err(TokenError::new(ErrorClass::TokenLost, text));
        }
        state.queue.push_back(work);
        if state.idle >= state.queue.len() {
            drop(state);
            self.shared.changed.notify_one();
        } else if state.threads < self.most {
            let shared = Arc::clone(&self.shared);
            let started = thread::Builder::new().name(self.name.clone()).spawn(move || shared.serve());
            if let Err(error) = started {
                state.queue.pop_back();
                return Err(TokenError::new(ErrorClass::Busy, format!("cannot start a thread for a call: {error}")));
            }
            state.threads += 1;
        }
        Ok(())
    }

    /// Handles a passed deadline: returns the result if it arrived just now, and otherwise abandons
    /// the call.
    fn give_up<T>(&self, module: &Module, slot: &Slot<T>) -> Result<T, TokenError> {
        if slot.stage.compare_exchange(WAITING, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            return Err(TokenError::new(ErrorClass::Busy, format!("timed out waiting for a thread of {}", self.name)));
        }
        let mut kept = slot.stuck.lock();
        if slot.stage.compare_exchange(RUNNING, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.shared.lock().stuck += 1;
            *kept = Some(module.call_is_stuck());
            return Err(TokenError::new(
                ErrorClass::TokenLost,
                format!("a call to {} did not return before its deadline", self.name),
            ));
        }
        drop(kept);
        let late = slot.result.lock().take();
        late.ok_or_else(|| TokenError::new(ErrorClass::Fatal, format!("a call to {} panicked", self.name)))
    }
}

impl<T> Slot<T> {
    fn run(&self, shared: &Shared, work: impl FnOnce() -> T) {
        if self.stage.compare_exchange(WAITING, RUNNING, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return;
        }
        // A panic reaches the caller as an error, and the thread continues.
        let result = catch_unwind(AssertUnwindSafe(work)).ok();
        *self.result.lock() = result;
        if self.stage.compare_exchange(RUNNING, DONE, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            // The lock ensures that a caller that has just checked the result is waiting by now.
            drop(self.result.lock());
            self.ready.notify_one();
        } else {
            // The caller has stopped waiting. The result is wiped by its type, and the thread is
            // free again.
            drop(self.result.lock().take());
            drop(self.stuck.lock().take());
            shared.lock().stuck -= 1;
        }
    }

    fn wait(&self, deadline: Duration) -> Option<T> {
        let until = Instant::now() + deadline;
        let mut result = self.result.lock();
        while self.stage.load(Ordering::Acquire) != DONE {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            result = self.ready.wait_timeout(result, left).0;
        }
        result.take()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn serve(&self) {
        let mut state = self.lock();
        loop {
            while let Some(work) = state.queue.pop_front() {
                drop(state);
                work();
                state = self.lock();
            }
            if state.ended {
                break;
            }
            state.idle += 1;
            let waited = self.changed.wait_timeout(state, IDLE);
            state = waited.0;
            state.idle -= 1;
            if waited.1.timed_out() && state.queue.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }
}

impl Drop for DeadlineExecutor {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.changed.notify_all();
    }
}

impl fmt::Debug for DeadlineExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        f.debug_struct("DeadlineExecutor")
            .field("name", &self.name)
            .field("most", &self.most)
            .field("threads", &state.threads)
            .field("stuck", &state.stuck)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// Waits until the state is as expected.
    fn wait_for(shared: &Shared, is_it: impl Fn(&State) -> bool) {
        let until = Instant::now() + LONG;
        while !is_it(&shared.lock()) {
            let state = shared.lock();
            let found = (state.threads, state.idle, state.queue.len());
            assert!(Instant::now() < until, "(threads, idle, queued) are {found:?}");
            drop(state);
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn is(threads: usize, idle: usize, queued: usize) -> impl Fn(&State) -> bool {
        move |state| (state.threads, state.idle, state.queue.len()) == (threads, idle, queued)
    }

    /// Submits work that runs until the sender is used or dropped.
    fn submit(executor: &DeadlineExecutor) -> Sender<()> {
        let (end, ended) = channel();
        executor.submit(Box::new(move || _ = ended.recv_timeout(LONG))).expect("none is stuck");
        end
    }

    #[test]
    fn calls_run_on_a_bounded_number_of_threads_that_are_used_again() {
        let executor = DeadlineExecutor::new("test", 2);
        let shared = Arc::clone(&executor.shared);
        let first = submit(&executor);
        wait_for(&shared, is(1, 0, 0));
        drop(first);
        wait_for(&shared, is(1, 1, 0));
        let running = [submit(&executor), submit(&executor)];
        wait_for(&shared, is(2, 0, 0));
        let waiting = [submit(&executor), submit(&executor)];
        wait_for(&shared, is(2, 0, 2));
        drop(running);
        wait_for(&shared, is(2, 0, 0));
        drop(waiting);
        wait_for(&shared, is(2, 2, 0));
        let dropped = Instant::now();
        drop(executor);
        wait_for(&shared, is(0, 0, 0));
        assert!(dropped.elapsed() < IDLE / 2, "the threads were not told");
    }

    #[test]
    fn nothing_is_submitted_once_every_thread_is_stuck() {
        let executor = DeadlineExecutor::new("test", 2);
        for (stuck, accepted) in [(1, true), (2, false), (3, false)] {
            executor.shared.lock().stuck = stuck;
            let submitted = executor.submit(Box::new(|| {})).map_err(|error| error.class());
            assert_eq!(submitted, if accepted { Ok(()) } else { Err(ErrorClass::TokenLost) }, "{stuck}");
        }
        wait_for(&executor.shared, is(1, 1, 0));
    }

    #[test]
    fn a_result_is_waited_for_until_the_deadline() {
        let slot = |stage| Slot {
            stage: AtomicU8::new(stage),
            result: Mutex::new(None),
            stuck: Mutex::new(None),
            ready: Condvar::new(),
        };
        let shared = Shared::default();
        let late = slot(WAITING);
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(20));
                late.run(&shared, || 7);
            });
            let started = Instant::now();
            assert_eq!(late.wait(LONG), Some(7));
            assert!(started.elapsed() < LONG / 2, "it waited until the deadline");
        });
        let never = slot(WAITING);
        assert_eq!(never.wait(Duration::from_millis(20)), None);
        // The caller has left. The result of the call is dropped.
        let given_up = slot(GIVEN_UP);
        given_up.run(&shared, || 7);
        assert_eq!((given_up.stage.into_inner(), given_up.result.into_inner()), (GIVEN_UP, None));
        let panicked = slot(WAITING);
        panicked.run(&shared, || -> i32 { panic!("on purpose") });
        assert_eq!(panicked.wait(LONG), None, "a panic is no result");
    }
}
