//! The format of an export file: a plaintext header that is bound to the sealed part, and a
//! checksum.

use super::error::ExportError;
use super::recipient::{ExportIdentity, ExportRecipient, Method};
use crate::clock::Timestamp;
use crate::codec::{CodecError, Reader, Writer};
use crate::crypto::{CryptoBackend, DigestAlgorithm};
use crate::error::Result;
use crate::kms::records::codec::{put_timestamp, timestamp};
use crate::seal::{CommittingKey, OVERHEAD};
use crate::secret::SecretBytes;
use crate::store::StoreId;

/// The maximum size of an export: 256 MiB, enough for a hundred thousand keys.
pub const MAX_EXPORT_BYTES: usize = 256 << 20;

/// The maximum size of the sealed payload in bytes.
pub(super) const MAX_PAYLOAD: usize = MAX_EXPORT_BYTES - 4_096;

/// The first bytes of an export.
const MAGIC: &[u8; 8] = b"StRmKeys";

const FORMAT: u8 = 1;

/// The maximum length of a file key wrapped under a passphrase or an RSA key.
const MAX_WRAPPED: usize = 1_024;

/// Domain separation between exports and all other sealed data.
const LABEL: &[u8] = b"strongroom export v1";

/// The length in bytes of the key that seals a file, and of the checksum at its end.
const KEY_LENGTH: usize = 32;
const CHECKSUM_LENGTH: usize = 32;

/// The plaintext part in front of the sealed part.
///
/// ```text
/// file     = header ‖ u16 length ‖ wrapped file key ‖ u32 length ‖ body ‖ 32 SHA-256 of all before
/// header   = "StRmKeys" ‖ u8 format = 1 ‖ u8 method ‖ 16 id of the store ‖ i64 milliseconds since 1970
/// body     = the committing construction under the file key, with the label "strongroom export v1", the first
///            nine bytes as the prefix, and everything up to the wrapped file key, that included, as the context
/// method 1 = a passphrase: the file key sealed under it, with the label "strongroom export passphrase v1" and the
///            header as the context
/// method 2 = RSA: 32 SHA-256 of the recipient's public key (SubjectPublicKeyInfo in DER) ‖ RSA-OAEP of the file key with
///            SHA-256 and MGF1 with SHA-256, without a label
/// ```
///
/// The checksum provides no protection. It only distinguishes accidental damage from a wrong
/// passphrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) store: StoreId,
    pub(super) exported: Timestamp,
}

impl Header {
    fn encode(self, method: Method) -> Vec<u8> {
        let mut writer = Writer::with_capacity(34);
        writer.bytes(MAGIC).u8(FORMAT).u8(method.code()).bytes(&self.store.0);
        put_timestamp(&mut writer, self.exported);
        writer.into_bytes()
    }
}

/// Seals a payload for a recipient.
pub(super) fn seal(
    backend: &CryptoBackend,
    header: Header,
    recipient: &ExportRecipient,
    payload: &SecretBytes,
) -> Result<Vec<u8>> {
    let mut file_key = SecretBytes::zeroed(KEY_LENGTH);
    backend.random().fill(file_key.expose_secret_mut())?;
    let header = header.encode(recipient.method());
    let wrapped = recipient.wrap(backend, &header, &file_key)?;
    let mut writer = Writer::with_capacity(header.len() + wrapped.len() + payload.len() + OVERHEAD + 64);
    writer.bytes(&header).prefixed_u16(&wrapped, "wrapped file key")?;
    let mut body = Vec::with_capacity(payload.len() + OVERHEAD);
    let key = CommittingKey::new(backend, file_key.expose_secret())?;
    key.seal(LABEL, &header[..=MAGIC.len()], writer.as_bytes(), payload.expose_secret(), &mut body)?;
    writer.prefixed_u32(&body, MAX_EXPORT_BYTES, "body")?;
    let checksum = backend.digest().digest(DigestAlgorithm::Sha256, &[writer.as_bytes()]);
    writer.bytes(checksum.as_ref());
    Ok(writer.into_bytes())
}

/// Opens a file with the identity of its recipient.
pub(super) fn open(
    backend: &CryptoBackend,
    file: &[u8],
    identity: &ExportIdentity,
) -> Result<(Header, SecretBytes), ExportError> {
    let parsed = Parsed::read(backend, file)?;
    if parsed.method != identity.method() {
        let (recipient, given) = (parsed.method.name(), identity.method().name());
        return Err(ExportError::RecipientMismatch { recipient, given });
    }
    let file_key = identity.unwrap(backend, parsed.header_bytes, parsed.wrapped)?;
    let key = CommittingKey::new(backend, file_key.expose_secret()).map_err(|_| ExportError::Altered)?;
    let payload = key.open(LABEL, &file[..=MAGIC.len()], parsed.bound, parsed.body);
    Ok((parsed.header, payload.map_err(|_| ExportError::Altered)?))
}

struct Parsed<'a> {
    method: Method,
    header: Header,
    header_bytes: &'a [u8],
    wrapped: &'a [u8],
    /// Everything that the body is bound to.
    bound: &'a [u8],
    body: &'a [u8],
}

impl<'a> Parsed<'a> {
    fn read(backend: &CryptoBackend, file: &'a [u8]) -> Result<Self, ExportError> {
        let (start, rest) = file.split_first_chunk::<8>().ok_or(ExportError::NotAnExport)?;
        let (format, _) = rest.split_first().ok_or(ExportError::NotAnExport)?;
        if start != MAGIC {
            return Err(ExportError::NotAnExport);
        }
        if *format != FORMAT {
            return Err(ExportError::NewerFormat { found: *format, known: FORMAT });
        }
        if file.len() > MAX_EXPORT_BYTES {
            let reason = format!("it is longer than {MAX_EXPORT_BYTES} bytes");
            return Err(ExportError::Malformed { reason });
        }
        let (content, checksum) = file.split_last_chunk::<CHECKSUM_LENGTH>().ok_or(ExportError::Damaged)?;
        if backend.digest().digest(DigestAlgorithm::Sha256, &[content]).as_ref() != checksum {
            return Err(ExportError::Damaged);
        }
        Self::fields(content).map_err(|error| ExportError::Malformed { reason: error.to_string() })
    }

    fn fields(content: &'a [u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(content);
        reader.take(MAGIC.len() + 1, "start")?;
        let method = reader.u8("method")?;
        let method = Method::from_code(method).ok_or(CodecError::Invalid { field: "method" })?;
        let store = StoreId(reader.array("store")?);
        let exported = timestamp(&mut reader)?;
        let header_bytes = &content[..reader.position()];
        let wrapped = reader.prefixed_u16("wrapped file key")?;
        if wrapped.len() > MAX_WRAPPED {
            return Err(CodecError::TooLong { field: "wrapped file key", length: wrapped.len(), limit: MAX_WRAPPED });
        }
        let bound = &content[..reader.position()];
        let body = reader.prefixed_u32(MAX_EXPORT_BYTES, "body")?;
        reader.finish()?;
        Ok(Self { method, header: Header { store, exported }, header_bytes, wrapped, bound, body })
    }
}
