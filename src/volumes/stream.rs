//! Volumes as streams with a position.

use std::io::{self, Read, Seek, SeekFrom, Write};

use super::storage::VolumeStorage;
use super::volume::Volume;

impl<S: VolumeStorage> Volume<S> {
    /// Returns the position, and the number of bytes from there that fit the volume and a buffer.
    fn available(&self, length: usize) -> (u64, usize) {
        let rest = self.geometry().size().saturating_sub(self.position);
        (self.position, usize::try_from(rest).unwrap_or(usize::MAX).min(length))
    }

    fn advance(&mut self, count: usize) {
        self.position = self.position.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
    }
}

/// Reads plaintext up to the end of the volume.
impl<S: VolumeStorage> Read for Volume<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (position, count) = self.available(buffer.len());
        // The position may be behind the end.
        if count == 0 {
            return Ok(0);
        }
        self.read_at(position, &mut buffer[..count])?;
        self.advance(count);
        Ok(count)
    }
}

/// Writes plaintext up to the end of the volume. It never extends the volume.
impl<S: VolumeStorage> Write for Volume<S> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let (position, count) = self.available(data.len());
        if count == 0 {
            return Ok(0);
        }
        self.write_at(position, &data[..count])?;
        self.advance(count);
        Ok(count)
    }

    /// Makes everything that was written durable.
    fn flush(&mut self) -> io::Result<()> {
        Ok(Self::flush(self)?)
    }
}

impl<S: VolumeStorage> Seek for Volume<S> {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        let (base, distance) = match target {
            SeekFrom::Start(position) => (position, 0),
            SeekFrom::End(distance) => (self.geometry().size(), distance),
            SeekFrom::Current(distance) => (self.position, distance),
        };
        let position = base.checked_add_signed(distance);
        self.position = position
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "cannot seek before the start of the volume"))?;
        Ok(self.position)
    }
}
