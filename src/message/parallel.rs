//! Multi-threaded processing of frames.
//!
//! Consecutive frames form chunks, which the threads take from a queue in order. The first failure
//! in order determines the result, regardless of which thread fails first. The signature must
//! process the whole message in order, so an in-order consumer runs alongside the threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;

use crate::lock::Mutex;

/// The maximum number of threads for one message.
pub(crate) const MAX_THREADS: usize = 64;

/// The default size of a chunk in bytes of plaintext. At this size, the overhead of the queue is a
/// tenth of the cost of starting a thread.
const DEFAULT_CHUNK_SIZE: usize = 256 << 10;

/// The minimum number of chunks for multiple threads. With fewer chunks, the first thread is nearly
/// done by the time that a second one has started.
const MIN_CHUNKS: usize = 8;

/// Chunks per thread in one step of a stream. Every step starts its threads again, which costs up
/// to a tenth of the step.
const CHUNKS_PER_STEP: usize = 4;

/// The number of threads that process a message, and the size of the chunks that they process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parallelism {
    pub(crate) threads: usize,
    pub(crate) chunk_size: usize,
}

impl Parallelism {
    /// Returns the number of complete frames in a chunk, at least one.
    pub(super) fn frames_per_chunk(self, frame_length: usize) -> usize {
        (self.chunk_size / frame_length.max(1)).max(1)
    }

    /// Returns the number of complete frames in one step of a stream. With one thread it is one
    /// frame, because holding more has no benefit.
    pub(super) fn frames_per_step(self, frame_length: usize) -> usize {
        if self.threads == 1 { 1 } else { self.threads * CHUNKS_PER_STEP * self.frames_per_chunk(frame_length) }
    }

    /// Returns `true` if starting threads is worthwhile for this number of frames.
    pub(super) fn divides(self, frames: usize, frame_length: usize) -> bool {
        self.threads > 1 && frames / self.frames_per_chunk(frame_length) >= MIN_CHUNKS
    }
}

impl Default for Parallelism {
    fn default() -> Self {
        Self { threads: 1, chunk_size: DEFAULT_CHUNK_SIZE }
    }
}

/// The first chunk in order that failed.
pub(super) struct Failure<C, E> {
    pub(super) chunk: C,
    pub(super) error: E,
}

/// Processes all chunks on `threads` threads, including the current one. If there is an
/// `in_order_consumer`, the current thread instead passes it every chunk before the first failed
/// one, in order, as soon as that chunk is done.
///
/// # Errors
/// - The first failure in order. All chunks before it were processed, and possibly some after it.
pub(super) fn process_chunks<C: Send, E: Send, W>(
    threads: usize,
    chunks: impl Iterator<Item = C> + Send,
    process: impl Fn(&mut C) -> Result<(), E> + Sync,
    in_order_consumer: Option<W>,
    mut consume: impl FnMut(&mut W, &C),
) -> Result<(), Failure<C, E>> {
    let workers = Workers {
        queue: Mutex::new(chunks.enumerate()),
        first_failure: AtomicUsize::new(usize::MAX),
        failed: Mutex::new(None),
        process,
    };
    thread::scope(|scope| {
        let workers = &workers;
        let (done, finished) = mpsc::channel();
        // If a thread cannot be started, continue with fewer threads.
        let start = |done: Option<Sender<_>>| {
            thread::Builder::new().spawn_scoped(scope, move || workers.run(done.as_ref())).is_ok()
        };
        let Some(mut consumer) = in_order_consumer else {
            (1..threads).take_while(|_| start(None)).for_each(drop);
            workers.run(None);
            return;
        };
        if (1..threads).take_while(|_| start(Some(done.clone()))).count() == 0 {
            workers.run(Some(&done));
        }
        drop(done);
        let (mut waiting, mut next) = (BTreeMap::new(), 0);
        for (index, chunk) in finished {
            waiting.insert(index, chunk);
            while let Some(chunk) = waiting.remove(&next) {
                consume(&mut consumer, &chunk);
                next += 1;
            }
        }
    });
    match workers.failed.into_inner() {
        None => Ok(()),
        Some((_, failure)) => Err(failure),
    }
}

