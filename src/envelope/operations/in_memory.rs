//! Messages in memory.

use std::fmt;

use super::envelope::Envelope;
use crate::context::EncryptionContext;
use crate::envelope::policy::ReleaseMode;
use crate::envelope::start::KnownContext;
use crate::error::Result;
use crate::message::{self, Header, HeaderParser};

impl Envelope {
    /// Encrypts a plaintext in memory.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`](crate::ErrorKind::Validation) if the context is too long, or has
    ///   a name that begins with [`RESERVED_CONTEXT_PREFIX`](crate::RESERVED_CONTEXT_PREFIX).
    /// - Any error of the keyring.
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::KmsKeyring;
    /// use strongroom::{EncryptionContext, Envelope, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let envelope = Envelope::new(KmsKeyring::new(&kms, kms.create_key(Default::default())?.key_id())?);
    /// let context = EncryptionContext::from([("file", "report.pdf")]);
    /// let message = envelope.encrypt(b"any number of bytes", &context)?;
    /// assert_eq!(envelope.decrypt(&message, &context)?, b"any number of bytes");
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn encrypt(&self, plaintext: &[u8], context: &EncryptionContext) -> Result<Vec<u8>> {
        let mut message = Vec::new();
        self.encrypt_into(plaintext, context, &mut message)?;
        Ok(message)
    }

    /// Encrypts into a vector and replaces its contents. The allocation is reused, which saves a
    /// sixth of the time for large messages. After an error, the vector is empty.
    ///
    /// # Errors
    /// - The errors of [`Envelope::encrypt`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::RawAesKeyring;
    /// use strongroom::{EncryptionContext, Envelope, SecretBytes};
    ///
    /// let envelope = Envelope::new(RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?);
    /// let (mut message, mut plaintext) = (Vec::new(), Vec::new());
    /// for record in ["one", "two", "three"] {
    ///     envelope.encrypt_into(record.as_bytes(), &EncryptionContext::new(), &mut message)?;
    ///     envelope.decrypt_into(&message, &EncryptionContext::new(), &mut plaintext)?;
    ///     assert_eq!(plaintext, record.as_bytes());
    /// }
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn encrypt_into(&self, plaintext: &[u8], context: &EncryptionContext, message: &mut Vec<u8>) -> Result<()> {
        let sealed = self.starter.begin_encrypt(context, Some(plaintext.len())).and_then(|sealer| {
            let length = sealer.message_length(plaintext.len()).ok_or(message::MessageError::TooManyFrames)?;
            message::prepare(message, length);
            Ok(sealer.seal_whole(plaintext, message)?)
        });
        if sealed.is_err() {
            message.clear();
        }
        sealed
    }

