//! Encryption of a message to an [`io::Write`].

use std::fmt;
use std::io;

use super::error::{as_io, cannot_write, failed_before};
use crate::error::Result;
use crate::message::Sealer;

/// Encrypts what is written to it and passes the message on. Buffers one frame, or with several
/// [`threads`](crate::envelope::EnvelopeBuilder::threads) a few frames for each thread. The inner
/// writer needs no [`BufWriter`](io::BufWriter): it receives whole frames.
///
/// The message must be completed with [`finish`](EnvelopeWriter::finish). A writer that is dropped
/// without it leaves a truncated message, which every reader rejects. Nothing is written on drop,
/// so that a failure midway cannot look like a complete message. After an error, the message is
/// lost and every further call fails. Every [`io::Error`] contains an
/// [`Error`](crate::Error), which [`Error::from_io`](crate::Error::from_io) returns. Errors of the
/// inner writer keep their kind.
///
/// [`flush`](io::Write::flush) passes on all full frames. The rest waits for more plaintext or the
/// end.
///
/// # Examples
/// ```
/// use std::io::Write;
/// use strongroom::envelope::RawAesKeyring;
/// use strongroom::{EncryptionContext, Envelope, SecretBytes};
///
/// let envelope = Envelope::new(RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?);
/// let mut writer = envelope.writer(Vec::new(), &EncryptionContext::new())?;
/// writer.write_all(b"attack ")?;
/// writer.write_all(b"at dawn")?;
/// let message = writer.finish()?;
/// assert_eq!(envelope.decrypt(&message, &EncryptionContext::new())?, b"attack at dawn");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "every reader rejects a message that was not finished"]
pub struct EnvelopeWriter<W> {
    inner: W,
    /// `None` after an error.
    sealer: Option<Sealer>,
    output: Vec<u8>,
}

impl<W: io::Write> EnvelopeWriter<W> {
    /// Writes the header.
    pub(in crate::envelope) fn start(mut inner: W, sealer: Sealer) -> Result<Self> {
        inner.write_all(sealer.header()).map_err(cannot_write)?;
        Ok(Self { inner, sealer: Some(sealer), output: Vec::new() })
    }

    /// Writes the final frame, flushes, and returns the inner writer.
    ///
    /// # Errors
    /// - [`ErrorKind::Io`](crate::ErrorKind::Io) if writing fails, or if an earlier call failed.
    ///
    /// # Examples
    /// ```
    /// use std::io::Write;
    /// use strongroom::envelope::RawAesKeyring;
    /// use strongroom::{EncryptionContext, Envelope, SecretBytes};
    ///
    /// let envelope = Envelope::new(RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?);
    /// let mut message = Vec::new();
    /// let mut writer = envelope.writer(&mut message, &EncryptionContext::new())?;
    /// writer.write_all(b"attack at dawn")?;
    /// drop(writer); // forgotten
    /// assert!(envelope.decrypt(&message, &EncryptionContext::new()).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn finish(mut self) -> Result<W> {
        let sealer = self.sealer.take().ok_or_else(failed_before)?;
        let output = room(&mut self.output, sealer.finish_length());
        sealer.finish(output)?;
        self.inner.write_all(output).map_err(cannot_write)?;
        self.inner.flush().map_err(cannot_write)?;
        Ok(self.inner)
    }
}

impl<W: io::Write> io::Write for EnvelopeWriter<W> {
    /// Accepts up to one frame of plaintext, or with several threads a few frames for each thread.
    fn write(&mut self, plaintext: &[u8]) -> io::Result<usize> {
        // The sealer is put back only on success, because the message cannot continue after any
        // failure.
        let mut sealer = self.sealer.take().ok_or_else(|| as_io(failed_before()))?;
        let output = room(&mut self.output, sealer.update_length(plaintext.len()));
        let sealed = sealer.update(plaintext, output).map_err(|error| as_io(error.into()))?;
        self.inner.write_all(output).map_err(|error| as_io(cannot_write(error)))?;
        self.sealer = Some(sealer);
        Ok(sealed.consumed)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.sealer.is_none() {
            return Err(as_io(failed_before()));
        }
        self.inner.flush().map_err(|error| {
            self.sealer = None;
            as_io(cannot_write(error))
        })
    }
}

/// Returns the first bytes of a buffer that only grows. It is overwritten each time, so it need not
/// be cleared.
fn room(buffer: &mut Vec<u8>, length: usize) -> &mut [u8] {
    if buffer.len() < length {
        buffer.resize(length, 0);
    }
    &mut buffer[..length]
}

impl<W> fmt::Debug for EnvelopeWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvelopeWriter").field("failed", &self.sealer.is_none()).finish_non_exhaustive()
    }
}
