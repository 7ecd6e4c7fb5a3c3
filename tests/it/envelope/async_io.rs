//! Messages through the traits of Tokio.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use strongroom::envelope::{SignaturePolicy, UnwrapFailures};
use strongroom::message::{self, AlgorithmSuite, MessageError};
use strongroom::{EncryptionContext, Envelope, Error, ErrorKind, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::envelope::unwrap_failures::Vault;
use crate::support::envelope::{keyring, none, refusal};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn plaintext(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime").block_on(work)
}

/// Transfers at most `step` bytes per call, and returns `Pending` on every other call.
struct Slow<T> {
    inner: T,
    step: usize,
    waits: bool,
}

impl<T> Slow<T> {
    fn new(inner: T, step: usize) -> Self {
        Self { inner, step, waits: false }
    }

    fn must_wait(&mut self, cx: &Context<'_>) -> bool {
        self.waits = !self.waits;
        if self.waits {
            cx.waker().wake_by_ref();
        }
        self.waits
    }
}

impl AsyncRead for Slow<&[u8]> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, output: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.must_wait(cx) {
            return Poll::Pending;
        }
        let length = self.step.min(output.remaining()).min(self.inner.len());
        let (now, later) = self.inner.split_at(length);
        output.put_slice(now);
        self.inner = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Slow<Vec<u8>> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.must_wait(cx) {
            return Poll::Pending;
        }
        let length = self.step.min(bytes.len());
        self.inner.extend_from_slice(&bytes[..length]);
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

async fn write(envelope: &Envelope, text: &[u8], step: usize) -> Outcome<Vec<u8>> {
    let mut writer = envelope.async_writer(Slow::new(Vec::new(), step), &none()).await?;
    for (number, part) in text.chunks(step).enumerate() {
        writer.write_all(part).await?;
        if number % 5 == 0 {
            writer.flush().await?;
        }
    }
    writer.shutdown().await?;
    writer.shutdown().await?;
    assert!(writer.write(b"more").await.is_err());
    Ok(writer.into_inner().inner)
}

async fn read(envelope: &Envelope, message: &[u8], step: usize) -> Result<Vec<u8>, (Vec<u8>, MessageError)> {
    let known = |error: &Error| refusal(error).expect("a refusal of the message").clone();
    let reader = envelope.async_reader(Slow::new(message, step), &none()).await;
    let mut reader = reader.map_err(|error| (Vec::new(), known(&error)))?;
    let (mut released, mut buffer) = (Vec::new(), vec![0; step]);
    loop {
        match reader.read(&mut buffer).await {
            Ok(0) => return Ok(released),
            Ok(length) => released.extend_from_slice(&buffer[..length]),
            Err(error) => {
                let truncated = error.kind() == io::ErrorKind::UnexpectedEof;
                let refused = known(&error.downcast::<Error>().expect("an error of this crate"));
                assert_eq!(truncated, matches!(refused, MessageError::Truncated { .. }));
                reader.read(&mut buffer).await.expect_err("an error is permanent");
                return Err((released, refused));
            }
        }
    }
}

#[test]
fn what_is_written_in_any_steps_is_read_in_any_steps() -> Outcome {
    run(async {
        for threads in [1, 2] {
            let envelope = Envelope::builder(keyring()).threads(threads).build()?;
            for length in [0, 1, 65_536, 65_537, 262_144, 1_000_003] {
                let text = plaintext(length);
                for step in [1013, 65_536, 1 << 20] {
                    let message = write(&envelope, &text, step).await?;
                    assert_eq!(envelope.decrypt(&message, &none())?, text, "{length} in steps of {step}");
                    let opened = read(&envelope, &message, step).await.map_err(|(_, refused)| refused)?;
                    assert_eq!(opened, text, "{length} in steps of {step}");
                }
            }
        }
        Ok(())
    })
}

/// Returns its data, and then fails.
struct Breaking<'a>(&'a [u8]);

impl AsyncRead for Breaking<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, output: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let length = output.remaining().min(self.0.len());
        let (now, later) = self.0.split_at(length);
        output.put_slice(now);
        self.0 = later;
        Poll::Ready(if length == 0 { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) })
    }
}

#[test]
fn several_threads_wait_for_a_step_and_one_for_a_frame() -> Outcome {
    run(async {
        let text = plaintext(4 << 20);
        // A step of two threads has 32 frames, and one more may have begun before it.
        for (threads, given, frames) in [(1, 1 << 20, 15), (2, 1 << 20, 0), (2, 2_200_000, 33), (2, 4 << 20, 33)] {
            let envelope = Envelope::builder(keyring()).threads(threads).build()?;
            let message = envelope.encrypt(&text, &none())?;
            let (header, body) = message.split_at(message::inspect(&message)?.encoded_length());
            let mut reader = envelope.async_reader(header.chain(Breaking(&body[..given])), &none()).await?;
            let mut opened = Vec::new();
            let error = reader.read_to_end(&mut opened).await.expect_err("the source fails");
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            assert!(opened == text[..frames << 16], "{threads} threads released {} of {given} bytes", opened.len());
        }
        Ok(())
    })
}

