//! The builder of an envelope.

use super::envelope::Envelope;
use crate::crypto::CryptoBackend;
use crate::envelope::materials::IntoMaterialsManager;
use crate::envelope::policy::{CommitmentPolicy, SignaturePolicy};
use crate::envelope::start::Starter;
use crate::error::Result;
use crate::message::{self, Limits};

impl Envelope {
    /// Returns a builder for an envelope with custom settings. Like [`Envelope::new`], it accepts a
    /// keyring or a materials manager.
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::RawAesKeyring;
    /// use strongroom::message::Limits;
    /// use strongroom::{Envelope, SecretBytes};
    ///
    /// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
    /// let limits = Limits::default().with_max_encrypted_data_keys(1);
    /// let envelope = Envelope::builder(keyring).frame_length(4096).limits(limits).build()?;
    /// # assert!(format!("{envelope:?}").contains("4096"));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn builder<Kind: ?Sized>(source: impl IntoMaterialsManager<Kind>) -> EnvelopeBuilder {
        EnvelopeBuilder { envelope: Self::new(source) }
    }
}

/// A builder for [`Envelope`].
///
/// # Examples
/// ```
/// use strongroom::envelope::{CommitmentPolicy, RawAesKeyring};
/// use strongroom::message::{self, Limits};
/// use strongroom::{EncryptionContext, Envelope, SecretBytes};
///
/// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
/// let envelope = Envelope::builder(keyring)
///     .commitment_policy(CommitmentPolicy::RequireEncryptAllowDecrypt)
///     .limits(Limits::default().with_max_encrypted_data_keys(2))
///     .frame_length(4_096)
///     .build()?;
/// let message = envelope.encrypt(&[7; 10_000], &EncryptionContext::new())?;
/// assert_eq!(message::inspect(&message)?.frame_length(), Some(4_096));
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct EnvelopeBuilder {
    envelope: Envelope,
}

