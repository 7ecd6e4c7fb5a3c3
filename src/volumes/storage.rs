//! The bytes below a volume.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};

/// A file, device or buffer that contains the encrypted sectors.
///
/// Bytes that were never written, and bytes beyond an earlier end, must read as zeros. Files and
/// `Cursor<Vec<u8>>` do.
///
/// # Examples
/// ```
/// use std::io::Cursor;
///
/// use strongroom::volumes::VolumeStorage;
///
/// let mut storage = Cursor::new(vec![7; 8]);
/// storage.discard(2, 3)?;
/// storage.set_length(10)?;
/// storage.synchronize()?;
/// assert_eq!(storage.into_inner(), [7, 7, 0, 0, 0, 7, 7, 7, 0, 0]);
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait VolumeStorage: Read + Write + Seek {
    /// Truncates the storage, or extends it with zeros.
    ///
    /// # Errors
    /// - Any error of the storage, such as [`Unsupported`](io::ErrorKind::Unsupported) for a
    ///   device.
    fn set_length(&mut self, bytes: u64) -> io::Result<()>;

    /// Makes everything that was written durable.
    ///
    /// # Errors
    /// - Any error of the storage.
    fn synchronize(&mut self) -> io::Result<()>;

    /// Replaces a range by zeros, and releases its space if possible. The default writes zeros.
    ///
    /// # Errors
    /// - Any error of the storage.
    fn discard(&mut self, offset: u64, length: u64) -> io::Result<()> {
        write_zeros(self, offset, length)
    }
}

/// Writes zeros with [`Write`].
fn write_zeros<S: Write + Seek + ?Sized>(storage: &mut S, offset: u64, length: u64) -> io::Result<()> {
    storage.seek(SeekFrom::Start(offset))?;
    io::copy(&mut io::repeat(0).take(length), storage).map(drop)
}

/// Releases the space of discarded sectors on Linux, if the file system supports it.
impl VolumeStorage for File {
    fn set_length(&mut self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }

    fn synchronize(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn discard(&mut self, offset: u64, length: u64) -> io::Result<()> {
        if length == 0 || punch_hole(self, offset, length)? { Ok(()) } else { write_zeros(self, offset, length) }
    }
}

/// Deallocates a range. Returns `false` if the file system does not support it.
#[cfg(target_os = "linux")]
fn punch_hole(file: &File, offset: u64, length: u64) -> io::Result<bool> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;

    match fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, offset, length) {
        Ok(()) => Ok(true),
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NODEV) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn punch_hole(_: &File, _: u64, _: u64) -> io::Result<bool> {
    Ok(false)
}

impl VolumeStorage for Cursor<Vec<u8>> {
    /// Fails if the length exceeds the memory that a vector can have.
    fn set_length(&mut self, bytes: u64) -> io::Result<()> {
        let length = usize::try_from(bytes).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let missing = length.saturating_sub(self.get_ref().len());
        self.get_mut().try_reserve_exact(missing).map_err(|_| io::ErrorKind::OutOfMemory)?;
        self.get_mut().resize(length, 0);
        Ok(())
    }

    fn synchronize(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<S: VolumeStorage + ?Sized> VolumeStorage for &mut S {
    fn set_length(&mut self, bytes: u64) -> io::Result<()> {
        (**self).set_length(bytes)
    }

    fn synchronize(&mut self) -> io::Result<()> {
        (**self).synchronize()
    }

    fn discard(&mut self, offset: u64, length: u64) -> io::Result<()> {
        (**self).discard(offset, length)
    }
}
