//! Envelope encryption: data of any size under keys that are kept elsewhere, as messages of the AWS Encryption SDK.
//!
//! An [`Envelope`] makes a fresh data key for each message, lets a [`Keyring`] wrap it, and writes the wrapped forms into
//! the message. Whoever holds one of the wrapping keys opens it.
//!
//! | you have | use |
//! |---|---|
//! | bytes in memory | [`Envelope::encrypt`] and [`Envelope::decrypt`]; the `_into` forms save an allocation |
//! | a file, a socket, more than fits in memory | [`Envelope::writer`] and [`Envelope::reader`] |
//! | an asynchronous program | `Envelope::async_writer` and `Envelope::async_reader`, with the feature `tokio` |
//! | bytes that come and go by other ways, from an event loop, say | [`Envelope::encryptor`] and [`Envelope::decryptor`] |
//! | a message of megabytes and idle cores | [`EnvelopeBuilder::threads`] |
//! | a part of a message in a file | [`Envelope::random_access_reader`], which looks at that part only |
//! | a message that should be under other keys | [`Envelope::re_encrypt`] |
//! | a message and no key | [`message::inspect`] |
//!
//! Between the two stands a [`MaterialsManager`]; with [`CachingMaterialsManager`] one data key serves many messages.
//!
//! The encryption context is bound to the message and stands in it in clear. On decrypt, give what you expect of it:
//! every pair that you give must be there, others may be there too.

mod config;
mod keyring;
mod materials;
mod policy;
mod re_encrypt;
mod start;
mod stream;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

use std::fmt;
use std::io;
use std::sync::Arc;

pub use keyring::{
    KMS_PROVIDER_ID, Keyring, KmsKeyring, MultiKeyring, RawAesKeyring, RawEcdhKeyring, RawRsaKeyring, UnwrapFailure,
    UnwrapFailures,
};
pub use materials::{
    CacheStatistics, CachingMaterialsManager, CachingMaterialsManagerBuilder, DEFAULT_CACHE_CAPACITY,
    DEFAULT_MAX_MESSAGES, DataKeyCache, DecryptionMaterials, DefaultMaterialsManager, EncryptionMaterials,
    MAX_MESSAGES, MaterialsManager, RequiredContextManager,
};
pub use policy::{CommitmentPolicy, SignaturePolicy};
#[cfg(feature = "tokio")]
pub use stream::{AsyncEnvelopeReader, AsyncEnvelopeWriter};
pub use stream::{EnvelopeDecryptor, EnvelopeEncryptor, EnvelopeReader, EnvelopeWriter, RandomAccessReader};

use crate::context::EncryptionContext;
use crate::crypto::CryptoBackend;
use crate::error::Result;
use crate::message::{self, Header, HeaderParser, Limits, Opener};
use config::Config;
use policy::Release;
use start::KnownContext;

/// Encrypts and decrypts messages with the data keys of one keyring, or of a materials manager. Cheap to clone, and may be used by many threads.
///
/// # Examples
/// ```
/// use strongroom::{EncryptionContext, Envelope, RawAesKeyring, SecretBytes};
///
/// let envelope = Envelope::new(RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?);
/// let context = EncryptionContext::from([("tenant", "42"), ("purpose", "backup")]);
/// let message = envelope.encrypt(b"attack at dawn", &context)?;
///
/// let expected = EncryptionContext::from([("tenant", "42")]);
/// assert_eq!(envelope.decrypt(&message, &expected)?, b"attack at dawn");
/// assert!(envelope.decrypt(&message, &EncryptionContext::from([("tenant", "7")])).is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone)]
pub struct Envelope {
    manager: Arc<dyn MaterialsManager>,
    config: Config,
}

impl Envelope {
    /// An envelope with the default settings.
    pub fn new(keyring: impl Keyring + 'static) -> Self {
        Self::with_materials_manager(DefaultMaterialsManager::new(keyring))
    }

    /// An envelope with the default settings whose data keys come through a materials manager:
    /// [`CachingMaterialsManager`], say.
    pub fn with_materials_manager(manager: impl MaterialsManager + 'static) -> Self {
        Self { manager: Arc::new(manager), config: Config::default() }
    }

