//! The record of a volume.
//!
//! ```text
//! "SRVOLUME" | u8 version = 1 | u8 cipher = 1 | u16 sector size | u64 size
//!   | u16 length | volume ID | u16 length | ARN of the KMS key | u16 length | wrapped key | SHA-256 of all before
//! ```
//!
//! Numbers are big-endian. Cipher 1 is AES-256-XTS with the tweaks of `plain64`.

use std::fmt;
use std::str::FromStr;

use super::error::VolumeError;
use super::geometry::{SectorSize, VolumeGeometry};
use crate::blob::MAX_BLOB_LENGTH;
use crate::codec::{Reader, Writer};
use crate::crypto::{DigestAlgorithm, FASTEST};
use crate::key::KeyArn;

/// The maximum length of a header in bytes.
pub const MAX_VOLUME_HEADER_BYTES: usize = 16 << 10;

const MAGIC: &[u8; 8] = b"SRVOLUME";
const VERSION: u8 = 1;
const AES_256_XTS: u8 = 1;
const CHECKSUM_BYTES: usize = 32;
const MAX_ID_BYTES: usize = 255;

/// The name of a volume, such as `vol-0a1b2c3d4e5f60718`. The key of a volume is bound to it.
///
/// # Examples
/// ```
/// use strongroom::volumes::{VolumeError, VolumeId};
///
/// let id: VolumeId = "vol-0a1b2c3d4e5f60718".parse()?;
/// assert_eq!(id.as_str(), "vol-0a1b2c3d4e5f60718");
/// assert_eq!(id, VolumeId::parse(&id.to_string())?);
/// assert_eq!(VolumeId::parse("a volume"), Err(VolumeError::VolumeId));
/// # Ok::<(), VolumeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VolumeId(String);

impl VolumeId {
    /// Accepts 1 to 255 letters and digits of ASCII, `-`, `_`, `.`, `:` and `/`.
    ///
    /// # Errors
    /// - [`VolumeError::VolumeId`] for any other text.
    pub fn parse(text: &str) -> Result<Self, VolumeError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte);
        if text.is_empty() || text.len() > MAX_ID_BYTES || !text.bytes().all(allowed) {
            return Err(VolumeError::VolumeId);
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VolumeId {
    type Err = VolumeError;

    fn from_str(text: &str) -> Result<Self, VolumeError> {
        Self::parse(text)
    }
}

impl fmt::Display for VolumeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The record of a volume: its ID, its geometry, and its wrapped key. It is not secret.
///
/// Store it with the volume, or elsewhere. Without it, nobody can read the volume: make it durable
/// before the first write, for example with [`LockedFile::replace`](crate::seal::LockedFile::replace),
/// and keep the old one until a new one is durable.
///
/// The checksum detects accidental damage. An attacker who changes the ID, the sector size, the cipher or
/// the key prevents the attachment, because the wrapped key is bound to them. The size is not bound: a
/// storage can be truncated anyway.
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::volumes::{SectorSize, VolumeError, VolumeGeometry, VolumeHeader, VolumeId, VolumeKeys};
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?;
/// let id = VolumeId::parse("vol-1")?;
/// let geometry = VolumeGeometry::new(SectorSize::Bytes512, 1 << 20)?;
/// let header = VolumeKeys::new(&kms, key.key_id())?.create(&id, geometry)?;
/// assert_eq!((header.volume_id(), header.key_arn(), header.geometry()), (&id, key.arn(), geometry));
///
/// let mut bytes = header.to_bytes();
/// assert_eq!(VolumeHeader::parse(&bytes)?, header);
/// let last = bytes.len() - 1;
/// bytes[last] ^= 1;
/// assert_eq!(VolumeHeader::parse(&bytes), Err(VolumeError::Checksum));
///
/// let larger = header.with_size(2 << 20)?; // after `Volume::resize`
/// assert_eq!(larger.geometry().size(), 2 << 20);
/// assert_eq!(larger.wrapped_key(), header.wrapped_key());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct VolumeHeader {
    volume_id: VolumeId,
    key_arn: KeyArn,
    wrapped_key: Vec<u8>,
    geometry: VolumeGeometry,
}

impl VolumeHeader {
    /// Creates a record whose parts fit its format.
    pub(super) fn new(
        volume_id: VolumeId,
        key_arn: KeyArn,
        wrapped_key: Vec<u8>,
        geometry: VolumeGeometry,
    ) -> Result<Self, VolumeError> {
        if wrapped_key.is_empty() || wrapped_key.len() > MAX_BLOB_LENGTH {
            return Err(VolumeError::WrappedKey { length: wrapped_key.len(), limit: MAX_BLOB_LENGTH });
        }
        Ok(Self { volume_id, key_arn, wrapped_key, geometry })
    }

