//! The message format of the AWS Encryption SDK: headers, frames, algorithm suites. Knows bytes and a data key, and nothing
//! of where data keys come from.
//!
//! What is public here describes messages; they are written and opened by an `Envelope`. The layout, byte by byte, is a
//! page of the manual, *message format*.
//!
//! Reading and writing are state machines without input or output of their own: a header is parsed as its bytes arrive,
//! a frame is sealed or opened by itself from one buffer to another. Whole messages and streams are thin shells around
//! them.

mod aad;
mod buffer;
mod data_key;
mod derive;
mod error;
mod frame;
mod header;
mod limits;
mod message_id;
mod open;
mod parallel;
mod seal;
mod signing;
mod suite;
#[cfg(test)]
mod testing;

pub use data_key::EncryptedDataKey;
pub use error::MessageError;
pub use header::Header;
pub use limits::{
    DEFAULT_FRAME_LENGTH, DEFAULT_MAX_ENCRYPTED_DATA_KEYS, DEFAULT_MAX_FRAME_LENGTH, DEFAULT_MAX_HEADER_BYTES,
    DEFAULT_MAX_UNFRAMED_BODY, LARGEST_WRITABLE_FRAME_LENGTH, Limits,
};
pub use message_id::MessageId;
pub use suite::{AlgorithmSuite, KeyDerivation, MessageSignature, MessageVersion, SuiteSupport};

pub(crate) use buffer::{prepare, prepare_secret};
pub(crate) use header::{HeaderForm, HeaderParser, HeaderParts, PUBLIC_KEY_NAME};
pub(crate) use open::{Opener, check_readable};
pub(crate) use parallel::{MAX_THREADS, Parallelism};
pub(crate) use seal::Sealer;
pub(crate) use signing::MessageSigner;

/// Reads the header of a message without any key.
///
/// `bytes` are a message, or at least its beginning. Nothing that the result says is verified: anyone may have
/// written it.
///
/// # Errors
/// Every refusal for the form of the header, and [`MessageError::Truncated`] if it is not whole: steps 1 to 3 of the order of
/// checks in the manual. Whether the message may be read, and whether the presence of a public key fits the suite, is the
/// business of who decrypts.
///
/// # Examples
/// ```
/// use strongroom::envelope::RawAesKeyring;
/// use strongroom::{EncryptionContext, Envelope, SecretBytes, message};
///
/// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
/// let context = EncryptionContext::from([("tenant", "42")]);
/// let encrypted = Envelope::new(keyring).encrypt(b"text", &context)?;
///
/// let header = message::inspect(&encrypted)?;
/// assert_eq!(header.context(), &context);
/// assert_eq!(header.data_keys()[0].provider_id(), "laboratory");
/// # Ok::<(), strongroom::Error>(())
/// ```
pub fn inspect(bytes: &[u8]) -> Result<Header, MessageError> {
    inspect_with_limits(bytes, &Limits::default())
}

/// Reads the header of a message without any key, under limits of your own; see [`inspect`].
///
/// # Errors
/// As [`inspect`].
pub fn inspect_with_limits(bytes: &[u8], limits: &Limits) -> Result<Header, MessageError> {
    HeaderParser::default().parse(bytes, limits)
}
