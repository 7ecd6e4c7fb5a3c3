//! Messages over Tokio's asynchronous input and output.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use zeroize::Zeroizing;

use super::decryptor::EnvelopeDecryptor;
use super::encryptor::EnvelopeEncryptor;
use super::error::{as_io, cannot_read, cannot_write, failed_before};
use super::offload::{Offload, spawn_blocking_or_run};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Header, Sealer};

/// The number of bytes accepted at a time.
const CHUNK: usize = 256 << 10;

/// The minimum number of bytes for which the cryptography is offloaded. Processing them takes some
/// ten microseconds, about the cost of offloading.
const BIG: usize = 64 << 10;

/// Encrypts what is written to it and passes the message on.
///
/// The message must be completed with [`shutdown`](::tokio::io::AsyncWriteExt::shutdown), which
/// also shuts down the inner writer. A writer that is dropped before that leaves a truncated
/// message, which every reader rejects. [`flush`](::tokio::io::AsyncWriteExt::flush) passes on all
/// full frames.
///
/// Buffers up to 256 KiB of plaintext, in addition to the buffers of an
/// [`EnvelopeWriter`](super::EnvelopeWriter). Work on 64 KiB or more runs on a blocking thread.
/// Calls can be cancelled and repeated. After an error, the message is lost and every further call
/// fails. Errors contain an [`Error`], as those of an `EnvelopeWriter`.
///
/// # Examples
/// ```
/// use strongroom::envelope::RawAesKeyring;
/// use strongroom::{EncryptionContext, Envelope, SecretBytes};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let envelope = Envelope::new(RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?);
/// let mut message = Vec::new();
/// let mut writer = envelope.async_writer(&mut message, &EncryptionContext::new()).await?;
/// writer.write_all(b"attack at dawn").await?;
/// writer.shutdown().await?;
///
/// let mut reader = envelope.async_reader(&message[..], &EncryptionContext::new()).await?;
/// let mut plaintext = String::new();
/// reader.read_to_string(&mut plaintext).await?;
/// assert_eq!(plaintext, "attack at dawn");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "every reader rejects a message that was not shut down"]
pub struct AsyncEnvelopeWriter<W> {
    inner: W,
    sealing: Offload<Sealing>,
    /// The number of sealed bytes already written.
    written: usize,
}

/// The state that is offloaded for sealing.
struct Sealing {
    /// `None` after the end.
    encryptor: Option<EnvelopeEncryptor>,
    plaintext: Zeroizing<Vec<u8>>,
    message: Vec<u8>,
}

impl Sealing {
    fn seal(&mut self) -> Result<()> {
        let encryptor = self.encryptor.as_mut().ok_or_else(finished_before)?;
        encryptor.update(&self.plaintext, &mut self.message)?;
        self.plaintext.clear();
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.seal()?;
        self.encryptor.take().ok_or_else(finished_before)?.finish(&mut self.message)
    }
}

impl<W: AsyncWrite + Unpin> AsyncEnvelopeWriter<W> {
    /// Obtains a sealer with `begin` on a blocking thread, and writes the header.
    pub(in crate::envelope) async fn start(
        mut inner: W,
        begin: impl FnOnce() -> Result<Sealer> + Send + 'static,
    ) -> Result<Self> {
        let (encryptor, header) = spawn_blocking_or_run(move || {
            let mut encryptor = EnvelopeEncryptor::new(begin()?);
            let mut header = Vec::new();
            encryptor.update(&[], &mut header)?;
            Ok::<_, Error>((encryptor, header))
        })
        .await??;
        inner.write_all(&header).await.map_err(cannot_write)?;
        let sealing = Sealing { encryptor: Some(encryptor), plaintext: Zeroizing::default(), message: Vec::new() };
        Ok(Self { inner, sealing: Offload::new(sealing), written: 0 })
    }

    /// Returns a reference to the inner writer.
    pub const fn get_ref(&self) -> &W {
        &self.inner
    }

