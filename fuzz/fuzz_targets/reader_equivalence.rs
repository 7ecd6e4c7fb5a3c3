//! All reading modes return the same result for the same bytes: in one call, as a stream, as an
//! asynchronous stream, pushed in parts, and re-encrypted into another message. This holds for one
//! and several threads, and for random access where it is possible. All writing modes produce a
//! message that opens.

#![no_main]

use std::io::{Cursor, Read, Write};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use strongroom::envelope::{CommitmentPolicy, EnvelopeBuilder, RawAesKeyring, SignaturePolicy};
use strongroom::message::{AlgorithmSuite, MessageError, SuiteSupport};
use strongroom::{EncryptionContext, Envelope, Error, SecretBytes};
use strongroom_fuzz::{Edit, backend, read_in_steps};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

#[derive(Arbitrary, Debug)]
struct Case {
    suite: u8,
    frame_length: u8,
    threads: u8,
    share: u8,
    step: u8,
    write: u8,
    edits: Vec<Edit>,
    length: u16,
    cut: Option<u16>,
}

type Outcome = Result<Vec<u8>, String>;

/// Returns `true` if two modes agree. Modes that wait for the end of the message detect trailing
/// data before they decrypt the last frame, and the others after it. If data follows an invalid
/// last frame, they therefore report different errors.
fn agree(ended: &Outcome, expected: &Outcome) -> bool {
    ended == expected || matches!((ended, expected), (Err(told), Err(_)) if told.contains("TrailingData"))
}

fuzz_target!(|case: Case| {
    let one = builder(&case).build().expect("the settings are valid");
    let many = builder(&case).threads(2 + usize::from(case.threads % 3)).chunk_size(1 + usize::from(case.share) * 4);
    let many = many.build().expect("the settings are valid");
    let plaintext: Vec<u8> = (0..=250).cycle().take(usize::from(case.length % 4096)).collect();
    let step = 1 + usize::from(case.step) * 5;

    let sealed = write(&case, &one, &many, &plaintext, step);
    let mut received = sealed.clone();
    case.edits.iter().for_each(|edit| edit.apply(&mut received));
    received.truncate(case.cut.map_or(received.len(), usize::from));

    let expected = one.decrypt(&received, &none()).map_err(|error| told(&error));
    match &expected {
        Ok(opened) => assert!(*opened == plaintext && received == sealed, "a tampered message was decrypted"),
        Err(_) => assert!(received != sealed, "a valid message could not be decrypted"),
    }
    for envelope in [&one, &many] {
        assert_eq!(envelope.decrypt(&received, &none()).map_err(|error| told(&error)), expected);
        let ways = [
            stream(envelope, &received, step),
            push(envelope, &received, step),
            asynchronous(envelope, &received, step),
            re_encrypted(envelope, &received, &one),
        ];
        for (released, ended) in ways {
            assert!(plaintext.starts_with(&released), "data other than the plaintext was released");
            assert!(agree(&ended, &expected), "{ended:?} and {expected:?}");
        }
        at_random(envelope, &received, &plaintext, &expected);
    }
});

fn none() -> EncryptionContext {
    EncryptionContext::new()
}

fn builder(case: &Case) -> EnvelopeBuilder {
    let written: Vec<_> =
        AlgorithmSuite::ALL.iter().filter(|suite| suite.support() == SuiteSupport::Full).copied().collect();
    let suite = written[usize::from(case.suite) % written.len()];
    let policy = match suite.is_committing() {
        true => CommitmentPolicy::RequireEncryptAllowDecrypt,
        false => CommitmentPolicy::ForbidEncryptAllowDecrypt,
    };
    let backend = backend();
    let keyring = RawAesKeyring::new("ns", "kn", SecretBytes::copy_from_slice(&[7; 32]))
        .and_then(|keyring| keyring.with_backend(backend))
        .expect("32 bytes");
    let builder = Envelope::builder(keyring).algorithm_suite(suite).commitment_policy(policy).backend(backend);
    builder.signature_policy(SignaturePolicy::ReleaseBeforeVerification).frame_length(1 + u32::from(case.frame_length))
}

