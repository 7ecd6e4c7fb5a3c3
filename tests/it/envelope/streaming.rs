//! Messages through `io::Write` and `io::Read`.

use std::io::{self, Read, Write};

use proptest::prelude::*;
use strongroom::envelope::EnvelopeReader;
use strongroom::message::{Limits, MessageError};
use strongroom::{EncryptionContext, Envelope, Error, ErrorKind, Result};

use crate::support::envelope::{drain, envelope, keyring, none, refusal};

fn plaintext(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

/// Returns lengths around the frame length.
fn lengths(frame: usize) -> [usize; 7] {
    [0, 1, frame - 1, frame, frame + 1, 2 * frame, 5 * frame + 3]
}

/// Returns step sizes around the frame length.
fn steps(frame: usize) -> [usize; 6] {
    [1, 3, (frame - 1).max(1), frame, frame + 1, 100_000]
}

/// Returns at most `step` bytes per call, with occasional interruptions.
struct Slow<'a> {
    bytes: &'a [u8],
    step: usize,
    calls: usize,
}

impl<'a> Slow<'a> {
    fn new(bytes: &'a [u8], step: usize) -> Self {
        Self { bytes, step, calls: 0 }
    }
}

impl Read for Slow<'_> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        self.calls += 1;
        if self.calls.is_multiple_of(3) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let length = output.len().min(self.step).min(self.bytes.len());
        let (now, later) = self.bytes.split_at(length);
        output[..length].copy_from_slice(now);
        self.bytes = later;
        Ok(length)
    }
}

fn write_in_steps(envelope: &Envelope, text: &[u8], step: usize) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let mut writer = envelope.writer(Vec::new(), &none())?;
    for chunk in text.chunks(step) {
        writer.write_all(chunk)?;
        assert_eq!(writer.write(&[])?, 0);
    }
    writer.flush()?;
    Ok(writer.finish()?)
}

#[test]
fn what_is_written_in_any_steps_is_read_in_any_steps() -> Result<(), Box<dyn std::error::Error>> {
    for frame_length in [1, 7, 64] {
        let (envelope, frame) = (envelope(frame_length), usize::try_from(frame_length)?);
        for length in lengths(frame) {
            let text = plaintext(length);
            for step in steps(frame) {
                let message = write_in_steps(&envelope, &text, step)?;
                assert_eq!(envelope.decrypt(&message, &none())?, text);
                let whole = envelope.encrypt(&text, &none())?;
                assert_eq!(message.len(), whole.len());
                let reader = envelope.reader(Slow::new(&whole, step), &none())?;
                let (released, result) = drain(reader, step);
                result?;
                assert_eq!(released, text, "frame {frame_length}, {length} bytes, steps of {step}");
            }
        }
    }
    Ok(())
}

#[test]
fn the_boundary_grid_holds_for_default_frames() -> Result<(), Box<dyn std::error::Error>> {
    let (envelope, frame) = (Envelope::new(keyring()), 65_536);
    for length in lengths(frame) {
        let text = plaintext(length);
        for step in [997, frame - 1, frame, frame + 1, 1 << 20] {
            let message = write_in_steps(&envelope, &text, step)?;
            let (released, result) = drain(envelope.reader(Slow::new(&message, step), &none())?, step);
            result?;
            assert!(released == text, "{length} bytes in steps of {step}");
        }
    }
    Ok(())
}

/// Checks the I/O error that a reader returned, and returns the error inside it.
fn inside(error: io::Error) -> MessageError {
    let kind = error.kind();
    let error = error.downcast::<Error>().expect("an error of this crate");
    let refusal = refusal(&error).expect("a refusal").clone();
    let truncated = matches!(refusal, MessageError::Truncated { .. });
    assert_eq!(kind, if truncated { io::ErrorKind::UnexpectedEof } else { io::ErrorKind::InvalidData });
    refusal
}

#[test]
fn every_flipped_bit_is_refused_and_only_the_true_prefix_released() -> Result<()> {
    let (envelope, text) = (envelope(16), plaintext(40));
    let message = envelope.encrypt(&text, &none())?;
    for bit in 0..message.len() * 8 {
        let mut altered = message.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        for step in [1, 15, 17, 1000] {
            let Ok(reader) = envelope.reader(Slow::new(&altered, step), &none()) else { continue };
            let (released, result) = drain(reader, step);
            assert!(result.is_err(), "bit {bit}");
            assert!(text.starts_with(&released) && released.len() % 16 == 0, "bit {bit} released {released:?}");
        }
    }
    Ok(())
}

