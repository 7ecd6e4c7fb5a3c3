//! Reasons for rejecting a message.

use std::io;

use super::suite::{AlgorithmSuite, MessageVersion};
use crate::codec::CodecError;
use crate::crypto::CryptoError;
use crate::error::{Error, ErrorKind, find_in_io};

/// The reason for rejecting a message. Each check has one variant, in the order in which the checks
/// are performed.
///
/// [`Error::downcast_ref`] returns it from an [`Error`] of kind [`ErrorKind::InvalidMessage`], and
/// [`MessageError::from_io`] from the [`io::Error`] of a reader.
/// Rejections by the policies of an envelope are of kind [`ErrorKind::MessagePolicy`].
///
/// The last four variants do not correspond to checks. Three report that a message cannot be
/// written ([`ErrorKind::Validation`]). The last one reports that a primitive failed
/// ([`ErrorKind::Internal`]).
///
/// # Examples
/// ```
/// use strongroom::envelope::RawAesKeyring;
/// use strongroom::message::MessageError;
/// use strongroom::{EncryptionContext, Envelope, ErrorKind, SecretBytes};
///
/// let envelope = Envelope::new(RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?);
/// let none = EncryptionContext::new();
/// let mut message = envelope.encrypt(b"attack at dawn", &none)?;
/// if let Some(last) = message.last_mut() {
///     *last ^= 1;
/// }
/// let refused = envelope.decrypt(&message, &none).unwrap_err();
/// assert_eq!(refused.kind(), ErrorKind::InvalidMessage);
/// assert!(matches!(refused.downcast_ref(), Some(MessageError::BodyAuth { .. })));
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The first bytes are those of a base64-encoded message.
    #[error("the message looks like base64 text: decode it to bytes first")]
    LooksBase64,
    /// The first byte is not a version of the format.
    #[error(
        "the message has version {0}, but only versions 1 and 2 are supported: check that this is an encrypted \
         message, starting at its first byte"
    )]
    UnsupportedVersion(u8),
    /// The type byte of a version 1 message does not denote customer data.
    #[error(
        "the message has the unknown type {0:#04x}, and only 0x80 is defined: decrypt a ciphertext blob with \
         Kms::decrypt"
    )]
    InvalidType(u8),
    /// The format does not define a suite with this id.
    #[error("the message specifies the unknown algorithm suite {0:#06x}")]
    UnknownSuite(u16),
    /// The suite belongs to the other version of the format.
    #[error("the message has version {} but the suite {suite} of the other version: it was altered", version.number())]
    SuiteVersionMismatch {
        /// The suite in the header.
        suite: AlgorithmSuite,
        /// The version in the header.
        version: MessageVersion,
    },
    /// The encryption context in the header is malformed.
    #[error("the encryption context of the message is malformed: {0}")]
    InvalidEncryptionContext(CodecError),
    /// The message contains no encrypted data keys.
    #[error("the message has no encrypted data key, so it cannot be decrypted")]
    NoDataKeys,
    /// The message contains more encrypted data keys than the limit allows.
    #[error(
        "the message has {count} encrypted data keys, above the limit of {limit}: raise the limit if you trust the \
         sender"
    )]
    TooManyDataKeys {
        /// The number of keys in the message.
        count: u16,
        /// The applicable limit.
        limit: u16,
    },
    /// An encrypted data key is malformed.
    #[error("encrypted data key {index} of the message is malformed: its provider id is not UTF-8")]
    InvalidDataKey {
        /// The position of the data key, counted from 1.
        index: u16,
    },
    /// The content type is neither framed nor unframed.
    #[error("the message has the unknown content type {0}: only 1 and 2 are defined")]
    InvalidContentType(u8),
    /// A field of the header has a value that the format does not allow.
    #[error("the message header has an invalid {field}")]
    InvalidHeader {
        /// The field.
        field: &'static str,
    },
    /// The frame length does not match the content type or exceeds the limit.
    #[error("the frame length of the message must be {min} to {max}, not {length}")]
    InvalidFrameLength {
        /// The frame length in the message.
        length: u32,
        /// The minimum for the content type.
        min: u32,
        /// The maximum for the content type under the applicable limit.
        max: u32,
    },
    /// The message is unframed, but the operation requires frames.
    #[error("the message is not framed, so no part of it can be read separately: decrypt the entire message")]
    NotFramed,
    /// The header is longer than the limit.
    #[error("the message header is longer than the limit of {limit} bytes")]
    HeaderTooLong {
        /// The applicable limit.
        limit: usize,
    },
    /// The message is truncated.
    #[error(
        "the message is truncated in its {field}, at least {} bytes are missing: check that it was copied completely",
        needed.saturating_sub(*available)
    )]
    Truncated {
        /// The incomplete field.
        field: &'static str,
        /// The number of bytes needed, counted from the start of the header or the frame.
        needed: usize,
        /// The number of bytes available, counted from the same position.
        available: usize,
    },
    /// The commitment policy rejects the suite.
    #[error(
        "the commitment policy does not allow the message: its suite {0} does not commit to the data key; to \
         decrypt old messages, choose a policy that allows it"
    )]
    CommitmentPolicy(AlgorithmSuite),
    /// The signature policy rejects this way of reading a signed message.
    #[error(
        "the signature policy does not allow the message to be streamed: its suite {0} is signed; decrypt the \
         entire message at once, or choose a policy that releases frames before the signature is verified"
    )]
    SignaturePolicy(AlgorithmSuite),
    /// A signed message lacks a public key, or an unsigned message contains one.
    #[error(
        "the encryption context of the message contradicts its suite {0}: a public key is present exactly if the \
         suite is signed"
    )]
    PublicKeyPresence(AlgorithmSuite),
    /// The public key in the encryption context of a signed message is invalid.
    #[error("the public key in the encryption context of the message is malformed or not a point on its curve")]
    InvalidPublicKey,
    /// The data key does not match the commitment in the header.
    #[error("the data key does not match the key commitment of the message")]
    CommitmentMismatch,
    /// The header is not authentic.
    #[error("the message header is not authentic: it was altered, or the data key is wrong")]
    HeaderAuth,
    /// A frame is out of sequence.
    #[error("expected frame {expected} of the message, found frame {found}: frames were lost or reordered")]
    BadSequence {
        /// The expected sequence number.
        expected: u32,
        /// The actual sequence number.
        found: u32,
    },
    /// The final frame is longer than the frame length.
    #[error("the final frame of the message has {length} bytes, more than the frame length of {frame_length}")]
    BadFinalLength {
        /// The length in the final frame.
        length: u32,
        /// The frame length in the header.
        frame_length: u32,
    },
    /// An unframed body is longer than the limit.
    #[error("the message has an unframed body of {length} bytes, above the limit of {limit}")]
    BodyTooLong {
        /// The body length in the message.
        length: u64,
        /// The applicable limit.
        limit: u64,
    },
    /// A frame is not authentic.
    #[error("frame {sequence} of the message is not authentic: it was altered")]
    BodyAuth {
        /// The sequence number of the frame, counted from 1.
        sequence: u32,
    },
    /// The signature at the end of the message does not verify.
    #[error("the signature of the message is invalid: the message was altered, or signed with another key")]
    Signature,
    /// Bytes follow the end of the message.
    #[error("the end of the message is followed by trailing bytes: check that nothing was appended to it")]
    TrailingData,
    /// Messages with this suite can be read but not written.
    #[error("messages with algorithm suite {0} can only be decrypted, not encrypted")]
    SuiteNotWritten(AlgorithmSuite),
    /// A part of the header does not fit its length field.
    #[error("cannot write the message: {0}")]
    Unwritable(CodecError),
    /// The plaintext requires more frames than can be numbered.
    #[error("the plaintext requires more than 4,294,967,295 frames: use a larger frame length")]
    TooManyFrames,
    /// A primitive failed for a reason unrelated to the message.
    #[error("the cryptographic backend failed: {0}")]
    Backend(CryptoError),
}

