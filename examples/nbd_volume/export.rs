//! The volume that all clients share.

use std::fs::File;
use std::sync::{Mutex, MutexGuard};

use strongroom::volumes::Volume;

/// The maximum length of a read or write in bytes: the default of the protocol.
pub(crate) const MAX_TRANSFER: u32 = 32 << 20;

/// A volume with its settings for the protocol.
pub(crate) struct Export {
    volume: Mutex<Volume<File>>,
    /// The size in bytes.
    pub(crate) size: u64,
    /// The preferred multiple of offsets and lengths.
    pub(crate) block_size: u32,
}

impl Export {
    pub(crate) fn new(volume: Volume<File>) -> Self {
        let geometry = volume.geometry();
        let block_size = u32::try_from(geometry.sector_size().bytes()).unwrap_or(4_096);
        Self { volume: Mutex::new(volume), size: geometry.size(), block_size }
    }

    /// Returns the volume, or `None` if a thread panicked while it used the volume. That thread may have
    /// written a part of its data without an answer to its client, so every later request has to fail.
    pub(crate) fn lock(&self) -> Option<MutexGuard<'_, Volume<File>>> {
        self.volume.lock().ok()
    }
}

/// Writes zeros, and releases the space of complete sectors.
pub(crate) fn discard_to_zeros(volume: &mut Volume<File>, offset: u64, length: u64) -> strongroom::Result<()> {
    let sector = u64::try_from(volume.geometry().sector_size().bytes()).unwrap_or(4_096);
    let end = offset + length;
    let (first, last) = (offset.next_multiple_of(sector), end / sector * sector);
    if first >= last {
        return volume.write_zeros(offset, length);
    }
    volume.write_zeros(offset, first - offset)?;
    volume.discard(first, last - first)?;
    volume.write_zeros(last, end - last)
}
