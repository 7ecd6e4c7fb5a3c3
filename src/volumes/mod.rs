//! Encrypted volumes: a key for each volume, wrapped by the KMS, and a cipher for its sectors.
//!
//! | type | purpose |
//! |---|---|
//! | [`VolumeKeys`] | creates, attaches and re-wraps volumes under a KMS key |
//! | [`VolumeId`], [`VolumeHeader`] | the volume that a key is bound to, and the record with its wrapped key |
//! | [`VolumeKey`] | the key of an attached volume |
//! | [`Volume`], [`VolumeStorage`] | a disk of random access, over a file, a device or your own storage |
//! | [`SectorCipher`], [`SectorSize`] | AES-256-XTS over sectors, as `dm-crypt` writes them |
//! | [`LuksToken`] | the same record as a token of LUKS2, for `cryptsetup` |
//!
//! A volume works as in AWS EBS. Its key is generated without plaintext and bound to the ID of the
//! volume. Attaching a volume unwraps the key once. Disabling the KMS key prevents further
//! attachments, and deleting it makes the volume unreadable.
//!
//! **Sectors are encrypted, but not authenticated.** An attacker with write access can randomize or
//! restore parts of a volume. The page [volumes](crate::manual::volumes) of the manual describes
//! the consequences, and when to prefer [`Envelope`](crate::Envelope).
//!
//! # Examples
//! ```
//! use std::io::Cursor;
//!
//! use strongroom::request::CreateKeyRequest;
//! use strongroom::volumes::{SectorSize, Volume, VolumeGeometry, VolumeId, VolumeKeys};
//! use strongroom::Kms;
//!
//! let kms = Kms::in_memory()?;
//! kms.create_key(CreateKeyRequest::default().alias("alias/volumes"))?;
//! let keys = VolumeKeys::new(&kms, "alias/volumes")?;
//! let id = VolumeId::parse("vol-0a1b2c3d4e5f60718")?;
//!
//! let header = keys.create(&id, VolumeGeometry::new(SectorSize::Bytes4096, 1 << 20)?)?;
//! let key = keys.attach(&header, &id)?;
//! let mut volume = Volume::builder(&key, header.geometry()).create(Cursor::new(Vec::new()))?;
//! volume.write_at(5_000, b"across any boundary")?;
//!
//! let mut read = [0; 19];
//! volume.read_at(5_000, &mut read)?;
//! assert_eq!(&read, b"across any boundary");
//! assert!(keys.attach(&header, &VolumeId::parse("vol-0a1b2c3d4e5f60719")?).is_err());
//! # Ok::<(), strongroom::Error>(())
//! ```

mod copy;
mod error;
mod geometry;
mod header;
mod key;
mod keys;
mod luks;
mod sector;
mod storage;
mod stream;
mod threads;
mod volume;

pub use error::VolumeError;
pub use geometry::{MAX_VOLUME_BYTES, SectorSize, VolumeGeometry};
pub use header::{MAX_VOLUME_HEADER_BYTES, VolumeHeader, VolumeId};
pub use key::VolumeKey;
pub use keys::VolumeKeys;
pub use luks::{LUKS_TOKEN_TYPE, LuksToken, MAX_LUKS_TOKEN_BYTES};
pub use sector::{MAX_DATA_UNIT_BYTES, SectorCipher};
pub use storage::VolumeStorage;
pub use volume::{Volume, VolumeBuilder};