impl MessageError {
    /// Returns the failed check of a message from the [`io::Error`] of a reader, however deeply other
    /// errors enclose it.
    ///
    /// # Examples
    /// ```
    /// use std::io::Read;
    /// use strongroom::envelope::RawAesKeyring;
    /// use strongroom::message::MessageError;
    /// use strongroom::{EncryptionContext, Envelope, SecretBytes};
    ///
    /// let envelope = Envelope::new(RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?);
    /// let mut message = envelope.encrypt(b"attack at dawn", &EncryptionContext::new())?;
    /// message.push(0);
    ///
    /// let mut reader = envelope.reader(&message[..], &EncryptionContext::new())?;
    /// let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
    /// assert_eq!(MessageError::from_io(&error), Some(&MessageError::TrailingData));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn from_io(error: &io::Error) -> Option<&Self> {
        find_in_io(error)
    }

    /// Returns the number of bytes required to continue parsing, if missing bytes caused the error.
    pub(crate) const fn bytes_needed(&self) -> Option<usize> {
        match self {
            Self::Truncated { needed, .. } => Some(*needed),
            _ => None,
        }
    }

    /// Converts the failure to read a field of a header or a frame. The only such failure is
    /// missing bytes.
    pub(crate) const fn cut_off(error: CodecError) -> Self {
        match error {
            CodecError::Truncated { field, needed, available } => Self::Truncated { field, needed, available },
            CodecError::TooLong { field, .. } | CodecError::Invalid { field } => Self::InvalidHeader { field },
            CodecError::Trailing { .. } => Self::TrailingData,
        }
    }

    const fn kind(&self) -> ErrorKind {
        match self {
            Self::Unwritable(_) | Self::TooManyFrames | Self::SuiteNotWritten(_) => ErrorKind::Validation,
            Self::CommitmentPolicy(_) | Self::SignaturePolicy(_) => ErrorKind::MessagePolicy,
            Self::Backend(CryptoError::Rejected { .. }) => ErrorKind::UnsupportedOperation,
            Self::Backend(_) => ErrorKind::Internal,
            _ => ErrorKind::InvalidMessage,
        }
    }
}

