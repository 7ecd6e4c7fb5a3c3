//! Readers that are finished before all plaintext was read.

use std::io::{self, Read};

use strongroom::envelope::SignaturePolicy;
use strongroom::message::{AlgorithmSuite, Header, MessageError, inspect};
use strongroom::{EncryptionContext, Envelope, Error, ErrorKind, Result};

use crate::support::envelope::{keyring, none, refusal};

const FRAME: usize = 16;

/// Envelopes with one thread and several, for unsigned and for signed messages.
fn envelopes() -> Vec<Envelope> {
    let envelope = |suite, threads| {
        let builder = Envelope::builder(keyring()).algorithm_suite(suite).frame_length(16).chunk_size(FRAME);
        builder.threads(threads).signature_policy(SignaturePolicy::ReleaseBeforeVerification).build()
    };
    let suites = [AlgorithmSuite::default(), AlgorithmSuite::Aes256GcmHkdfSha512CommitEcdsaP384];
    suites.iter().flat_map(|suite| [1, 2].map(|threads| envelope(*suite, threads).expect("an envelope"))).collect()
}

fn plaintext(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

/// The lengths of the plaintext that is read first.
const LENGTHS: [usize; 4] = [0, FRAME, FRAME + 1, 1000];

/// Reads the start of the plaintext and finishes the reader. If reading fails, finishing must fail
/// with the same error.
fn read_then_finish(envelope: &Envelope, message: &[u8], length: usize) -> Result<(Vec<u8>, Header)> {
    let mut reader = envelope.reader(message, &none())?;
    let mut start = Vec::new();
    let read = reader.by_ref().take(u64::try_from(length).expect("small")).read_to_end(&mut start);
    let finished = reader.finish();
    if let Err(error) = &read {
        let finished = finished.as_ref().expect_err("reading failed");
        assert_eq!(MessageError::from_io(error), refusal(finished));
    }
    finished.map(|header| (start, header))
}

#[cfg(feature = "tokio")]
fn read_then_finish_async(envelope: &Envelope, message: &[u8], length: usize) -> Result<(Vec<u8>, Header)> {
    use std::sync::LazyLock;
    use tokio::io::AsyncReadExt;
    use tokio::runtime::Runtime;
    static RUNTIME: LazyLock<Runtime> =
        LazyLock::new(|| tokio::runtime::Builder::new_current_thread().build().expect("a runtime"));
    RUNTIME.block_on(async {
        let mut reader = envelope.async_reader(message, &none()).await?;
        let mut start = Vec::new();
        let limited = (&mut reader).take(u64::try_from(length).expect("small"));
        let read = { limited }.read_to_end(&mut start).await;
        let finished = reader.finish().await;
        if let Err(error) = &read {
            let finished = finished.as_ref().expect_err("reading failed");
            assert_eq!(MessageError::from_io(error), refusal(finished));
        }
        finished.map(|header| (start, header))
    })
}

/// Returns the common result of both readers.
fn finish(envelope: &Envelope, message: &[u8], length: usize) -> Result<(Vec<u8>, Header)> {
    let result = read_then_finish(envelope, message, length);
    #[cfg(feature = "tokio")]
    {
        let other = read_then_finish_async(envelope, message, length);
        let told =
            |result: &Result<(Vec<u8>, Header)>| result.as_ref().map_err(|error| refusal(error).cloned()).cloned();
        let shown = |result| format!("{:?}", told(result));
        assert_eq!(shown(&result), shown(&other));
    }
    result
}

#[test]
fn an_intact_message_is_verified_wherever_reading_stopped() -> Result<()> {
    let context = EncryptionContext::from([("tenant", "42")]);
    for envelope in envelopes() {
        for text in [0, 1, FRAME, 100, 40 * FRAME].map(plaintext) {
            let message = envelope.encrypt(&text, &context)?;
            for length in LENGTHS {
                let (start, header) = finish(&envelope, &message, length)?;
                assert_eq!(start, text[..length.min(text.len())]);
                assert_eq!(header.context().get("tenant"), Some("42"));
            }
        }
    }
    Ok(())
}

#[test]
fn every_altered_byte_is_reported_wherever_reading_stopped() -> Result<()> {
    for envelope in envelopes() {
        let text = plaintext(6 * FRAME + 3);
        let message = envelope.encrypt(&text, &none())?;
        for at in inspect(&message)?.encoded_length()..message.len() {
            let mut altered = message.clone();
            altered[at] ^= 1;
            let expected = envelope.decrypt(&altered, &none()).expect_err("altered");
            for length in LENGTHS {
                let error = finish(&envelope, &altered, length).expect_err("altered");
                assert_eq!(error.kind(), ErrorKind::InvalidMessage);
                assert_eq!(refusal(&error), refusal(&expected), "byte {at}, {length} bytes read");
            }
        }
    }
    Ok(())
}

#[test]
fn every_truncation_and_trailing_data_are_reported_wherever_reading_stopped() -> Result<()> {
    for envelope in envelopes() {
        let message = envelope.encrypt(&plaintext(6 * FRAME + 3), &none())?;
        for length in LENGTHS {
            for end in inspect(&message)?.encoded_length()..message.len() {
                let error = finish(&envelope, &message[..end], length).expect_err("truncated");
                assert!(matches!(refusal(&error), Some(MessageError::Truncated { .. })), "{end}: {error}");
            }
            for trailing in [1, 20_000] {
                let message = [&message[..], &vec![0; trailing]].concat();
                let error = finish(&envelope, &message, length).expect_err("trailing");
                assert_eq!(refusal(&error), Some(&MessageError::TrailingData));
            }
        }
    }
    Ok(())
}

/// Fails once after its data.
struct Failing<'a>(&'a [u8], Option<io::ErrorKind>);

