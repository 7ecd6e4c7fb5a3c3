//! A volume of random access.

use std::fmt;
use std::io::{self, SeekFrom};
use std::num::NonZeroUsize;

use zeroize::Zeroizing;

use super::error::VolumeError;
use super::geometry::VolumeGeometry;
use super::key::VolumeKey;
use super::sector::SectorCipher;
use super::storage::VolumeStorage;
use super::threads::{BYTES_PER_THREAD, MAX_THREADS, on_threads};
use crate::crypto::FASTEST;
use crate::error::{Error, ErrorKind, Result};

/// An encrypted volume over a [`VolumeStorage`]. Offsets and lengths are arbitrary.
///
/// Sectors that are only partly written are read, decrypted and encrypted again. A write of several
/// sectors is not atomic: after a crash, each of its sectors is old or new, as far as the storage
/// writes sectors atomically. Other sectors are never touched.
///
/// Sectors that were never written, or were [discarded](Self::discard), are stored as zeros and
/// read as zeros. The storage therefore reveals which sectors are in use. An attacker with write
/// access can also turn sectors into zeros. Overwrite a new volume with
/// [`write_zeros`](Self::write_zeros) to hide its use.
///
/// A volume also implements [`Read`](io::Read), [`Write`](io::Write) and [`Seek`](io::Seek).
///
/// # Examples
/// ```
/// use std::io::Cursor;
///
/// use strongroom::SecretBytes;
/// use strongroom::volumes::{SectorSize, Volume, VolumeGeometry, VolumeKey};
///
/// let key = VolumeKey::from_secret(SecretBytes::from_vec((0..64).collect()))?;
/// let geometry = VolumeGeometry::new(SectorSize::Bytes512, 4_096)?;
/// let mut volume = Volume::builder(&key, geometry).create(Cursor::new(Vec::new()))?;
/// volume.write_at(1_000, &[7; 1_100])?;
/// assert_eq!(volume.discard(0, 1_536)?, 1_536); // three sectors
/// volume.write_zeros(1_600, 100)?;
/// volume.resize(8_192)?;
/// assert_eq!(volume.geometry().size(), 8_192);
/// volume.flush()?;
///
/// let storage = volume.into_storage();
/// let mut again = Volume::builder(&key, VolumeGeometry::new(SectorSize::Bytes512, 8_192)?).open(storage)?;
/// let mut read = vec![1; 8_192];
/// again.read_at(0, &mut read)?;
/// let expected = |offset| u8::from(matches!(offset, 1_536..1_600 | 1_700..2_100)) * 7;
/// assert!(read.iter().enumerate().all(|(offset, byte)| *byte == expected(offset)));
/// assert!(again.read_at(8_000, &mut [0; 193]).is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
pub struct Volume<S> {
    storage: S,
    cipher: SectorCipher,
    geometry: VolumeGeometry,
    /// The offset of the first sector in the storage.
    offset: u64,
    threads: usize,
    /// Sectors on their way to the storage, and sectors of which only a part is wanted.
    buffer: Zeroizing<Vec<u8>>,
    /// The position of the implementations of [`io::Read`] and [`io::Write`].
    pub(super) position: u64,
}

/// Settings of a [`Volume`].
///
/// # Examples
/// ```
/// use std::io::Cursor;
/// use std::num::NonZeroUsize;
///
/// use strongroom::SecretBytes;
/// use strongroom::volumes::{SectorSize, Volume, VolumeError, VolumeGeometry, VolumeKey};
///
/// let key = VolumeKey::from_secret(SecretBytes::from_vec((0..64).collect()))?;
/// let geometry = VolumeGeometry::new(SectorSize::Bytes4096, 1 << 20)?;
/// let two = NonZeroUsize::new(2).ok_or("zero")?;
/// // The data of a LUKS2 volume usually begin at 16 MiB.
/// let mut volume = Volume::builder(&key, geometry).offset(16 << 20).threads(two).create(Cursor::new(Vec::new()))?;
/// volume.write_at(0, &[7; 1 << 20])?;
/// assert_eq!(volume.into_storage().into_inner().len(), 17 << 20);
///
/// let empty = Volume::builder(&key, geometry).open(Cursor::new(Vec::new())).unwrap_err();
/// let expected = VolumeError::StorageTooShort { needed: 1 << 20, available: 0 };
/// assert_eq!(empty.downcast_ref(), Some(&expected));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct VolumeBuilder<'a> {
    key: &'a VolumeKey,
    geometry: VolumeGeometry,
    offset: u64,
    threads: usize,
}

