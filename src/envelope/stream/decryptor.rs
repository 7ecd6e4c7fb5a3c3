//! Reading a message without any input or output: its bytes are pushed in, plaintext is appended to a vector.

use std::fmt;

use super::error::failed_before;
use crate::context::EncryptionContext;
use crate::envelope::policy::ReleaseMode;
use crate::envelope::start::{KnownContext, Starter};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Header, HeaderParser, MessageError, Opener};

/// Decrypts a message that is pushed into it: for event loops, foreign buffers, whatever is no
/// [`io::Read`](std::io::Read). Does no input or output; only the call that completes the header asks the keyring, and
/// may wait as long as that does.
///
/// Made by [`Envelope::decryptor`](crate::Envelope::decryptor). Nothing is appended that is not authentic, frame by frame: what was appended before an
/// error is a true beginning of the plaintext and must be thrown away, or treated as a part. The last frame comes from
/// [`finish`](EnvelopeDecryptor::finish): **who gets no error from that has the whole plaintext**. Holds what is not yet a whole
/// frame, and never waits for more: several [`threads`](crate::envelope::EnvelopeBuilder::threads) share out what comes in one call. After an
/// error every further call fails.
///
/// # Examples
/// ```
/// use strongroom::envelope::RawAesKeyring;
/// use strongroom::{EncryptionContext, Envelope, SecretBytes};
///
/// let envelope = Envelope::new(RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?);
/// let message = envelope.encrypt(b"attack at dawn", &EncryptionContext::from([("tenant", "42")]))?;
///
/// let mut decryptor = envelope.decryptor(&EncryptionContext::new());
/// let mut plaintext = Vec::new();
/// for datagram in message.chunks(100) {
///     decryptor.update(datagram, &mut plaintext)?;
/// }
/// let header = decryptor.finish(&mut plaintext)?;
/// assert_eq!(plaintext, b"attack at dawn");
/// assert_eq!(header.context().get("tenant"), Some("42"));
/// # Ok::<(), strongroom::Error>(())
/// ```
#[must_use = "what comes before the end may be a part of a message that was cut off"]
pub struct EnvelopeDecryptor {
    starter: Starter,
    known: Known,
    state: State,
    /// The beginning of what is next, until it is whole.
    pub(super) held: Vec<u8>,
    /// How long that must get before anything can be said about it.
    needed: usize,
}

/// What the caller knows of the context.
enum Known {
    Expected(EncryptionContext),
    Reproduced(EncryptionContext),
}

enum State {
    Header(HeaderParser),
    Body(Box<Header>, Box<Opener>),
    Failed,
}

/// What was used of some bytes, and how many must be there behind that to go on.
struct Progress {
    consumed: usize,
    needed: usize,
}

impl EnvelopeDecryptor {
    pub(in crate::envelope) fn new(starter: &Starter, known: KnownContext<'_>) -> Self {
        let known = match known {
            KnownContext::Expected(context) => Known::Expected(context.clone()),
            KnownContext::Reproduced(context) => Known::Reproduced(context.clone()),
        };
        let state = State::Header(HeaderParser::default());
        Self { starter: starter.clone(), known, state, held: Vec::new(), needed: 1 }
    }

    /// The header, which is authentic, as soon as it is whole.
    pub fn header(&self) -> Option<&Header> {
        self.body().map(|(header, _)| header)
    }

    /// The header, and what opens the frames behind it.
    pub(super) fn body(&self) -> Option<(&Header, &Opener)> {
        match &self.state {
            State::Body(header, opener) => Some((header, opener)),
            State::Header(_) | State::Failed => None,
        }
    }

    /// Takes in all of some bytes of the message, however many, and appends to `plaintext` what is authentic by now.
    ///
    /// # Errors
    /// As [`Envelope::reader`](crate::Envelope::reader) and reading from it.
    pub fn update(&mut self, message: &[u8], plaintext: &mut Vec<u8>) -> Result<()> {
        let result = match self.state {
            State::Failed => Err(failed_before()),
            State::Header(_) | State::Body(..) => self.take_in(message, plaintext),
        };
        if result.is_err() {
            self.give_up();
        }
        result
    }

    /// Says that the message ends here, and appends the rest of its plaintext. Returns the header.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidMessage`] if the message is cut off or its last frame is altered.
    pub fn finish(mut self, plaintext: &mut Vec<u8>) -> Result<Header> {
        match &mut self.state {
            State::Failed => Err(failed_before()),
            State::Header(parser) => match parser.parse(&self.held, &self.starter.config.limits) {
                Err(error) => Err(error.into()),
                Ok(_) => Err(Error::new(ErrorKind::Internal, "a whole header was passed over")),
            },
            State::Body(_, opener) => {
                let frame = opener.read(&self.held)?;
                let start = plaintext.len();
                plaintext.resize(start + frame.plaintext_length(), 0);
                opener.open(&frame, &mut plaintext[start..]).inspect_err(|_| plaintext.truncate(start))?;
                self.into_header()
            }
        }
    }

