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
    /// - The errors of [`Envelope::writer`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::RawAesKeyring;
    /// use strongroom::{EncryptionContext, Envelope, SecretBytes};
    /// use tokio::io::AsyncWriteExt;
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    /// # runtime.block_on(async {
    /// let envelope = Envelope::new(RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?);
    /// let context = EncryptionContext::from([("upload", "17")]);
    /// let mut message = Vec::new();
    /// let mut writer = envelope.async_writer(&mut message, &context).await?;
    /// writer.write_all(b"any number of bytes").await?;
    /// writer.shutdown().await?;
    /// assert_eq!(envelope.decrypt(&message, &context)?, b"any number of bytes");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    /// - The errors of [`Envelope::reader`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::RawAesKeyring;
    /// use strongroom::{EncryptionContext, Envelope, SecretBytes};
    /// use tokio::io::AsyncReadExt;
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    /// # runtime.block_on(async {
    /// let envelope = Envelope::new(RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?);
    /// let context = EncryptionContext::from([("upload", "17")]);
    /// let message = envelope.encrypt(b"any number of bytes", &context)?;
    /// let mut plaintext = Vec::new();
    /// envelope.async_reader(&message[..], &context).await?.read_to_end(&mut plaintext).await?;
    /// assert_eq!(plaintext, b"any number of bytes");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    /// - The errors of [`Envelope::reader_with_reproduced_context`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::{DefaultMaterialsManager, RawAesKeyring, RequiredContextManager};
    /// use strongroom::{EncryptionContext, Envelope, SecretBytes};
    /// use tokio::io::AsyncReadExt;
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    /// # runtime.block_on(async {
    /// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
    /// let manager = RequiredContextManager::new(DefaultMaterialsManager::new(keyring), ["patient"])?;
    /// let envelope = Envelope::new(manager);
    /// let patient = EncryptionContext::from([("patient", "Doe")]);
    /// let letter = envelope.encrypt(b"all is well", &patient)?;
    ///
    /// let mut plaintext = Vec::new();
    /// envelope.async_reader_with_reproduced_context(&letter[..], &patient).await?.read_to_end(&mut plaintext).await?;
    /// assert_eq!(plaintext, b"all is well");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn async_reader_with_reproduced_context<R: AsyncRead + Unpin>(
        &self,
        inner: R,
        reproduced: &EncryptionContext,
    ) -> Result<AsyncEnvelopeReader<R>> {
        AsyncEnvelopeReader::start(inner, self.decryptor_with_reproduced_context(reproduced)).await
    }
}