impl From<CryptoError> for MessageError {
    fn from(error: CryptoError) -> Self {
        Self::Backend(error)
    }
}

impl From<MessageError> for Error {
    fn from(error: MessageError) -> Self {
        Self::new(error.kind(), error.to_string()).with_source(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_precise_error_is_found_and_its_text_is_the_message() {
        let error = Error::from(MessageError::LooksBase64);
        assert_eq!(error.kind(), ErrorKind::InvalidMessage);
        assert_eq!(error.to_string(), "the message looks like base64 text: decode it to bytes first");
        assert_eq!(error.downcast_ref(), Some(&MessageError::LooksBase64));
    }

    #[test]
    fn an_io_error_leads_to_the_message_error_in_one_step() {
        let inside = io::Error::from(Error::from(MessageError::HeaderAuth));
        assert_eq!(inside.kind(), io::ErrorKind::InvalidData);
        assert_eq!(MessageError::from_io(&io::Error::other(inside)), Some(&MessageError::HeaderAuth));
        let direct = io::Error::other(MessageError::Signature);
        assert_eq!(MessageError::from_io(&direct), Some(&MessageError::Signature));
        assert_eq!(MessageError::from_io(&Error::new(ErrorKind::InvalidMessage, "why").into()), None);
    }

    #[test]
    fn what_cannot_be_written_is_the_callers_mistake() {
        assert_eq!(Error::from(MessageError::TooManyFrames).kind(), ErrorKind::Validation);
        assert_eq!(Error::from(MessageError::Backend(CryptoError::RandomFailed)).kind(), ErrorKind::Internal);
    }

    #[test]
    fn a_truncation_tells_how_much_is_missing() {
        let error = MessageError::cut_off(CodecError::Truncated { field: "message id", needed: 35, available: 4 });
        assert_eq!(error.bytes_needed(), Some(35));
        assert!(error.to_string().contains("message id, at least 31 bytes are missing"), "{error}");
    }
}
