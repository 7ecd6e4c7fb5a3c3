//! The one record of a store that is not sealed: the versions of the root key, wrapped by their holders.

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

/// The longest name of a holder.
const MAX_HOLDER: usize = 255;

/// The most bytes of one wrapped version: an RSA ciphertext has 512, a blob of another KMS some hundred.
const MAX_WRAPPED: usize = 8_192;

/// The most wrappings: while a root key moves, two versions under two holders each.
const MAX_WRAPPINGS: usize = 4;

/// Bytes of SHA-256.
const CHECKSUM_LENGTH: usize = 32;

/// Which versions of the root key a store has, and who holds them.
///
/// ```text
/// record = u8 format = 1 ‖ u32 current version ‖ holder ‖ u16 count, wrappings (u32 version ‖ holder ‖ wrapped)
///          ‖ 32 SHA-256 of all of that ‖ proof
/// ```
///
/// Names of holders and wrapped versions come with a `u16` length before them. The holder named first keeps the root key,
/// and the last of the wrappings is the current version by it; all others are there while a rotation is under way.
///
/// The record is in the clear, so that a wrong root key can be told apart from damage: the checksum says that no accident
/// happened, then the holder unwraps, or does not, each version bound to `strongroom root key v1 ‖ store ‖ u32 version`;
/// the proof then says that nobody else wrote the record. It is an empty record sealed under the current version, bound to
/// the place of the record in the store followed by all that comes before the proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RootRecord {
    pub(crate) current: u32,
    pub(crate) holder: String,
    pub(crate) wrapped: Vec<WrappedVersion>,
}

/// A version of the root key as a holder wrapped it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WrappedVersion {
    pub(crate) version: u32,
    pub(crate) holder: String,
    pub(crate) bytes: Vec<u8>,
}

impl WrappedVersion {
    /// Has a holder wrap a version of the root key of a store.
    pub(crate) fn wrap(
        holder: &dyn RootKeyHolder,
        store: &[u8; 16],
        version: u32,
        secret: &SecretBytes,
    ) -> Result<Self> {
        let bytes = holder.wrap(&binding(store, version), secret)?;
        if holder.id().len() > MAX_HOLDER || bytes.len() > MAX_WRAPPED {
            let text = "the holder of the root key has too long a name, or wraps it in too many bytes";
            return Err(Error::new(ErrorKind::Validation, text));
        }
        Ok(Self { version, holder: holder.id().to_owned(), bytes })
    }

    /// Has its holder unwrap it.
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
    /// Whether there is one version under one holder, so that no rotation is under way.
    pub(crate) fn is_settled(&self) -> bool {
        self.wrapped.len() == 1
    }

    /// Writes the record, with the proof that whoever wrote it had the current version.
    pub(crate) fn encode(&self, backend: &CryptoBackend, versions: &RootKeyVersions, place: &[u8]) -> Result<Vec<u8>> {
        let mut record = self.content()?;
        record.extend_from_slice(checksum(backend, &record).as_ref());
        let proof = versions.seal(&[place, &record].concat(), &[])?;
        record.extend_from_slice(&proof);
        Ok(record)
    }

    /// Writes what stands before the checksum.
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

    /// The record, and how many of its bytes the proof stands for.
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

    /// Has the holders unwrap all versions and checks the proof. `bytes` are those that the record was read from.
    ///
    /// # Errors
    /// [`RootKey`](ErrorKind::RootKey) if none of the holders is the store's, or the one that is does not unwrap it;
    /// [`Integrity`](ErrorKind::Integrity) if the record is damaged or not genuine; what a holder answers.
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

    /// Reads the record without any holder, if its current version is among those that are known: after a rotation that was
    /// followed.
    ///
    /// # Errors
    /// [`Integrity`](ErrorKind::Integrity) if the record is damaged or not genuine.
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

    /// Whether it is `holder` that keeps the root key.
    ///
    /// # Errors
    /// What the holder answers if it cannot say.
    pub(crate) fn is_kept_by(&self, holder: &dyn RootKeyHolder, store: &[u8; 16]) -> Result<bool> {
        let Some(last) = self.wrapped.last().filter(|last| last.holder == holder.id()) else { return Ok(false) };
        match last.unwrap(holder, store) {
            Ok(_) => Ok(true),
            Err(error) if is_wrong(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The versions, ascending.
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
                    // What could not be tried counts for more than what was tried and did not fit.
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

/// Reads what stands before the checksum of a record and writes it again; `None` if it is refused. For fuzzing, which cannot
/// guess a checksum.
pub(crate) fn rewritten_root_record(content: &[u8]) -> Option<Vec<u8>> {
    let backend = CryptoBackend::default();
    let bytes = [content, checksum(&backend, content).as_ref()].concat();
    let (record, length) = RootRecord::read(&backend, &bytes)?;
    (length == bytes.len()).then(|| record.content().expect("what was read fits its length fields"))
}

/// Whether a holder was tried and is another one.
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
