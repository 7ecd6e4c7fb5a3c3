//! All reading modes produce the same result, and all writing modes produce the same message.

use std::cell::Cell;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

use strongroom::envelope::{
    CachingMaterialsManager, CommitmentPolicy, EnvelopeBuilder, KmsKeyring, MultiKeyring, RequiredContextManager,
    SignaturePolicy,
};
use strongroom::message::{AlgorithmSuite, Header, MessageError};
use strongroom::request::CreateKeyRequest;
use strongroom::{EncryptionContext, Envelope, Error, ErrorKind, Kms, Result};

use crate::support::envelope::{keyring, none, read_in_steps, refusal};

const FRAME: usize = 16;

fn builder(suite: AlgorithmSuite) -> EnvelopeBuilder {
    let policy = match suite.is_committing() {
        true => CommitmentPolicy::RequireEncryptAllowDecrypt,
        false => CommitmentPolicy::ForbidEncryptAllowDecrypt,
    };
    let builder = Envelope::builder(keyring()).frame_length(16).algorithm_suite(suite).commitment_policy(policy);
    builder.signature_policy(SignaturePolicy::ReleaseBeforeVerification)
}

fn suites() -> [AlgorithmSuite; 4] {
    [
        AlgorithmSuite::Aes256GcmHkdfSha512Commit,
        AlgorithmSuite::Aes256GcmHkdfSha512CommitEcdsaP384,
        AlgorithmSuite::Aes128GcmHkdfSha256,
        AlgorithmSuite::Aes128GcmHkdfSha256EcdsaP256,
    ]
}

/// Creates an envelope with multiple threads and chunks of two frames.
fn with_threads(suite: AlgorithmSuite, threads: usize) -> Envelope {
    builder(suite).threads(threads).chunk_size(2 * FRAME).build().expect("the settings are valid")
}