impl VolumeBuilder<'_> {
    /// Sets the offset of the first sector in the storage, in bytes. The default is 0. The offset
    /// has no influence on the encryption.
    #[must_use]
    pub const fn offset(mut self, bytes: u64) -> Self {
        self.offset = bytes;
        self
    }

    /// Encrypts and decrypts on up to this number of threads, of which 256 are used at most. The
    /// default is one, the thread of the caller. Each thread receives at least 128 KiB of a call. If a
    /// thread cannot be started, the others do its work.
    #[must_use]
    pub const fn threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = if threads.get() < MAX_THREADS { threads.get() } else { MAX_THREADS };
        self
    }

    /// Opens a volume. The key is not verified: XTS cannot reveal a wrong key.
    ///
    /// # Errors
    /// - [`VolumeError::StorageTooShort`] if the storage ends before the volume.
    /// - [`Io`](ErrorKind::Io) if the length of the storage cannot be determined.
    /// - [`UnsupportedOperation`](ErrorKind::UnsupportedOperation) with the feature `fips`, whose module
    ///   does not encrypt sectors.
    pub fn open<S: VolumeStorage>(self, mut storage: S) -> Result<Volume<S>> {
        FASTEST.check_allowed("AES-XTS")?;
        let available = storage.seek(SeekFrom::End(0)).map_err(|error| failed("measure", error))?;
        let needed = self.end()?;
        if available < needed {
            return Err(VolumeError::StorageTooShort { needed, available }.into());
        }
        Ok(self.build(storage))
    }

    /// Creates a volume that reads as zeros, and extends the storage if necessary. Everything in
    /// the range of the volume is discarded.
    ///
    /// # Errors
    /// - [`Io`](ErrorKind::Io) if the storage fails.
    /// - [`UnsupportedOperation`](ErrorKind::UnsupportedOperation) with the feature `fips`, whose module
    ///   does not encrypt sectors.
    pub fn create<S: VolumeStorage>(self, mut storage: S) -> Result<Volume<S>> {
        FASTEST.check_allowed("AES-XTS")?;
        let needed = self.end()?;
        let prepare = |storage: &mut S| {
            let available = storage.seek(SeekFrom::End(0))?;
            if available > self.offset {
                storage.discard(self.offset, available.min(needed) - self.offset)?;
            }
            if available < needed { storage.set_length(needed) } else { Ok(()) }
        };
        prepare(&mut storage).map_err(|error| failed("create", error))?;
        Ok(self.build(storage))
    }

    /// Returns the offset of the end of the volume in the storage.
    fn end(&self) -> Result<u64, VolumeError> {
        end_of(self.offset, self.geometry.size())
    }

    fn build<S>(self, storage: S) -> Volume<S> {
        Volume {
            storage,
            cipher: SectorCipher::new(self.key, self.geometry.sector_size()),
            geometry: self.geometry,
            offset: self.offset,
            threads: self.threads,
            buffer: Zeroizing::new(vec![0; BYTES_PER_THREAD * self.threads]),
            position: 0,
        }
    }
}

impl Volume<()> {
    /// Starts to open or create a volume.
    pub const fn builder(key: &VolumeKey, geometry: VolumeGeometry) -> VolumeBuilder<'_> {
        VolumeBuilder { key, geometry, offset: 0, threads: 1 }
    }
}

