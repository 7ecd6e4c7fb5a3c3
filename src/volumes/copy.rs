//! Copies of volumes under another key.

use zeroize::Zeroizing;

use super::error::VolumeError;
use super::sector::is_written;
use super::storage::VolumeStorage;
use super::volume::Volume;
use crate::error::Result;

/// The number of bytes that are copied or skipped together: the largest sector.
const PIECE: usize = 4_096;

/// The number of pieces that are read together.
const PIECES: u64 = 256;

impl<S: VolumeStorage> Volume<S> {
    /// Encrypts a copy of the volume with the key of another one, such as a snapshot, and returns
    /// the number of bytes that were copied. Discarded sectors are discarded in the copy.
    /// The copy is durable when the call returns, as after [`flush`](Self::flush).
    ///
    /// The copy begins at the first byte of both volumes, whose sector sizes may differ. If it is
    /// interrupted, the destination is incomplete. Repeat the copy then.
    ///
    /// # Errors
    /// - [`VolumeError::OutOfRange`] if the destination is smaller. Nothing is copied.
    /// - [`Io`](crate::ErrorKind::Io) if a storage fails.
    ///
    /// # Examples
    /// ```
    /// use std::io::Cursor;
    ///
    /// use strongroom::Kms;
    /// use strongroom::volumes::{SectorSize, Volume, VolumeGeometry, VolumeId, VolumeKeys};
    ///
    /// let kms = Kms::in_memory()?;
    /// let attached = |id: &str| {
    ///     let keys = VolumeKeys::new(&kms, kms.create_key(Default::default())?.key_id())?;
    ///     let id = VolumeId::parse(id)?;
    ///     let header = keys.create(&id, VolumeGeometry::new(SectorSize::Bytes4096, 1 << 20)?)?;
    ///     Volume::builder(&keys.attach(&header, &id)?, header.geometry()).create(Cursor::new(Vec::new()))
    /// };
    /// let (mut volume, mut snapshot) = (attached("vol-1")?, attached("snap-1")?);
    /// volume.write_at(10_000, b"data")?;
    /// assert_eq!(volume.copy_to(&mut snapshot)?, 4_096); // the only sector that was written
    ///
    /// let mut read = [0; 4];
    /// snapshot.read_at(10_000, &mut read)?;
    /// assert_eq!(&read, b"data");
    /// assert_ne!(volume.into_storage(), snapshot.into_storage());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn copy_to<D: VolumeStorage>(&mut self, destination: &mut Volume<D>) -> Result<u64> {
        let size = self.geometry().size();
        destination.geometry().check(0, size)?;
        let sector = self.geometry().sector_size().wide();
        let step = PIECES * 4_096;
        let mut buffer = Zeroizing::new(vec![0; PIECE * usize::try_from(PIECES).map_err(|_| too_large(size))?]);
        let (mut offset, mut copied) = (0, 0);
        while offset < size {
            let count = step.min(size - offset);
            let sectors = &mut buffer[..usize::try_from(count).map_err(|_| too_large(size))?];
            self.read_stored(offset / sector, sectors)?;
            let written: Vec<bool> = sectors.chunks(PIECE).map(is_written).collect();
            self.decrypt(offset / sector, sectors)?;
            copied += copy_pieces(destination, offset, sectors, &written)?;
            offset += count;
        }
        destination.flush()?;
        Ok(copied)
    }
}

fn too_large(bytes: u64) -> VolumeError {
    VolumeError::Size { bytes }
}

/// Writes or discards runs of pieces. Returns the number of bytes that were written.
fn copy_pieces<D: VolumeStorage>(
    destination: &mut Volume<D>,
    offset: u64,
    plaintext: &[u8],
    written: &[bool],
) -> Result<u64> {
    let (mut offset, mut rest, mut copied) = (offset, plaintext, 0);
    for run in written.chunk_by(|one, next| one == next) {
        let (pieces, next) = rest.split_at((run.len() * PIECE).min(rest.len()));
        let length = u64::try_from(pieces.len()).unwrap_or(u64::MAX);
        if run.first() == Some(&true) {
            destination.write_at(offset, pieces)?;
            copied += length;
        } else if destination.discard(offset, length)? != length {
            // The last piece is smaller than a sector of the destination.
            destination.write_zeros(offset, length)?;
        }
        (offset, rest) = (offset + length, next);
    }
    Ok(copied)
}