fn plaintext(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

type Outcome = std::result::Result<Vec<u8>, MessageError>;

fn outcome(result: Result<Vec<u8>>) -> Outcome {
    result.map_err(|error| refusal(&error).expect("a refusal of the message").clone())
}

/// Returns the plaintext that a streaming reader releases, and the final outcome.
fn read(envelope: &Envelope, message: &[u8], step: usize) -> (Vec<u8>, Outcome) {
    let (released, end) = read_in_steps(envelope.reader(message, &none()), step);
    let opened = outcome(end.map(|()| released.clone()));
    (released, opened)
}

/// The same for data that is pushed into a decryptor.
fn push(envelope: &Envelope, message: &[u8], step: usize) -> (Vec<u8>, Outcome) {
    let mut decryptor = envelope.decryptor(&none());
    let mut released = Vec::new();
    let updated = message.chunks(step).try_for_each(|part| {
        assert!(decryptor.bytes_wanted() > 0);
        decryptor.update(part, &mut released)
    });
    let result = updated.and_then(|()| decryptor.finish(&mut released).map(drop));
    let opened = outcome(result.map(|()| released.clone()));
    (released, opened)
}

/// Returns the outcome of single-threaded, one-shot decryption, after checking that all other
/// reading modes agree with it.
fn every_way(suite: AlgorithmSuite, message: &[u8], text: &[u8]) -> Outcome {
    let expected = outcome(with_threads(suite, 1).decrypt(message, &none()));
    for threads in [1, 2, 3] {
        let envelope = with_threads(suite, threads);
        assert_eq!(outcome(envelope.decrypt(message, &none())), expected, "{threads} threads");
        for step in [1, FRAME + 5, 10_000] {
            for (way, (released, ended)) in
                [("read", read(&envelope, message, step)), ("push", push(&envelope, message, step))]
            {
                assert_eq!(ended, expected, "{way} with {threads} threads in steps of {step}");
                assert!(text.starts_with(&released), "{way} with {threads} threads released other data");
            }
        }
    }
    expected
}

#[test]
fn every_way_reads_every_length() {
    for suite in suites() {
        for length in [0, 1, FRAME - 1, FRAME, FRAME + 1, 4 * FRAME, 5 * FRAME, 40 * FRAME, 41 * FRAME + 3] {
            let text = plaintext(length);
            for threads in [1, 2, 5] {
                let message = with_threads(suite, threads).encrypt(&text, &none()).expect("a message");
                assert_eq!(every_way(suite, &message, &text).as_ref(), Ok(&text), "{suite} {length}");
            }
        }
    }
}

#[test]
fn every_way_writes_a_message_that_one_thread_reads() -> Result<(), Box<dyn std::error::Error>> {
    for suite in suites() {
        let reader = with_threads(suite, 1);
        for threads in [1, 2, 3] {
            let envelope = with_threads(suite, threads);
            for length in [0, 1, FRAME, FRAME + 1, 16 * FRAME, 24 * FRAME, 100 * FRAME + 7] {
                let text = plaintext(length);
                for step in [1, FRAME, 3 * FRAME + 1, 10_000] {
                    let mut writer = envelope.writer(Vec::new(), &none())?;
                    let (mut encryptor, mut pushed) = (envelope.encryptor(&none())?, Vec::new());
                    for part in text.chunks(step) {
                        writer.write_all(part)?;
                        encryptor.update(part, &mut pushed)?;
                        encryptor.update(&[], &mut pushed)?;
                    }
                    encryptor.finish(&mut pushed)?;
                    assert_eq!(reader.decrypt(&writer.finish()?, &none())?, text);
                    assert_eq!(reader.decrypt(&pushed, &none())?, text);
                    assert_eq!(pushed.len(), reader.encrypt(&text, &none())?.len());
                }
            }
        }
    }
    Ok(())
}

#[test]
fn every_way_refuses_what_was_altered_with_the_same_words() {
    for suite in [AlgorithmSuite::default(), AlgorithmSuite::Aes256GcmHkdfSha512CommitEcdsaP384] {
        let text = plaintext(19 * FRAME + 3);
        let message = with_threads(suite, 1).encrypt(&text, &none()).expect("a message");
        let header = strongroom::message::inspect(&message).expect("a message").encoded_length();
        let body = message.len() - header;
        for at in (header..message.len()).step_by(if body > 1000 { 37 } else { 11 }) {
            let mut altered = message.clone();
            altered[at] ^= 0x40;
            every_way(suite, &altered, &text).expect_err("the message was altered");
            every_way(suite, &message[..at], &text).expect_err("the message is truncated");
        }
        let followed = [&message[..], b"."].concat();
        assert_eq!(every_way(suite, &followed, &text), Err(MessageError::TrailingData));
    }
}

#[test]
fn the_first_bad_frame_in_order_is_named_by_any_number_of_threads() {
    let suite = AlgorithmSuite::default();
    let text = plaintext(200 * FRAME);
    let message = with_threads(suite, 1).encrypt(&text, &none()).expect("a message");
    let header = strongroom::message::inspect(&message).expect("a message").encoded_length();
    let frame = |sequence: usize| header + (sequence - 1) * (FRAME + 32);
    for (bad, first) in [(vec![5, 6, 7], 5), (vec![190, 80, 81], 80), (vec![1, 199], 1), (vec![199], 199)] {
        let mut altered = message.clone();
        bad.iter().for_each(|sequence| altered[frame(*sequence) + 20] ^= 1);
        for threads in [1, 2, 8] {
            for _ in 0..20 {
                let refused = outcome(with_threads(suite, threads).decrypt(&altered, &none()));
                assert_eq!(refused, Err(MessageError::BodyAuth { sequence: first }));
            }
        }
    }
}

/// If there are too few frames for the threads, they are opened one by one, at the cost of a single
/// frame each.
#[test]
fn several_threads_read_small_frames_as_fast_as_one() -> Result<(), Box<dyn std::error::Error>> {
    let text = plaintext(1 << 16);
    let message = builder(AlgorithmSuite::default()).build()?.encrypt(&text, &none())?;
    let time = |threads| {
        let envelope = builder(AlgorithmSuite::default()).threads(threads).build()?;
        let start = Instant::now();
        assert!(read(&envelope, &message, 8192).1.as_ref() == Ok(&text));
        assert!(push(&envelope, &message, message.len()).1.as_ref() == Ok(&text));
        Ok::<_, Error>(start.elapsed())
    };
    let mut times = Vec::new();
    // On a busy machine, several attempts may be needed.
    while times.len() < 20 {
        let (one, two) = (time(1)?, time(2)?);
        if two < 20 * one + Duration::from_secs(1) {
            return Ok(());
        }
        times.push((one, two));
    }
    panic!("times with one and with two threads: {times:?}")
}

#[test]
fn random_access_agrees_with_reading_whole() -> Result<(), Box<dyn std::error::Error>> {
    for length in [0, 1, FRAME, 9 * FRAME + 3] {
        let (envelope, text) = (with_threads(AlgorithmSuite::default(), 3), plaintext(length));
        let message = envelope.encrypt(&text, &none())?;
        let mut reader = envelope.random_access_reader(Cursor::new(&message), &none())?;
        let mut opened = Vec::new();
        reader.read_to_end(&mut opened)?;
        assert_eq!(opened, text);
    }
    Ok(())
}

/// A source that fails once on request.
struct Failing<'a> {
    inner: Cursor<&'a [u8]>,
    next: &'a Cell<Option<io::ErrorKind>>,
}

