//! Writing objects whose plaintext is in memory.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, PutMultipartOptions, PutPayload, Result};

use super::chunks::Chunks;
use super::error::of_object;
use super::seal::{BATCH, seal_end, seal_span};
use super::store::EncryptedStore;
use super::tasks::run;
use super::upload::EncryptedUpload;

impl<T: ObjectStore> EncryptedStore<T> {
    /// Encrypts an object.
    pub(super) async fn seal(&self, path: &Path, payload: PutPayload) -> Result<PutPayload> {
        let length = payload.content_length();
        self.seal_as(path, payload, Some(length)).await
    }

    /// Encrypts an object under a new data key, even if data keys are cached.
    pub(super) async fn seal_under_new_key(&self, path: &Path, payload: PutPayload) -> Result<PutPayload> {
        // A cache passes on messages of unknown length.
        self.seal_as(path, payload, None).await
    }

    /// Encrypts an object. `length` is the length for the key source, which shares data keys only
    /// between objects of known length.
    async fn seal_as(&self, path: &Path, payload: PutPayload, length: Option<usize>) -> Result<PutPayload> {
        let plaintext: Chunks = payload.into_iter().collect();
        let frame = self.cipher.geometry.frame_bytes();
        let (cipher, owned) = (Arc::clone(&self.cipher), path.clone());
        if plaintext.len() <= BATCH {
            let sealed = run(move || {
                let begun = cipher.seal_header(&owned, length);
                let (header, sealer) = begun.map_err(|error| of_object(&owned, error))?;
                seal_end(header, sealer, plaintext, frame).map_err(|error| of_object(&owned, error.into()))
            });
            return Ok(PutPayload::from(sealed.await?));
        }
        let begun = run(move || {
            let begun = cipher.seal_header(&owned, length).map_err(|error| of_object(&owned, error))?;
            Ok((begun, plaintext))
        });
        let ((header, mut sealer), mut plaintext) = begun.await?;
        let per_batch = (BATCH / frame).max(1);
        let mut jobs = Vec::new();
        // These frames are certainly regular, because at least one byte follows.
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

    /// Starts an upload under a name, of an object that is encrypted for a path.
    pub(super) async fn start_upload(
        &self,
        path: &Path,
        name: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let (cipher, owned) = (Arc::clone(&self.cipher), path.clone());
        // Before the upload below, which would remain if the key source failed.
        let begun = run(move || cipher.seal_header(&owned, None).map_err(|error| of_object(&owned, error)));
        let (header, sealer) = begun.await?;
        let upload = self.inner.put_multipart_opts(name, options).await?;
        Ok(Box::new(EncryptedUpload::new(path, self.cipher.geometry.frame_bytes(), header, sealer, upload)))
    }
}