#[test]
fn every_truncation_is_an_error_at_the_end() -> Result<()> {
    let (envelope, text) = (envelope(16), plaintext(40));
    let message = envelope.encrypt(&text, &none())?;
    for cut in 0..message.len() {
        for step in [1, 15, 1000] {
            let error = match envelope.reader(Slow::new(&message[..cut], step), &none()) {
                Err(error) => refusal(&error).expect("a refusal").clone(),
                Ok(reader) => {
                    let (released, result) = drain(reader, step);
                    assert!(text.starts_with(&released) && released.len() <= 32, "cut {cut}");
                    inside(result.expect_err("cut"))
                }
            };
            assert!(matches!(error, MessageError::Truncated { .. }), "cut {cut}: {error:?}");
        }
    }
    Ok(())
}

#[test]
fn trailing_data_is_refused_before_the_last_frame_is_released() -> Result<()> {
    let (envelope, text) = (envelope(16), plaintext(40));
    for trailing in [1, 100, 20_000] {
        let message = [envelope.encrypt(&text, &none())?, vec![0; trailing]].concat();
        for step in [1, 8, 1000] {
            let (released, result) = drain(envelope.reader(Slow::new(&message, step), &none())?, step);
            assert_eq!(released, text[..32]);
            assert_eq!(inside(result.expect_err("trailing")), MessageError::TrailingData);
        }
    }
    Ok(())
}

#[test]
fn an_error_of_the_message_is_final() -> Result<()> {
    let envelope = envelope(16);
    let mut message = envelope.encrypt(&plaintext(40), &none())?;
    let last = message.len() - 1;
    message[last] ^= 1;
    let mut reader = envelope.reader(&message[..], &none())?;
    let mut released = Vec::new();
    assert!(reader.read_to_end(&mut released).is_err());
    for _ in 0..3 {
        let error = reader.read(&mut [0; 100]).expect_err("still refused");
        assert_eq!(inside(error), MessageError::BodyAuth { sequence: 3 });
    }
    Ok(())
}

#[test]
fn a_source_that_is_interrupted_is_re_encrypted_whole() -> Result<()> {
    let (from, to) = (envelope(16), envelope(64));
    let message = from.encrypt(&plaintext(100), &none())?;
    let moved = from.re_encrypt(Slow::new(&message, 7), &none(), &to, Vec::new())?;
    assert_eq!(to.decrypt(&moved, &none())?, plaintext(100));
    Ok(())
}

/// Fails once at every position: a source that is not ready.
struct Hesitant<'a> {
    bytes: &'a [u8],
    ready: bool,
}

impl Read for Hesitant<'_> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        self.ready = !self.ready;
        if self.ready { self.bytes.read(&mut output[..1]) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }
}

#[test]
fn an_error_of_the_source_passes_through_and_loses_nothing() -> Result<(), Box<dyn std::error::Error>> {
    let (envelope, text) = (envelope(16), plaintext(40));
    let message = envelope.encrypt(&text, &none())?;
    let header = strongroom::message::inspect(&message)?.encoded_length();
    let (head, body) = message.split_at(header);
    let mut reader = envelope.reader(head.chain(Hesitant { bytes: body, ready: true }), &none())?;
    let mut released = Vec::new();
    let mut buffer = [0; 100];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => released.extend_from_slice(&buffer[..length]),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
    }
    assert_eq!(released, text);
    let unready = Hesitant { bytes: &message, ready: true };
    assert_eq!(envelope.reader(unready, &none()).unwrap_err().kind(), ErrorKind::Io);
    Ok(())
}

#[test]
fn the_header_is_there_before_the_plaintext() -> Result<()> {
    let context = EncryptionContext::from([("tenant", "42")]);
    let message = envelope(16).encrypt(b"text", &context)?;
    let reader = envelope(16).reader(&message[..], &none())?;
    assert_eq!(reader.header().context(), &context);
    let text = format!("{reader:?}");
    assert!(text.contains("tenant"), "{text}");
    Ok(())
}

#[test]
fn an_empty_buffer_reads_nothing() -> Result<(), Box<dyn std::error::Error>> {
    let message = envelope(16).encrypt(b"text", &none())?;
    let mut reader = envelope(16).reader(&message[..], &none())?;
    assert_eq!(reader.read(&mut [])?, 0);
    let mut text = String::new();
    reader.read_to_string(&mut text)?;
    assert_eq!(text, "text");
    Ok(())
}

