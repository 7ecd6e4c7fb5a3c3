//! Messages piece by piece: through readers and writers, pushed, at any place.

use std::io;

use super::envelope::Envelope;
use crate::context::EncryptionContext;
use crate::envelope::start::KnownContext;
use crate::envelope::stream::{
    EnvelopeDecryptor, EnvelopeEncryptor, EnvelopeReader, EnvelopeWriter, RandomAccessReader,
};
use crate::error::Result;

impl Envelope {
    /// Starts a message that is written to `inner` while its plaintext comes in. It must be ended with
    /// [`EnvelopeWriter::finish`].
    ///
    /// # Errors
    /// As [`Envelope::encrypt`], and [`ErrorKind::Io`](crate::ErrorKind::Io) if the header cannot be written.
    pub fn writer<W: io::Write>(&self, inner: W, context: &EncryptionContext) -> Result<EnvelopeWriter<W>> {
        EnvelopeWriter::start(inner, self.starter.begin_encrypt(context, None)?)
    }

    /// Starts to read a message from `inner`: reads and verifies its header. The plaintext is then read from the result.
    ///
    /// A signed message is refused unless the [`SignaturePolicy`](crate::envelope::SignaturePolicy) was set to release frames before the signature, which
    /// stands at the end, is verified.
    ///
    /// # Errors
    /// As [`Envelope::decrypt`] for what concerns the header, and [`ErrorKind::Io`](crate::ErrorKind::Io) if `inner`
    /// cannot be read.
    pub fn reader<R: io::Read>(&self, inner: R, expect_context: &EncryptionContext) -> Result<EnvelopeReader<R>> {
        EnvelopeReader::start(inner, &self.starter, KnownContext::Expected(expect_context))
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
        EnvelopeReader::start(inner, &self.starter, KnownContext::Reproduced(reproduced))
    }

    /// Starts a message whose plaintext is pushed in and whose bytes are appended to vectors of the caller.
    ///
    /// # Errors
    /// As [`Envelope::encrypt`].
    pub fn encryptor(&self, context: &EncryptionContext) -> Result<EnvelopeEncryptor> {
        Ok(EnvelopeEncryptor::new(self.starter.begin_encrypt(context, None)?))
    }

    /// Starts to read a message whose bytes are pushed in and whose plaintext is appended to vectors of the caller. What
    /// keeps it from being read shows when its header is whole.
    pub fn decryptor(&self, expect_context: &EncryptionContext) -> EnvelopeDecryptor {
        EnvelopeDecryptor::new(&self.starter, KnownContext::Expected(expect_context))
    }

    /// Starts to read a message whose header leaves out a part of its context: see
    /// [`Envelope::decrypt_with_reproduced_context`] and [`Envelope::decryptor`].
    pub fn decryptor_with_reproduced_context(&self, reproduced: &EncryptionContext) -> EnvelopeDecryptor {
        EnvelopeDecryptor::new(&self.starter, KnownContext::Reproduced(reproduced))
    }

    /// Opens a message that `inner` holds, from its start to its end, to read any part of its plaintext without the others.
    /// What that authenticates, and what not, stands at [`RandomAccessReader`].
    ///
    /// # Errors
    /// As [`Envelope::reader`]; and [`MessagePolicy`](crate::ErrorKind::MessagePolicy) for a signed message, of whatever policy, as
    /// its signature says nothing until all was read; and [`InvalidMessage`](crate::ErrorKind::InvalidMessage) for one whose body is
    /// in one piece.
    pub fn random_access_reader<R: io::Read + io::Seek>(
        &self,
        inner: R,
        expect_context: &EncryptionContext,
    ) -> Result<RandomAccessReader<R>> {
        RandomAccessReader::start(inner, &self.starter, KnownContext::Expected(expect_context))
    }

    /// The same for a message whose header leaves out a part of its context: see
    /// [`Envelope::decrypt_with_reproduced_context`].
    ///
    /// # Errors
    /// As [`Envelope::random_access_reader`] and, for what concerns the context,
    /// [`Envelope::decrypt_with_reproduced_context`].
    pub fn random_access_reader_with_reproduced_context<R: io::Read + io::Seek>(
        &self,
        inner: R,
        reproduced: &EncryptionContext,
    ) -> Result<RandomAccessReader<R>> {
        RandomAccessReader::start(inner, &self.starter, KnownContext::Reproduced(reproduced))
    }
}
