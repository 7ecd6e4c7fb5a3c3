//! Sectors that several threads encrypt or decrypt.

use std::thread;

use super::error::VolumeError;
use super::sector::SectorCipher;
use crate::lock::Mutex;

/// The minimum number of bytes for which a thread is worth its start.
pub(super) const BYTES_PER_THREAD: usize = 128 << 10;

/// The maximum number of threads.
pub(super) const MAX_THREADS: usize = 256;

/// A method of the cipher for consecutive sectors, of which the first has a number.
type Work = fn(&SectorCipher, u64, &mut [u8]) -> Result<(), VolumeError>;

/// Processes consecutive sectors on up to `threads` threads, including the current one.
pub(super) fn on_threads(
    cipher: &SectorCipher,
    threads: usize,
    first: u64,
    sectors: &mut [u8],
    work: Work,
) -> Result<(), VolumeError> {
    let threads = threads.min(sectors.len() / BYTES_PER_THREAD);
    if threads <= 1 {
        return work(cipher, first, sectors);
    }
    let sector_size = cipher.sector_size().bytes();
    let each = (sectors.len() / sector_size).div_ceil(threads);
    let shares = Mutex::new((first..).step_by(each).zip(sectors.chunks_mut(each * sector_size)));
    let run = || {
        let mut result = Ok(());
        loop {
            let share = shares.lock().next();
            let Some((first, share)) = share else { return result };
            result = result.and(work(cipher, first, share));
        }
    };
    thread::scope(|scope| {
        // If a thread cannot be started, the others process its share.
        let start = |_| thread::Builder::new().spawn_scoped(scope, run).ok();
        let started: Vec<_> = (1..threads).map_while(start).collect();
        let own = run();
        let joined = started.into_iter().map(|thread| thread.join().expect("the cipher does not panic"));
        joined.fold(own, Result::and)
    })
}
