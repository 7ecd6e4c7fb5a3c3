//! Frames on several threads.
//!
//! Consecutive frames form shares, which the threads take from a queue in order. The first failure in order decides,
//! whichever thread meets one first, and what must see all of the message in order, its signature, runs beside them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// The most threads that may work on one message.
pub(crate) const MAX_THREADS: usize = 64;

/// Bytes of plaintext that a thread takes at a time: a tenth of what starting a thread costs is lost in the queue.
const DEFAULT_SHARE: usize = 256 << 10;

/// Fewer shares are not divided: by the time that a second thread has started, the first is nearly done with them.
const LEAST_SHARES: usize = 8;

/// Shares of each thread in one step of a stream. A step starts its threads anew, which costs as much as a tenth of it.
const SHARES_IN_A_STEP: usize = 4;

/// How many threads work on a message, and on how much of it at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parallelism {
    pub(crate) threads: usize,
    pub(crate) share: usize,
}

impl Parallelism {
    /// Whole frames of a share: at least one.
    pub(super) fn frames_in_a_share(self, frame_length: usize) -> usize {
        (self.share / frame_length.max(1)).max(1)
    }

    /// Whole frames of a step of a stream: one with one thread, as nothing is gained by holding more.
    pub(super) fn frames_in_a_step(self, frame_length: usize) -> usize {
        if self.threads == 1 { 1 } else { self.threads * SHARES_IN_A_STEP * self.frames_in_a_share(frame_length) }
    }

    /// Whether it is worth starting threads for so many frames.
    pub(super) fn divides(self, frames: usize, frame_length: usize) -> bool {
        self.threads > 1 && frames / self.frames_in_a_share(frame_length) >= LEAST_SHARES
    }
}

impl Default for Parallelism {
    fn default() -> Self {
        Self { threads: 1, share: DEFAULT_SHARE }
    }
}

/// The first share in order that failed.
pub(super) struct Failure<S, E> {
    pub(super) share: S,
    pub(super) error: E,
}

/// Lets `threads` threads, this one among them, `work` on all shares. If there is a `watcher`, this thread instead lets it
/// `watch` every share before the first that failed, in order, as soon as it is done.
///
/// # Errors
/// The first failure in order. All shares before it were worked on; of those behind it, some.
pub(super) fn work_on_shares<S: Send, E: Send, W>(
    threads: usize,
    shares: impl Iterator<Item = S> + Send,
    work: impl Fn(&mut S) -> Result<(), E> + Sync,
    watcher: Option<W>,
    mut watch: impl FnMut(&mut W, &S),
) -> Result<(), Failure<S, E>> {
    let crew = Crew {
        queue: Mutex::new(shares.enumerate()),
        first_failure: AtomicUsize::new(usize::MAX),
        failed: Mutex::new(None),
        work,
    };
    thread::scope(|scope| {
        let crew = &crew;
        let (done, finished) = mpsc::channel();
        // A thread that cannot be started is one that does not help.
        let start = |done: Option<Sender<_>>| {
            thread::Builder::new().spawn_scoped(scope, move || crew.run(done.as_ref())).is_ok()
        };
        let Some(mut watcher) = watcher else {
            (1..threads).take_while(|_| start(None)).for_each(drop);
            crew.run(None);
            return;
        };
        if (1..threads).take_while(|_| start(Some(done.clone()))).count() == 0 {
            crew.run(Some(&done));
        }
        drop(done);
        let (mut waiting, mut next) = (BTreeMap::new(), 0);
        for (index, share) in finished {
            waiting.insert(index, share);
            while let Some(share) = waiting.remove(&next) {
                watch(&mut watcher, &share);
                next += 1;
            }
        }
    });
    match crew.failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        None => Ok(()),
        Some((_, failure)) => Err(failure),
    }
}

/// What the threads share.
struct Crew<Q, W, S, E> {
    queue: Mutex<Q>,
    /// Nothing behind it needs to be worked on.
    first_failure: AtomicUsize,
    failed: Mutex<Option<(usize, Failure<S, E>)>>,
    work: W,
}

impl<S, E, Q, W> Crew<Q, W, S, E>
where
    Q: Iterator<Item = (usize, S)>,
    W: Fn(&mut S) -> Result<(), E>,
{
    /// Works until the queue is empty, or has only what lies behind a failure.
    fn run(&self, done: Option<&Sender<(usize, S)>>) {
        while let Some((index, mut share)) = self.take() {
            match (self.work)(&mut share) {
                Ok(()) => {
                    if let Some(done) = done {
                        // Who receives waits for all senders, so that this cannot fail.
                        let _ = done.send((index, share));
                    }
                }
                Err(error) => self.fail(index, Failure { share, error }),
            }
        }
    }

    fn take(&self) -> Option<(usize, S)> {
        let next = self.queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        next.filter(|(index, _)| *index < self.first_failure.load(Ordering::Acquire))
    }

    fn fail(&self, index: usize, failure: Failure<S, E>) {
        self.first_failure.fetch_min(index, Ordering::AcqRel);
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.as_ref().is_none_or(|(earlier, _)| index < *earlier) {
            *failed = Some((index, failure));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(threads: usize, failing: &[u32]) -> (Result<(), u32>, Vec<u32>) {
        let mut seen = Vec::new();
        let work = |share: &mut u32| {
            // The earlier ones take longer, so that a later failure is met first.
            thread::sleep(std::time::Duration::from_micros(u64::from(100 - *share)));
            if failing.contains(share) { Err(*share) } else { Ok(()) }
        };
        let result = work_on_shares(threads, 0..100, work, Some(&mut seen), |seen, share| seen.push(*share)).map_err(
            |failure| {
                assert_eq!(failure.share, failure.error);
                failure.error
            },
        );
        (result, seen)
    }

    #[test]
    fn the_first_failure_in_order_decides() {
        for threads in [1, 2, 3, 8] {
            assert_eq!(shares(threads, &[17, 18, 20, 40, 99]), (Err(17), (0..17).collect()), "{threads}");
            assert_eq!(shares(threads, &[0, 1]), (Err(0), vec![]), "{threads}");
            assert_eq!(shares(threads, &[99]), (Err(99), (0..99).collect()), "{threads}");
        }
    }

    #[test]
    fn who_watches_sees_every_share_in_order() {
        for threads in [1, 2, 3, 8] {
            assert_eq!(shares(threads, &[]), (Ok(()), (0..100).collect()), "{threads}");
        }
    }

    #[test]
    fn every_share_is_worked_on_once() {
        for threads in [1, 2, 3, 8] {
            let mut numbers = vec![0_u32; 1000];
            let work = |share: &mut &mut [u32]| {
                share.iter_mut().for_each(|number| *number += 1);
                Ok::<_, ()>(())
            };
            assert!(work_on_shares(threads, numbers.chunks_mut(7), work, None::<()>, |(), _| ()).is_ok());
            assert!(numbers.iter().all(|number| *number == 1), "{threads}");
        }
    }

    #[test]
    fn one_thread_holds_one_frame_and_more_hold_some_shares_each() {
        let one = Parallelism::default();
        assert_eq!((one.frames_in_a_share(65_536), one.frames_in_a_step(65_536)), (4, 1));
        let two = Parallelism { threads: 2, ..one };
        assert_eq!((two.frames_in_a_step(65_536), two.frames_in_a_step(1 << 30)), (32, 8));
        assert_eq!((one.divides(100, 65_536), two.divides(31, 65_536), two.divides(32, 65_536)), (false, false, true));
    }
}
