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
    pub fn reader<R: io::Read>(&self, inner: R, expect_context: &EncryptionContext) -> Result<EnvelopeReader<R>> {
        EnvelopeReader::start(inner, &self.starter, KnownContext::Expected(expect_context))
    }

    /// Starts reading a message whose header omits a part of its context: see
    /// [`Envelope::decrypt_with_reproduced_context`] and [`Envelope::reader`].
    ///
    /// # Errors
    /// - The errors of [`Envelope::decrypt_with_reproduced_context`] that concern the header.
    /// - [`ErrorKind::Io`](crate::ErrorKind::Io) if `inner` cannot be read.
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
    /// Returns the errors of [`Envelope::encrypt`].
    pub fn encryptor(&self, context: &EncryptionContext) -> Result<EnvelopeEncryptor> {
        Ok(EnvelopeEncryptor::new(self.starter.begin_encrypt(context, None)?))
    }

    /// Starts reading a message whose bytes are pushed in and whose plaintext is appended to
    /// vectors of the caller. Errors that concern the header are reported once it is complete.
    pub fn decryptor(&self, expect_context: &EncryptionContext) -> EnvelopeDecryptor {
        EnvelopeDecryptor::new(&self.starter, KnownContext::Expected(expect_context))
    }

    /// Starts reading a message whose header omits a part of its context: see
    /// [`Envelope::decrypt_with_reproduced_context`] and [`Envelope::decryptor`].
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
    /// Returns the errors of [`Envelope::random_access_reader`] and, concerning the context, those
    /// of [`Envelope::decrypt_with_reproduced_context`].
    pub fn random_access_reader_with_reproduced_context<R: io::Read + io::Seek>(
        &self,
        inner: R,
        reproduced: &EncryptionContext,
    ) -> Result<RandomAccessReader<R>> {
        RandomAccessReader::start(inner, &self.starter, KnownContext::Reproduced(reproduced))
    }
}
