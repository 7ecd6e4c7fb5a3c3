//! The root record, which contains the versions of the root key wrapped by their holders. It is the
//! only record of a store that is not sealed.

use std::sync::Arc;

use subtle::ConstantTimeEq;

use super::error::SealError;
use super::holder::RootKeyHolder;
use super::versions::RootKeyVersions;
use crate::codec::{CodecError, Reader, Writer};
use crate::crypto::{CryptoBackend, DigestAlgorithm, DigestValue};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::SecretBytes;

const FORMAT: u8 = 1;

/// The maximum length of a holder's name.
const MAX_HOLDER: usize = 255;

/// The maximum length of one wrapped version. An RSA ciphertext has 512 bytes, a ciphertext blob of
/// another KMS a few hundred.
const MAX_WRAPPED: usize = 8_192;

/// The maximum number of wrappings: two versions under two holders each, while a root key is being
/// moved.
const MAX_WRAPPINGS: usize = 4;

/// Length of a SHA-256 digest in bytes.
const CHECKSUM_LENGTH: usize = 32;

/// The versions of a store's root key and their holders.
///
/// ```text
/// record = u8 format = 1 ‖ u32 current version ‖ holder ‖ u16 count, wrappings (u32 version ‖ holder ‖ wrapped)
///          ‖ 32 SHA-256 of all of that ‖ proof
/// ```
///
/// Holder names and wrapped versions are preceded by their length as a `u16`. The first holder in
/// the record is the current holder, and the last wrapping is the current version under that
/// holder. Any other wrappings exist only during a rotation.
///
/// The record is in plaintext so that a wrong root key can be distinguished from damage. The
/// checksum detects accidental damage. Next, the holder unwraps each version, bound to
/// `strongroom root key v1 ‖ store ‖ u32 version`, or fails to. Finally, the proof shows that the
/// record was written with the root key. The proof is an empty record sealed under the current
/// version. It is bound to the location of the record in the store, followed by all bytes that
/// precede the proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RootRecord {
    pub(crate) current: u32,
    pub(crate) holder: String,
    pub(crate) wrapped: Vec<WrappedVersion>,
}

/// A version of the root key, wrapped by a holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WrappedVersion {
    pub(crate) version: u32,
    pub(crate) holder: String,
    pub(crate) bytes: Vec<u8>,
}

impl WrappedVersion {
    /// Wraps a version of the root key of a store with a holder.
    pub(crate) fn wrap(
        holder: &dyn RootKeyHolder,
        store: &[u8; 16],
        version: u32,
        secret: &SecretBytes,
    ) -> Result<Self> {
        let bytes = holder.wrap(&binding(store, version), secret)?;
        if holder.id().len() > MAX_HOLDER || bytes.len() > MAX_WRAPPED {
            let text = "the id of the root key's holder or the wrapped root key is too long";
            return Err(Error::new(ErrorKind::Validation, text));
        }
        Ok(Self { version, holder: holder.id().to_owned(), bytes })
    }

    /// Unwraps the version with its holder.
    fn unwrap(&self, holder: &dyn RootKeyHolder, store: &[u8; 16]) -> Result<SecretBytes> {
        holder.unwrap(&binding(store, self.version), &self.bytes).map_err(|error| match error.kind() {
            ErrorKind::RootKey | ErrorKind::KeyUnavailable => error,
            _ => {
                let wrong = SealError::WrongRootKey { holder: holder.id().to_owned() };
                Error::new(ErrorKind::RootKey, wrong.to_string()).with_source(error)
            }
        })
    }
}

impl RootRecord {
    /// Returns `true` if there is one version under one holder, that is, if no rotation is in
    /// progress.
    pub(crate) fn is_settled(&self) -> bool {
        self.wrapped.len() == 1
    }

    /// Encodes the record, with the proof that its author has the current version.
    pub(crate) fn encode(&self, backend: &CryptoBackend, versions: &RootKeyVersions, place: &[u8]) -> Result<Vec<u8>> {
        let mut record = self.content()?;
        record.extend_from_slice(checksum(backend, &record).as_ref());
        let proof = versions.seal(&[place, &record].concat(), &[])?;
        record.extend_from_slice(&proof);
        Ok(record)
    }