impl EnvelopeBuilder {
    /// Sets the algorithm suite of new messages. Default: the unsigned suite of the commitment
    /// policy.
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::RawAesKeyring;
    /// use strongroom::message::{self, AlgorithmSuite};
    /// use strongroom::{EncryptionContext, Envelope, SecretBytes};
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
        self.envelope.starter.config.suite = Some(suite);
        self
    }

    /// Sets which messages must commit to their key. Default: all messages, on encryption and
    /// decryption.
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::{CommitmentPolicy, RawAesKeyring};
    /// use strongroom::message::AlgorithmSuite;
    /// use strongroom::{EncryptionContext, Envelope, ErrorKind, SecretBytes};
    ///
    /// let keyring = || RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32));
    /// let builder = Envelope::builder(keyring()?).commitment_policy(CommitmentPolicy::ForbidEncryptAllowDecrypt);
    /// let old_style = builder.algorithm_suite(AlgorithmSuite::Aes256GcmHkdfSha256).build()?;
    /// let message = old_style.encrypt(b"attack at dawn", &EncryptionContext::new())?;
    ///
    /// let refused = Envelope::new(keyring()?).decrypt(&message, &EncryptionContext::new()).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::MessagePolicy);
    /// let reader = Envelope::builder(keyring()?).commitment_policy(CommitmentPolicy::RequireEncryptAllowDecrypt).build()?;
    /// assert_eq!(reader.decrypt(&message, &EncryptionContext::new())?, b"attack at dawn");
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub const fn commitment_policy(mut self, policy: CommitmentPolicy) -> Self {
        self.envelope.starter.config.commitment_policy = policy;
        self
    }

    /// Sets how much of a signed message is released before its signature is verified. Default:
    /// nothing.
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::{RawAesKeyring, SignaturePolicy};
    /// use strongroom::message::AlgorithmSuite;
    /// use strongroom::{EncryptionContext, Envelope, ErrorKind, SecretBytes};
    ///
    /// let keyring = || RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32));
    /// let signed = AlgorithmSuite::Aes256GcmHkdfSha512CommitEcdsaP384;
    /// let writer = Envelope::builder(keyring()?).algorithm_suite(signed).build()?;
    /// let message = writer.encrypt(b"attack at dawn", &EncryptionContext::new())?;
    ///
    /// // By default, a signed message is decrypted in memory only.
    /// assert_eq!(writer.reader(&message[..], &EncryptionContext::new()).unwrap_err().kind(), ErrorKind::MessagePolicy);
    /// let streaming = Envelope::builder(keyring()?).signature_policy(SignaturePolicy::ReleaseBeforeVerification).build()?;
    /// assert!(streaming.reader(&message[..], &EncryptionContext::new()).is_ok());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub const fn signature_policy(mut self, policy: SignaturePolicy) -> Self {
        self.envelope.starter.config.signature_policy = policy;
        self
    }

    /// Sets the number of plaintext bytes per frame of new messages. Default:
    /// [`DEFAULT_FRAME_LENGTH`](message::DEFAULT_FRAME_LENGTH).
    pub const fn frame_length(mut self, bytes: u32) -> Self {
        self.envelope.starter.config.frame_length = bytes;
        self
    }

    /// Sets limits on the resources that a message can make this process use.
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.envelope.starter.config.limits = limits;
        self
    }

    /// Sets the number of threads that work on one message, including the calling thread: 1 to 64.
    /// Default: 1.
    ///
    /// Output, order, and errors are the same as with one thread: of several invalid frames, the
    /// first in order is reported. A message in memory is divided if it is at least eight times as
    /// long as [`chunk_size`](Self::chunk_size). For a signed message, the calling thread hashes
    /// what the others encrypt.
    ///
    /// Streams work in steps of four chunks for each thread. They buffer that much plaintext and
    /// that much of the message, and release frames only when a step is full or the message ends.
    /// If the source sends a frame and waits for a response, the reader must use one thread.
    ///
    /// The threads are started for each message, or for each step, and have ended when the call
    /// returns.
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::RawAesKeyring;
    /// use strongroom::{EncryptionContext, Envelope, SecretBytes};
    ///
    /// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
    /// let envelope = Envelope::builder(keyring).threads(2).build()?;
    /// let message = envelope.encrypt(&[b'.'; 5_000_000], &EncryptionContext::new())?;
    /// assert_eq!(envelope.decrypt(&message, &EncryptionContext::new())?, [b'.'; 5_000_000]);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub const fn threads(mut self, count: usize) -> Self {
        self.envelope.starter.config.parallelism.threads = count;
        self
    }

    /// Sets the number of plaintext bytes that a thread processes at a time: 1 to 16,777,216. It is
    /// rounded down to whole frames, but to at least one. Default: 262,144. It only matters with
    /// several [`threads`](Self::threads).
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::RawAesKeyring;
    /// use strongroom::{EncryptionContext, Envelope, SecretBytes};
    ///
    /// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
    /// let envelope = Envelope::builder(keyring).threads(2).chunk_size(1 << 20).build()?;
    /// let message = envelope.encrypt(&vec![b'.'; 10 << 20], &EncryptionContext::new())?;
    /// assert_eq!(envelope.decrypt(&message, &EncryptionContext::new())?.len(), 10 << 20);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub const fn chunk_size(mut self, bytes: usize) -> Self {
        self.envelope.starter.config.parallelism.chunk_size = bytes;
        self
    }

    /// Accepts messages under raw AES keys in which the Encryption SDK for JavaScript sorted the names of the encryption context
    /// by locale. Default: they are rejected.
    ///
    /// That SDK sorts the names with `localeCompare`, using the collation of the process locale,
    /// unless its keyring is created with `utf8Sorting: true`. Other implementations cannot decrypt
    /// the message if that order differs from the order of the UTF-8 bytes. Examples are `user_id`
    /// together with `userId`, and `Tenant` in a signed message, whose context also contains
    /// `aws-crypto-public-key`.
    ///
    /// [`RawAesKeyring`](crate::envelope::RawAesKeyring) then tries the order of the header, the order of Node.js for names in printable ASCII and, for up to
    /// eight names, every other order. The attempts for one message are limited to some tenths of a second. Every order contains
    /// the same pairs, so an attacker without the wrapping key cannot alter the context unnoticed. Header, commitment and
    /// signature are verified as usual. Messages are still written in the canonical order.
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::RawAesKeyring;
    /// use strongroom::{Envelope, SecretBytes};
    ///
    /// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
    /// let envelope = Envelope::builder(keyring).accept_javascript_context_order().build()?;
    /// # assert!(format!("{envelope:?}").contains("accepts_javascript_context_order: true"));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub const fn accept_javascript_context_order(mut self) -> Self {
        self.envelope.starter.config.accepts_javascript_context_order = true;
        self
    }

    /// Accepts messages written by version 4.0.0 of the Encryption SDK for .NET, whose format no other version writes. Default:
    /// they are rejected as not authentic.
    ///
    /// That version authenticates two additional bytes with the header. In suites of version 1 it also derives the content key
    /// without the message identifier. The header is verified in this form only if it is not authentic in the standard form.
    ///
    /// Suites of version 2 keep their guarantees, because the commitment is verified first, in the
    /// standard way. In suites of version 1, the content key depends only on the data key. Two
    /// messages with the same data key would share the content key and the IVs of their frames,
    /// which breaks AES-GCM for both. Version 4.0.0 has no cache and generates a data key for each
    /// message. Re-encrypt such messages ([`Envelope::re_encrypt`]) and remove the setting.
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::RawAesKeyring;
    /// use strongroom::{Envelope, SecretBytes};
    ///
    /// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
    /// let envelope = Envelope::builder(keyring).accept_dotnet_4_0_0().build()?;
    /// # assert!(format!("{envelope:?}").contains("accepts_dotnet_4_0_0: true"));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub const fn accept_dotnet_4_0_0(mut self) -> Self {
        self.envelope.starter.config.accepts_dotnet_4_0_0 = true;
        self
    }

    /// Sets the cryptographic backend for header and body, which is also the source of randomness.
    /// Default: [`FASTEST`](crate::crypto::FASTEST).
    ///
    /// Keyrings have a separate backend for the operations of their own keys: see
    /// [`RawAesKeyring::with_backend`](crate::envelope::RawAesKeyring::with_backend),
    /// [`RawRsaKeyring::with_backend`](crate::envelope::RawRsaKeyring::with_backend), and
    /// [`RawEcdhKeyring::with_backend`](crate::envelope::RawEcdhKeyring::with_backend). A
    /// [`KmsKeyring`](crate::envelope::KmsKeyring) uses the backend of its `Kms`.
    ///
    /// # Examples
    /// ```
    /// use strongroom::crypto::RUST_CRYPTO;
    /// use strongroom::envelope::RawAesKeyring;
    /// use strongroom::{EncryptionContext, Envelope, SecretBytes};
    ///
    /// let keyring = || RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32));
    /// let pure_rust = Envelope::builder(keyring()?).backend(RUST_CRYPTO).build()?;
    /// let message = pure_rust.encrypt(b"the bytes are the same", &EncryptionContext::new())?;
    /// assert!(Envelope::new(keyring()?).decrypt(&message, &EncryptionContext::new()).is_ok());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub const fn backend(mut self, backend: CryptoBackend) -> Self {
        self.envelope.starter.config.backend = backend;
        self
    }

    /// Creates the envelope.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`](crate::ErrorKind::Validation) in these cases: the frame length
    ///   is zero, over [`LARGEST_WRITABLE_FRAME_LENGTH`](message::LARGEST_WRITABLE_FRAME_LENGTH),
    ///   or over the limit for frames; the number of threads or the chunk size is zero or too
    ///   large; the commitment policy does not allow the suite, or the suite is read-only.
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::RawAesKeyring;
    /// use strongroom::message::AlgorithmSuite;
    /// use strongroom::{Envelope, ErrorKind, SecretBytes};
    ///
    /// let keyring = || RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32));
    /// let refused = [
    ///     Envelope::builder(keyring()?).frame_length(0).build(),
    ///     Envelope::builder(keyring()?).threads(65).build(),
    ///     Envelope::builder(keyring()?).algorithm_suite(AlgorithmSuite::Aes256GcmHkdfSha256).build(),
    /// ];
    /// assert!(refused.iter().all(|result| result.as_ref().is_err_and(|error| error.kind() == ErrorKind::Validation)));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn build(self) -> Result<Envelope> {
        let Starter { manager, config } = self.envelope.starter;
        Ok(Envelope { starter: Starter { manager, config: config.validated()? } })
    }
}
