//! Errors of volumes.

use crate::codec::CodecError;
use crate::error::{Error, ErrorKind};

/// Reasons why a volume, its header, its key or its token is rejected.
///
/// # Examples
/// ```
/// use strongroom::ErrorKind;
/// use strongroom::volumes::{VolumeError, VolumeHeader};
///
/// let error = VolumeHeader::parse(b"#!/bin/sh\n").unwrap_err();
/// assert_eq!(error, VolumeError::NoHeader);
/// assert_eq!(strongroom::Error::from(error).kind(), ErrorKind::InvalidCiphertext);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VolumeError {
    /// The bytes do not begin like a header.
    #[error("the bytes are not the header of a volume")]
    NoHeader,
    /// This release does not support the version.
    #[error("the header of the volume has version {version}, but only version 1 is supported")]
    Version {
        /// The version in the header.
        version: u8,
    },
    /// This release does not support the cipher.
    #[error("the volume is encrypted with cipher {cipher}, but only cipher 1 (AES-256-XTS) is supported")]
    Cipher {
        /// The number of the cipher in the header.
        cipher: u8,
    },
    /// The header is longer than allowed.
    #[error("the header of the volume has {length} bytes, but at most {limit} are allowed")]
    HeaderTooLong {
        /// The length in bytes.
        length: usize,
        /// The maximum length in bytes.
        limit: usize,
    },
    /// The header is truncated, or followed by other bytes.
    #[error("the header of the volume is malformed")]
    Malformed(#[from] CodecError),
    /// The checksum of the header does not match its content.
    #[error("the header of the volume is damaged: its checksum does not match")]
    Checksum,
    /// The ARN of the KMS key in a header or token is malformed.
    #[error("the ARN of the volume's KMS key is malformed")]
    KeyArn,
    /// The wrapped key in a header or token is empty or too long.
    #[error("the wrapped key of the volume has {length} bytes, but 1 to {limit} are allowed")]
    WrappedKey {
        /// The length in bytes.
        length: usize,
        /// The maximum length in bytes.
        limit: usize,
    },
    /// A volume ID is empty, too long, or contains other characters than allowed.
    #[error("a volume ID must consist of 1 to 255 letters and digits of ASCII, '-', '_', '.', ':' and '/'")]
    VolumeId,
    /// The header belongs to another volume than the caller expects.
    #[error("the header belongs to another volume")]
    OtherVolume,
    /// The header names another KMS key than the one that wraps the key of the volume.
    #[error("the header names another KMS key than the one that wraps the key of the volume")]
    OtherKey,
    /// The sector size is neither 512 nor 4,096 bytes.
    #[error("a sector size of {bytes} bytes is not supported, only 512 and 4096 are")]
    SectorSize {
        /// The size in bytes.
        bytes: u64,
    },
    /// The size of a volume is no multiple of its sector size, or too large.
    #[error("a volume cannot have {bytes} bytes: use a multiple of its sector size, of at most 256 TiB")]
    Size {
        /// The size in bytes.
        bytes: u64,
    },
    /// A volume key does not have 64 bytes.
    #[error("a volume key has 64 bytes, not {length}")]
    KeyLength {
        /// The length in bytes.
        length: usize,
    },
    /// The two AES keys in a volume key are equal, which XTS does not allow.
    #[error("the two halves of the volume key are equal, which weakens XTS: generate another key")]
    EqualKeys,
    /// A data unit is no multiple of 16 bytes, or exceeds 2^20 blocks.
    #[error("a data unit of {bytes} bytes is not supported: use a multiple of 16 bytes, of at most 16 MiB")]
    DataUnit {
        /// The length in bytes.
        bytes: usize,
    },
    /// Data that should consist of sectors does not.
    #[error("{bytes} bytes are not a number of complete sectors")]
    PartialSector {
        /// The length in bytes.
        bytes: usize,
    },
    /// A read, write or discard exceeds the volume.
    #[error("{length} bytes at offset {offset} exceed the volume, which has {size} bytes")]
    OutOfRange {
        /// The offset of the first byte.
        offset: u64,
        /// The number of bytes.
        length: u64,
        /// The size of the volume in bytes.
        size: u64,
    },
    /// The storage is shorter than the volume.
    #[error("the storage has {available} bytes, but the volume needs {needed}")]
    StorageTooShort {
        /// The number of bytes that the volume needs, including its offset.
        needed: u64,
        /// The length of the storage in bytes.
        available: u64,
    },
    /// A token of LUKS2 is not one of this crate, or is malformed.
    #[error("the LUKS2 token is rejected: {problem}")]
    Token {
        /// The reason.
        problem: &'static str,
    },
}

impl VolumeError {
    const fn kind(self) -> ErrorKind {
        match self {
            Self::NoHeader
            | Self::Version { .. }
            | Self::Cipher { .. }
            | Self::HeaderTooLong { .. }
            | Self::Malformed(_)
            | Self::Checksum
            | Self::KeyArn
            | Self::WrappedKey { .. }
            | Self::OtherVolume
            | Self::OtherKey
            | Self::Token { .. } => ErrorKind::InvalidCiphertext,
            Self::StorageTooShort { .. } => ErrorKind::Io,
            Self::VolumeId
            | Self::SectorSize { .. }
            | Self::Size { .. }
            | Self::KeyLength { .. }
            | Self::EqualKeys
            | Self::DataUnit { .. }
            | Self::PartialSector { .. }
            | Self::OutOfRange { .. } => ErrorKind::Validation,
        }
    }
}

impl From<VolumeError> for Error {
    fn from(error: VolumeError) -> Self {
        let text = match error {
            VolumeError::Malformed(reason) => format!("{error}: {reason}"),
            error => error.to_string(),
        };
        Self::new(error.kind(), text).with_source(error)
    }
}
