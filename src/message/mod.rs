//! The message format of the AWS Encryption SDK: headers, frames, and algorithm suites. This module
//! works with bytes and a data key, independent of where data keys come from.
//!
//! The public items describe messages; an [`Envelope`](crate::Envelope) writes and opens them. The
//! manual page [message format](crate::manual::message_format) specifies the layout byte by byte.
//! The source is the [message format reference] of the AWS Encryption SDK.
//!
//! [message format reference]: https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/message-format.html
//!
//! | to | use |
//! |---|---|
//! | see the purpose, the keys and the suite of a message without any key | [`inspect`] |
//! | bound the resources that a message can consume | [`Limits`] |
//! | find the reason for a rejection | [`MessageError`] |
//! | choose or recognize an algorithm suite | [`AlgorithmSuite`] |
//! | implement a keyring | [`EncryptedDataKey`] |
//!
//! # Examples
//! ```
//! use strongroom::crypto::{AeadAlgorithm, DigestAlgorithm};
//! use strongroom::envelope::RawAesKeyring;
//! use strongroom::message::{self, AlgorithmSuite, KeyDerivation, MessageError, MessageVersion, SuiteSupport};
//! use strongroom::{EncryptionContext, Envelope, SecretBytes};
//!
//! let envelope = Envelope::new(RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?);
//! let message = envelope.encrypt(b"attack at dawn", &EncryptionContext::from([("tenant", "42")]))?;
//!
//! let header = message::inspect(&message)?; // a claim, until the message is decrypted
//! assert_eq!(header.context().get("tenant"), Some("42"));
//! let suite = header.suite();
//! assert_eq!(suite, AlgorithmSuite::Aes256GcmHkdfSha512Commit);
//! assert_eq!((suite.id(), suite.name()), (0x0478, "AES_256_GCM_HKDF_SHA512_COMMIT_KEY"));
//! assert_eq!((suite.version(), suite.support()), (MessageVersion::V2, SuiteSupport::Full));
//! assert_eq!((suite.aead(), suite.data_key_length()), (AeadAlgorithm::Aes256Gcm, 32));
//! assert_eq!((suite.derivation(), suite.signature()), (KeyDerivation::HkdfCommit(DigestAlgorithm::Sha512), None));
//!
//! let truncated = message::inspect(&message[..20]).unwrap_err();
//! assert!(matches!(truncated, MessageError::Truncated { .. }));
//! # Ok::<(), strongroom::Error>(())
//! ```
//!
//! # Implementation
//! Readers and writers are state machines that perform no I/O. A header is parsed as its bytes
//! arrive, and each frame is sealed or opened independently from one buffer to another. Whole
//! messages and streams are thin layers on top.

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
#[cfg(feature = "object_store")]
pub(crate) use open::FrameOpener;
pub(crate) use open::{Opener, check_readable};
pub(crate) use parallel::{MAX_THREADS, Parallelism};
pub(crate) use seal::Sealer;
#[cfg(feature = "object_store")]
pub(crate) use seal::{FrameSealer, FrameSpan};
pub(crate) use signing::MessageSigner;

/// Parses the header of a message without any key.
///
/// `bytes` contain a message or at least its beginning. Nothing in the result is verified: anyone
/// could have written it. Only decryption checks that the message may be read, and that the
/// presence of a public key matches the suite.
///
/// # Errors
/// - Any [`MessageError`] for a malformed header: steps 1 to 3 of the order of checks in the manual.
/// - [`MessageError::Truncated`] if the header is incomplete.
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

/// Parses the header of a message without any key, like [`inspect`], but with custom limits.
///
/// # Errors
/// - The errors of [`inspect`].
///
/// # Examples
/// ```
/// use strongroom::envelope::RawAesKeyring;
/// use strongroom::message::{self, Limits, MessageError};
/// use strongroom::{EncryptionContext, Envelope, SecretBytes};
///
/// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
/// let context = EncryptionContext::from([("tenant", "42")]);
/// let encrypted = Envelope::new(keyring).encrypt(b"text", &context)?;
///
/// let strict = Limits::default().with_max_header_bytes(100);
/// let refused = message::inspect_with_limits(&encrypted, &strict).unwrap_err();
/// assert!(matches!(refused, MessageError::HeaderTooLong { limit: 100, .. }));
/// # Ok::<(), strongroom::Error>(())
/// ```
pub fn inspect_with_limits(bytes: &[u8], limits: &Limits) -> Result<Header, MessageError> {
    HeaderParser::default().parse(bytes, limits)
}
