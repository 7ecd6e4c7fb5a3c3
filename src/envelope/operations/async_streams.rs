//! Messages through the asynchronous input and output of Tokio.

use ::tokio::io::{AsyncRead, AsyncWrite};

use super::envelope::Envelope;
use crate::context::EncryptionContext;
use crate::envelope::stream::{AsyncEnvelopeReader, AsyncEnvelopeWriter};
use crate::error::Result;

impl Envelope {
    /// Starts a message that is written to `inner` while its plaintext comes in, as [`Envelope::writer`]. The keyring is
    /// asked on a thread for blocking work.
    ///
    /// # Errors
    /// As [`Envelope::writer`].
    pub async fn async_writer<W: AsyncWrite + Unpin>(
        &self,
        inner: W,
        context: &EncryptionContext,
    ) -> Result<AsyncEnvelopeWriter<W>> {
        let (starter, context) = (self.starter.clone(), context.clone());
        AsyncEnvelopeWriter::start(inner, move || starter.begin_encrypt(&context, None)).await
    }

    /// Starts to read a message from `inner`, as [`Envelope::reader`]: reads and verifies its header. The keyring is asked on
    /// a thread for blocking work.
    ///
    /// # Errors
    /// As [`Envelope::reader`].
    pub async fn async_reader<R: AsyncRead + Unpin>(
        &self,
        inner: R,
        expect_context: &EncryptionContext,
    ) -> Result<AsyncEnvelopeReader<R>> {
        AsyncEnvelopeReader::start(inner, self.decryptor(expect_context)).await
    }

    /// Starts to read a message whose header leaves out a part of its context, as
    /// [`Envelope::reader_with_reproduced_context`].
    ///
    /// # Errors
    /// As [`Envelope::reader_with_reproduced_context`].
    pub async fn async_reader_with_reproduced_context<R: AsyncRead + Unpin>(
        &self,
        inner: R,
        reproduced: &EncryptionContext,
    ) -> Result<AsyncEnvelopeReader<R>> {
        AsyncEnvelopeReader::start(inner, self.decryptor_with_reproduced_context(reproduced)).await
    }
}
