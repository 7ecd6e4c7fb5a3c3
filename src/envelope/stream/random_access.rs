//! Random access to the plaintext of a message.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};

use zeroize::Zeroizing;

use super::error::{as_io, cannot_read};
use crate::envelope::policy::ReleaseMode;
use crate::envelope::start::{KnownContext, Starter};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Header, HeaderParser, Limits, MessageError, Opener, prepare};

/// The size of the first read, which covers the header of most messages.
const FIRST_READ: usize = 8 * 1024;

/// Reads any part of the plaintext of a framed, unsigned message. Accesses only the frames that
/// contain the part.
///
/// The header and the length of the plaintext are authenticated; the final frame, which determines
/// the length, is decrypted at the start. Every byte that is read is authenticated, including its
/// position. All other frames are **not** verified. If a frame that is never read was altered, the
/// message appears valid here; [`Envelope::decrypt`](crate::Envelope::decrypt) and
/// [`Envelope::reader`](crate::Envelope::reader) detect it.
///
/// Created by [`Envelope::random_access_reader`](crate::Envelope::random_access_reader). Buffers
/// one frame. Errors are [`io::Error`]s that contain an [`Error`] ([`Error::from_io`]), with the kinds
/// of an [`EnvelopeReader`](super::EnvelopeReader) or, if `inner` failed, with the kind of its error.
/// After an error, the position is unchanged, and reading can continue.
///
/// # Examples
/// ```
/// use std::io::{Cursor, Read, Seek, SeekFrom};
/// use strongroom::envelope::RawAesKeyring;
/// use strongroom::{EncryptionContext, Envelope, SecretBytes};
///
/// let envelope = Envelope::new(RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?);
/// let message = envelope.encrypt(&[b'.'; 1_000_000], &EncryptionContext::new())?;
///
/// let mut reader = envelope.random_access_reader(Cursor::new(&message), &EncryptionContext::new())?;
/// assert_eq!((reader.plaintext_length(), reader.header().data_keys().len()), (1_000_000, 1));
/// reader.seek(SeekFrom::Start(777_777))?;
/// let mut part = [0; 10];
/// reader.read_exact(&mut part)?;
/// assert_eq!(&part, b"..........");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RandomAccessReader<R> {
    inner: R,
    header: Header,
    opener: Opener,
    frame_length: u64,
    /// The position of the body in `inner`.
    body: u64,
    /// The number of regular frames, before the final one.
    regular_frames: u64,
    length: u64,
    position: u64,
    /// The number of the most recently decrypted frame, from 0, and its plaintext.
    held: Option<(u64, Zeroizing<Vec<u8>>)>,
    encoded: Vec<u8>,
}

impl<R: Read + Seek> RandomAccessReader<R> {
    /// Reads and verifies the header, and decrypts the final frame. The message must span all of
    /// `inner`.
    pub(in crate::envelope) fn start(mut inner: R, starter: &Starter, known: KnownContext<'_>) -> Result<Self> {
        let end = inner.seek(SeekFrom::End(0)).map_err(cannot_read)?;
        inner.rewind().map_err(cannot_read)?;
        let header = read_header(&mut inner, &starter.config.limits)?;
        let suite = header.suite();
        if suite.signature().is_some() {
            return Err(MessageError::SignaturePolicy(suite).into());
        }
        let frame_length = u64::from(header.frame_length().ok_or(MessageError::NotFramed)?);
        let opener = starter.begin_decrypt(&header, known, ReleaseMode::Streaming)?;
        let body = u64::try_from(header.encoded_length()).unwrap_or(u64::MAX);
        let (regular_frames, last) = opener.layout(end.saturating_sub(body)).ok_or(MessageError::Truncated {
            field: "final frame",
            needed: header.encoded_length().saturating_add(Opener::FINAL_FRAME_OVERHEAD),
            available: usize::try_from(end).unwrap_or(usize::MAX),
        })?;
        let mut reader = Self {
            inner,
            header,
            opener,
            frame_length,
            body,
            regular_frames,
            length: 0,
            position: 0,
            held: None,
            encoded: Vec::new(),
        };
        let last_length = reader.open_frame(regular_frames)?.len();
        if u64::try_from(last_length) != Ok(last) {
            return Err(MessageError::TrailingData.into());
        }
        reader.length = regular_frames * frame_length + last;
        Ok(reader)
    }

