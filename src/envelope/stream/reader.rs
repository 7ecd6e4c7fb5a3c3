//! Decryption of a message from an [`io::Read`].

use std::fmt;
use std::io;

use zeroize::{Zeroize, Zeroizing};

use super::error::{as_io, cannot_read};
use crate::envelope::policy::ReleaseMode;
use crate::envelope::start::{KnownContext, Starter};
use crate::error::{Error, Result};
use crate::message::{Header, HeaderParser, MessageError, Opener, prepare_secret};

/// The size of the first read and the minimum size of a read. It covers more than the header of
/// most messages.
const FIRST_READ: usize = 8 * 1024;

/// Decrypts a message while it is read. Buffers one frame, or with several
/// [`threads`](crate::envelope::EnvelopeBuilder::threads) a few frames for each thread. Releases
/// nothing before it is authenticated.
///
/// The header was verified when the reader was created. Frames are released one by one, so an error
/// can occur after plaintext has been read; truncation is detected only at the end of the stream.
/// The last frame is released only after the end of the input has been reached. **A caller who
/// reads to the end without an error has therefore read the complete plaintext.** If an error
/// occurs, discard everything read so far, or treat it as incomplete.
///
/// A caller who stops earlier calls [`finish`](EnvelopeReader::finish) to verify the rest.
///
/// Every [`io::Error`] contains an [`Error`], which [`Error::from_io`] returns. For errors of the
/// message, the kind is [`io::ErrorKind::UnexpectedEof`] if the message is truncated, and
/// [`io::ErrorKind::InvalidData`] otherwise. They are final. Errors of the inner reader keep their
/// kind and are sources of the [`Error`]. Reading can continue after them.
///
/// # Examples
/// ```
/// use std::io::Read;
/// use strongroom::envelope::RawAesKeyring;
/// use strongroom::{EncryptionContext, Envelope, SecretBytes};
///
/// let envelope = Envelope::new(RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?);
/// let message = envelope.encrypt(b"attack at dawn", &EncryptionContext::from([("tenant", "42")]))?;
///
/// let mut reader = envelope.reader(&message[..], &EncryptionContext::new())?;
/// assert_eq!(reader.header().context().get("tenant"), Some("42"));
/// let mut plaintext = Vec::new();
/// reader.read_to_end(&mut plaintext)?;
/// assert_eq!(plaintext, b"attack at dawn");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct EnvelopeReader<R> {
    inner: R,
    header: Header,
    opener: Opener,
    input: Window,
    /// A frame that did not fit into the caller's buffer, and the number of bytes of it that were
    /// returned.
    plaintext: Zeroizing<Vec<u8>>,
    handed_out: usize,
    failed: Option<MessageError>,
}

impl<R: io::Read> EnvelopeReader<R> {
    /// Reads and verifies the header.
    pub(in crate::envelope) fn start(mut inner: R, starter: &Starter, known: KnownContext<'_>) -> Result<Self> {
        let mut input = Window::default();
        let mut parser = HeaderParser::default();
        let header = loop {
            match parser.parse(input.bytes(), &starter.config.limits) {
                Ok(header) => break header,
                Err(error) => input.fill(&mut inner, error)?,
            }
        };
        input.consume(header.encoded_length());
        let opener = starter.begin_decrypt(&header, known, ReleaseMode::Streaming)?;
        let plaintext = Zeroizing::default();
        Ok(Self { inner, header, opener, input, plaintext, handed_out: 0, failed: None })
    }

    /// Decrypts a step of frames on several threads, if configured: into `output` if the frames
    /// fit, otherwise into the buffer. Returns the number of bytes in `output`, or `None` if the
    /// next frame must be decrypted individually.
    fn open_step(&mut self, output: &mut [u8]) -> Result<Option<usize>, ReadError> {
        let Some((step, encoded_length)) = self.opener.step() else { return Ok(None) };
        self.input.fill_to(&mut self.inner, encoded_length)?;
        // Allocate only for received data, and only if it is divided among threads. The end of a
        // message is decrypted frame by frame.
        let plaintext_length = self.opener.chunked_plaintext(self.input.bytes().len()).min(step);
        if plaintext_length == 0 {
            return Ok(None);
        }
        let fits = plaintext_length <= output.len();
        let plaintext = if fits {
            &mut output[..plaintext_length]
        } else {
            prepare_secret(&mut self.plaintext, plaintext_length);
            self.handed_out = 0;
            &mut self.plaintext
        };
        let frames = self.opener.open_chunks(self.input.bytes(), plaintext);
        let (plaintext_length, encoded_length) = self.opener.regular_lengths(frames);
        if !fits {
            self.plaintext.truncate(plaintext_length);
        }
        self.input.consume(encoded_length);
        Ok((frames > 0).then_some(if fits { plaintext_length } else { 0 }))
    }