#[test]
fn a_writer_that_is_not_finished_leaves_what_every_reader_refuses() -> Result<(), Box<dyn std::error::Error>> {
    let envelope = envelope(16);
    for length in lengths(16) {
        let mut sink = Vec::new();
        let mut writer = envelope.writer(&mut sink, &none())?;
        writer.write_all(&plaintext(length))?;
        drop(writer);
        let error = envelope.decrypt(&sink, &none()).unwrap_err();
        assert!(matches!(refusal(&error), Some(MessageError::Truncated { .. })), "{length}");
    }
    Ok(())
}

/// Accepts this many bytes and then fails.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len().min(self.0);
        self.0 -= length;
        if length == 0 && !bytes.is_empty() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(length) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_writer_that_failed_stays_failed() -> Result<()> {
    let envelope = envelope(16);
    assert_eq!(envelope.writer(Full(10), &none()).unwrap_err().kind(), ErrorKind::Io);
    let header = envelope.encrypt(&[], &none())?.len() - 40;
    let mut writer = envelope.writer(Full(header + 20), &none())?;
    let error = writer.write_all(&plaintext(40)).expect_err("the sink is full");
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    let error = writer.write_all(&plaintext(1)).expect_err("given up").downcast::<Error>().expect("ours");
    assert_eq!(error.kind(), ErrorKind::Io);
    writer.flush().expect_err("given up");
    assert_eq!(writer.finish().map(|_| ()).unwrap_err().kind(), ErrorKind::Io);
    let writer = envelope.writer(Full(header + 20), &none())?;
    assert_eq!(writer.finish().map(|_| ()).unwrap_err().kind(), ErrorKind::Io);
    Ok(())
}

/// Buffers all data until it is flushed, and then loses it once.
#[derive(Default)]
struct Forgetful(Option<Vec<u8>>);

impl Write for Forgetful {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.get_or_insert_default().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.0.take().is_some() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

#[test]
fn a_writer_that_could_not_be_flushed_stays_failed() -> Result<()> {
    let mut writer = envelope(16).writer(Forgetful::default(), &none())?;
    writer.write_all(&plaintext(40)).expect("the frame is buffered");
    assert_eq!(writer.flush().expect_err("lost").kind(), io::ErrorKind::StorageFull);
    writer.flush().expect_err("given up");
    writer.write_all(&plaintext(40)).expect_err("given up");
    assert_eq!(writer.finish().map(drop).unwrap_err().kind(), ErrorKind::Io);
    Ok(())
}

/// Returns its own bytes followed by endless filler, and counts the bytes read.
struct Endless {
    head: io::Cursor<Vec<u8>>,
    taken: usize,
}

impl Read for Endless {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        let length = match self.head.read(output)? {
            0 => {
                output.fill(0x55);
                output.len()
            }
            length => length,
        };
        self.taken += length;
        Ok(length)
    }
}

#[test]
fn an_endless_input_is_refused_after_a_bounded_part() {
    let envelope = Envelope::builder(keyring()).limits(Limits::default().with_max_header_bytes(10_000)).build();
    let envelope = envelope.expect("an envelope");
    // A header with an endless context, as far as its length fields allow.
    let mut head = vec![2, 4, 0x78];
    head.extend([0; 32]);
    head.extend([0xFF; 4]);
    let mut source = Endless { head: io::Cursor::new(head), taken: 0 };
    let error = envelope.reader(&mut source, &none()).unwrap_err();
    assert_eq!(refusal(&error), Some(&MessageError::HeaderTooLong { limit: 10_000 }));
    assert!(source.taken <= 16_384, "{}", source.taken);
}

#[test]
fn readers_and_writers_cross_threads() {
    fn crosses<T: Send + Sync>() {}
    crosses::<Envelope>();
    crosses::<EnvelopeReader<io::Empty>>();
    crosses::<strongroom::envelope::EnvelopeWriter<Vec<u8>>>();
}

proptest! {
    #[test]
    fn a_stream_and_one_call_agree_on_anything(
        text in prop::collection::vec(any::<u8>(), 0..120),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        cut in any::<prop::sample::Index>(),
        step in 1..60_usize,
    ) {
        let envelope = envelope(16);
        let mut message = envelope.encrypt(&text, &none())?;
        let length = message.len();
        for (place, value) in edits {
            let place = place.index(length);
            message[place] = value;
        }
        message.truncate(cut.index(length * 4).min(length));
        let once = envelope.decrypt(&message, &none()).map_err(|error| refusal(&error).cloned());
        let streamed = match envelope.reader(Slow::new(&message, step), &none()) {
            Err(error) => Err(refusal(&error).cloned()),
            Ok(reader) => {
                let (released, result) = drain(reader, step);
                prop_assert!(text.starts_with(&released));
                result.map(|()| released).map_err(|error| Some(inside(error)))
            }
        };
        prop_assert_eq!(once, streamed);
    }
}
