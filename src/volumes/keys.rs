//! The keys of volumes, under a KMS key.

use std::fmt;

use super::error::VolumeError;
use super::geometry::VolumeGeometry;
use super::header::{VolumeHeader, VolumeId};
use super::key::{VOLUME_KEY_BYTES, VolumeKey};
use crate::context::EncryptionContext;
use crate::error::{Error, Result};
use crate::key::KeyIdentifier;
use crate::kms::{DecryptRequest, GenerateDataKeyRequest, KeyReference, Kms, ReEncryptRequest};

/// The pair of the encryption context with the volume ID, as in AWS EBS.
const VOLUME_ID: &str = "aws:ebs:id";

/// The pair of the encryption context with the version of the header, the cipher and the sector
/// size.
const FORMAT: &str = "strongroom:volume";

/// Creates, attaches and re-wraps volumes under one KMS key.
///
/// The key of a volume is bound to the pair `aws:ebs:id` of the encryption context, so that
/// policies, grants and the audit trail name the volume. The pair `strongroom:volume` binds cipher
/// and sector size. Every use has the permissions of the [`Kms`] handle:
///
/// | call | operation of the KMS | who needs it |
/// |---|---|---|
/// | [`create`](Self::create) | `GenerateDataKeyWithoutPlaintext` | the service that creates volumes, which never sees a key |
/// | [`attach`](Self::attach) | `Decrypt` | the machine that uses the volume |
/// | [`rewrap`](Self::rewrap) | `ReEncrypt` | the service that creates snapshots, which never sees a key |
///
/// # Examples
/// ```
/// use strongroom::volumes::{SectorSize, VolumeGeometry, VolumeId, VolumeKeys};
/// use strongroom::{ErrorKind, Kms};
///
/// let kms = Kms::in_memory()?;
/// let (key, archive) = (kms.create_key(Default::default())?.key_id(), kms.create_key(Default::default())?.key_id());
/// let keys = VolumeKeys::new(&kms, key)?;
/// let (volume, snapshot) = (VolumeId::parse("vol-1")?, VolumeId::parse("snap-1")?);
/// let header = keys.create(&volume, VolumeGeometry::new(SectorSize::Bytes4096, 1 << 30)?)?;
///
/// // A snapshot of the same bytes under another KMS key: only the wrapped key changes.
/// let copied = keys.rewrap(&header, &volume, archive, &snapshot)?;
/// let opened = VolumeKeys::new(&kms, archive)?.attach(&copied, &snapshot)?;
/// assert_eq!(opened.expose_secret(), keys.attach(&header, &volume)?.expose_secret());
///
/// assert_eq!(keys.attach(&header, &snapshot).unwrap_err().kind(), ErrorKind::InvalidCiphertext);
/// assert_eq!(keys.attach(&copied, &snapshot).unwrap_err().kind(), ErrorKind::IncorrectKey);
/// kms.disable_key(key)?;
/// assert_eq!(keys.attach(&header, &volume).unwrap_err().kind(), ErrorKind::Disabled);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone)]
pub struct VolumeKeys {
    kms: Kms,
    key: KeyIdentifier,
}

impl VolumeKeys {
    /// Uses a symmetric KMS key, which need not exist yet. An alias is resolved for each call.
    ///
    /// # Errors
    /// - The errors of [`KeyReference::to_key_identifier`].
    pub fn new(kms: &Kms, key: impl KeyReference) -> Result<Self> {
        Ok(Self { kms: kms.clone(), key: key.to_key_identifier()? })
    }

    /// Generates a wrapped key for a new volume. Nobody sees the key until the volume is attached.
    ///
    /// # Errors
    /// - The errors of [`Kms::generate_data_key_without_plaintext`].
    pub fn create(&self, volume: &VolumeId, geometry: VolumeGeometry) -> Result<VolumeHeader> {
        let context = context_of(volume, geometry);
        let request = GenerateDataKeyRequest::new(&self.key).number_of_bytes(VOLUME_KEY_BYTES).context(&context);
        let made = self.kms.generate_data_key_without_plaintext(request);
        let made = made.map_err(|error| failed("create", volume, error))?;
        Ok(VolumeHeader::new(volume.clone(), made.key_arn, made.ciphertext_blob, geometry)?)
    }