    /// Decrypts the next frame into `output` if it fits, otherwise into the buffer. Returns the
    /// number of bytes in `output`.
    fn open_next(&mut self, output: &mut [u8]) -> Result<usize, ReadError> {
        if let Some(length) = self.open_step(output)? {
            return Ok(length);
        }
        loop {
            let frame = match self.opener.read(self.input.bytes()) {
                Ok(frame) => frame,
                Err(error) => {
                    self.input.fill(&mut self.inner, error)?;
                    continue;
                }
            };
            let (consumed, length) = (frame.encoded_length(), frame.plaintext_length());
            // Check for the end of the input first, so that nothing is lost if that fails
            // temporarily.
            if frame.is_last() && self.input.bytes().len() == consumed && !self.input.ended {
                self.input.fill_to(&mut self.inner, consumed + 1)?;
                continue;
            }
            let fits = length <= output.len();
            if fits {
                self.opener.open(&frame, &mut output[..length])?;
            } else {
                prepare_secret(&mut self.plaintext, length);
                self.handed_out = 0;
                self.opener.open(&frame, &mut self.plaintext)?;
            }
            self.input.consume(consumed);
            if self.opener.is_done() && !self.input.bytes().is_empty() {
                return Err(MessageError::TrailingData.into());
            }
            return Ok(if fits { length } else { 0 });
        }
    }
}

impl<R: io::Read> EnvelopeReader<R> {
    /// Reads and verifies the rest of the message, discards its plaintext, and returns the header.
    ///
    /// Everything that was read before is authentic, but only the end of the message shows that it
    /// is complete, and only the end contains the signature of a signed message. If this call
    /// succeeds, the plaintext that was read is the start of the plaintext that the sender wrote,
    /// and no part of the message is missing or altered.
    ///
    /// # Errors
    /// - [`ErrorKind::InvalidMessage`](crate::ErrorKind::InvalidMessage) if the rest of the message is
    ///   malformed, altered, truncated, or followed by other bytes, or if an earlier read has
    ///   reported this. Discard everything read so far.
    /// - [`ErrorKind::Io`](crate::ErrorKind::Io) if the inner reader fails. The message is not
    ///   verified then.
    ///
    /// # Examples
    /// ```
    /// use std::io::{BufRead, BufReader};
    /// use strongroom::envelope::RawAesKeyring;
    /// use strongroom::{EncryptionContext, Envelope, SecretBytes};
    ///
    /// let envelope = Envelope::new(RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?);
    /// let message = envelope.encrypt(b"title\nbody\n", &EncryptionContext::new())?;
    ///
    /// let mut lines = BufReader::new(envelope.reader(&message[..], &EncryptionContext::new())?);
    /// let mut title = String::new();
    /// lines.read_line(&mut title)?;
    /// let header = lines.into_inner().finish()?;
    /// assert_eq!((title.as_str(), header.context().len()), ("title\n", 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn finish(mut self) -> Result<Header> {
        if let Some(error) = self.failed.take() {
            return Err(error.into());
        }
        while !self.opener.is_done() {
            self.open_next(&mut [])?;
        }
        Ok(self.header)
    }
}

impl<R> EnvelopeReader<R> {
    /// Returns the authenticated header: the complete context, the suite, and the wrapped data
    /// keys.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    fn hand_out(&mut self, output: &mut [u8]) -> usize {
        let left = &self.plaintext[self.handed_out..];
        let length = left.len().min(output.len());
        output[..length].copy_from_slice(&left[..length]);
        self.handed_out += length;
        length
    }
}

impl<R: io::Read> io::Read for EnvelopeReader<R> {
    /// Copies the least if `output` has room for a whole frame.
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        if let Some(error) = &self.failed {
            return Err(as_io(error.clone().into()));
        }
        let mut length = self.hand_out(output);
        while length == 0 && !output.is_empty() && !self.opener.is_done() {
            length = match self.open_next(output) {
                Ok(0) => self.hand_out(output),
                Ok(opened) => opened,
                Err(ReadError::Io(error)) => return Err(as_io(cannot_read(error))),
                Err(ReadError::Message(error)) => {
                    self.failed = Some(error.clone());
                    self.plaintext.zeroize();
                    return Err(as_io(error.into()));
                }
            };
        }
        Ok(length)
    }
}

impl<R> fmt::Debug for EnvelopeReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvelopeReader")
            .field("header", &self.header)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

/// Message bytes that were read and not yet consumed.
#[derive(Default)]
struct Window {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    ended: bool,
}

impl Window {
    fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    fn consume(&mut self, length: usize) {
        self.start += length;
    }

    /// Reads more data after a parse failed, if it failed because of missing bytes and the input
    /// may contain more.
    fn fill(&mut self, inner: &mut impl io::Read, error: MessageError) -> Result<(), ReadError> {
        match error.bytes_needed() {
            Some(needed) if !self.ended => Ok(self.fill_to(inner, needed)?),
            _ => Err(error.into()),
        }
    }

    /// Reads until `needed` bytes are available or the end is reached. Accepts additional bytes if
    /// they arrive in the same read.
    fn fill_to(&mut self, inner: &mut impl io::Read, needed: usize) -> io::Result<()> {
        while self.end - self.start < needed && !self.ended {
            self.make_room(needed);
            match inner.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(length) => self.end += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes room after the buffered data. The buffer doubles only when it is full, regardless of
    /// length fields, so that memory is allocated only for received data.
    fn make_room(&mut self, needed: usize) {
        // With a source that returns little data at a time, this is called often, and usually
        // nothing needs to be moved.
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            let length = self.end.saturating_mul(2).min(needed).max(FIRST_READ);
            self.buffer.resize(length, 0);
        }
    }
}

/// The reason why reading cannot continue: the message or its source.
enum ReadError {
    Message(MessageError),
    Io(io::Error),
}

impl From<MessageError> for ReadError {
    fn from(error: MessageError) -> Self {
        Self::Message(error)
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Message(error) => error.into(),
            ReadError::Io(error) => cannot_read(error),
        }
    }
}
