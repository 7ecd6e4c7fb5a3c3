//! Multipart uploads: parts are encrypted and uploaded concurrently.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use object_store::path::Path;
use object_store::{MultipartUpload, PutPayload, PutResult, Result, UploadPart};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::chunks::Chunks;
use super::error::{generic, of_object};
use super::seal::{seal_end, seal_span};
use super::tasks::run;
use crate::message::FrameSealer;

/// The smallest part of the upload below, other than the last. S3 rejects smaller ones.
const SMALLEST_PART: usize = 5 << 20;

/// An upload whose parts are encrypted.
///
/// Parts arrive in order, so the sequence numbers of their frames are known at once. Each part is
/// encrypted by a separate task, which starts when the part arrives, and is passed on in order:
/// that determines its position in the upload below. Bytes that do not fill a frame, and parts smaller
/// than [`SMALLEST_PART`], are buffered until the next part or the end.
pub(super) struct EncryptedUpload {
    path: Path,
    frame: usize,
    /// Sent before the first frame.
    header: Option<Vec<u8>>,
    sealer: Option<FrameSealer>,
    /// Plaintext that is not yet in a frame.
    pending: Chunks,
    /// The number of parts that were passed on, or will be.
    parts: usize,
    /// The completion, from its start to its result. If a caller stops waiting for it, the next call
    /// resumes it.
    completion: Option<BoxFuture<'static, Result<PutResult>>>,
    below: Arc<Below>,
}

/// The upload below, and the parts that wait for their turn.
struct Below(Mutex<State>);

struct State {
    upload: Option<Box<dyn MultipartUpload>>,
    /// The number of the part to be passed on next.
    next: usize,
    waiting: BTreeMap<usize, (Result<Bytes>, oneshot::Sender<Result<UploadPart>>)>,
    /// The number of parts that were uploaded.
    uploaded: usize,
    failed: bool,
}

impl EncryptedUpload {
    pub(super) fn new(
        path: &Path,
        frame: usize,
        header: Vec<u8>,
        sealer: FrameSealer,
        upload: Box<dyn MultipartUpload>,
    ) -> Self {
        let state = State { upload: Some(upload), next: 0, waiting: BTreeMap::new(), uploaded: 0, failed: false };
        Self {
            path: path.clone(),
            frame,
            header: Some(header),
            sealer: Some(sealer),
            pending: Chunks::default(),
            parts: 0,
            completion: None,
            below: Arc::new(Below(Mutex::new(state))),
        }
    }

    fn ended(&self) -> object_store::Error {
        generic(format!("the upload of {} was completed, aborted, or has failed: start another one", self.path))
    }

    /// Encrypts the end of the object, uploads it and completes the upload.
    fn start_completion(&mut self) -> Result<BoxFuture<'static, Result<PutResult>>> {
        if !self.below.is_complete(self.parts) {
            let text = "a part of the upload failed, or its future was not awaited: abort the upload";
            return Err(generic(format!("{} cannot be completed: {text}", self.path)));
        }
        let sealer = self.sealer.take().ok_or_else(|| self.ended())?;
        let below = self.below.borrow().ok_or_else(|| self.ended())?;
        let (header, plaintext) = (self.header.take().unwrap_or_default(), std::mem::take(&mut self.pending));
        let (path, frame) = (self.path.clone(), self.frame);
        let sealed =
            run(move || seal_end(header, sealer, plaintext, frame).map_err(|error| of_object(&path, error.into())));
        Ok(Box::pin(async move { below.complete(sealed.await?).await }))
    }

    /// Encrypts all complete frames that are pending, as the next part.
    fn submit(&mut self) -> Result<UploadPart> {
        let frames = self.pending.len() / self.frame;
        let sealer = self.sealer.as_mut().ok_or_else(|| {
            generic(format!("the upload of {} was completed or aborted: start another one", self.path))
        })?;
        let span = sealer.reserve(frames).map_err(|error| of_object(&self.path, error.into()))?;
        let plaintext = self.pending.split_to(frames * self.frame);
        let (number, header) = (self.parts, self.header.take().unwrap_or_default());
        self.parts += 1;
        let (send, receive) = oneshot::channel();
        let (below, path, frame) = (Arc::clone(&self.below), self.path.clone(), self.frame);
        let seal = move || {
            let sealed = seal_span(span, plaintext, frame, header).map_err(|error| of_object(&path, error.into()));
            below.pass_on(number, sealed, send);
        };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(seal)),
            Err(_) => seal(),
        }
        let below = Arc::clone(&self.below);
        Ok(Box::pin(async move {
            let upload = receive.await.map_err(generic).and_then(|upload| upload);
            let uploaded = match upload {
                Ok(upload) => upload.await,
                Err(error) => Err(error),
            };
            below.note(uploaded.is_ok());
            uploaded
        }))
    }
}

