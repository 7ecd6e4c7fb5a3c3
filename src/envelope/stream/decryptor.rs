//! Decryption without input or output: message bytes are pushed in, and plaintext is appended to a
//! vector.

use std::fmt;

use zeroize::Zeroizing;

use super::error::failed_before;
use crate::context::EncryptionContext;
use crate::envelope::policy::ReleaseMode;
use crate::envelope::start::{KnownContext, Starter};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Header, HeaderParser, MessageError, Opener};

/// Decrypts a message that is pushed into it: for event loops, foreign buffers, and anything else
/// that is not an [`io::Read`](std::io::Read). Performs no input or output. Only the call that
/// completes the header calls the keyring, and may block as long as the keyring does.
///
/// Created by [`Envelope::decryptor`](crate::Envelope::decryptor). Plaintext is appended frame by
/// frame, once it is authenticated. Data appended before an error is an authentic prefix of the
/// plaintext. Discard it, or treat it as incomplete. The last frame is released by
/// [`finish`](EnvelopeDecryptor::finish): **if `finish` returns no error, the plaintext is
/// complete**.
///
/// Buffers only incomplete frames and never waits for more data: several
/// [`threads`](crate::envelope::EnvelopeBuilder::threads) divide the data of one call. After an
/// error, every further call fails.
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
#[must_use = "plaintext released before the end may belong to a truncated message"]
pub struct EnvelopeDecryptor {
    starter: Starter,
    known: Known,
    state: State,
    /// The start of the next element, until it is complete.
    pub(super) held: Vec<u8>,
    /// The length that `held` must reach before it can be processed further.
    needed: usize,
}

/// The part of the context that the caller supplies.
enum Known {
    Expected(EncryptionContext),
    Reproduced(EncryptionContext),
}

enum State {
    Header(HeaderParser),
    Body(Box<Header>, Box<Opener>),
    Failed,
}

/// The number of bytes consumed, and the number of bytes that must follow them for further
/// progress.
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

    /// Returns the authenticated header once it is complete.
    pub fn header(&self) -> Option<&Header> {
        self.body().map(|(header, _)| header)
    }

    /// Returns the header, and the opener of the frames that follow it.
    pub(super) fn body(&self) -> Option<(&Header, &Opener)> {
        match &self.state {
            State::Body(header, opener) => Some((header, opener)),
            State::Header(_) | State::Failed => None,
        }
    }

    /// Accepts any number of message bytes, and appends the plaintext that is authenticated by now
    /// to `plaintext`.
    ///
    /// # Errors
    /// - The errors of [`Envelope::reader`](crate::Envelope::reader) and of reading from it.
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::RawAesKeyring;
    /// use strongroom::{EncryptionContext, Envelope, SecretBytes};
    ///
    /// let envelope = Envelope::builder(RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?);
    /// let envelope = envelope.frame_length(4).build()?;
    /// let message = envelope.encrypt(b"attack at dawn", &EncryptionContext::new())?;
    /// let (mut decryptor, mut plaintext) = (envelope.decryptor(&EncryptionContext::new()), Vec::new());
    /// decryptor.update(&message, &mut plaintext)?;
    /// assert_eq!(plaintext, b"attack at da"); // the last frame is released by `finish`
    /// decryptor.finish(&mut plaintext)?;
    /// assert_eq!(plaintext, b"attack at dawn");
    /// # Ok::<(), strongroom::Error>(())
    /// ```
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

    /// Marks the end of the message and appends the rest of its plaintext. Returns the header.
    ///
    /// # Errors
    /// - [`ErrorKind::InvalidMessage`] if the message is truncated or its last frame was altered.
    pub fn finish(mut self, plaintext: &mut Vec<u8>) -> Result<Header> {
        match &mut self.state {
            State::Failed => Err(failed_before()),
            State::Header(parser) => match parser.parse(&self.held, &self.starter.config.limits) {
                Err(error) => Err(error.into()),
                Ok(_) => Err(Error::new(ErrorKind::Internal, "the header is complete")),
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

    /// Returns the minimum number of additional bytes needed for further progress. Never returns 0.
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::RawAesKeyring;
    /// use strongroom::{EncryptionContext, Envelope, SecretBytes};
    ///
    /// let envelope = Envelope::new(RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?);
    /// let message = envelope.encrypt(b"attack at dawn", &EncryptionContext::new())?;
    /// let (mut decryptor, mut plaintext) = (envelope.decryptor(&EncryptionContext::new()), Vec::new());
    /// decryptor.update(&message[..10], &mut plaintext)?;
    /// assert!(decryptor.bytes_wanted() > 0 && decryptor.header().is_none());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
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
                // Decrypt in place; only incomplete data is copied.
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

    /// Decrypts the complete elements at the start of `bytes`, except the last frame, which is
    /// deferred until the end of the message.
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
                if rest.len() <= whole {
                    return Ok(Progress { consumed, needed: whole + 1 });
                }
                // Like the other readers: a frame with an altered length is not authentic.
                opener.open(&frame, &mut Zeroizing::new(vec![0; frame.plaintext_length()]))?;
                return Err(MessageError::TrailingData.into());
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

/// Decrypts frames on several threads, if there are enough frames. Returns the number of message
/// bytes consumed.
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

/// Returns the number of bytes needed to continue, if missing bytes are the only problem.
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