    /// Decrypts a message in memory. The message's context must contain every pair of
    /// `expect_context`, and may contain others.
    ///
    /// # Errors
    /// - [`ErrorKind::InvalidMessage`](crate::ErrorKind::InvalidMessage) if the message is
    ///   malformed, altered, truncated, or followed by other bytes.
    /// - [`ErrorKind::MessagePolicy`](crate::ErrorKind::MessagePolicy) if the commitment policy or
    ///   the signature policy rejects it.
    /// - [`ErrorKind::ContextMismatch`](crate::ErrorKind::ContextMismatch) if it lacks an expected
    ///   pair.
    /// - [`ErrorKind::NoDataKeyUnwrapped`](crate::ErrorKind::NoDataKeyUnwrapped) if the keyring
    ///   cannot unwrap a data key, with [`UnwrapFailures`](crate::envelope::UnwrapFailures) that
    ///   contain the reasons.
    /// - The kind of an outage if the key source failed, for example
    ///   [`ErrorKind::KeyUnavailable`](crate::ErrorKind::KeyUnavailable),
    ///   [`ErrorKind::Audit`](crate::ErrorKind::Audit), or
    ///   [`ErrorKind::Store`](crate::ErrorKind::Store).
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::RawAesKeyring;
    /// use strongroom::{EncryptionContext, Envelope, ErrorKind, SecretBytes};
    ///
    /// let envelope = Envelope::new(RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?);
    /// let written = EncryptionContext::from([("tenant", "42"), ("file", "report.pdf")]);
    /// let message = envelope.encrypt(b"attack at dawn", &written)?;
    ///
    /// // Expect what you know. The message may have more pairs.
    /// let expected = EncryptionContext::from([("tenant", "42")]);
    /// assert_eq!(envelope.decrypt(&message, &expected)?, b"attack at dawn");
    /// let other = envelope.decrypt(&message, &EncryptionContext::from([("tenant", "43")])).unwrap_err();
    /// assert_eq!(other.kind(), ErrorKind::ContextMismatch);
    /// let truncated = envelope.decrypt(&message[..100], &expected).unwrap_err();
    /// assert_eq!(truncated.kind(), ErrorKind::InvalidMessage);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn decrypt(&self, message: &[u8], expect_context: &EncryptionContext) -> Result<Vec<u8>> {
        Ok(self.decrypt_with_header(message, expect_context)?.plaintext)
    }

    /// Decrypts into a vector and replaces its contents. The allocation is reused. After an error,
    /// the vector is empty. Returns the authenticated header.
    ///
    /// # Errors
    /// - The errors of [`Envelope::decrypt`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::RawAesKeyring;
    /// use strongroom::{EncryptionContext, Envelope, SecretBytes};
    ///
    /// let envelope = Envelope::new(RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?);
    /// let message = envelope.encrypt(b"attack at dawn", &EncryptionContext::from([("tenant", "42")]))?;
    /// let mut plaintext = Vec::new();
    /// let header = envelope.decrypt_into(&message, &EncryptionContext::new(), &mut plaintext)?;
    /// assert_eq!((plaintext.as_slice(), header.context().get("tenant")), (&b"attack at dawn"[..], Some("42")));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
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
    /// - The errors of [`Envelope::decrypt_with_reproduced_context`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::{RawAesKeyring, RequiredContextManager};
    /// use strongroom::{EncryptionContext, Envelope, SecretBytes};
    ///
    /// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
    /// let manager = RequiredContextManager::new(keyring, ["patient"])?;
    /// let envelope = Envelope::new(manager);
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
        let header = HeaderParser::default().parse(message, &self.starter.config.limits)?;
        let opener = self.starter.begin_decrypt(&header, known, ReleaseMode::Buffered)?;
        opener.open_whole(&message[header.encoded_length()..], plaintext)?;
        Ok(header)
    }

    /// Decrypts a message and also returns its header: the complete context, the suite, and the
    /// wrapped data keys.
    ///
    /// # Errors
    /// - The errors of [`Envelope::decrypt`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::RawAesKeyring;
    /// use strongroom::{EncryptionContext, Envelope, SecretBytes};
    ///
    /// let envelope = Envelope::new(RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?);
    /// let message = envelope.encrypt(b"attack at dawn", &EncryptionContext::from([("author", "alice")]))?;
    /// let decrypted = envelope.decrypt_with_header(&message, &EncryptionContext::new())?;
    /// assert_eq!(decrypted.header().context().get("author"), Some("alice")); // authenticated
    /// assert_eq!(decrypted.into_plaintext(), b"attack at dawn");
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn decrypt_with_header(&self, message: &[u8], expect_context: &EncryptionContext) -> Result<Decrypted> {
        let mut plaintext = Vec::new();
        let header = self.decrypt_into(message, expect_context, &mut plaintext)?;
        Ok(Decrypted { plaintext, header })
    }

    /// Decrypts a message whose header omits a part of its context, as written with
    /// [`RequiredContextManager`](crate::envelope::RequiredContextManager). The caller supplies the
    /// omitted pairs. Pairs of `reproduced` that the header contains must be equal there. All
    /// others must be exactly the omitted pairs.
    ///
    /// # Errors
    /// - The errors of [`Envelope::decrypt`].
    /// - [`ErrorKind::NoDataKeyUnwrapped`](crate::ErrorKind::NoDataKeyUnwrapped) if a pair is
    ///   missing, additional, or wrong.
    /// - [`ErrorKind::InvalidMessage`](crate::ErrorKind::InvalidMessage) in the same case, if the
    ///   keyring does not bind the context: the header cannot be verified.
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::{DefaultMaterialsManager, RawAesKeyring, RequiredContextManager};
    /// use strongroom::{EncryptionContext, Envelope, ErrorKind, SecretBytes};
    ///
    /// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
    /// let manager = RequiredContextManager::new(DefaultMaterialsManager::new(keyring), ["patient"])?;
    /// let envelope = Envelope::new(manager);
    /// let patient = EncryptionContext::from([("patient", "Doe")]);
    /// let letter = envelope.encrypt(b"all is well", &patient)?;
    ///
    /// assert_eq!(envelope.decrypt_with_reproduced_context(&letter, &patient)?, b"all is well");
    /// let guessed = EncryptionContext::from([("patient", "Roe")]);
    /// let refused = envelope.decrypt_with_reproduced_context(&letter, &guessed).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::NoDataKeyUnwrapped);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn decrypt_with_reproduced_context(&self, message: &[u8], reproduced: &EncryptionContext) -> Result<Vec<u8>> {
        let mut plaintext = Vec::new();
        self.decrypt_into_with_reproduced_context(message, reproduced, &mut plaintext)?;
        Ok(plaintext)
    }

    /// Decrypts a message whose header omits a part of its context, and returns the header too: see
    /// [`Envelope::decrypt_with_reproduced_context`] and [`Envelope::decrypt_with_header`].
    ///
    /// # Errors
    /// - The errors of [`Envelope::decrypt_with_reproduced_context`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::{DefaultMaterialsManager, RawAesKeyring, RequiredContextManager};
    /// use strongroom::{EncryptionContext, Envelope, SecretBytes};
    ///
    /// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
    /// let manager = RequiredContextManager::new(DefaultMaterialsManager::new(keyring), ["patient"])?;
    /// let envelope = Envelope::new(manager);
    /// let written = EncryptionContext::from([("ward", "7"), ("patient", "Doe")]);
    /// let letter = envelope.encrypt(b"all is well", &written)?;
    ///
    /// let known = EncryptionContext::from([("patient", "Doe")]);
    /// let decrypted = envelope.decrypt_with_header_and_reproduced_context(&letter, &known)?;
    /// assert_eq!(decrypted.header().context(), &EncryptionContext::from([("ward", "7")]));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn decrypt_with_header_and_reproduced_context(
        &self,
        message: &[u8],
        reproduced: &EncryptionContext,
    ) -> Result<Decrypted> {
        let mut plaintext = Vec::new();
        let header = self.decrypt_into_with_reproduced_context(message, reproduced, &mut plaintext)?;
        Ok(Decrypted { plaintext, header })
    }
}

/// A decrypted message: its plaintext and its authenticated header.
///
/// # Examples
/// ```
/// use strongroom::envelope::{Decrypted, RawAesKeyring};
/// use strongroom::{EncryptionContext, Envelope, SecretBytes};
///
/// let envelope = Envelope::new(RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?);
/// let message = envelope.encrypt(b"attack at dawn", &EncryptionContext::from([("tenant", "42")]))?;
/// let decrypted: Decrypted = envelope.decrypt_with_header(&message, &EncryptionContext::new())?;
/// assert_eq!(decrypted.plaintext(), b"attack at dawn");
/// assert_eq!(decrypted.header().data_keys().len(), 1);
/// assert_eq!(decrypted.into_plaintext().len(), 14);
/// # Ok::<(), strongroom::Error>(())
/// ```
pub struct Decrypted {
    plaintext: Vec<u8>,
    header: Header,
}

impl Decrypted {
    /// Returns the plaintext.
    pub fn plaintext(&self) -> &[u8] {
        &self.plaintext
    }

    /// Returns the header: the context, the suite, and the wrapped data keys.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Returns the plaintext by value.
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