impl Below {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes on a part, and those after it that wait for it.
    fn pass_on(&self, number: usize, sealed: Result<Bytes>, send: oneshot::Sender<Result<UploadPart>>) {
        let mut state = self.state();
        state.waiting.insert(number, (sealed, send));
        let mut number = state.next;
        while let Some((sealed, send)) = state.waiting.remove(&number) {
            number += 1;
            let failed = state.failed;
            let upload = match (sealed, state.upload.as_mut()) {
                (Ok(bytes), Some(upload)) if !failed => Ok(upload.put_part(PutPayload::from(bytes))),
                (Err(error), _) => {
                    state.failed = true;
                    Err(error)
                }
                (Ok(_), _) => Err(generic("the upload was aborted, or an earlier part of it failed")),
            };
            // Nobody waits for a part whose future was dropped. The upload cannot be completed then.
            drop(send.send(upload));
        }
        state.next = number;
    }

    fn note(&self, succeeded: bool) {
        let mut state = self.state();
        state.uploaded += usize::from(succeeded);
        state.failed |= !succeeded;
    }

    /// Takes the upload until the result is dropped, so that a call that fails, or that nobody waits for
    /// any more, leaves an upload that can be aborted.
    fn borrow(self: &Arc<Self>) -> Option<Borrowed> {
        self.state().upload.take().map(|upload| Borrowed { upload: Some(upload), below: Arc::clone(self) })
    }

    /// Returns `true` if this many parts were uploaded without a failure.
    fn is_complete(&self, parts: usize) -> bool {
        let state = self.state();
        !state.failed && state.uploaded == parts
    }
}

/// The upload below, which returns to its place unless it has ended.
struct Borrowed {
    upload: Option<Box<dyn MultipartUpload>>,
    below: Arc<Below>,
}

impl Borrowed {
    /// Uploads the last part, and completes the upload.
    async fn complete(mut self, last: Bytes) -> Result<PutResult> {
        let upload = self.upload.as_mut().ok_or_else(|| generic("the upload has ended"))?;
        upload.put_part(PutPayload::from(last)).await?;
        let result = upload.complete().await?;
        self.upload = None;
        Ok(result)
    }

    async fn abort(mut self) -> Result<()> {
        let upload = self.upload.as_mut().ok_or_else(|| generic("the upload has ended"))?;
        upload.abort().await?;
        self.upload = None;
        Ok(())
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take() {
            self.below.state().upload = Some(upload);
        }
    }
}

#[async_trait]
impl MultipartUpload for EncryptedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        data.into_iter().for_each(|bytes| self.pending.push(bytes));
        // The frames that the part would consist of are long enough, whatever their length.
        if self.pending.len() / self.frame * self.frame < SMALLEST_PART {
            return Box::pin(std::future::ready(Ok(())));
        }
        self.submit().unwrap_or_else(|error| Box::pin(std::future::ready(Err(error))))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let completion = match self.completion.take() {
            Some(completion) => completion,
            None => self.start_completion()?,
        };
        let result = self.completion.insert(completion).await;
        self.completion = None;
        result
    }

    async fn abort(&mut self) -> Result<()> {
        self.sealer = None;
        self.pending = Chunks::default();
        // A completion that nobody waits for returns the upload.
        self.completion = None;
        self.below.borrow().ok_or_else(|| self.ended())?.abort().await
    }
}

impl fmt::Debug for EncryptedUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptedUpload")
            .field("path", &self.path)
            .field("parts", &self.parts)
            .field("pending", &self.pending.len())
            .finish_non_exhaustive()
    }
}