/// The state shared by the threads.
struct Workers<Q, P, C, E> {
    queue: Mutex<Q>,
    /// Chunks after this index need not be processed.
    first_failure: AtomicUsize,
    failed: Mutex<Option<(usize, Failure<C, E>)>>,
    process: P,
}

impl<C, E, Q, P> Workers<Q, P, C, E>
where
    Q: Iterator<Item = (usize, C)>,
    P: Fn(&mut C) -> Result<(), E>,
{
    /// Processes chunks until the queue is empty or contains only chunks after a failure.
    fn run(&self, done: Option<&Sender<(usize, C)>>) {
        while let Some((index, mut chunk)) = self.take() {
            match (self.process)(&mut chunk) {
                Ok(()) => {
                    if let Some(done) = done {
                        // The receiver waits for all senders, so this cannot fail.
                        let _ = done.send((index, chunk));
                    }
                }
                Err(error) => self.fail(index, Failure { chunk, error }),
            }
        }
    }

    fn take(&self) -> Option<(usize, C)> {
        let next = self.queue.lock().next();
        next.filter(|(index, _)| *index < self.first_failure.load(Ordering::Acquire))
    }

    fn fail(&self, index: usize, failure: Failure<C, E>) {
        self.first_failure.fetch_min(index, Ordering::AcqRel);
        let mut failed = self.failed.lock();
        if failed.as_ref().is_none_or(|(earlier, _)| index < *earlier) {
            *failed = Some((index, failure));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(threads: usize, failing: &[u32]) -> (Result<(), u32>, Vec<u32>) {
        let mut seen = Vec::new();
        let work = |chunk: &mut u32| {
            // Earlier chunks take longer, so that a later failure occurs first.
            thread::sleep(std::time::Duration::from_micros(u64::from(100 - *chunk)));
            if failing.contains(chunk) { Err(*chunk) } else { Ok(()) }
        };
        let result = process_chunks(threads, 0..100, work, Some(&mut seen), |seen, chunk| seen.push(*chunk)).map_err(
            |failure| {
                assert_eq!(failure.chunk, failure.error);
                failure.error
            },
        );
        (result, seen)
    }

    #[test]
    fn the_first_failure_in_order_decides() {
        for threads in [1, 2, 3, 8] {
            assert_eq!(process(threads, &[17, 18, 20, 40, 99]), (Err(17), (0..17).collect()), "{threads}");
            assert_eq!(process(threads, &[0, 1]), (Err(0), vec![]), "{threads}");
            assert_eq!(process(threads, &[99]), (Err(99), (0..99).collect()), "{threads}");
        }
    }

    #[test]
    fn the_consumer_sees_every_chunk_in_order() {
        for threads in [1, 2, 3, 8] {
            assert_eq!(process(threads, &[]), (Ok(()), (0..100).collect()), "{threads}");
        }
    }

    #[test]
    fn every_chunk_is_processed_once() {
        for threads in [1, 2, 3, 8] {
            let mut numbers = vec![0_u32; 1000];
            let work = |chunk: &mut &mut [u32]| {
                chunk.iter_mut().for_each(|number| *number += 1);
                Ok::<_, ()>(())
            };
            assert!(process_chunks(threads, numbers.chunks_mut(7), work, None::<()>, |(), _| ()).is_ok());
            assert!(numbers.iter().all(|number| *number == 1), "{threads}");
        }
    }

    #[test]
    fn one_thread_holds_one_frame_and_more_hold_some_chunks_each() {
        let one = Parallelism::default();
        assert_eq!((one.frames_per_chunk(65_536), one.frames_per_step(65_536)), (4, 1));
        let two = Parallelism { threads: 2, ..one };
        assert_eq!((two.frames_per_step(65_536), two.frames_per_step(1 << 30)), (32, 8));
        assert_eq!((one.divides(100, 65_536), two.divides(31, 65_536), two.divides(32, 65_536)), (false, false, true));
    }
}