    /// Encodes the part that precedes the checksum.
    fn content(&self) -> Result<Vec<u8>, CodecError> {
        let mut writer = Writer::with_capacity(512);
        writer.u8(FORMAT).u32(self.current);
        writer.prefixed_u16(self.holder.as_bytes(), "holder")?;
        let count = u16::try_from(self.wrapped.len()).map_err(|_| CodecError::Invalid { field: "wrappings" })?;
        writer.u16(count);
        for wrapped in &self.wrapped {
            writer.u32(wrapped.version);
            writer.prefixed_u16(wrapped.holder.as_bytes(), "holder")?;
            writer.prefixed_u16(&wrapped.bytes, "wrapped version")?;
        }
        Ok(writer.into_bytes())
    }

    /// Decodes the record. Also returns the number of bytes that the proof covers.
    fn read(backend: &CryptoBackend, bytes: &[u8]) -> Option<(Self, usize)> {
        let mut reader = Reader::new(bytes);
        let format = reader.u8("format").ok()?;
        let current = reader.u32("current version").ok()?;
        let holder = name(&mut reader)?;
        let count = usize::from(reader.u16("wrappings").ok()?);
        if format != FORMAT || count > MAX_WRAPPINGS {
            return None;
        }
        let mut wrapped = Vec::new();
        for _ in 0..count {
            let version = reader.u32("version").ok()?;
            let holder = name(&mut reader)?;
            let bytes = reader.prefixed_u16("wrapped version").ok().filter(|bytes| bytes.len() <= MAX_WRAPPED)?;
            wrapped.push(WrappedVersion { version, holder, bytes: bytes.to_vec() });
        }
        let expected = checksum(backend, &bytes[..reader.position()]);
        let is_whole = bool::from(expected.as_ref().ct_eq(reader.take(CHECKSUM_LENGTH, "checksum").ok()?));
        is_whole.then_some((Self { current, holder, wrapped }, reader.position()))
    }

    /// Unwraps all versions with the holders and verifies the proof. `bytes` is the encoded record.
    ///
    /// # Errors
    /// - [`RootKey`](ErrorKind::RootKey) if none of the holders belongs to the store, or if the
    ///   store's holder cannot unwrap the root key.
    /// - [`Integrity`](ErrorKind::Integrity) if the record is damaged or not authentic.
    /// - Any error of a holder.
    pub(crate) fn unwrap(
        backend: &CryptoBackend,
        bytes: &[u8],
        holders: &[Arc<dyn RootKeyHolder>],
        store: &[u8; 16],
        place: &[u8],
    ) -> Result<(Self, Vec<(u32, SecretBytes)>)> {
        let (record, proven) = Self::read(backend, bytes).ok_or(SealError::DamagedRootRecord)?;
        let mut secrets: Vec<(u32, SecretBytes)> = Vec::new();
        for version in record.versions() {
            secrets.push((version, record.unwrap_version(version, holders, store)?));
        }
        let versions = RootKeyVersions::new(backend, record.current, copies(&secrets))?;
        let (proven, proof) = bytes.split_at(proven);
        versions.open(&[place, proven].concat(), proof).map_err(|_| SealError::DamagedRootRecord)?;
        Ok((record, secrets))
    }

    /// Decodes the record without a holder, if its current version is already known. Used after
    /// this process has observed a rotation.
    ///
    /// # Errors
    /// - [`Integrity`](ErrorKind::Integrity) if the record is damaged or not authentic.
    pub(crate) fn recognise(
        backend: &CryptoBackend,
        bytes: &[u8],
        known: &RootKeyVersions,
        place: &[u8],
    ) -> Result<Option<(Self, RootKeyVersions)>> {
        let (record, proven) = Self::read(backend, bytes).ok_or(SealError::DamagedRootRecord)?;
        let Some(versions) = known.with_current(record.current) else { return Ok(None) };
        let (proven, proof) = bytes.split_at(proven);
        versions.open(&[place, proven].concat(), proof).map_err(|_| SealError::DamagedRootRecord)?;
        Ok(Some((record, versions)))
    }