    /// Starts an envelope with settings of your own.
    ///
    /// # Examples
    /// ```
    /// use strongroom::message::Limits;
    /// use strongroom::{Envelope, RawAesKeyring, SecretBytes};
    ///
    /// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
    /// let limits = Limits::default().with_max_encrypted_data_keys(1);
    /// let envelope = Envelope::builder(keyring).frame_length(4096).limits(limits).build()?;
    /// # assert!(format!("{envelope:?}").contains("4096"));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn builder(keyring: impl Keyring + 'static) -> EnvelopeBuilder {
        EnvelopeBuilder { envelope: Self::new(keyring) }
    }

    /// Encrypts a plaintext that is wholly in memory.
    ///
    /// # Errors
    /// [`ErrorKind::Validation`](crate::ErrorKind::Validation) if the context is too long or has a name that begins with
    /// [`RESERVED_CONTEXT_PREFIX`](crate::RESERVED_CONTEXT_PREFIX), and whatever kept the keyring from wrapping.
    pub fn encrypt(&self, plaintext: &[u8], context: &EncryptionContext) -> Result<Vec<u8>> {
        let mut message = Vec::new();
        self.encrypt_into(plaintext, context, &mut message)?;
        Ok(message)
    }

    /// Encrypts into a vector, whose contents are replaced; its allocation is used again, which saves a sixth of the
    /// time for large messages. After an error it is empty.
    ///
    /// # Errors
    /// As [`Envelope::encrypt`].
    pub fn encrypt_into(&self, plaintext: &[u8], context: &EncryptionContext, message: &mut Vec<u8>) -> Result<()> {
        let sealed =
            start::start_writing(&self.config, &*self.manager, context, Some(plaintext.len())).and_then(|sealer| {
                let length = sealer.message_length(plaintext.len()).ok_or(message::MessageError::TooManyFrames)?;
                message::prepare(message, length);
                Ok(sealer.seal_whole(plaintext, message)?)
            });
        if sealed.is_err() {
            message.clear();
        }
        sealed
    }

    /// Decrypts a message that is wholly in memory. Every pair of `expect_context` must be in the message's context,
    /// which may have others.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidMessage`](crate::ErrorKind::InvalidMessage) if the message is malformed, altered, cut off or
    /// followed by other bytes, [`ErrorKind::MessagePolicy`](crate::ErrorKind::MessagePolicy) if the commitment or the
    /// signature policy refuses it, [`ErrorKind::ContextMismatch`](crate::ErrorKind::ContextMismatch) if it lacks an expected
    /// pair, [`ErrorKind::NoDataKeyUnwrapped`](crate::ErrorKind::NoDataKeyUnwrapped) if the keyring cannot open it, with
    /// [`UnwrapFailures`] that contain the reasons. An outage of the key source keeps its kind, for example
    /// [`ErrorKind::KeyUnavailable`](crate::ErrorKind::KeyUnavailable), [`ErrorKind::Audit`](crate::ErrorKind::Audit) or
    /// [`ErrorKind::Store`](crate::ErrorKind::Store).
    pub fn decrypt(&self, message: &[u8], expect_context: &EncryptionContext) -> Result<Vec<u8>> {
        Ok(self.decrypt_with_header(message, expect_context)?.plaintext)
    }

    /// Decrypts into a vector, whose contents are replaced; its allocation is used again. After an error it is empty.
    /// Returns the header, which is authentic.
    ///
    /// # Errors
    /// As [`Envelope::decrypt`].
    pub fn decrypt_into(
        &self,
        message: &[u8],
        expect_context: &EncryptionContext,
        plaintext: &mut Vec<u8>,
    ) -> Result<Header> {
        self.open_into(message, KnownContext::Expected(expect_context), plaintext)
    }

    /// Decrypts a message whose header omits a part of its context into a vector: see
    /// [`Envelope::decrypt_with_reproduced_context`] and [`Envelope::decrypt_into`].
    ///
    /// # Errors
    /// As [`Envelope::decrypt_with_reproduced_context`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::{DefaultMaterialsManager, Envelope, RequiredContextManager};
    /// use strongroom::{EncryptionContext, RawAesKeyring, SecretBytes};
    ///
    /// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
    /// let manager = RequiredContextManager::new(DefaultMaterialsManager::new(keyring), ["patient"])?;
    /// let envelope = Envelope::with_materials_manager(manager);
    /// let patient = EncryptionContext::from([("patient", "Doe")]);
    /// let letter = envelope.encrypt(b"all is well", &patient)?;
    ///
    /// let mut plaintext = Vec::new();
    /// let header = envelope.decrypt_into_with_reproduced_context(&letter, &patient, &mut plaintext)?;
    /// assert_eq!((plaintext.as_slice(), header.context().len()), (b"all is well".as_slice(), 0));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn decrypt_into_with_reproduced_context(
        &self,
        message: &[u8],
        reproduced: &EncryptionContext,
        plaintext: &mut Vec<u8>,
    ) -> Result<Header> {
        self.open_into(message, KnownContext::Reproduced(reproduced), plaintext)
    }

    fn open_into(&self, message: &[u8], known: KnownContext<'_>, plaintext: &mut Vec<u8>) -> Result<Header> {
        let opened = self.open_whole(message, known, plaintext);
        if opened.is_err() {
            plaintext.clear();
        }
        opened
    }

    fn open_whole(&self, message: &[u8], known: KnownContext<'_>, plaintext: &mut Vec<u8>) -> Result<Header> {
        let header = HeaderParser::default().parse(message, &self.config.limits)?;
        let opener = start::start_reading(&self.config, &*self.manager, &header, known, Release::Whole)?;
        opener.open_whole(&message[header.encoded_length()..], plaintext)?;
        Ok(header)
    }

    /// Decrypts a message and hands out its header too: its whole context, suite and wrapped data keys.
    ///
    /// # Errors
    /// As [`Envelope::decrypt`].
    pub fn decrypt_with_header(&self, message: &[u8], expect_context: &EncryptionContext) -> Result<Decrypted> {
        let mut plaintext = Vec::new();
        let header = self.decrypt_into(message, expect_context, &mut plaintext)?;
        Ok(Decrypted { plaintext, header })
    }

    /// Decrypts a message whose header leaves out a part of its context, as [`RequiredContextManager`] has it written:
    /// the caller brings what is left out. Pairs of `reproduced` that the header shows must be equal there; all others
    /// must be exactly those that it leaves out.
    ///
    /// # Errors
    /// As [`Envelope::decrypt`]. Pairs that are missing, too many or wrong show where the data key does not open
    /// ([`ErrorKind::NoDataKeyUnwrapped`](crate::ErrorKind::NoDataKeyUnwrapped)), or with a keyring that binds no context
    /// where the header is verified ([`ErrorKind::InvalidMessage`](crate::ErrorKind::InvalidMessage)).
    pub fn decrypt_with_reproduced_context(&self, message: &[u8], reproduced: &EncryptionContext) -> Result<Vec<u8>> {
        let mut plaintext = Vec::new();
        self.decrypt_into_with_reproduced_context(message, reproduced, &mut plaintext)?;
        Ok(plaintext)
    }

    /// Decrypts a message whose header omits a part of its context, and returns the header too: see
    /// [`Envelope::decrypt_with_reproduced_context`] and [`Envelope::decrypt_with_header`].
    ///
    /// # Errors
    /// As [`Envelope::decrypt_with_reproduced_context`].
    pub fn decrypt_with_header_and_reproduced_context(
        &self,
        message: &[u8],
        reproduced: &EncryptionContext,
    ) -> Result<Decrypted> {
        let mut plaintext = Vec::new();
        let header = self.decrypt_into_with_reproduced_context(message, reproduced, &mut plaintext)?;
        Ok(Decrypted { plaintext, header })
    }

    /// Starts a message that is written to `inner` while its plaintext comes in. It must be ended with
    /// [`EnvelopeWriter::finish`].
    ///
    /// # Errors
    /// As [`Envelope::encrypt`], and [`ErrorKind::Io`](crate::ErrorKind::Io) if the header cannot be written.
    pub fn writer<W: io::Write>(&self, inner: W, context: &EncryptionContext) -> Result<EnvelopeWriter<W>> {
        EnvelopeWriter::start(inner, start::start_writing(&self.config, &*self.manager, context, None)?)
    }

    /// Starts to read a message from `inner`: reads and verifies its header. The plaintext is then read from the result.
    ///
    /// A signed message is refused unless the [`SignaturePolicy`] was set to release frames before the signature, which
    /// stands at the end, is verified.
    ///
    /// # Errors
    /// As [`Envelope::decrypt`] for what concerns the header, and [`ErrorKind::Io`](crate::ErrorKind::Io) if `inner`
    /// cannot be read.
    pub fn reader<R: io::Read>(&self, inner: R, expect_context: &EncryptionContext) -> Result<EnvelopeReader<R>> {
        self.read(inner, KnownContext::Expected(expect_context))
    }

    /// Starts to read a message whose header leaves out a part of its context: see
    /// [`Envelope::decrypt_with_reproduced_context`] and [`Envelope::reader`].
    ///
    /// # Errors
    /// As [`Envelope::decrypt_with_reproduced_context`] for what concerns the header, and
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if `inner` cannot be read.
    pub fn reader_with_reproduced_context<R: io::Read>(
        &self,
        inner: R,
        reproduced: &EncryptionContext,
    ) -> Result<EnvelopeReader<R>> {
        self.read(inner, KnownContext::Reproduced(reproduced))
    }

    fn read<R: io::Read>(&self, inner: R, known: KnownContext<'_>) -> Result<EnvelopeReader<R>> {
        EnvelopeReader::start(inner, &self.config.limits, |header| self.start_streaming(header, known))
    }

    /// Gets the data key of a message that is read piece by piece, and verifies its header.
    fn start_streaming(&self, header: &Header, known: KnownContext<'_>) -> Result<Opener> {
        start::start_reading(&self.config, &*self.manager, header, known, Release::Streamed)
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope").field("manager", &self.manager).field("config", &self.config).finish()
    }
}

