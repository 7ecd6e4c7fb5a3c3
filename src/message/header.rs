//! The header of a message: parsing and serialization.
//!
//! See the module documentation for the layout. All authentication of a header uses the bytes as
//! received ([`Header::body`]), never a re-encoding of the parsed fields.

use std::borrow::Cow;

use super::data_key::{self, EncryptedDataKey};
use super::error::MessageError;
use super::limits::Limits;
use super::message_id::MessageId;
use super::suite::{AlgorithmSuite, MessageVersion};
use crate::codec::{CodecError, Reader, Writer};
use crate::context::EncryptionContext;
use crate::crypto::{NONCE_LENGTH, TAG_LENGTH};

/// The length of the commitment key in the header of a committing suite, in bytes.
pub(super) const COMMITMENT_LENGTH: usize = 32;

/// The name under which the encryption context of a signed message contains its public key.
pub(crate) const PUBLIC_KEY_NAME: &str = "aws-crypto-public-key";

/// The type byte of version 1: customer authenticated encrypted data.
const TYPE_CUSTOMER_DATA: u8 = 0x80;
const CONTENT_UNFRAMED: u8 = 1;
const CONTENT_FRAMED: u8 = 2;

/// The header of a message, as parsed.
///
/// A header returned by [`inspect`](super::inspect) is unverified: it contains what the message
/// *claims*. A header returned by an envelope that opened the message is authentic.
///
/// # Examples
/// ```
/// use strongroom::envelope::RawAesKeyring;
/// use strongroom::message::{self, AlgorithmSuite, DEFAULT_FRAME_LENGTH, MessageVersion};
/// use strongroom::{EncryptionContext, Envelope, SecretBytes};
///
/// let envelope = Envelope::new(RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?);
/// let context = EncryptionContext::from([("tenant", "42")]);
/// let encrypted = envelope.encrypt(b"text", &context)?;
///
/// let claimed = message::inspect(&encrypted)?;
/// assert_eq!((claimed.version(), claimed.suite()), (MessageVersion::V2, AlgorithmSuite::default()));
/// assert_eq!((claimed.context(), claimed.data_keys().len()), (&context, 1));
/// assert_eq!(claimed.frame_length(), Some(DEFAULT_FRAME_LENGTH));
/// assert_eq!(claimed.message_id().as_ref().len(), 32);
/// assert_eq!(encrypted.len(), claimed.encoded_length() + 40 + b"text".len());
///
/// let authentic = envelope.decrypt_with_header(&encrypted, &context)?;
/// assert_eq!(authentic.header(), &claimed);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    suite: AlgorithmSuite,
    message_id: MessageId,
    context: EncryptionContext,
    data_keys: Vec<EncryptedDataKey>,
    frame_length: Option<u32>,
    commitment: Option<[u8; COMMITMENT_LENGTH]>,
    body: Vec<u8>,
    nonce: [u8; NONCE_LENGTH],
    tag: [u8; TAG_LENGTH],
    encoded_length: usize,
}

impl Header {
    /// Returns the version of the format.
    pub const fn version(&self) -> MessageVersion {
        self.suite.version()
    }

    /// Returns the algorithm suite.
    pub const fn suite(&self) -> AlgorithmSuite {
        self.suite
    }

    /// Returns the message id.
    pub const fn message_id(&self) -> &MessageId {
        &self.message_id
    }

    /// Returns the encryption context contained in the header.
    pub const fn context(&self) -> &EncryptionContext {
        &self.context
    }

    /// Returns the encrypted data keys in order.
    pub fn data_keys(&self) -> &[EncryptedDataKey] {
        &self.data_keys
    }

    /// Returns the plaintext length of each frame except the last in bytes, or `None` if the body
    /// is unframed.
    pub const fn frame_length(&self) -> Option<u32> {
        self.frame_length
    }

    /// Returns the length of the complete header in bytes, which is the offset of the body.
    pub const fn encoded_length(&self) -> usize {
        self.encoded_length
    }

    /// Returns the commitment key, if the suite has one.
    pub(super) const fn commitment(&self) -> Option<&[u8; COMMITMENT_LENGTH]> {
        self.commitment.as_ref()
    }

    /// Returns the serialized context as received, with its pairs in any order.
    pub(crate) fn context_as_received(&self) -> &[u8] {
        let start = match self.version() {
            MessageVersion::V1 => 4 + MessageVersion::V1.message_id_length(),
            MessageVersion::V2 => 3 + MessageVersion::V2.message_id_length(),
        };
        let mut reader = Reader::new(self.body.get(start..).unwrap_or_default());
        reader.prefixed_u16("encryption context").unwrap_or_default()
    }

    /// Returns the received bytes that the header's tag authenticates.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Returns the complete header as received, with which the signed data begins: body, IV in
    /// version 1, tag.
    pub(super) fn received(&self) -> [&[u8]; 3] {
        let nonce: &[u8] = match self.version() {
            MessageVersion::V1 => &self.nonce,
            MessageVersion::V2 => &[],
        };
        [&self.body, nonce, &self.tag]
    }

