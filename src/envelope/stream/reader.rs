//! Reading a message from an [`io::Read`].

use std::fmt;
use std::io;

use zeroize::{Zeroize, Zeroizing};

use super::error::as_io;
use crate::envelope::policy::ReleaseMode;
use crate::envelope::start::{KnownContext, Starter};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Header, HeaderParser, MessageError, Opener, prepare_secret};

/// What is asked for at first, and at least, when a message is read: covers the header and more of most.
const FIRST_READ: usize = 8 * 1024;

/// Decrypts a message while it is read. Holds one frame, or with several
/// [`threads`](crate::envelope::EnvelopeBuilder::threads) some for each, and releases nothing that is not authentic.
///
/// The header was verified when the reader was made. Frames are released one by one, so plaintext that was already read
/// may be followed by an error: that the message is cut off shows only where its end is missing. The last frame is
/// released only after the end of the input was seen, so **whoever reads to the end without an error has the whole
/// plaintext**, and who stops at an error must throw away what came before, or treat it as a part.
///
/// Errors of the message come as [`io::Error`] with an [`Error`] inside, of kind [`io::ErrorKind::UnexpectedEof`] if the
/// message is cut off and [`io::ErrorKind::InvalidData`] otherwise; they are final. Errors of the inner reader pass
/// through, and reading may go on after them.
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
    /// A frame that did not fit into the caller's buffer, and how much of it was handed out.
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

    /// Opens a step of frames on several threads, if that is asked for: into `output` if it fits there, else into the
    /// buffer. Returns how many bytes are in `output`, or `None` if the next frame must be opened by itself.
    fn open_step(&mut self, output: &mut [u8]) -> Result<Option<usize>, ReadError> {
        let Some((step, encoded_length)) = self.opener.step() else { return Ok(None) };
        self.input.fill_to(&mut self.inner, encoded_length)?;
        // Room is made for what came, and for that only if it is divided: at the end of a message it is opened frame by
        // frame.
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

    /// Opens the next frame: into `output` if it fits there, else into the buffer. Returns how many bytes are in
    /// `output`.
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
            // The end of the input is looked for first: if that fails for a while, nothing is lost.
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

impl<R> EnvelopeReader<R> {
    /// The header, which is authentic: the whole context, suite and wrapped data keys.
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
    /// Copies least if `output` has room for a whole frame.
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        if let Some(error) = &self.failed {
            return Err(as_io(error.clone().into()));
        }
        let mut length = self.hand_out(output);
        while length == 0 && !output.is_empty() && !self.opener.is_done() {
            length = match self.open_next(output) {
                Ok(0) => self.hand_out(output),
                Ok(opened) => opened,
                Err(ReadError::Io(error)) => return Err(error),
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

/// Bytes of the message that were read and not yet used.
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

    /// Reads on after a parse that failed: if it failed for want of bytes, and there may be more.
    fn fill(&mut self, inner: &mut impl io::Read, error: MessageError) -> Result<(), ReadError> {
        match error.bytes_needed() {
            Some(needed) if !self.ended => Ok(self.fill_to(inner, needed)?),
            _ => Err(error.into()),
        }
    }

    /// Reads until `needed` bytes are there, or the end is. Takes more if they come at once.
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

    /// Makes room behind what is there. The buffer doubles only when it is full, whatever a length field promises, so
    /// that memory is taken only for bytes that came.
    fn make_room(&mut self, needed: usize) {
        // A source that gives little at a time comes here often, and most times nothing is to be moved.
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

/// Why reading cannot go on: the message, or where it is read from.
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
            ReadError::Io(error) => {
                Self::new(ErrorKind::Io, format!("the message cannot be read: {error}")).with_source(error)
            }
        }
    }
}