/// An [`Envelope`] that is being set up.
#[derive(Debug)]
#[must_use]
pub struct EnvelopeBuilder {
    envelope: Envelope,
}

impl EnvelopeBuilder {
    /// Starts an envelope with settings of your own whose data keys come through a materials manager.
    pub fn with_materials_manager(manager: impl MaterialsManager + 'static) -> Self {
        Self { envelope: Envelope::with_materials_manager(manager) }
    }

    /// Sets the algorithm suite of the messages that are written. Default: that of the commitment policy, unsigned.
    ///
    /// # Examples
    /// ```
    /// use strongroom::message::{self, AlgorithmSuite};
    /// use strongroom::{EncryptionContext, Envelope, RawAesKeyring, SecretBytes};
    ///
    /// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
    /// let signed = AlgorithmSuite::Aes256GcmHkdfSha512CommitEcdsaP384;
    /// let envelope = Envelope::builder(keyring).algorithm_suite(signed).build()?;
    /// let message = envelope.encrypt(b"attack at dawn", &EncryptionContext::new())?;
    /// assert_eq!(message::inspect(&message)?.suite(), signed);
    /// assert_eq!(envelope.decrypt(&message, &EncryptionContext::new())?, b"attack at dawn");
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub const fn algorithm_suite(mut self, suite: message::AlgorithmSuite) -> Self {
        self.envelope.config.suite = Some(suite);
        self
    }