    /// How many more bytes must come, at the least, before anything more can be said of the message: never 0.
    pub fn bytes_wanted(&self) -> usize {
        self.needed.saturating_sub(self.held.len()).max(1)
    }

    fn into_header(self) -> Result<Header> {
        match self.state {
            State::Body(header, _) => Ok(*header),
            State::Header(_) | State::Failed => Err(failed_before()),
        }
    }

    fn give_up(&mut self) {
        self.state = State::Failed;
        self.held = Vec::new();
    }

    fn take_in(&mut self, mut message: &[u8], plaintext: &mut Vec<u8>) -> Result<()> {
        while !message.is_empty() {
            if self.held.is_empty() {
                // Opened from where they lie; only what is not whole is copied.
                let progress = self.advance(message, plaintext)?;
                self.needed = progress.needed;
                self.held.extend_from_slice(&message[progress.consumed..]);
                return Ok(());
            }
            let missing = self.needed.saturating_sub(self.held.len()).min(message.len());
            let (now, later) = message.split_at(missing);
            self.held.extend_from_slice(now);
            message = later;
            if self.held.len() >= self.needed {
                let held = std::mem::take(&mut self.held);
                let progress = self.advance(&held, plaintext)?;
                self.needed = progress.needed;
                self.held = held;
                self.held.drain(..progress.consumed);
            }
        }
        Ok(())
    }

    /// Opens what is whole at the start of `bytes`, but for the last frame, which waits for the end of the message.
    fn advance(&mut self, bytes: &[u8], plaintext: &mut Vec<u8>) -> Result<Progress> {
        let mut consumed = 0;
        if let State::Header(parser) = &mut self.state {
            let header = match parser.parse(bytes, &self.starter.config.limits) {
                Ok(header) => header,
                Err(error) => return Ok(Progress { consumed, needed: needed(error)? }),
            };
            consumed = header.encoded_length();
            let opener = self.start_body(&header)?;
            self.state = State::Body(Box::new(header), Box::new(opener));
        }
        let State::Body(_, opener) = &mut self.state else { return Err(failed_before()) };
        loop {
            consumed += open_chunks(opener, &bytes[consumed..], plaintext);
            let rest = &bytes[consumed..];
            let frame = match opener.read(rest) {
                Ok(frame) => frame,
                Err(error) => return Ok(Progress { consumed, needed: needed(error)? }),
            };
            if frame.is_last() {
                let whole = frame.encoded_length();
                return if rest.len() > whole {
                    Err(MessageError::TrailingData.into())
                } else {
                    Ok(Progress { consumed, needed: whole + 1 })
                };
            }
            let start = plaintext.len();
            plaintext.resize(start + frame.plaintext_length(), 0);
            opener.open(&frame, &mut plaintext[start..]).inspect_err(|_| plaintext.truncate(start))?;
            consumed += frame.encoded_length();
        }
    }

    fn start_body(&self, header: &Header) -> Result<Opener> {
        let known = match &self.known {
            Known::Expected(context) => KnownContext::Expected(context),
            Known::Reproduced(context) => KnownContext::Reproduced(context),
        };
        self.starter.begin_decrypt(header, known, ReleaseMode::Streaming)
    }
}

/// Opens frames on several threads, if there are enough of them. Returns how many bytes of the message they were.
fn open_chunks(opener: &mut Opener, bytes: &[u8], plaintext: &mut Vec<u8>) -> usize {
    let room = opener.chunked_plaintext(bytes.len());
    if room == 0 {
        return 0;
    }
    let start = plaintext.len();
    plaintext.resize(start + room, 0);
    let frames = opener.open_chunks(bytes, &mut plaintext[start..]);
    let (opened, consumed) = opener.regular_lengths(frames);
    plaintext.truncate(start + opened);
    consumed
}

/// How many bytes are needed to go on, if only their want is what kept it.
fn needed(error: MessageError) -> Result<usize> {
    error.bytes_needed().ok_or_else(|| error.into())
}

impl fmt::Debug for EnvelopeDecryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvelopeDecryptor")
            .field("header", &self.header())
            .field("failed", &matches!(self.state, State::Failed))
            .finish_non_exhaustive()
    }
}
