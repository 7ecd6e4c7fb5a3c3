//! The errors of the asynchronous reader and writer.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::*;

impl AsyncRead for Broken<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, output: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut buffer = vec![0; output.remaining().min(100)];
        Poll::Ready(Read::read(&mut *self, &mut buffer).map(|length| output.put_slice(&buffer[..length])))
    }
}

/// Accepts this many bytes and then fails, or accepts no bytes.
struct Sink {
    room: usize,
    fails: bool,
}

impl Sink {
    fn result(&self) -> Poll<io::Result<()>> {
        Poll::Ready(if self.fails { Err(reset()) } else { Ok(()) })
    }
}

impl AsyncWrite for Sink {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let length = bytes.len().min(self.room);
        self.room -= length;
        if length == 0 { self.result().map_ok(|()| 0) } else { Poll::Ready(Ok(length)) }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.result()
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.result()
    }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(work)
}

#[test]
fn of_a_reader() -> Result<()> {
    let envelope = envelope(16);
    let message = envelope.encrypt(&[7; 40], &none())?;
    let mut altered = message.clone();
    altered[message.len() - 1] ^= 1;
    run(async {
        for (received, kind) in
            [(&altered[..], io::ErrorKind::InvalidData), (&message[..message.len() - 1], io::ErrorKind::UnexpectedEof)]
        {
            let mut reader = envelope.async_reader(received, &none()).await?;
            for _ in 0..3 {
                let error = reader.read_to_end(&mut Vec::new()).await.expect_err("rejected");
                assert_eq!(kinds(&error), (kind, ErrorKind::InvalidMessage));
            }
            let finished = reader.finish().await.expect_err("rejected");
            assert_eq!(finished.kind(), ErrorKind::InvalidMessage);
        }
        for end in inspect(&message)?.encoded_length()..=message.len() {
            let mut reader = envelope.async_reader(Broken(&message[..end]), &none()).await?;
            for _ in 0..2 {
                check_outside(&reader.read_to_end(&mut Vec::new()).await.expect_err("the source fails"));
            }
            let error = reader.finish().await.expect_err("the source fails");
            assert_eq!((error.kind(), error.downcast_ref()), (ErrorKind::Io, Some(&Status(503))));
        }
        Ok(())
    })
}

#[test]
fn of_a_writer() -> Result<()> {
    let envelope = envelope(16);
    run(async {
        let start = async |room, fails| envelope.async_writer(Sink { room, fails }, &none()).await;
        // Writing fails, flushing fails, and shutting down fails.
        let mut writer = start(1000, true).await?;
        check_outside(&writer.write_all(&[7; 1_000_000]).await.expect_err("full"));
        for _ in 0..2 {
            let error = writer.write_all(&[7; 10]).await.expect_err("it failed before");
            assert_eq!(kinds(&error), (io::ErrorKind::Other, ErrorKind::Io));
        }
        check_outside(&start(1000, true).await?.flush().await.expect_err("flushing fails"));
        check_outside(&start(1000, true).await?.shutdown().await.expect_err("shutting down fails"));
        let error = start(1000, false).await?.write_all(&[7; 1_000_000]).await.expect_err("nothing is accepted");
        assert_eq!(kinds(&error), (io::ErrorKind::WriteZero, ErrorKind::Io));
        let mut writer = start(1000, false).await?;
        writer.shutdown().await.expect("a whole message");
        let error = writer.write_all(&[7; 10]).await.expect_err("it was shut down");
        assert_eq!(kinds(&error), (io::ErrorKind::Other, ErrorKind::Io));
        Ok(())
    })
}