#[test]
fn what_was_altered_is_refused_as_by_the_other_reader() -> Outcome {
    run(async {
        let policy = SignaturePolicy::ReleaseBeforeVerification;
        let envelope = Envelope::builder(keyring()).frame_length(16).signature_policy(policy).build()?;
        let text = plaintext(100);
        let message = envelope.encrypt(&text, &none())?;
        let header = message::inspect(&message)?.encoded_length();
        for at in header..message.len() {
            let mut altered = message.clone();
            altered[at] ^= 1;
            for received in [&altered[..], &message[..at]] {
                let (released, refused) = read(&envelope, received, 50).await.expect_err("the message was altered");
                assert!(text.starts_with(&released));
                let error = envelope.decrypt(received, &none()).expect_err("the message was altered");
                assert_eq!(Some(&refused), refusal(&error), "{at}");
            }
        }
        let (_, refused) =
            read(&envelope, &[&message[..], b"."].concat(), 50).await.expect_err("the message is too long");
        assert_eq!(refused, MessageError::TrailingData);
        Ok(())
    })
}

#[test]
fn a_signed_message_is_written_and_its_streaming_refused() -> Outcome {
    run(async {
        let suite = AlgorithmSuite::Aes256GcmHkdfSha512CommitEcdsaP384;
        let envelope = Envelope::builder(keyring()).algorithm_suite(suite).build()?;
        let message = write(&envelope, &plaintext(300_000), 1 << 16).await?;
        assert_eq!(envelope.decrypt(&message, &none())?, plaintext(300_000));
        let refused = envelope.async_reader(&message[..], &none()).await.err();
        assert_eq!(refused.as_ref().and_then(refusal), Some(&MessageError::SignaturePolicy(suite)));
        Ok(())
    })
}

#[test]
fn a_writer_that_is_dropped_leaves_no_whole_message() -> Outcome {
    run(async {
        let envelope = Envelope::new(keyring());
        let mut message = Vec::new();
        let mut writer = envelope.async_writer(&mut message, &none()).await?;
        writer.write_all(&plaintext(200_000)).await?;
        writer.flush().await?;
        drop(writer);
        assert!(message.len() > 65_536, "flushing passes full frames on");
        assert!(envelope.decrypt(&message, &none()).is_err());
        Ok(())
    })
}

/// The calls to an inner writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Write,
    Flush,
    Shutdown,
}

/// Fails once at one kind of call and then accepts everything, like a file that lost its buffered
/// data.
struct Failing {
    at: Call,
    /// The number of calls that succeed first.
    good: usize,
    failed: bool,
}

impl Failing {
    fn answer(&mut self, call: Call) -> io::Result<()> {
        if call == self.at && self.good == 0 && !self.failed {
            self.failed = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.good -= usize::from(call == self.at && self.good > 0);
        Ok(())
    }
}

impl AsyncWrite for Failing {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.answer(Call::Write).map(|()| bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.answer(Call::Flush))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.answer(Call::Shutdown))
    }
}

#[test]
fn a_writer_that_failed_stays_failed() -> Outcome {
    run(async {
        let envelope = Envelope::new(keyring());
        for (at, good) in [(Call::Write, 1), (Call::Write, 2), (Call::Flush, 0), (Call::Shutdown, 0)] {
            let sink = Failing { at, good, failed: false };
            let mut writer = envelope.async_writer(sink, &none()).await?;
            let mut outcome = Ok(());
            for call in [Call::Write, Call::Flush, Call::Write, Call::Shutdown] {
                outcome = outcome.and(match call {
                    Call::Write => writer.write_all(&plaintext(200_000)).await,
                    Call::Flush => writer.flush().await,
                    Call::Shutdown => writer.shutdown().await,
                });
            }
            assert_eq!(outcome.map_err(|error| error.kind()), Err(io::ErrorKind::StorageFull), "{at:?}");
            assert!(writer.get_ref().failed);
            writer.write(b"more").await.expect_err("given up");
            writer.flush().await.expect_err("given up");
            writer.shutdown().await.expect_err("the message is truncated");
        }
        Ok(())
    })
}

#[test]
fn a_context_that_is_reproduced_is_compared() -> Outcome {
    run(async {
        let envelope = Envelope::new(keyring());
        let context = EncryptionContext::from([("tenant", "42")]);
        let message = envelope.encrypt(b"text", &context)?;
        let mut reader = envelope.async_reader_with_reproduced_context(&message[..], &context).await?;
        assert_eq!(reader.header().context(), &context);
        let mut text = Vec::new();
        reader.read_to_end(&mut text).await?;
        assert_eq!(text, b"text");
        let other = EncryptionContext::from([("tenant", "7")]);
        assert!(envelope.async_reader(&message[..], &other).await.is_err());
        Ok(())
    })
}

#[test]
fn an_outage_of_the_key_source_is_told_as_itself() -> Outcome {
    let message = Envelope::new(keyring()).encrypt(b"text", &none())?;
    for (kind, for_each) in [(ErrorKind::KeyUnavailable, true), (ErrorKind::Audit, false), (ErrorKind::Disabled, true)]
    {
        let envelope = Envelope::new(Vault { kind, for_each });
        for step in [1, 10_000] {
            let error = run(envelope.async_reader(Slow::new(&message[..], step), &none())).expect_err("no data key");
            let told = error.downcast_ref::<UnwrapFailures>().map_or(error.kind(), UnwrapFailures::kind);
            assert_eq!(told, kind);
            assert_eq!(error.kind() == ErrorKind::NoDataKeyUnwrapped, kind == ErrorKind::Disabled);
            assert_eq!(run(envelope.async_writer(Vec::new(), &none())).expect_err("no data key").kind(), kind);
        }
    }
    Ok(())
}