impl Read for Failing<'_> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        match self.next.take() {
            None => self.inner.read(output),
            Some(kind) => Err(kind.into()),
        }
    }
}

impl Seek for Failing<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

#[test]
fn random_access_tells_a_source_that_fails_from_an_altered_message() -> Result<(), Box<dyn std::error::Error>> {
    let (envelope, text) = (with_threads(AlgorithmSuite::default(), 1), plaintext(3 * FRAME));
    let mut message = envelope.encrypt(&text, &none())?;
    let next = Cell::new(None);
    let mut reader = envelope.random_access_reader(Failing { inner: Cursor::new(&message), next: &next }, &none())?;
    let mut part = [0; FRAME];
    for kind in [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut, io::ErrorKind::Interrupted] {
        reader.seek(SeekFrom::Start(3))?;
        next.set(Some(kind));
        // An interrupted read is retried.
        if kind != io::ErrorKind::Interrupted {
            let error = reader.read(&mut part).expect_err("the source failed");
            assert_eq!(error.kind(), kind);
            assert_eq!(error.downcast::<Error>()?.kind(), ErrorKind::Io);
        }
        assert_eq!(reader.stream_position()?, 3);
        reader.read_exact(&mut part)?;
        assert_eq!(part, text[3..3 + FRAME], "reading continues at the same position");
    }
    let header = strongroom::message::inspect(&message)?.encoded_length();
    message[header + 20] ^= 1;
    let mut reader = envelope.random_access_reader(Cursor::new(&message), &none())?;
    let error = reader.read(&mut part).expect_err("the message was altered");
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert_eq!(refusal(&error.downcast::<Error>()?), Some(&MessageError::BodyAuth { sequence: 1 }));
    Ok(())
}