    /// Returns the inner writer. The message is complete only after
    /// [`shutdown`](::tokio::io::AsyncWriteExt::shutdown).
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
    /// let mut writer = envelope.async_writer(Vec::new(), &EncryptionContext::new()).await?;
    /// assert!(!writer.get_ref().is_empty()); // the header
    /// writer.write_all(b"attack at dawn").await?;
    /// writer.shutdown().await?;
    /// let message = writer.into_inner();
    /// assert_eq!(envelope.decrypt(&message, &EncryptionContext::new())?, b"attack at dawn");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_inner(self) -> W {
        self.inner
    }

    /// Waits for data that is being sealed, and writes it.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&mut Sealing>> {
        let sealing = match ready!(self.sealing.poll(cx)) {
            Ok(sealing) => sealing,
            Err(error) => return Poll::Ready(Err(as_io(error))),
        };
        while self.written < sealing.message.len() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &sealing.message[self.written..]));
            match written.and_then(|length| if length == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(length) })
            {
                Ok(length) => self.written += length,
                Err(error) => return Poll::Ready(Err(as_io(cannot_write(error)))),
            }
        }
        sealing.message.clear();
        self.written = 0;
        Poll::Ready(Ok(sealing))
    }

    /// Seals all accepted plaintext.
    fn poll_seal(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let held = ready!(self.poll_drain(cx))?.plaintext.len();
        if held == 0 {
            return Poll::Ready(Ok(()));
        }
        self.sealing.start(held >= BIG, Sealing::seal);
        self.poll_drain(cx).map_ok(|_| ())
    }

    fn poll_take_in(&mut self, cx: &mut Context<'_>, plaintext: &[u8]) -> Poll<io::Result<usize>> {
        let sealing = ready!(self.poll_drain(cx))?;
        if sealing.encryptor.is_none() {
            return Poll::Ready(Err(as_io(finished_before())));
        }
        if sealing.plaintext.capacity() == 0 {
            sealing.plaintext.reserve_exact(CHUNK);
        }
        let taken = plaintext.len().min(CHUNK - sealing.plaintext.len());
        sealing.plaintext.extend_from_slice(&plaintext[..taken]);
        if sealing.plaintext.len() == CHUNK {
            self.sealing.start(true, Sealing::seal);
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if ready!(self.poll_drain(cx))?.encryptor.is_some() {
            // Signing takes time regardless of the length.
            self.sealing.start(true, Sealing::finish);
            ready!(self.poll_drain(cx))?;
        }
        Pin::new(&mut self.inner).poll_shutdown(cx).map_err(|error| as_io(cannot_write(error)))
    }

    /// The message cannot continue after any failure, because the inner writer may have lost a part
    /// of it.
    fn give_up_on_error<T>(&mut self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(_)) = polled {
            self.sealing.give_up();
        }
        polled
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for AsyncEnvelopeWriter<W> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, plaintext: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = this.poll_take_in(cx, plaintext);
        this.give_up_on_error(polled)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = match this.poll_seal(cx) {
            Poll::Ready(Ok(())) => Pin::new(&mut this.inner).poll_flush(cx).map_err(|error| as_io(cannot_write(error))),
            polled => polled,
        };
        this.give_up_on_error(polled)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = this.poll_end(cx);
        this.give_up_on_error(polled)
    }
}

impl<W> fmt::Debug for AsyncEnvelopeWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncEnvelopeWriter").finish_non_exhaustive()
    }
}

/// Decrypts a message while it is read, with the guarantees of an
/// [`EnvelopeReader`](super::EnvelopeReader): nothing is released before it is authenticated, and
/// **a caller who reads to the end without an error has the complete plaintext**.
///
/// Created by [`Envelope::async_reader`](crate::Envelope::async_reader). Work on 64 KiB or more
/// runs on a blocking thread. Calls can be cancelled and repeated. Errors are those of an
/// `EnvelopeReader`: each contains an [`Error`], errors of the message are final, and reading can
/// continue after an error of the inner reader.
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
/// let message = envelope.encrypt(&[b'.'; 200_000], &EncryptionContext::from([("tenant", "42")]))?;
/// let mut reader = envelope.async_reader(&message[..], &EncryptionContext::new()).await?;
/// assert_eq!(reader.header().context().get("tenant"), Some("42"));
/// let mut plaintext = Vec::new();
/// assert_eq!(reader.read_to_end(&mut plaintext).await?, 200_000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct AsyncEnvelopeReader<R> {
    inner: R,
    header: Header,
    opening: Offload<Opening>,
}

/// The state that is offloaded for decryption.
struct Opening {
    /// `None` after the end.
    decryptor: Option<EnvelopeDecryptor>,
    /// A buffer, and the number of bytes in it that were read but not yet decrypted.
    message: Vec<u8>,
    received: usize,
    plaintext: Zeroizing<Vec<u8>>,
    handed_out: usize,
}

impl Opening {
    /// Returns the plaintext that was not returned to the caller yet.
    fn left(&self) -> &[u8] {
        &self.plaintext[self.handed_out..]
    }

    fn open(&mut self) -> Result<()> {
        let decryptor = self.decryptor.as_mut().ok_or_else(finished_before)?;
        let received = std::mem::take(&mut self.received);
        decryptor.update(&self.message[..received], &mut self.plaintext)
    }

    fn finish(&mut self) -> Result<()> {
        self.open()?;
        self.decryptor.take().ok_or_else(finished_before)?.finish(&mut self.plaintext).map(drop)
    }
}