impl<S: VolumeStorage> Volume<S> {
    /// Fills a buffer with the plaintext at an offset. After an error, the buffer has any content.
    ///
    /// # Errors
    /// - [`VolumeError::OutOfRange`] if the buffer exceeds the volume.
    /// - [`Io`](ErrorKind::Io) if the storage fails.
    pub fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.geometry.check(offset, wide(buffer.len()))?;
        let (mut offset, mut rest) = (offset, buffer);
        while !rest.is_empty() {
            let Piece { first, skipped, length } = self.piece(offset, rest.len());
            let (wanted, next) = rest.split_at_mut(length);
            match skipped {
                None => self.read_sectors(first, wanted)?,
                Some(skipped) => wanted.copy_from_slice(&self.read_one(first)?[skipped..skipped + length]),
            }
            (offset, rest) = (offset + wide(length), next);
        }
        Ok(())
    }

    /// Writes plaintext at an offset. After an error, a part of the data may have been written.
    ///
    /// # Errors
    /// - [`VolumeError::OutOfRange`] if the data exceed the volume. Nothing is written.
    /// - [`Io`](ErrorKind::Io) if the storage fails.
    pub fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        self.geometry.check(offset, wide(data.len()))?;
        let (mut offset, mut rest) = (offset, data);
        while !rest.is_empty() {
            let Piece { first, skipped, length } = self.piece(offset, rest.len());
            let length = length.min(self.buffer.len());
            let (data, next) = rest.split_at(length);
            match skipped {
                None => {
                    self.buffer[..length].copy_from_slice(data);
                    self.write_buffer(first, length)?;
                }
                Some(skipped) => {
                    self.read_one(first)?[skipped..skipped + length].copy_from_slice(data);
                    self.write_buffer(first, self.geometry.sector_size().bytes())?;
                }
            }
            (offset, rest) = (offset + wide(length), next);
        }
        Ok(())
    }

    /// Writes encrypted zeros. Unlike discarded sectors, they look like any other data.
    ///
    /// # Errors
    /// - The errors of [`write_at`](Self::write_at).
    pub fn write_zeros(&mut self, offset: u64, length: u64) -> Result<()> {
        const ZEROS: [u8; 16 << 10] = [0; 16 << 10];
        self.geometry.check(offset, length)?;
        let (mut offset, end) = (offset, offset + length);
        while offset < end {
            let count = usize::try_from(end - offset).unwrap_or(usize::MAX).min(ZEROS.len());
            self.write_at(offset, &ZEROS[..count])?;
            offset += wide(count);
        }
        Ok(())
    }

    /// Discards the sectors that are completely in a range, so that they read as zeros, and returns
    /// their number of bytes. Sectors that are only partly in the range stay unchanged.
    ///
    /// The storage releases their space if it can, and then reveals that they are unused.
    ///
    /// # Errors
    /// - [`VolumeError::OutOfRange`] if the range exceeds the volume. Nothing is discarded.
    /// - [`Io`](ErrorKind::Io) if the storage fails.
    pub fn discard(&mut self, offset: u64, length: u64) -> Result<u64> {
        self.geometry.check(offset, length)?;
        let sector = self.geometry.sector_size().wide();
        let (start, end) = (offset.next_multiple_of(sector), (offset + length) / sector * sector);
        let count = end.saturating_sub(start);
        if count > 0 {
            self.storage.discard(self.offset + start, count).map_err(|error| failed("discard sectors of", error))?;
        }
        Ok(count)
    }

    /// Changes the size of the volume, so that the storage ends with it. New sectors read as zeros,
    /// also after the volume was larger before.
    ///
    /// The caller stores the new header
    /// ([`VolumeHeader::with_size`](super::VolumeHeader::with_size)): after the call if the volume
    /// grows, and before it if the volume shrinks.
    ///
    /// # Errors
    /// - [`VolumeError::Size`] as for [`VolumeGeometry::new`]. Nothing changes.
    /// - [`Io`](ErrorKind::Io) if the storage fails.
    pub fn resize(&mut self, size: u64) -> Result<()> {
        let geometry = VolumeGeometry::new(self.geometry.sector_size(), size)?;
        let (old, new) = (end_of(self.offset, self.geometry.size())?, end_of(self.offset, size)?);
        // Truncates first: bytes behind the volume would become part of it.
        let resized = self.storage.set_length(old).and_then(|()| self.storage.set_length(new));
        resized.map_err(|error| failed("resize", error))?;
        self.geometry = geometry;
        Ok(())
    }

    /// Makes everything that was written durable.
    ///
    /// # Errors
    /// - [`Io`](ErrorKind::Io) if the storage fails.
    pub fn flush(&mut self) -> Result<()> {
        let flushed = self.storage.flush().and_then(|()| self.storage.synchronize());
        flushed.map_err(|error| failed("flush", error))
    }

    /// Returns the part of a range that can be processed in one step: complete sectors, or a part
    /// of one.
    fn piece(&self, offset: u64, length: usize) -> Piece {
        let sector = self.geometry.sector_size();
        let first = offset / sector.wide();
        let skipped = usize::try_from(offset % sector.wide()).expect("a sector has at most 4,096 bytes");
        if skipped == 0 && length >= sector.bytes() {
            return Piece { first, skipped: None, length: length - length % sector.bytes() };
        }
        Piece { first, skipped: Some(skipped), length: length.min(sector.bytes() - skipped) }
    }

    /// Reads and decrypts complete sectors.
    pub(super) fn read_sectors(&mut self, first: u64, sectors: &mut [u8]) -> Result<()> {
        self.read_stored(first, sectors)?;
        self.decrypt(first, sectors)
    }

    /// Reads complete sectors as they are stored.
    pub(super) fn read_stored(&mut self, first: u64, sectors: &mut [u8]) -> Result<()> {
        let position = self.position_of(first);
        let read = self.storage.seek(position).and_then(|_| self.storage.read_exact(sectors));
        read.map_err(|error| failed("read", error))
    }

    /// Decrypts complete sectors, on several threads if this is worthwhile.
    pub(super) fn decrypt(&self, first: u64, sectors: &mut [u8]) -> Result<()> {
        Ok(on_threads(&self.cipher, self.threads, first, sectors, SectorCipher::decrypt_written_sectors)?)
    }

    /// Reads and decrypts one sector into the buffer.
    fn read_one(&mut self, sector: u64) -> Result<&mut [u8]> {
        let position = self.position_of(sector);
        let buffer = &mut self.buffer[..self.geometry.sector_size().bytes()];
        let read = self.storage.seek(position).and_then(|_| self.storage.read_exact(buffer));
        read.map_err(|error| failed("read", error))?;
        self.cipher.decrypt_written_sectors(sector, buffer)?;
        Ok(buffer)
    }

    /// Encrypts and writes the sectors in the buffer.
    fn write_buffer(&mut self, first: u64, length: usize) -> Result<()> {
        let position = self.position_of(first);
        let sectors = &mut self.buffer[..length];
        on_threads(&self.cipher, self.threads, first, sectors, SectorCipher::encrypt_sectors)?;
        let written = self.storage.seek(position).and_then(|_| self.storage.write_all(sectors));
        written.map_err(|error| failed("write", error))
    }

    fn position_of(&self, sector: u64) -> SeekFrom {
        SeekFrom::Start(self.offset + sector * self.geometry.sector_size().wide())
    }
}

impl<S> Volume<S> {
    /// Returns the sector size and the size.
    pub const fn geometry(&self) -> VolumeGeometry {
        self.geometry
    }

    /// Returns the storage. Unlike [`flush`](Self::flush), this does not make anything durable.
    pub fn into_storage(self) -> S {
        self.storage
    }
}

/// A part of a range.
struct Piece {
    /// The first sector.
    first: u64,
    /// The number of bytes before the piece in its sector, or `None` if it consists of complete
    /// sectors.
    skipped: Option<usize>,
    /// The number of bytes.
    length: usize,
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).expect("a length in memory fits 64 bits")
}

fn end_of(offset: u64, size: u64) -> Result<u64, VolumeError> {
    offset.checked_add(size).ok_or(VolumeError::Size { bytes: size })
}

fn failed(verb: &str, error: io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot {verb} the volume")).with_source(error)
}

impl<S> fmt::Debug for Volume<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Volume")
            .field("geometry", &self.geometry)
            .field("offset", &self.offset)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}
