//! A connection that is closed without losing the last answer.
//!
//! If a socket is closed while input of the client is unread, the system resets the connection, and
//! the client may lose an answer that it has not read yet, such as the refusal of a body that it is
//! still sending. RFC 9112, section 9.6, therefore closes in two steps: the server ends its output,
//! and reads until the client has closed the connection, or for a limited time.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::activity::Activity;

/// The time for the client to close the connection.
const LINGERING_TIME: Duration = Duration::from_secs(1);
/// The size of each read of input that is discarded.
const CHUNK: usize = 16 << 10;

/// A stream whose shutdown discards the input of the client.
pub(super) struct Lingering<S> {
    stream: S,
    activity: Arc<Activity>,
    /// The end of the time, once the output has ended.
    end: Option<Pin<Box<Sleep>>>,
    has_discarded: bool,
}

impl<S> Lingering<S> {
    pub(super) const fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, activity, end: None, has_discarded: false }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Lingering<S> {
    /// Discards input until the client closes the connection, or the time has passed. Does not wait if
    /// the client has nothing more to send.
    fn poll_discard(&mut self, end: &mut Pin<Box<Sleep>>, context: &mut Context<'_>) -> Poll<()> {
        let mut chunk = [0; CHUNK];
        loop {
            if end.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            let mut buffer = ReadBuf::new(&mut chunk);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => self.has_discarded = true,
                Poll::Ready(Ok(()) | Err(_)) => return Poll::Ready(()),
                Poll::Pending if self.has_discarded || self.activity.leaves_input() => return Poll::Pending,
                Poll::Pending => return Poll::Ready(()),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.end.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
        }
        let mut end = self.end.take().unwrap_or_else(|| Box::pin(sleep(LINGERING_TIME)));
        let discarded = self.poll_discard(&mut end, context);
        self.end = Some(end);
        discarded.map(Ok)
    }
}
