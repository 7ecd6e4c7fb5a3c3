//! Sealing the frames of an object, for writes in one call and in parts.

use bytes::Bytes;

use super::chunks::Chunks;
use crate::message::{FrameSealer, FrameSpan, MessageError};

/// Bytes of plaintext that are encrypted by one task, and at most one frame more.
pub(super) const BATCH: usize = 1 << 20;

/// Seals regular frames after `output`.
pub(super) fn seal_span(
    mut span: FrameSpan,
    mut plaintext: Chunks,
    frame: usize,
    mut output: Vec<u8>,
) -> Result<Bytes, MessageError> {
    output.reserve(plaintext.len() + span.frames() * 32);
    seal_batches(&mut span, &mut plaintext, frame, &mut output)?;
    Ok(output.into())
}

/// Seals the last regular frames and the final frame after `output`. The final frame is empty only if
/// the plaintext is.
pub(super) fn seal_end(
    mut output: Vec<u8>,
    mut sealer: FrameSealer,
    mut plaintext: Chunks,
    frame: usize,
) -> Result<Bytes, MessageError> {
    let regular = plaintext.len().saturating_sub(1) / frame;
    output.reserve(plaintext.len() + regular * 32 + 40);
    seal_batches(&mut sealer.reserve(regular)?, &mut plaintext, frame, &mut output)?;
    plaintext.with_slice(|last| sealer.finish(last, &mut output))?;
    Ok(output.into())
}

/// Seals all frames of a span, a batch at a time: plaintext that is not contiguous is copied.
fn seal_batches(
    span: &mut FrameSpan,
    plaintext: &mut Chunks,
    frame: usize,
    output: &mut Vec<u8>,
) -> Result<(), MessageError> {
    while span.frames() > 0 {
        let batch = span.split_to((BATCH / frame).max(1));
        let bytes = plaintext.split_to(batch.frames() * frame);
        bytes.with_slice(|bytes| batch.seal(bytes, output))?;
    }
    Ok(())
}