    /// Returns the plaintext of a frame, by its number from 0.
    fn open_frame(&mut self, number: u64) -> Result<&[u8]> {
        if self.held.as_ref().is_none_or(|held| held.0 != number) {
            // Taken out, so that no partial state is left behind after an error.
            let (_, mut plaintext) = self.held.take().unwrap_or_default();
            let is_last = number == self.regular_frames;
            let regular = self.opener.regular_frame_bytes();
            self.inner.seek(SeekFrom::Start(self.body + number * regular)).map_err(cannot_read)?;
            prepare(&mut self.encoded, usize::try_from(regular).unwrap_or(usize::MAX));
            let mut limited = (&mut self.inner).take(if is_last { regular + Opener::FINAL_EXTRA } else { regular });
            self.encoded.clear();
            limited.read_to_end(&mut self.encoded).map_err(cannot_read)?;
            let sequence = u32::try_from(number + 1).map_err(|_| MessageError::TooManyFrames)?;
            self.opener.open_at(&self.encoded, sequence, is_last, &mut plaintext)?;
            self.held = Some((number, plaintext));
        }
        Ok(self.held.as_ref().map(|(_, plaintext)| plaintext.as_slice()).unwrap_or_default())
    }
}

impl<R> RandomAccessReader<R> {
    /// Returns the authenticated header: the complete context, the suite, and the wrapped data
    /// keys.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Returns the authenticated length of the plaintext in bytes.
    pub const fn plaintext_length(&self) -> u64 {
        self.length
    }
}

impl<R: Read + Seek> Read for RandomAccessReader<R> {
    /// Reads up to the end of one frame.
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        if output.is_empty() || self.position >= self.length {
            return Ok(0);
        }
        let (number, within) = (self.position / self.frame_length, self.position % self.frame_length);
        let plaintext = self.open_frame(number).map_err(as_io)?;
        let part = plaintext.get(usize::try_from(within).unwrap_or(usize::MAX)..).unwrap_or_default();
        let count = part.len().min(output.len());
        output[..count].copy_from_slice(&part[..count]);
        self.position += u64::try_from(count).unwrap_or(0);
        Ok(count)
    }
}

impl<R> Seek for RandomAccessReader<R> {
    /// Changes the position in the plaintext. A position past the end is allowed; reads there
    /// return no data.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::End(offset) => self.length.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        let text = "cannot seek to a position before the start of the plaintext";
        self.position = place.ok_or_else(|| as_io(Error::new(ErrorKind::Validation, text)))?;
        Ok(self.position)
    }
}

impl<R> fmt::Debug for RandomAccessReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RandomAccessReader")
            .field("header", &self.header)
            .field("length", &self.length)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

fn read_header(inner: &mut impl Read, limits: &Limits) -> Result<Header> {
    let (mut parser, mut bytes) = (HeaderParser::default(), Vec::new());
    let mut wanted = FIRST_READ;
    loop {
        let missing = u64::try_from(wanted - bytes.len()).unwrap_or(u64::MAX);
        let read = inner.by_ref().take(missing).read_to_end(&mut bytes).map_err(cannot_read)?;
        match parser.parse(&bytes, limits) {
            // The parser limits its requests to the maximum size of a header.
            Err(MessageError::Truncated { needed, .. }) if read > 0 => wanted = needed.max(bytes.len() + 1),
            parsed => return Ok(parsed?),
        }
    }
}