impl Read for Failing<'_> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        match self.0.read(output)? {
            0 => self.1.take().map_or(Ok(0), |kind| Err(kind.into())),
            length => Ok(length),
        }
    }
}

#[test]
fn a_source_that_fails_leaves_the_message_unverified() -> Result<()> {
    let [envelope, ..] = &envelopes()[..] else { panic!("an envelope") };
    let message = envelope.encrypt(&plaintext(100), &none())?;
    for kind in [io::ErrorKind::WouldBlock, io::ErrorKind::ConnectionReset] {
        let error = envelope.reader(Failing(&message, Some(kind)), &none())?.finish().expect_err("the source failed");
        assert_eq!(error.kind(), ErrorKind::Io);
        assert_eq!(error.downcast_ref().map(io::Error::kind), Some(kind));
        // Reading can continue after such an error, and so can finishing.
        let mut reader = envelope.reader(Failing(&message, Some(kind)), &none())?;
        assert_eq!(reader.read_to_end(&mut Vec::new()).map_err(|error| error.kind()), Err(kind));
        reader.finish()?;
    }
    let interrupted = Failing(&message, Some(io::ErrorKind::Interrupted));
    envelope.reader(interrupted, &none())?.finish()?;
    Ok(())
}

#[test]
fn finishing_after_an_error_of_the_message_returns_it_again() -> Result<()> {
    let [envelope, ..] = &envelopes()[..] else { panic!("an envelope") };
    let mut message = envelope.encrypt(&plaintext(100), &none())?;
    let last = message.len() - 1;
    message[last] ^= 1;
    let mut reader = envelope.reader(&message[..], &none())?;
    let error = reader.read_to_end(&mut Vec::new()).expect_err("altered");
    let sequence = 7;
    assert_eq!(MessageError::from_io(&error), Some(&MessageError::BodyAuth { sequence }));
    assert_eq!(refusal(&reader.finish().expect_err("altered")), Some(&MessageError::BodyAuth { sequence }));
    assert_eq!(Error::from_io(&error).map(Error::kind), Some(ErrorKind::InvalidMessage));
    Ok(())
}