    /// Sets whether messages must commit to their key. Default: all of them, written and read.
    pub const fn commitment_policy(mut self, policy: CommitmentPolicy) -> Self {
        self.envelope.config.commitment_policy = policy;
        self
    }

    /// Sets what of a signed message may be seen before its signature is verified. Default: nothing.
    pub const fn signature_policy(mut self, policy: SignaturePolicy) -> Self {
        self.envelope.config.signature_policy = policy;
        self
    }

    /// Sets the bytes of plaintext in a frame of the messages that are written. Default:
    /// [`DEFAULT_FRAME_LENGTH`](message::DEFAULT_FRAME_LENGTH).
    pub const fn frame_length(mut self, bytes: u32) -> Self {
        self.envelope.config.frame_length = bytes;
        self
    }

    /// Sets what a message may make this program allocate, hold and ask for.
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.envelope.config.limits = limits;
        self
    }

    /// Sets how many threads work on one message: 1 to 64, the caller's own among them. Default: 1.
    ///
    /// Bytes, order and errors are those of one thread: of several bad frames the first in order is named. A message in
    /// memory is shared out from eight times [`share`](Self::share) on; of a signed one this thread hashes what the others
    /// encrypt. Streams work in steps of four shares for each thread: they hold that much plaintext and that much of the
    /// message, and hand a frame on only when a step is full or the message ends. A reader of a source that sends a frame
    /// and waits for an answer needs one thread.
    ///
    /// The threads are started for each message, or each step, and have ended when the call returns.
    ///
    /// # Examples
    /// ```
    /// use strongroom::{EncryptionContext, Envelope, RawAesKeyring, SecretBytes};
    ///
    /// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
    /// let envelope = Envelope::builder(keyring).threads(2).build()?;
    /// let message = envelope.encrypt(&[b'.'; 5_000_000], &EncryptionContext::new())?;
    /// assert_eq!(envelope.decrypt(&message, &EncryptionContext::new())?, [b'.'; 5_000_000]);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub const fn threads(mut self, count: usize) -> Self {
        self.envelope.config.parallelism.threads = count;
        self
    }

    /// Sets how many bytes of plaintext a thread takes at a time, rounded down to whole frames, but at least one: 1 to
    /// 16,777,216. Default: 262,144. Matters only with several [`threads`](Self::threads).
    pub const fn share(mut self, bytes: usize) -> Self {
        self.envelope.config.parallelism.share = bytes;
        self
    }

    /// Accepts messages under raw AES keys in which the Encryption SDK for JavaScript sorted the names of the encryption context
    /// by locale. Default: they are rejected.
    ///
    /// That SDK sorts the names with `localeCompare`, using the collation of the process locale, unless its keyring is created
    /// with `utf8Sorting: true`. Other implementations cannot open the message if that order differs from the order of the UTF-8
    /// bytes. Examples are `user_id` together with `userId`, and `Tenant` in a signed message, whose context also contains
    /// `aws-crypto-public-key`.
    ///
    /// [`RawAesKeyring`] then tries the order of the header, the order of Node.js for names in printable ASCII and, for up to
    /// eight names, every other order. The attempts for one message are limited to some tenths of a second. Every order contains
    /// the same pairs, so an attacker without the wrapping key cannot alter the context unnoticed. Header, commitment and
    /// signature are verified as usual. Messages are still written in the canonical order.
    ///
    /// # Examples
    /// ```
    /// use strongroom::{Envelope, RawAesKeyring, SecretBytes};
    ///
    /// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
    /// let envelope = Envelope::builder(keyring).accept_javascript_context_order().build()?;
    /// # assert!(format!("{envelope:?}").contains("accepts_javascript_context_order: true"));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub const fn accept_javascript_context_order(mut self) -> Self {
        self.envelope.config.accepts_javascript_context_order = true;
        self
    }

    /// Accepts messages written by version 4.0.0 of the Encryption SDK for .NET, whose format no other version writes. Default:
    /// they are rejected as not authentic.
    ///
    /// That version authenticates two additional bytes with the header. In suites of version 1 it also derives the content key
    /// without the message identifier. The header is verified in this form only if it is not authentic in the standard form.
    ///
    /// Suites of version 2 keep their guarantees: the commitment is verified first, in the standard way. In suites of version 1
    /// the content key depends only on the data key, so two messages with the same data key would share the content key and the
    /// IVs of their frames, which breaks AES-GCM for both. Version 4.0.0 has no cache and generates a data key for each message.
    /// Re-encrypt such messages ([`Envelope::re_encrypt`]) and remove the setting.
    ///
    /// # Examples
    /// ```
    /// use strongroom::{Envelope, RawAesKeyring, SecretBytes};
    ///
    /// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
    /// let envelope = Envelope::builder(keyring).accept_dotnet_4_0_0().build()?;
    /// # assert!(format!("{envelope:?}").contains("accepts_dotnet_4_0_0: true"));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub const fn accept_dotnet_4_0_0(mut self) -> Self {
        self.envelope.config.accepts_dotnet_4_0_0 = true;
        self
    }

    /// Sets the cryptography of header and body, and where randomness comes from. Default:
    /// [`FASTEST`](crate::crypto::FASTEST).
    ///
    /// What a keyring does with keys of its own it does with a backend of its own: see [`RawAesKeyring::with_backend`],
    /// [`RawRsaKeyring::with_backend`] and [`RawEcdhKeyring::with_backend`]. A [`KmsKeyring`] has that of its `Kms`.
    pub const fn backend(mut self, backend: CryptoBackend) -> Self {
        self.envelope.config.backend = backend;
        self
    }

    /// Makes the envelope.
    ///
    /// # Errors
    /// [`ErrorKind::Validation`](crate::ErrorKind::Validation) if the frame length is zero, over
    /// [`LARGEST_WRITABLE_FRAME_LENGTH`](message::LARGEST_WRITABLE_FRAME_LENGTH), or over the limit for frames; if the
    /// threads or their share are none or too many; or if the commitment policy does not allow the suite, or messages of it are only read.
    pub fn build(self) -> Result<Envelope> {
        Ok(Envelope { config: self.envelope.config.validated()?, ..self.envelope })
    }
}

/// A message that was opened: its plaintext, and its header, which is authentic.
pub struct Decrypted {
    plaintext: Vec<u8>,
    header: Header,
}

impl Decrypted {
    /// The plaintext.
    pub fn plaintext(&self) -> &[u8] {
        &self.plaintext
    }

    /// The header: context, suite, wrapped data keys.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Takes the plaintext out.
    pub fn into_plaintext(self) -> Vec<u8> {
        self.plaintext
    }
}

impl fmt::Debug for Decrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decrypted")
            .field("plaintext", &format_args!("{} bytes", self.plaintext.len()))
            .field("header", &self.header)
            .finish()
    }
}
