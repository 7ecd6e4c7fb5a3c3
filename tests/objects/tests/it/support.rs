//! Stores and keys that several tests use.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetRange, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use strongroom::envelope::RawAesKeyring;
use strongroom::objects::{EncryptedStore, error_inside};
use strongroom::{ErrorKind, SecretBytes};
use tokio::sync::Notify;

pub(crate) type TestResult<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Runs a test on a runtime with several threads.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(test)
}

pub(crate) fn keyring() -> RawAesKeyring {
    keyring_named("key 1")
}

pub(crate) fn keyring_named(name: &str) -> RawAesKeyring {
    RawAesKeyring::new("objects", name, SecretBytes::copy_from_slice(&[7; 32])).expect("a valid key")
}

/// Returns an encrypted store over memory, and that memory.
pub(crate) fn in_memory() -> TestResult<(EncryptedStore<Arc<InMemory>>, Arc<InMemory>)> {
    let below = Arc::new(InMemory::new());
    Ok((EncryptedStore::new(Arc::clone(&below), "bucket", keyring())?, below))
}

/// Returns bytes that differ at every position of a frame.
pub(crate) fn plaintext(length: usize) -> Vec<u8> {
    (0..length).map(|index| u8::try_from((index * 7 + index / 251) % 256).unwrap_or(0)).collect()
}

/// Returns the kind of error that a read fails with.
pub(crate) async fn refusal(store: &dyn ObjectStore, path: &Path) -> Option<ErrorKind> {
    let error = match store.get(path).await {
        Ok(found) => found.bytes().await.err(),
        Err(error) => Some(error),
    };
    kind(&error?)
}

pub(crate) fn kind(error: &object_store::Error) -> Option<ErrorKind> {
    error_inside(error).map(strongroom::Error::kind)
}

/// A fault that a [`Faulty`] store injects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The part with this number cannot be uploaded.
    Part(usize),
    /// The upload cannot be completed.
    Complete,
    /// The first abort fails.
    Abort,
    /// The first attempt to upload the part with this number does not end.
    PartNeverEnds(usize),
    /// The first attempt to complete the upload does not end.
    CompleteNeverEnds,
    /// The first abort does not end.
    AbortNeverEnds,
    /// The stream of every response breaks after its first bytes.
    Stream,
}

/// Called with the path before a request, so that a test can act between two of them.
type Hook = Box<dyn Fn(&Path, usize) + Send + Sync>;

/// A store in memory that records requests for bytes, and injects a fault.
pub(crate) struct Faulty {
    pub(crate) below: InMemory,
    pub(crate) fault: Mutex<Option<Fault>>,
    /// The stored bytes of each response.
    pub(crate) read: Arc<Mutex<Vec<Range<u64>>>>,
    pub(crate) part_lengths: Arc<Mutex<Vec<usize>>>,
    /// The name of each upload in parts.
    pub(crate) uploads: Mutex<Vec<Path>>,
    pub(crate) before_read: Mutex<Option<Hook>>,
    pub(crate) before_write: Mutex<Option<Hook>>,
    requests: AtomicUsize,
    pub(crate) aborts: Arc<AtomicUsize>,
    /// Notified when a request begins that does not end before [`resume`](Self::resume).
    pub(crate) paused: Arc<Notify>,
    resume: Arc<Notify>,
}

impl Faulty {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            below: InMemory::new(),
            fault: Mutex::new(None),
            read: Arc::default(),
            part_lengths: Arc::default(),
            uploads: Mutex::default(),
            before_read: Mutex::new(None),
            before_write: Mutex::new(None),
            requests: AtomicUsize::new(0),
            aborts: Arc::default(),
            paused: Arc::default(),
            resume: Arc::default(),
        })
    }

    /// Lets the request end that does not.
    pub(crate) fn resume(&self) {
        self.resume.notify_one();
    }

    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        *lock(&self.fault) = fault;
    }

    /// Returns the ranges of stored bytes that were read since the last call.
    pub(crate) fn take_read(&self) -> Vec<Range<u64>> {
        std::mem::take(&mut *lock(&self.read))
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn injected() -> object_store::Error {
    object_store::Error::Generic { store: "Faulty", source: "injected fault".into() }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        if let Some(hook) = lock(&self.before_write).take() {
            hook(path, 0);
        }
        self.below.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        lock(&self.uploads).push(path.clone());
        Ok(Box::new(FaultyUpload {
            below: self.below.put_multipart_opts(path, options).await?,
            fault: *lock(&self.fault),
            parts: 0,
            lengths: Arc::clone(&self.part_lengths),
            aborts: Arc::clone(&self.aborts),
            paused: Arc::clone(&self.paused),
            resume: Arc::clone(&self.resume),
        }))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        if let Some(hook) = &*lock(&self.before_read) {
            hook(path, number);
        }
        let is_head = options.head;
        let mut found = self.below.get_opts(path, options).await?;
        if !is_head {
            lock(&self.read).push(found.range.clone());
        }
        if *lock(&self.fault) == Some(Fault::Stream) {
            let bytes = self.below.get_range(path, found.range.start..found.range.start + 3_000).await?;
            let parts = [Ok(bytes), Err(injected())];
            found.payload = object_store::GetResultPayload::Stream(Box::pin(futures_util::stream::iter(parts)));
        }
        Ok(found)
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

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

#[derive(Debug)]
struct FaultyUpload {
    below: Box<dyn MultipartUpload>,
    fault: Option<Fault>,
    parts: usize,
    lengths: Arc<Mutex<Vec<usize>>>,
    aborts: Arc<AtomicUsize>,
    paused: Arc<Notify>,
    resume: Arc<Notify>,
}

impl FaultyUpload {
    /// Waits until the test resumes the request.
    fn pause(&self) -> impl Future<Output = ()> + Send + 'static {
        let (paused, resume) = (Arc::clone(&self.paused), Arc::clone(&self.resume));
        async move {
            paused.notify_one();
            resume.notified().await;
        }
    }
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let number = self.parts;
        self.parts += 1;
        lock(&self.lengths).push(data.content_length());
        match self.fault {
            Some(Fault::Part(failing)) if failing == number => Box::pin(std::future::ready(Err(injected()))),
            Some(Fault::PartNeverEnds(paused)) if paused == number => {
                let (pause, upload) = (self.pause(), self.below.put_part(data));
                Box::pin(async move {
                    pause.await;
                    upload.await
                })
            }
            _ => self.below.put_part(data),
        }
    }

    async fn complete(&mut self) -> Result<PutResult> {
        match self.fault {
            Some(Fault::Complete) => Err(injected()),
            Some(Fault::CompleteNeverEnds) => {
                self.pause().await;
                self.below.complete().await
            }
            _ => self.below.complete().await,
        }
    }

    async fn abort(&mut self) -> Result<()> {
        let earlier = self.aborts.fetch_add(1, Ordering::SeqCst);
        match self.fault {
            Some(Fault::Abort) if earlier == 0 => Err(injected()),
            Some(Fault::AbortNeverEnds) if earlier == 0 => {
                self.pause().await;
                self.below.abort().await
            }
            _ => self.below.abort().await,
        }
    }
}

/// Returns the stored bytes of an object.
pub(crate) async fn stored(below: &dyn ObjectStore, path: &Path) -> Result<Vec<u8>> {
    Ok(below.get(path).await?.bytes().await?.to_vec())
}

/// Returns the options of a range.
pub(crate) fn range_options(range: impl Into<GetRange>) -> GetOptions {
    GetOptions::new().with_range(Some(range))
}
