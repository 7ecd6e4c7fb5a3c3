//! The sector size and the size of a volume.

use super::error::VolumeError;

/// The maximum size of a volume in bytes: 256 TiB, which are 2^44 blocks under one key.
///
/// Among so many blocks, the probability that two of them enter AES with the same value is 2^-40.
/// Such a collision would reveal a relation between two blocks.
pub const MAX_VOLUME_BYTES: u64 = 1 << 48;

/// The number of bytes that are encrypted together.
///
/// # Examples
/// ```
/// use strongroom::volumes::{SectorSize, VolumeError};
///
/// assert_eq!(SectorSize::from_bytes(4_096)?, SectorSize::Bytes4096);
/// assert_eq!(SectorSize::Bytes512.bytes(), 512);
/// assert_eq!(SectorSize::from_bytes(1_024), Err(VolumeError::SectorSize { bytes: 1_024 }));
/// # Ok::<(), VolumeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SectorSize {
    /// 512 bytes, the only size of LUKS1 and QEMU.
    Bytes512,
    /// 4,096 bytes, the size of current disks. Faster than 512.
    Bytes4096,
}

impl SectorSize {
    /// Accepts a size in bytes.
    ///
    /// # Errors
    /// - [`VolumeError::SectorSize`] unless it is 512 or 4,096.
    pub const fn from_bytes(bytes: u64) -> Result<Self, VolumeError> {
        match bytes {
            512 => Ok(Self::Bytes512),
            4_096 => Ok(Self::Bytes4096),
            bytes => Err(VolumeError::SectorSize { bytes }),
        }
    }

    /// Returns the size in bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Bytes512 => 512,
            Self::Bytes4096 => 4_096,
        }
    }

    /// Returns the size in bytes, for arithmetic with offsets.
    pub(super) const fn wide(self) -> u64 {
        match self {
            Self::Bytes512 => 512,
            Self::Bytes4096 => 4_096,
        }
    }

    /// Returns the size in bytes, as a header contains it.
    pub(super) const fn code(self) -> u16 {
        match self {
            Self::Bytes512 => 512,
            Self::Bytes4096 => 4_096,
        }
    }
}

/// The sector size and the size of a volume.
///
/// # Examples
/// ```
/// use strongroom::volumes::{SectorSize, VolumeError, VolumeGeometry};
///
/// let geometry = VolumeGeometry::new(SectorSize::Bytes4096, 1 << 30)?;
/// assert_eq!((geometry.sector_size(), geometry.size()), (SectorSize::Bytes4096, 1 << 30));
/// let odd = VolumeGeometry::new(SectorSize::Bytes4096, 512);
/// assert_eq!(odd, Err(VolumeError::Size { bytes: 512 }));
/// # Ok::<(), VolumeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VolumeGeometry {
    sector_size: SectorSize,
    size: u64,
}

impl VolumeGeometry {
    /// Describes a volume of `size` bytes.
    ///
    /// # Errors
    /// - [`VolumeError::Size`] if the size is no multiple of the sector size, or exceeds
    ///   [`MAX_VOLUME_BYTES`].
    pub const fn new(sector_size: SectorSize, size: u64) -> Result<Self, VolumeError> {
        if size > MAX_VOLUME_BYTES || !size.is_multiple_of(sector_size.wide()) {
            return Err(VolumeError::Size { bytes: size });
        }
        Ok(Self { sector_size, size })
    }

    /// Returns the sector size.
    pub const fn sector_size(self) -> SectorSize {
        self.sector_size
    }

    /// Returns the size of the volume in bytes.
    pub const fn size(self) -> u64 {
        self.size
    }

    /// Rejects a range that exceeds the volume.
    pub(super) fn check(self, offset: u64, length: u64) -> Result<(), VolumeError> {
        match offset.checked_add(length) {
            Some(end) if end <= self.size => Ok(()),
            _ => Err(VolumeError::OutOfRange { offset, length, size: self.size }),
        }
    }
}