    /// Unwraps the key of a volume.
    ///
    /// The caller specifies the volume that it expects, because a header can be exchanged.
    ///
    /// # Errors
    /// - [`VolumeError::OtherVolume`] if the header belongs to another volume.
    /// - [`InvalidCiphertext`](crate::ErrorKind::InvalidCiphertext) if the wrapped key or the
    ///   header was modified.
    /// - [`IncorrectKey`](crate::ErrorKind::IncorrectKey) if another KMS key wraps the key of the
    ///   volume.
    /// - The errors of [`Kms::decrypt`], such as [`Disabled`](crate::ErrorKind::Disabled).
    /// - [`VolumeError::OtherKey`] if the header names another KMS key than the one that wraps the
    ///   key.
    /// - [`VolumeError::KeyLength`] or [`VolumeError::EqualKeys`] if the wrapped key is no volume
    ///   key.
    pub fn attach(&self, header: &VolumeHeader, volume: &VolumeId) -> Result<VolumeKey> {
        expect(header, volume)?;
        let context = context_of(volume, header.geometry());
        let request = DecryptRequest::new(header.wrapped_key()).key(&self.key)?.context(&context);
        let opened = self.kms.decrypt(request).map_err(|error| failed("attach", volume, error))?;
        if opened.key_arn != *header.key_arn() {
            return Err(VolumeError::OtherKey.into());
        }
        Ok(VolumeKey::from_secret(opened.plaintext)?)
    }

    /// Wraps the key of a volume again: under another KMS key, under the current version of the
    /// same key, or for a copy of the same bytes with another ID.
    ///
    /// The bytes of the volume stay, so both headers open them. Whoever may use either KMS key can
    /// attach the bytes until that key is deleted. Whoever attached once can keep the volume key, and
    /// read everything that either volume stores from then on. Both volumes encrypt with the same
    /// key, so that equal data at the same position are visible. Use
    /// [`Volume::copy_to`](super::Volume::copy_to) to encrypt a copy with a key of its own.
    ///
    /// # Errors
    /// - [`VolumeError::OtherVolume`] if the header belongs to another volume.
    /// - The errors of [`Kms::re_encrypt`].
    pub fn rewrap(
        &self,
        header: &VolumeHeader,
        volume: &VolumeId,
        destination_key: impl KeyReference,
        destination: &VolumeId,
    ) -> Result<VolumeHeader> {
        expect(header, volume)?;
        let (from, to) = (context_of(volume, header.geometry()), context_of(destination, header.geometry()));
        let request = ReEncryptRequest::new(header.wrapped_key(), destination_key);
        let request = request.source_key(&self.key)?.source_context(&from).destination_context(&to);
        let made = self.kms.re_encrypt(request).map_err(|error| failed("re-wrap", volume, error))?;
        Ok(VolumeHeader::new(destination.clone(), made.key_arn, made.ciphertext_blob, header.geometry())?)
    }
}

fn expect(header: &VolumeHeader, volume: &VolumeId) -> Result<(), VolumeError> {
    if header.volume_id() == volume { Ok(()) } else { Err(VolumeError::OtherVolume) }
}

fn context_of(volume: &VolumeId, geometry: VolumeGeometry) -> EncryptionContext {
    let format = format!("1 aes-xts-plain64 {}", geometry.sector_size().bytes());
    EncryptionContext::new().with(VOLUME_ID, volume.as_str()).with(FORMAT, format)
}

/// Adds the volume to an error of the KMS.
fn failed(verb: &str, volume: &VolumeId, error: Error) -> Error {
    let text = format!("cannot {verb} volume {volume}: {error}");
    Error::new(error.kind(), text).with_source(error)
}

impl fmt::Debug for VolumeKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VolumeKeys").field("key", &self.key).finish_non_exhaustive()
    }
}