    /// Returns the IV of the header's tag: the received one in version 1, zero in version 2.
    pub(super) const fn nonce(&self) -> &[u8; NONCE_LENGTH] {
        &self.nonce
    }

    /// Returns the header's tag.
    pub(super) const fn tag(&self) -> &[u8; TAG_LENGTH] {
        &self.tag
    }
}

/// Parses a header whose bytes may arrive in pieces. Sections that were parsed once are not parsed
/// again.
#[derive(Debug, Default)]
pub(crate) struct HeaderParser {
    position: usize,
    start: Option<(AlgorithmSuite, MessageId)>,
    context: Option<EncryptionContext>,
    data_key_count: Option<u16>,
    data_keys: Vec<EncryptedDataKey>,
}

impl HeaderParser {
    /// Continues parsing as far as the bytes allow. `bytes` must start with the bytes passed to
    /// earlier calls.
    ///
    /// # Errors
    /// - [`MessageError::Truncated`] with the number of bytes needed to continue, until the header
    ///   is complete
    /// - any other error is final
    pub(crate) fn parse(&mut self, bytes: &[u8], limits: &Limits) -> Result<Header, MessageError> {
        let mut reader = Reader::new(bytes);
        reader.take(self.position, "header").map_err(MessageError::cut_off)?;
        let (suite, message_id) = match self.start {
            Some(start) => start,
            None => *self.start.insert(section(&mut self.position, &mut reader, limits, read_start)?),
        };
        if self.context.is_none() {
            self.context = Some(section(&mut self.position, &mut reader, limits, read_context)?);
        }
        let count = match self.data_key_count {
            Some(count) => count,
            None => {
                let read = |reader: &mut Reader<'_>| data_key::read_count(reader, limits);
                *self.data_key_count.insert(section(&mut self.position, &mut reader, limits, read)?)
            }
        };
        for index in (1..=count).skip(self.data_keys.len()) {
            let read = |reader: &mut Reader<'_>| EncryptedDataKey::read(reader, index);
            self.data_keys.push(section(&mut self.position, &mut reader, limits, read)?);
        }
        let read = |reader: &mut Reader<'_>| read_end(reader, suite.version(), limits);
        let end = section(&mut self.position, &mut reader, limits, read)?;
        Ok(Header {
            suite,
            message_id,
            context: self.context.take().unwrap_or_default(),
            data_keys: std::mem::take(&mut self.data_keys),
            frame_length: end.frame_length,
            commitment: end.commitment,
            body: bytes[..end.body_length].to_vec(),
            nonce: end.nonce,
            tag: end.tag,
            encoded_length: self.position,
        })
    }
}

/// Parses a section and records it as parsed unless it is incomplete. No section may end beyond the
/// header limit.
fn section<'a, T>(
    position: &mut usize,
    reader: &mut Reader<'a>,
    limits: &Limits,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, MessageError>,
) -> Result<T, MessageError> {
    let limit = limits.max_header_bytes();
    let read = read(reader);
    let end = read.as_ref().map_or_else(|error| error.bytes_needed().unwrap_or(0), |_| reader.position());
    if end > limit {
        return Err(MessageError::HeaderTooLong { limit });
    }
    *position = if read.is_ok() { end } else { *position };
    read
}

fn read_start(reader: &mut Reader<'_>) -> Result<(AlgorithmSuite, MessageId), MessageError> {
    let version = read_version(reader)?;
    if version == MessageVersion::V1 {
        let found = reader.u8("type").map_err(MessageError::cut_off)?;
        if found != TYPE_CUSTOMER_DATA {
            return Err(MessageError::InvalidType(found));
        }
    }
    let id = reader.u16("algorithm suite id").map_err(MessageError::cut_off)?;
    let suite = AlgorithmSuite::from_id(id).ok_or(MessageError::UnknownSuite(id))?;
    if suite.version() != version {
        return Err(MessageError::SuiteVersionMismatch { suite, version });
    }
    let bytes = reader.take(version.message_id_length(), "message id").map_err(MessageError::cut_off)?;
    let message_id = MessageId::try_fill(version, |id| {
        id.copy_from_slice(bytes);
        Ok::<_, MessageError>(())
    })?;
    Ok((suite, message_id))
}

fn read_version(reader: &mut Reader<'_>) -> Result<MessageVersion, MessageError> {
    let number = reader.u8("version").map_err(MessageError::cut_off)?;
    // Base64 of the first bytes of either version: 01 80 gives "AY", 02 04 and 02 05 give "Ag".
    if number == b'A' && matches!(reader.u8("version").map_err(MessageError::cut_off)?, b'Y' | b'g') {
        return Err(MessageError::LooksBase64);
    }
    MessageVersion::from_number(number).ok_or(MessageError::UnsupportedVersion(number))
}

fn read_context(reader: &mut Reader<'_>) -> Result<EncryptionContext, MessageError> {
    let bytes = reader.prefixed_u16("encryption context").map_err(MessageError::cut_off)?;
    EncryptionContext::from_bytes(bytes).map_err(MessageError::InvalidEncryptionContext)
}

