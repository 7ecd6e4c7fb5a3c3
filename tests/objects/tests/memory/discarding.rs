//! A store in memory that discards the parts of uploads, so that only the memory above it is counted.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

/// The length of the pieces of a response.
const PIECE: usize = 100_000;

#[derive(Debug)]
pub(crate) struct Discarding {
    below: InMemory,
    discards: AtomicBool,
    longest_read: AtomicUsize,
}

impl Default for Discarding {
    fn default() -> Self {
        Self { below: InMemory::new(), discards: AtomicBool::new(false), longest_read: AtomicUsize::new(usize::MAX) }
    }
}

impl Discarding {
    /// Discards the parts of later uploads, which create no object.
    pub(crate) fn discard_parts(&self) {
        self.discards.store(true, SeqCst);
    }

    /// Lets responses break off after this number of bytes.
    pub(crate) fn fail_reads_after(&self, bytes: usize) {
        self.longest_read.store(bytes, SeqCst);
    }
}

fn broken() -> object_store::Error {
    object_store::Error::Generic { store: "Discarding", source: "the response broke off".into() }
}

#[async_trait]
impl ObjectStore for Discarding {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.below.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        match self.discards.load(SeqCst) {
            true => Ok(Box::new(Discarded)),
            false => self.below.put_multipart_opts(path, options).await,
        }
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let found = self.below.get_opts(path, options).await?;
        let (meta, range) = (found.meta.clone(), found.range.clone());
        let (attributes, extensions) = (found.attributes.clone(), found.extensions.clone());
        let (bytes, longest) = (found.bytes().await?, self.longest_read.load(SeqCst));
        let pieces = (0..bytes.len()).step_by(PIECE).map(move |start| match start < longest {
            true => Ok::<Bytes, object_store::Error>(bytes.slice(start..bytes.len().min(start + PIECE))),
            false => Err(broken()),
        });
        let payload = GetResultPayload::Stream(stream::iter(pieces).boxed());
        Ok(GetResult { payload, meta, range, attributes, extensions })
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.below.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.below.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.below.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.below.copy_opts(from, to, options).await
    }
}

impl fmt::Display for Discarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Discarding")
    }
}

/// An upload without a result.
#[derive(Debug)]
struct Discarded;

#[async_trait]
impl MultipartUpload for Discarded {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        // After the other tasks had a turn, as with a store that takes time.
        Box::pin(async move {
            tokio::task::yield_now().await;
            drop(data);
            Ok(())
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        Ok(PutResult { e_tag: None, version: None, extensions: Default::default() })
    }

    async fn abort(&mut self) -> Result<()> {
        Ok(())
    }
}
