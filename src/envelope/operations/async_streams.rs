//! Messages over Tokio's asynchronous input and output.

use ::tokio::io::{AsyncRead, AsyncWrite};

use super::envelope::Envelope;
use crate::context::EncryptionContext;
use crate::envelope::stream::{AsyncEnvelopeReader, AsyncEnvelopeWriter};
use crate::error::Result;

impl Envelope {
    /// Starts a message that is written to `inner` as its plaintext arrives, like
    /// [`Envelope::writer`]. The keyring is called on a blocking thread.
    ///
    /// # Errors
    /// Returns the errors of [`Envelope::writer`].
    pub async fn async_writer<W: AsyncWrite + Unpin>(
        &self,
        inner: W,
        context: &EncryptionContext,
    ) -> Result<AsyncEnvelopeWriter<W>> {
        let (starter, context) = (self.starter.clone(), context.clone());
        AsyncEnvelopeWriter::start(inner, move || starter.begin_encrypt(&context, None)).await
    }

    /// Starts reading a message from `inner`, like [`Envelope::reader`]: reads and verifies its
    /// header. The keyring is called on a blocking thread.
    ///
    /// # Errors
    /// Returns the errors of [`Envelope::reader`].
    pub async fn async_reader<R: AsyncRead + Unpin>(
        &self,
        inner: R,
        expect_context: &EncryptionContext,
    ) -> Result<AsyncEnvelopeReader<R>> {
        AsyncEnvelopeReader::start(inner, self.decryptor(expect_context)).await
    }

    /// Starts reading a message whose header omits a part of its context, like
    /// [`Envelope::reader_with_reproduced_context`].
    ///
    /// # Errors
    /// Returns the errors of [`Envelope::reader_with_reproduced_context`].
    pub async fn async_reader_with_reproduced_context<R: AsyncRead + Unpin>(
        &self,
        inner: R,
        reproduced: &EncryptionContext,
    ) -> Result<AsyncEnvelopeReader<R>> {
        AsyncEnvelopeReader::start(inner, self.decryptor_with_reproduced_context(reproduced)).await
    }
}