struct HeaderEnd {
    frame_length: Option<u32>,
    commitment: Option<[u8; COMMITMENT_LENGTH]>,
    body_length: usize,
    nonce: [u8; NONCE_LENGTH],
    tag: [u8; TAG_LENGTH],
}

fn read_end(reader: &mut Reader<'_>, version: MessageVersion, limits: &Limits) -> Result<HeaderEnd, MessageError> {
    let cut_off = MessageError::cut_off;
    let framed = match reader.u8("content type").map_err(cut_off)? {
        CONTENT_FRAMED => true,
        CONTENT_UNFRAMED => false,
        other => return Err(MessageError::InvalidContentType(other)),
    };
    if version == MessageVersion::V1 {
        if reader.u32("reserved field").map_err(cut_off)? != 0 {
            return Err(MessageError::InvalidHeader { field: "reserved field" });
        }
        if usize::from(reader.u8("IV length").map_err(cut_off)?) != NONCE_LENGTH {
            return Err(MessageError::InvalidHeader { field: "IV length" });
        }
    }
    let length = reader.u32("frame length").map_err(cut_off)?;
    let (min, max) = if framed { (1, limits.max_frame_length()) } else { (0, 0) };
    if !(min..=max).contains(&length) {
        return Err(MessageError::InvalidFrameLength { length, min, max });
    }
    let commitment = match version {
        MessageVersion::V1 => None,
        MessageVersion::V2 => Some(reader.array("commitment key").map_err(cut_off)?),
    };
    let body_length = reader.position();
    let nonce = match version {
        MessageVersion::V1 => reader.array("header IV").map_err(cut_off)?,
        MessageVersion::V2 => [0; NONCE_LENGTH],
    };
    let tag = reader.array("header tag").map_err(cut_off)?;
    Ok(HeaderEnd { frame_length: framed.then_some(length), commitment, body_length, nonce, tag })
}

/// The values from which the header of a framed message is written.
#[derive(Debug)]
pub(crate) struct HeaderParts<'a> {
    pub(crate) suite: AlgorithmSuite,
    pub(crate) message_id: &'a MessageId,
    /// The canonical serialization of the encryption context.
    pub(crate) context: &'a [u8],
    /// The canonical serialization of the pairs that the header omits but authenticates.
    pub(crate) omitted_context: &'a [u8],
    pub(crate) data_keys: &'a [EncryptedDataKey],
    pub(crate) frame_length: u32,
}

impl HeaderParts<'_> {
    /// Writes everything that the header's tag authenticates; [`append_authentication`] completes
    /// the header.
    pub(super) fn write_body(&self, commitment: Option<&[u8; COMMITMENT_LENGTH]>) -> Result<Writer, CodecError> {
        // 92 bytes cover the fixed fields of both versions.
        let capacity = 92 + self.context.len() + data_key::encoded_length(self.data_keys);
        let mut writer = Writer::with_capacity(capacity);
        let version = self.suite.version();
        writer.u8(version.number());
        if version == MessageVersion::V1 {
            writer.u8(TYPE_CUSTOMER_DATA);
        }
        writer.u16(self.suite.id()).bytes(self.message_id.as_ref());
        writer.prefixed_u16(self.context, "encryption context")?;
        data_key::write_all(&mut writer, self.data_keys)?;
        writer.u8(CONTENT_FRAMED);
        if version == MessageVersion::V1 {
            writer.u32(0).bytes(&[12]);
        }
        writer.u32(self.frame_length).bytes(commitment.map_or(&[], |key| key.as_slice()));
        Ok(writer)
    }
}

/// The form in which the writer derived the keys of a message and authenticated its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderForm {
    /// The form defined by the specification.
    Standard,
    /// The form of version 4.0.0 of the Encryption SDK for .NET. In version 1 suites, the content
    /// key is derived without the message id. If the header omits no pairs, a count of zero is
    /// authenticated in their place.
    DotNet400,
}

/// Returns the bytes that the tag of a header authenticates: its body, followed by the context
/// pairs that it omits.
pub(super) fn authenticated<'a>(body: &'a [u8], omitted_context: &[u8], form: HeaderForm) -> Cow<'a, [u8]> {
    match (omitted_context, form) {
        ([], HeaderForm::Standard) => Cow::Borrowed(body),
        ([], HeaderForm::DotNet400) => Cow::Owned([body, &[0, 0]].concat()),
        (_, HeaderForm::Standard | HeaderForm::DotNet400) => Cow::Owned([body, omitted_context].concat()),
    }
}

/// Completes a header with its IV, which only version 1 contains, and its tag.
pub(super) fn append_authentication(
    mut writer: Writer,
    version: MessageVersion,
    nonce: &[u8; NONCE_LENGTH],
    tag: &[u8; TAG_LENGTH],
) -> Vec<u8> {
    if version == MessageVersion::V1 {
        writer.bytes(nonce);
    }
    writer.bytes(tag);
    writer.into_bytes()
}

#[cfg(test)]
mod tests;