    /// Parses the bytes of a record.
    ///
    /// # Errors
    /// - [`VolumeError::NoHeader`] if the bytes begin in another way.
    /// - [`VolumeError::Version`] and [`VolumeError::Cipher`] for a record of a later release.
    /// - [`VolumeError::HeaderTooLong`] if there are more than [`MAX_VOLUME_HEADER_BYTES`].
    /// - [`VolumeError::Malformed`] if the record is truncated, or followed by other bytes.
    /// - [`VolumeError::Checksum`] if the record is damaged.
    /// - [`VolumeError::SectorSize`], [`VolumeError::Size`], [`VolumeError::VolumeId`],
    ///   [`VolumeError::KeyArn`] or [`VolumeError::WrappedKey`] if a field is invalid although the
    ///   checksum matches.
    pub fn parse(bytes: &[u8]) -> Result<Self, VolumeError> {
        if bytes.len() > MAX_VOLUME_HEADER_BYTES {
            return Err(VolumeError::HeaderTooLong { length: bytes.len(), limit: MAX_VOLUME_HEADER_BYTES });
        }
        let mut reader = Reader::new(bytes);
        if reader.remaining() < MAGIC.len() || reader.array::<8>("magic")? != *MAGIC {
            return Err(VolumeError::NoHeader);
        }
        match reader.u8("version")? {
            VERSION => {}
            version => return Err(VolumeError::Version { version }),
        }
        let cipher = reader.u8("cipher")?;
        let sector_size = reader.u16("sector size")?;
        let size = reader.u64("size")?;
        let volume_id = reader.prefixed_u16("volume ID")?;
        let key_arn = reader.prefixed_u16("key ARN")?;
        let wrapped_key = reader.prefixed_u16("wrapped key")?;
        let content = bytes.get(..reader.position()).unwrap_or_default();
        let stored = reader.array::<CHECKSUM_BYTES>("checksum")?;
        reader.finish()?;
        if checksum(content) != stored {
            return Err(VolumeError::Checksum);
        }
        if cipher != AES_256_XTS {
            return Err(VolumeError::Cipher { cipher });
        }
        let volume_id = std::str::from_utf8(volume_id).map_err(|_| VolumeError::VolumeId)?;
        let key_arn = std::str::from_utf8(key_arn).map_err(|_| VolumeError::KeyArn)?;
        Self::new(
            VolumeId::parse(volume_id)?,
            KeyArn::parse(key_arn).map_err(|_| VolumeError::KeyArn)?,
            wrapped_key.to_vec(),
            VolumeGeometry::new(SectorSize::from_bytes(u64::from(sector_size))?, size)?,
        )
    }

    /// Returns the bytes of the record.
    #[expect(clippy::missing_panics_doc, reason = "the parts fit the format by construction")]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.encode().expect("each part of a header is shorter than 64 KiB")
    }

    fn encode(&self) -> Result<Vec<u8>, VolumeError> {
        let mut writer = Writer::with_capacity(512);
        writer.bytes(MAGIC).u8(VERSION).u8(AES_256_XTS);
        writer.u16(self.geometry.sector_size().code()).u64(self.geometry.size());
        writer.prefixed_u16(self.volume_id.as_str().as_bytes(), "volume ID")?;
        writer.prefixed_u16(self.key_arn.to_string().as_bytes(), "key ARN")?;
        writer.prefixed_u16(&self.wrapped_key, "wrapped key")?;
        let sum = checksum(writer.as_bytes());
        writer.bytes(&sum);
        Ok(writer.into_bytes())
    }

    /// Returns the ID of the volume.
    pub const fn volume_id(&self) -> &VolumeId {
        &self.volume_id
    }

    /// Returns the ARN of the KMS key that wraps the key of the volume.
    pub const fn key_arn(&self) -> &KeyArn {
        &self.key_arn
    }

    /// Returns the wrapped key: a ciphertext of the KMS.
    pub fn wrapped_key(&self) -> &[u8] {
        &self.wrapped_key
    }

    /// Returns the sector size and the size of the volume.
    pub const fn geometry(&self) -> VolumeGeometry {
        self.geometry
    }

    /// Returns the record of the same volume after its size has changed.
    ///
    /// # Errors
    /// - [`VolumeError::Size`] as for [`VolumeGeometry::new`].
    pub fn with_size(&self, size: u64) -> Result<Self, VolumeError> {
        Ok(Self { geometry: VolumeGeometry::new(self.geometry.sector_size(), size)?, ..self.clone() })
    }
}

fn checksum(content: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let digest = FASTEST.digest().digest(DigestAlgorithm::Sha256, &[content]);
    let mut sum = [0; CHECKSUM_BYTES];
    sum.copy_from_slice(digest.as_ref());
    sum
}

impl fmt::Debug for VolumeHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VolumeHeader")
            .field("volume_id", &self.volume_id)
            .field("key_arn", &self.key_arn)
            .field("wrapped_key_length", &self.wrapped_key.len())
            .field("geometry", &self.geometry)
            .finish()
    }
}