/// Combines a partially omitted context, several kinds of key sources, a cache, and threads.
#[test]
fn every_way_of_reading_takes_a_context_that_the_message_leaves_out() -> Result<(), Box<dyn std::error::Error>> {
    let kms = Kms::in_memory()?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    let envelope = |names: &[&str]| {
        let keys = MultiKeyring::new(KmsKeyring::new(&kms, key)?).with_child(keyring());
        let required = RequiredContextManager::new(keys, names.iter().copied())?;
        let manager = CachingMaterialsManager::builder(required, Duration::from_secs(3600)).build()?;
        Envelope::builder(manager).frame_length(16).threads(2).chunk_size(2 * FRAME).build()
    };
    let (from, to) = (envelope(&["b"])?, envelope(&["a"])?);
    let full = EncryptionContext::from([("a", "1"), ("b", "2")]);
    let [a, b] = [("a", "1"), ("b", "2")].map(|pair| EncryptionContext::from([pair]));
    let text = plaintext(40 * FRAME + 1);
    // The second iteration uses the cache.
    for _ in 0..2 {
        let message = from.encrypt(&text, &full)?;
        assert_eq!(strongroom::message::inspect(&message)?.context(), &a);
        assert_eq!(from.decrypt_with_reproduced_context(&message, &b)?, text);
        let opened = from.decrypt_with_header_and_reproduced_context(&message, &b)?;
        assert_eq!((opened.plaintext(), opened.header().context()), (text.as_slice(), &a));
        let mut opened = vec![7; 3];
        assert_eq!(from.decrypt_into_with_reproduced_context(&message, &b, &mut opened)?.context(), &a);
        assert_eq!(opened, text);

        let mut opened = Vec::new();
        from.reader_with_reproduced_context(&message[..], &b)?.read_to_end(&mut opened)?;
        assert_eq!(opened, text);

        let (mut decryptor, mut opened) = (from.decryptor_with_reproduced_context(&b), Vec::new());
        message.chunks(1000).try_for_each(|part| decryptor.update(part, &mut opened))?;
        assert_eq!(decryptor.header().map(Header::context), Some(&a));
        decryptor.finish(&mut opened)?;
        assert_eq!(opened, text);

        let mut reader = from.random_access_reader_with_reproduced_context(Cursor::new(&message), &b)?;
        reader.seek(SeekFrom::Start(100))?;
        let mut opened = Vec::new();
        reader.read_to_end(&mut opened)?;
        assert_eq!(opened, text[100..]);

        let moved = from.re_encrypt_with_reproduced_context(&message[..], &b, &to, Vec::new())?;
        assert_eq!(strongroom::message::inspect(&moved)?.context(), &b);
        assert_eq!(to.decrypt_with_reproduced_context(&moved, &a)?, text);

        // Missing, wrong, and one pair too many.
        for wrong in [none(), EncryptionContext::from([("b", "3")]), full.clone().with("c", "3")] {
            let random = from.random_access_reader_with_reproduced_context(Cursor::new(&message), &wrong);
            let moved = from.re_encrypt_with_reproduced_context(&message[..], &wrong, &to, Vec::new());
            let (mut decryptor, mut opened) = (from.decryptor_with_reproduced_context(&wrong), Vec::new());
            let pushed = decryptor.update(&message, &mut opened);
            let whole = from.decrypt_with_reproduced_context(&message, &wrong).expect_err("not this context").kind();
            let mut replaced = vec![7; 3];
            let into = from.decrypt_into_with_reproduced_context(&message, &wrong, &mut replaced).map(drop);
            let with_header = from.decrypt_with_header_and_reproduced_context(&message, &wrong).map(drop);
            let results = [random.map(drop), moved.map(drop), pushed, into, with_header];
            assert_eq!(results.map(|result| result.map_err(|error| error.kind())), [Err(whole); 5], "{wrong:?}");
            assert!(opened.is_empty() && replaced.is_empty());
        }
        assert!(from.random_access_reader(Cursor::new(&message), &a).is_err());
        assert!(from.re_encrypt(&message[..], &a, &to, Vec::new()).is_err());
    }
    Ok(())
}

#[test]
fn after_an_error_nothing_goes_on() -> Result<()> {
    let envelope = with_threads(AlgorithmSuite::default(), 1);
    let mut message = envelope.encrypt(&plaintext(100), &none())?;
    let last = message.len() - 1;
    message.push(0);
    let mut decryptor = envelope.decryptor(&none());
    let mut released = Vec::new();
    assert!(decryptor.update(&message, &mut released).is_err());
    assert!(decryptor.header().is_none());
    assert!(decryptor.update(&[], &mut released).is_err());
    assert!(decryptor.update(&message[..last], &mut released).is_err());
    assert_eq!(decryptor.finish(&mut released).map_err(|error| error.kind()).err(), Some(ErrorKind::Io));
    Ok(())
}

#[test]
fn a_message_of_nothing_is_cut_off() {
    let decryptor = with_threads(AlgorithmSuite::default(), 1).decryptor(&none());
    let refused = outcome(decryptor.finish(&mut Vec::new()).map(|_| Vec::new()));
    assert!(matches!(refused, Err(MessageError::Truncated { .. })), "{refused:?}");
}

#[test]
fn threads_and_their_share_have_limits() {
    let suite = AlgorithmSuite::default();
    for (threads, share) in [(0, 1), (65, 1), (1, 0), (2, (16 << 20) + 1)] {
        let refused = builder(suite).threads(threads).chunk_size(share).build().err().map(|error| error.kind());
        assert_eq!(refused, Some(ErrorKind::Validation), "{threads} {share}");
    }
    builder(suite).threads(64).chunk_size(16 << 20).build().expect("both are allowed");
}