/// Writes a message in one of the modes.
fn write(case: &Case, one: &Envelope, many: &Envelope, plaintext: &[u8], step: usize) -> Vec<u8> {
    let envelope = if case.write & 1 == 0 { one } else { many };
    match case.write >> 1 & 3 {
        0 | 1 => envelope.encrypt(plaintext, &none()).expect("the backend works"),
        2 => {
            let mut writer = envelope.writer(Vec::new(), &none()).expect("the backend works");
            plaintext.chunks(step).for_each(|part| writer.write_all(part).expect("writing to a vector succeeds"));
            writer.finish().expect("writing to a vector succeeds")
        }
        _ => {
            let (mut encryptor, mut message) = (envelope.encryptor(&none()).expect("no failure"), Vec::new());
            plaintext.chunks(step).for_each(|part| encryptor.update(part, &mut message).expect("no failure"));
            encryptor.finish(&mut message).expect("no failure");
            message
        }
    }
}

fn told(error: &Error) -> String {
    let source = error.downcast_ref::<MessageError>();
    format!("{:?} {source:?}", error.kind())
}

fn stream(envelope: &Envelope, message: &[u8], step: usize) -> (Vec<u8>, Outcome) {
    let mut reader = match envelope.reader(message, &none()) {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Err(told(&error))),
    };
    let (released, whole) = read_in_steps(&mut reader, step);
    if whole {
        return (released.clone(), Ok(released));
    }
    // Errors are final, and are returned again.
    let error = reader
        .read(&mut [0])
        .expect_err("the reader failed before")
        .downcast::<Error>()
        .expect("an error of this crate");
    (released, Err(told(&error)))
}

fn push(envelope: &Envelope, message: &[u8], step: usize) -> (Vec<u8>, Outcome) {
    let (mut decryptor, mut released) = (envelope.decryptor(&none()), Vec::new());
    let updated = message.chunks(step).try_for_each(|part| decryptor.update(part, &mut released));
    let ended = updated.and_then(|()| decryptor.finish(&mut released).map(drop));
    let ended = ended.map(|()| released.clone()).map_err(|error| told(&error));
    (released, ended)
}

fn asynchronous(envelope: &Envelope, message: &[u8], step: usize) -> (Vec<u8>, Outcome) {
    let mut released = Vec::new();
    let ended = block_on(async {
        let mut reader = envelope.async_reader(Slow { bytes: message, step, waits: false }, &none()).await?;
        let mut part = vec![0; step];
        loop {
            match reader.read(&mut part).await {
                Ok(0) => return Ok(()),
                Ok(length) => released.extend_from_slice(&part[..length]),
                Err(error) => return Err(error.downcast::<Error>().expect("an error of this crate")),
            }
        }
    });
    let ended = ended.map(|()| released.clone()).map_err(|error| told(&error));
    (released, ended)
}

/// Returns a few bytes at a time, and is pending on every other call.
struct Slow<'a> {
    bytes: &'a [u8],
    step: usize,
    waits: bool,
}

impl AsyncRead for Slow<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, output: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        self.waits = !self.waits;
        if self.waits {
            return Poll::Pending;
        }
        let length = self.step.min(output.remaining()).min(self.bytes.len());
        let (now, later) = self.bytes.split_at(length);
        output.put_slice(now);
        self.bytes = later;
        Poll::Ready(Ok(()))
    }
}

/// Polls repeatedly, as there is no runtime.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return done;
        }
    }
}

/// A re-encrypted message that was rejected half-way must not open.
fn re_encrypted(envelope: &Envelope, message: &[u8], to: &Envelope) -> (Vec<u8>, Outcome) {
    let mut written = Vec::new();
    match envelope.re_encrypt(message, &none(), to, &mut written) {
        Ok(_) => {
            let opened = to.decrypt(&written, &none()).expect("the message is complete");
            (opened.clone(), Ok(opened))
        }
        Err(error) => {
            assert!(to.decrypt(&written, &none()).is_err(), "a part of a message was accepted as a complete message");
            (Vec::new(), Err(told(&error)))
        }
    }
}

/// Random access returns the correct data or an error. For a valid message, it returns the correct
/// data.
fn at_random(envelope: &Envelope, message: &[u8], plaintext: &[u8], expected: &Outcome) {
    let Ok(mut reader) = envelope.random_access_reader(Cursor::new(message), &none()) else { return };
    let mut opened = Vec::new();
    let whole = reader.read_to_end(&mut opened).is_ok();
    assert!(plaintext.starts_with(&opened));
    assert_eq!(whole && opened == plaintext, expected.is_ok(), "random-access reading differs");
}
