//! Messages in pieces: through readers and writers, with pushed data, and with random access.

use std::io;

use super::envelope::Envelope;
use crate::context::EncryptionContext;
use crate::envelope::start::KnownContext;
use crate::envelope::stream::{
    EnvelopeDecryptor, EnvelopeEncryptor, EnvelopeReader, EnvelopeWriter, RandomAccessReader,
};
use crate::error::Result;

impl Envelope {
    /// Starts a message that is written to `inner` as its plaintext arrives. It must be completed
    /// with [`EnvelopeWriter::finish`].
    ///
    /// # Errors
    /// - The errors of [`Envelope::encrypt`].
    /// - [`ErrorKind::Io`](crate::ErrorKind::Io) if the header cannot be written.
    ///
    /// # Examples
    /// ```
    /// use std::io::Write;
    /// use strongroom::envelope::RawAesKeyring;
    /// use strongroom::{EncryptionContext, Envelope, SecretBytes};
    ///
    /// let envelope = Envelope::new(RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?);
    /// let context = EncryptionContext::from([("file", "report.pdf")]);
    /// let mut writer = envelope.writer(Vec::new(), &context)?; // or a `File`, a socket
    /// writer.write_all(b"any number of bytes")?;
    /// let message = writer.finish()?;
    /// assert_eq!(envelope.decrypt(&message, &context)?, b"any number of bytes");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn writer<W: io::Write>(&self, inner: W, context: &EncryptionContext) -> Result<EnvelopeWriter<W>> {
        EnvelopeWriter::start(inner, self.starter.begin_encrypt(context, None)?)
    }

    /// Starts reading a message from `inner`: reads and verifies its header. The plaintext is then
    /// read from the returned reader.
    ///
    /// A signed message is rejected unless the
    /// [`SignaturePolicy`](crate::envelope::SignaturePolicy) allows releasing frames before the
    /// signature at the end of the message is verified.
    ///
    /// # Errors
    /// - The errors of [`Envelope::decrypt`] that concern the header.
    /// - [`ErrorKind::Io`](crate::ErrorKind::Io) if `inner` cannot be read.
    ///
    /// # Examples
    /// ```
    /// use std::io::Read;
    /// use strongroom::envelope::RawAesKeyring;
    /// use strongroom::{EncryptionContext, Envelope, SecretBytes};
    ///
    /// let envelope = Envelope::new(RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?);
    /// let context = EncryptionContext::from([("file", "report.pdf")]);
    /// let message = envelope.encrypt(b"any number of bytes", &context)?;
    ///
    /// let mut plaintext = Vec::new();
    /// envelope.reader(&message[..], &context)?.read_to_end(&mut plaintext)?;
    /// assert_eq!(plaintext, b"any number of bytes");
    ///
    /// // A truncated message ends in an error: what was read before it must be discarded.
    /// let mut reader = envelope.reader(&message[..message.len() - 1], &context)?;
    /// assert!(reader.read_to_end(&mut plaintext).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reader<R: io::Read>(&self, inner: R, expect_context: &EncryptionContext) -> Result<EnvelopeReader<R>> {
        EnvelopeReader::start(inner, &self.starter, KnownContext::Expected(expect_context))
    }

    /// Starts reading a message whose header omits a part of its context: see
    /// [`Envelope::decrypt_with_reproduced_context`] and [`Envelope::reader`].
    ///
    /// # Errors
    /// - The errors of [`Envelope::decrypt_with_reproduced_context`] that concern the header.
    /// - [`ErrorKind::Io`](crate::ErrorKind::Io) if `inner` cannot be read.
    ///
    /// # Examples
    /// ```
    /// use std::io::Read;
    /// use strongroom::envelope::{DefaultMaterialsManager, RawAesKeyring, RequiredContextManager};
    /// use strongroom::{EncryptionContext, Envelope, SecretBytes};
    ///
    /// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
    /// let manager = RequiredContextManager::new(DefaultMaterialsManager::new(keyring), ["patient"])?;
    /// let envelope = Envelope::new(manager);
    /// let patient = EncryptionContext::from([("patient", "Doe")]);
    /// let letter = envelope.encrypt(b"all is well", &patient)?;
    ///
    /// let mut plaintext = Vec::new();
    /// envelope.reader_with_reproduced_context(&letter[..], &patient)?.read_to_end(&mut plaintext)?;
    /// assert_eq!(plaintext, b"all is well");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reader_with_reproduced_context<R: io::Read>(
        &self,
        inner: R,
        reproduced: &EncryptionContext,
    ) -> Result<EnvelopeReader<R>> {
        EnvelopeReader::start(inner, &self.starter, KnownContext::Reproduced(reproduced))
    }

    /// Starts a message whose plaintext is pushed in and whose bytes are appended to vectors of the
    /// caller.
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
    /// let (mut encryptor, mut message) = (envelope.encryptor(&EncryptionContext::new())?, Vec::new());
    /// for part in ["attack ", "at ", "dawn"] {
    ///     encryptor.update(part.as_bytes(), &mut message)?;
    /// }
    /// encryptor.finish(&mut message)?;
    /// assert_eq!(envelope.decrypt(&message, &EncryptionContext::new())?, b"attack at dawn");
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn encryptor(&self, context: &EncryptionContext) -> Result<EnvelopeEncryptor> {
        Ok(EnvelopeEncryptor::new(self.starter.begin_encrypt(context, None)?))
    }

    /// Starts reading a message whose bytes are pushed in and whose plaintext is appended to
    /// vectors of the caller. Errors that concern the header are reported once it is complete.
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::RawAesKeyring;
    /// use strongroom::{EncryptionContext, Envelope, SecretBytes};
    ///
    /// let envelope = Envelope::new(RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?);
    /// let message = envelope.encrypt(b"attack at dawn", &EncryptionContext::new())?;
    /// let (mut decryptor, mut plaintext) = (envelope.decryptor(&EncryptionContext::new()), Vec::new());
    /// for part in message.chunks(64) {
    ///     decryptor.update(part, &mut plaintext)?;
    /// }
    /// decryptor.finish(&mut plaintext)?; // without this call, the message may be truncated
    /// assert_eq!(plaintext, b"attack at dawn");
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn decryptor(&self, expect_context: &EncryptionContext) -> EnvelopeDecryptor {
        EnvelopeDecryptor::new(&self.starter, KnownContext::Expected(expect_context))
    }

    /// Starts reading a message whose header omits a part of its context: see
    /// [`Envelope::decrypt_with_reproduced_context`] and [`Envelope::decryptor`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::{DefaultMaterialsManager, RawAesKeyring, RequiredContextManager};
    /// use strongroom::{EncryptionContext, Envelope, SecretBytes};
    ///
    /// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
    /// let manager = RequiredContextManager::new(DefaultMaterialsManager::new(keyring), ["patient"])?;
    /// let envelope = Envelope::new(manager);
    /// let patient = EncryptionContext::from([("patient", "Doe")]);
    /// let letter = envelope.encrypt(b"all is well", &patient)?;
    ///
    /// let (mut decryptor, mut plaintext) = (envelope.decryptor_with_reproduced_context(&patient), Vec::new());
    /// decryptor.update(&letter, &mut plaintext)?;
    /// decryptor.finish(&mut plaintext)?;
    /// assert_eq!(plaintext, b"all is well");
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn decryptor_with_reproduced_context(&self, reproduced: &EncryptionContext) -> EnvelopeDecryptor {
        EnvelopeDecryptor::new(&self.starter, KnownContext::Reproduced(reproduced))
    }

    /// Opens the message that `inner` contains from start to end, for reading any part of its
    /// plaintext separately. See [`RandomAccessReader`] for what this does and does not
    /// authenticate.
    ///
    /// # Errors
    /// - The errors of [`Envelope::reader`].
    /// - [`MessagePolicy`](crate::ErrorKind::MessagePolicy) for a signed message under any policy,
    ///   because its signature can be verified only after reading the complete message.
    /// - [`InvalidMessage`](crate::ErrorKind::InvalidMessage) if the body of the message is not
    ///   framed.
    ///
    /// # Examples
    /// Reading the last kilobyte of a large object:
    /// ```
    /// use std::io::{Cursor, Read, Seek, SeekFrom};
    /// use strongroom::envelope::RawAesKeyring;
    /// use strongroom::{EncryptionContext, Envelope, SecretBytes};
    ///
    /// let envelope = Envelope::new(RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?);
    /// let message = envelope.encrypt(&[b'.'; 1_000_000], &EncryptionContext::new())?;
    /// let mut reader = envelope.random_access_reader(Cursor::new(&message), &EncryptionContext::new())?;
    /// reader.seek(SeekFrom::End(-1_024))?;
    /// let mut end = Vec::new();
    /// reader.read_to_end(&mut end)?;
    /// assert_eq!(end, [b'.'; 1_024]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn random_access_reader<R: io::Read + io::Seek>(
        &self,
        inner: R,
        expect_context: &EncryptionContext,
    ) -> Result<RandomAccessReader<R>> {
        RandomAccessReader::start(inner, &self.starter, KnownContext::Expected(expect_context))
    }

    /// Opens a message whose header omits a part of its context: see
    /// [`Envelope::decrypt_with_reproduced_context`].
    ///
    /// # Errors
    /// - The errors of [`Envelope::random_access_reader`] and, concerning the context, those of
    ///   [`Envelope::decrypt_with_reproduced_context`].
    ///
    /// # Examples
    /// ```
    /// use std::io::{Cursor, Read};
    /// use strongroom::envelope::{DefaultMaterialsManager, RawAesKeyring, RequiredContextManager};
    /// use strongroom::{EncryptionContext, Envelope, SecretBytes};
    ///
    /// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
    /// let manager = RequiredContextManager::new(DefaultMaterialsManager::new(keyring), ["patient"])?;
    /// let envelope = Envelope::new(manager);
    /// let patient = EncryptionContext::from([("patient", "Doe")]);
    /// let letter = envelope.encrypt(b"all is well", &patient)?;
    ///
    /// let mut beginning = [0; 3];
    /// let mut reader = envelope.random_access_reader_with_reproduced_context(Cursor::new(&letter), &patient)?;
    /// reader.read_exact(&mut beginning)?;
    /// assert_eq!(&beginning, b"all");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn random_access_reader_with_reproduced_context<R: io::Read + io::Seek>(
        &self,
        inner: R,
        reproduced: &EncryptionContext,
    ) -> Result<RandomAccessReader<R>> {
        RandomAccessReader::start(inner, &self.starter, KnownContext::Reproduced(reproduced))
    }
}