impl<R: AsyncRead + Unpin> AsyncEnvelopeReader<R> {
    pub(in crate::envelope) async fn start(mut inner: R, mut decryptor: EnvelopeDecryptor) -> Result<Self> {
        let (mut message, mut plaintext) = (vec![0; CHUNK], Zeroizing::new(Vec::new()));
        let header = loop {
            if let Some(header) = decryptor.header() {
                break header.clone();
            }
            let received = inner.read(&mut message).await.map_err(cannot_read)?;
            if received == 0 {
                decryptor.finish(&mut plaintext)?;
                return Err(failed_before());
            }
            make_room(&mut plaintext, decryptor.held.len() + received);
            (decryptor, message, plaintext) = spawn_blocking_or_run(move || {
                decryptor.update(&message[..received], &mut plaintext)?;
                Ok::<_, Error>((decryptor, message, plaintext))
            })
            .await??;
        };
        let opening = Opening { decryptor: Some(decryptor), message, received: 0, plaintext, handed_out: 0 };
        Ok(Self { inner, header, opening: Offload::new(opening) })
    }

    /// Returns the authenticated header: the complete context, the suite, and the wrapped data
    /// keys.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Reads and verifies the rest of the message, discards its plaintext, and returns the header,
    /// like [`EnvelopeReader::finish`](super::EnvelopeReader::finish).
    ///
    /// # Errors
    /// - The errors of [`EnvelopeReader::finish`](super::EnvelopeReader::finish).
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
    /// let message = envelope.encrypt(b"attack at dawn", &EncryptionContext::from([("tenant", "42")]))?;
    /// let mut reader = envelope.async_reader(&message[..], &EncryptionContext::new()).await?;
    /// let mut start = [0; 6];
    /// reader.read_exact(&mut start).await?;
    /// let header = reader.finish().await?;
    /// assert_eq!((&start, header.context().get("tenant")), (b"attack", Some("42")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn finish(mut self) -> Result<Header> {
        poll_fn(|cx| self.poll_discard(cx)).await?;
        Ok(self.header)
    }

    /// Discards plaintext until the end of the message.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            ready!(self.poll_fill(cx))?;
            let opening = ready!(self.opening.poll(cx))?;
            if opening.left().is_empty() {
                return Poll::Ready(Ok(()));
            }
            opening.handed_out = opening.plaintext.len();
        }
    }

    /// Decrypts until there is plaintext that was not returned yet, or until the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            let opening = ready!(self.opening.poll(cx))?;
            if !opening.left().is_empty() {
                return Poll::Ready(Ok(()));
            }
            opening.plaintext.clear();
            opening.handed_out = 0;
            let Some(decryptor) = &opening.decryptor else { return Poll::Ready(Ok(())) };
            let step = step_length(decryptor);
            if opening.received == opening.message.len() {
                // The buffer grows with the received data, regardless of the frame length that the
                // message specifies.
                opening.message.resize(step.min(2 * opening.received), 0);
            }
            let mut input = ReadBuf::new(&mut opening.message[opening.received..]);
            ready!(Pin::new(&mut self.inner).poll_read(cx, &mut input)).map_err(cannot_read)?;
            let is_end = input.filled().is_empty();
            opening.received += input.filled().len();
            if !is_end && opening.received < step {
                continue;
            }
            let waiting = decryptor.held.len() + opening.received;
            let opens = is_end || opening.received >= decryptor.bytes_wanted();
            let is_big = opens && waiting >= BIG;
            if opens {
                make_room(&mut opening.plaintext, waiting);
            }
            self.opening.start(is_big, if is_end { Opening::finish } else { Opening::open });
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for AsyncEnvelopeReader<R> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, output: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if output.remaining() > 0 {
            ready!(this.poll_fill(cx)).map_err(as_io)?;
        }
        let opening = ready!(this.opening.poll(cx)).map_err(as_io)?;
        let left = opening.left();
        let length = left.len().min(output.remaining());
        output.put_slice(&left[..length]);
        opening.handed_out += length;
        Poll::Ready(Ok(()))
    }
}

impl<R> fmt::Debug for AsyncEnvelopeReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncEnvelopeReader").field("header", &self.header).finish_non_exhaustive()
    }
}

/// Returns the number of bytes that must arrive for a step of several threads, including a frame
/// that may have begun before. Returns zero with one thread.
fn step_length(decryptor: &EnvelopeDecryptor) -> usize {
    let Some((_, opener)) = decryptor.body() else { return 0 };
    opener.step().map_or(0, |(_, encoded)| encoded.saturating_add(opener.regular_lengths(1).1))
}

/// Reserves capacity in an empty buffer for all plaintext that `bytes` can contain. The buffer must
/// not grow later, because that would leave a copy in memory.
fn make_room(plaintext: &mut Zeroizing<Vec<u8>>, bytes: usize) {
    if plaintext.capacity() < bytes {
        *plaintext = Zeroizing::new(Vec::with_capacity(bytes));
    }
}

fn finished_before() -> Error {
    Error::new(ErrorKind::Io, "the message has already ended")
}
