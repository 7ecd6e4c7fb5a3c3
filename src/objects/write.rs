//! Writing objects whose plaintext is in memory.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, PutPayload, Result};

use super::chunks::Chunks;
use super::error::of_object;
use super::store::EncryptedStore;
use super::tasks::run;
use crate::message::{FrameSealer, FrameSpan, MessageError};

/// Bytes of plaintext that are encrypted by one task, and at most one frame more.
const BATCH: usize = 1 << 20;

impl<T: ObjectStore> EncryptedStore<T> {
    /// Encrypts an object.
    pub(super) async fn seal(&self, path: &Path, payload: PutPayload) -> Result<PutPayload> {
        let plaintext: Chunks = payload.into_iter().collect();
        let frame = self.cipher.geometry.frame_bytes();
        let (cipher, owned) = (Arc::clone(&self.cipher), path.clone());
        if plaintext.len() <= BATCH {
            let sealed = run(move || {
                let begun = cipher.seal_header(&owned, Some(plaintext.len()));
                let (header, sealer) = begun.map_err(|error| of_object(&owned, error))?;
                seal_end(header, sealer, plaintext, frame).map_err(|error| of_object(&owned, error.into()))
            });
            return Ok(PutPayload::from(sealed.await?));
        }
        let begun = run(move || {
            let begun = cipher.seal_header(&owned, Some(plaintext.len())).map_err(|error| of_object(&owned, error))?;
            Ok((begun, plaintext))
        });
        let ((header, mut sealer), mut plaintext) = begun.await?;
        let per_batch = (BATCH / frame).max(1);
        let mut jobs = Vec::new();
        // Whether these frames are regular is certain, because at least one byte follows.
        while plaintext.len() > per_batch * frame {
            let span = sealer.reserve(per_batch).map_err(|error| of_object(path, error.into()))?;
            jobs.push((span, plaintext.split_to(per_batch * frame)));
        }
        let sealed = stream::iter(jobs).map(|(span, chunks)| {
            let path = path.clone();
            run(move || seal_span(span, chunks, frame, Vec::new()).map_err(|error| of_object(&path, error.into())))
        });
        let mut parts = vec![Bytes::from(header)];
        parts.extend(sealed.buffered(self.cipher.threads).try_collect::<Vec<Bytes>>().await?);
        let path = path.clone();
        let end =
            run(move || seal_end(Vec::new(), sealer, plaintext, frame).map_err(|error| of_object(&path, error.into())));
        parts.push(end.await?);
        Ok(parts.into_iter().collect())
    }
}

/// Seals regular frames after `output`.
pub(super) fn seal_span(
    mut span: FrameSpan,
    mut plaintext: Chunks,
    frame: usize,
    mut output: Vec<u8>,
) -> std::result::Result<Bytes, MessageError> {
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
) -> std::result::Result<Bytes, MessageError> {
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
) -> std::result::Result<(), MessageError> {
    while span.frames() > 0 {
        let batch = span.split_to((BATCH / frame).max(1));
        let bytes = plaintext.split_to(batch.frames() * frame);
        bytes.with_slice(|bytes| batch.seal(bytes, output))?;
    }
    Ok(())
}