    /// Returns `true` if `holder` is the current holder of the root key.
    ///
    /// # Errors
    /// - The holder's error if it cannot decide.
    pub(crate) fn is_kept_by(&self, holder: &dyn RootKeyHolder, store: &[u8; 16]) -> Result<bool> {
        let Some(last) = self.wrapped.last().filter(|last| last.holder == holder.id()) else { return Ok(false) };
        match last.unwrap(holder, store) {
            Ok(_) => Ok(true),
            Err(error) if is_wrong(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns the versions in ascending order.
    fn versions(&self) -> Vec<u32> {
        let mut versions: Vec<u32> = self.wrapped.iter().map(|wrapped| wrapped.version).collect();
        versions.sort_unstable();
        versions.dedup();
        versions
    }

    fn unwrap_version(
        &self,
        version: u32,
        holders: &[Arc<dyn RootKeyHolder>],
        store: &[u8; 16],
    ) -> Result<SecretBytes> {
        let mut refusal: Option<Error> = None;
        for wrapped in self.wrapped.iter().filter(|wrapped| wrapped.version == version) {
            for holder in holders.iter().filter(|holder| holder.id() == wrapped.holder) {
                match wrapped.unwrap(&**holder, store) {
                    Ok(secret) => return Ok(secret),
                    // A holder that could not be tried takes precedence over one that was tried and
                    // did not match.
                    Err(error) if refusal.as_ref().is_none_or(is_wrong) => refusal = Some(error),
                    Err(_) => {}
                }
            }
        }
        Err(refusal.unwrap_or_else(|| self.held_by_another(holders)))
    }

    fn held_by_another(&self, holders: &[Arc<dyn RootKeyHolder>]) -> Error {
        let given = holders.iter().map(RootKeyHolder::id).collect::<Vec<_>>().join("', '");
        SealError::HolderMismatch { expected: self.holder.clone(), given }.into()
    }
}

fn checksum(backend: &CryptoBackend, content: &[u8]) -> DigestValue {
    backend.digest().digest(DigestAlgorithm::Sha256, &[content])
}

/// Decodes and re-encodes the part of a record that precedes the checksum. Returns `None` if it is
/// rejected. For fuzzing, because a fuzzer cannot guess a checksum.
pub(crate) fn rewritten_root_record(content: &[u8]) -> Option<Vec<u8>> {
    let backend = CryptoBackend::default();
    let bytes = [content, checksum(&backend, content).as_ref()].concat();
    let (record, length) = RootRecord::read(&backend, &bytes)?;
    (length == bytes.len()).then(|| record.content().expect("parsed values fit their length fields"))
}

/// Returns `true` if a holder was tried and is not the right one.
fn is_wrong(error: &Error) -> bool {
    let was_not_tried =
        matches!(error.downcast_ref(), Some(SealError::TooCostly { .. } | SealError::NewerFormat { .. }));
    error.kind() == ErrorKind::RootKey && !was_not_tried
}

fn copies(secrets: &[(u32, SecretBytes)]) -> impl Iterator<Item = (u32, SecretBytes)> {
    secrets.iter().map(|(version, secret)| (*version, SecretBytes::copy_from_slice(secret.expose_secret())))
}

fn name(reader: &mut Reader<'_>) -> Option<String> {
    let bytes = reader.prefixed_u16("holder").ok().filter(|bytes| bytes.len() <= MAX_HOLDER)?;
    String::from_utf8(bytes.to_vec()).ok()
}

fn binding(store: &[u8; 16], version: u32) -> Vec<u8> {
    let mut writer = Writer::with_capacity(64);
    writer.bytes(b"strongroom root key v1").bytes(store).u32(version);
    writer.into_bytes()
}

#[cfg(test)]
mod tests;
