//! Reading objects: completely, or the frames of a range.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    Attributes, Extensions, GetOptions, GetRange, GetResult, GetResultPayload, OBJECT_STORE_COALESCE_DEFAULT,
    ObjectMeta, ObjectStore, Result, coalesce_ranges,
};

use zeroize::Zeroizing;

use super::error::{generic, invalid, of_object};
use super::geometry::{Frames, Layout};
use super::source::Source;
use super::store::EncryptedStore;
use super::tasks::run;
use crate::message::FrameOpener;

/// Stored bytes that are decrypted by one task, and at most one frame more.
const BATCH: u64 = 1 << 20;

/// A range is read with the header in one request if at most this many bytes separate them.
const SHORT_GAP: u64 = 128 << 10;

/// The number of attempts to read a range of an object that is being replaced.
const ATTEMPTS: usize = 8;

/// The answer of the store below.
struct Response {
    source: Source,
    /// The metadata, with the stored size.
    stored: ObjectMeta,
    attributes: Attributes,
    extensions: Extensions,
}

/// An object whose header was verified.
struct Opened {
    opener: Arc<FrameOpener>,
    layout: Layout,
    /// As the store below returned it, with the stored size.
    stored: ObjectMeta,
    attributes: Attributes,
    extensions: Extensions,
}

impl<T: ObjectStore> EncryptedStore<T> {
    /// Returns the metadata of an object, without opening it.
    pub(super) async fn read_head(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let found = self.inner.get_opts(path, GetOptions { range: None, head: true, ..options }).await?;
        let size = self.layout_of(path, &found.meta)?.plaintext_size();
        let meta = ObjectMeta { size, ..found.meta };
        let payload = GetResultPayload::Stream(stream::empty().boxed());
        Ok(GetResult { payload, meta, range: 0..size, attributes: found.attributes, extensions: found.extensions })
    }

    /// Reads an object, or a range of it.
    pub(super) async fn read(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let Some(range) = options.range.clone() else {
            return self.read_from_start(path, options, None, None).await;
        };
        range.is_valid().map_err(generic)?;
        match range {
            // The size is needed to know which frames these are.
            GetRange::Suffix(_) => self.read_after_header(path, options, &range).await,
            GetRange::Offset(start) => {
                let request = self.cipher.geometry.request(&(start..u64::MAX));
                self.read_range(path, options, &range, request).await
            }
            GetRange::Bounded(ref bounds) => {
                let request = self.cipher.geometry.request(bounds);
                self.read_range(path, options, &range, request).await
            }
        }
    }

    /// Reads a range whose first frame is known, at these stored bytes.
    async fn read_range(
        &self,
        path: &Path,
        options: GetOptions,
        range: &GetRange,
        request: Range<u64>,
    ) -> Result<GetResult> {
        let header = self.cipher.geometry.header();
        let to_end = matches!(range, GetRange::Offset(_));
        if request.start - header <= SHORT_GAP {
            let end = (!to_end).then_some(request.end);
            return self.read_from_start(path, options, Some(range), end).await;
        }
        // Header and frames are requested at the same time. If they are of different versions of the
        // object, they are requested again, one after the other.
        let frames = if to_end { GetRange::Offset(request.start) } else { GetRange::Bounded(request.clone()) };
        let frames = self.fetch(path, GetOptions { range: Some(frames), ..options.clone() });
        let header = self.fetch(path, GetOptions { range: Some(GetRange::Bounded(0..header)), ..options.clone() });
        let (header, frames) = futures_util::future::join(header, frames).await;
        let header = header?;
        let layout = self.layout_of(path, &header.stored)?;
        let plaintext = range.as_range(layout.plaintext_size()).map_err(generic);
        match (frames, plaintext) {
            (Ok(frames), Ok(plaintext))
                if is_same(&header.stored, &frames.stored) && self.has_arrived(layout, &plaintext, &frames.source) =>
            {
                self.decrypt_at_once(path, header, layout, frames.source, plaintext).await
            }
            (Ok(frames), Ok(plaintext)) if is_same(&header.stored, &frames.stored) => {
                let opened = self.open(path, header).await?;
                Ok(self.decrypt(path, opened, frames.source, plaintext))
            }
            (Ok(_), Ok(_)) => self.read_after_header(path, options, range).await,
            (frames, plaintext) => {
                // The error of the header comes first, and then that of the range, which may be the
                // reason of the other.
                self.open(path, header).await?;
                plaintext?;
                Err(frames.err().unwrap_or_else(|| replaced_during_read(path)))
            }
        }
    }

    /// Returns `true` if the frames of a range have arrived, and one task decrypts them.
    fn has_arrived(&self, layout: Layout, plaintext: &Range<u64>, source: &Source) -> bool {
        let frames = layout.frames(plaintext.clone());
        let length = layout.encoded(frames.first, frames.count);
        frames.count <= self.frames_per_batch()
            && usize::try_from(length).is_ok_and(|length| source.has_arrived(length))
    }

    /// Verifies a header and decrypts frames that have arrived, in one task: a change of threads takes
    /// longer than either.
    async fn decrypt_at_once(
        &self,
        path: &Path,
        mut header: Response,
        layout: Layout,
        mut frames: Source,
        plaintext: Range<u64>,
    ) -> Result<GetResult> {
        let batch = layout.frames(plaintext.clone());
        let length = usize::try_from(layout.encoded(batch.first, batch.count)).unwrap_or(usize::MAX);
        let sealed = frames.take(length).await?;
        if plaintext.end == layout.plaintext_size() {
            frames.expect_end().await?;
        }
        let start = header.source.take(self.cipher.geometry.header_bytes()).await?;
        let (cipher, owned) = (Arc::clone(&self.cipher), path.clone());
        let opened = run(move || {
            let opener = start.with_slice(|bytes| cipher.open_header(&owned, bytes));
            let opener = opener.map_err(|error| of_object(&owned, error))?;
            let opened = sealed.with_slice(|bytes| open_batch(&opener, &batch, bytes));
            opened.map(|opened| (opened, batch)).map_err(|error| of_object(&owned, error.into()))
        });
        let (opened, batch) = opened.await?;
        let bytes = self.cipher.geometry.requested(&batch, opened.len());
        let bytes = release(opened, self.wipes).slice(bytes);
        let Response { stored, attributes, extensions, .. } = header;
        let meta = ObjectMeta { size: layout.plaintext_size(), ..stored };
        let payload = GetResultPayload::Stream(stream::once(std::future::ready(Ok(bytes))).boxed());
        Ok(GetResult { payload, meta, range: plaintext, attributes, extensions })
    }

    /// Reads an object in one request: completely, or up to a position.
    async fn read_from_start(
        &self,
        path: &Path,
        options: GetOptions,
        range: Option<&GetRange>,
        end: Option<u64>,
    ) -> Result<GetResult> {
        let options = GetOptions { range: end.map(|end| GetRange::Bounded(0..end)), ..options };
        let Response { mut source, stored, attributes, extensions } = self.fetch(path, options).await?;
        let layout = self.layout_of(path, &stored)?;
        let size = layout.plaintext_size();
        let plaintext = range.map_or(Ok(0..size), |range| range.as_range(size)).map_err(generic)?;
        let opener = self.open_header(path, &mut source).await?;
        let first = layout.frames(plaintext.clone()).first;
        source.skip(layout.encoded(0, first)).await?;
        Ok(self.decrypt(path, Opened { opener, layout, stored, attributes, extensions }, source, plaintext))
    }

    /// Reads the header, and afterwards the frames of the same version of the object.
    async fn read_after_header(&self, path: &Path, options: GetOptions, range: &GetRange) -> Result<GetResult> {
        for _ in 0..ATTEMPTS {
            let opened = self.open_at(path, options.clone()).await?;
            let plaintext = range.as_range(opened.layout.plaintext_size()).map_err(generic)?;
            if let Some(source) = self.frames_of(path, &opened, &options, plaintext.clone()).await? {
                return Ok(self.decrypt(path, opened, source, plaintext));
            }
        }
        Err(replaced_during_read(path))
    }

    /// Reads several ranges of one version of an object, whose header is read once.
    pub(super) async fn read_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        if ranges.is_empty() {
            return Ok(Vec::new());
        }
        'again: for _ in 0..ATTEMPTS {
            let opened = self.open_at(path, GetOptions::new()).await?;
            let size = opened.layout.plaintext_size();
            // Each by itself: a range that is only merged with a valid one would be accepted.
            let checked = ranges.iter().map(|range| GetRange::Bounded(range.clone()).as_range(size));
            let checked: Vec<_> = checked.collect::<std::result::Result<_, _>>().map_err(generic)?;
            let fetch = |range: Range<u64>| {
                let opened = &opened;
                async move {
                    let source = self.frames_of(path, opened, &GetOptions::new(), range.clone()).await?;
                    let source = source.ok_or_else(|| replaced_during_read(path))?;
                    let stream = self.plaintext(path, Arc::clone(&opened.opener), opened.layout, source, range.clone());
                    object_store::collect_bytes(stream, Some(range.end - range.start)).await
                }
            };
            match coalesce_ranges(&checked, fetch, OBJECT_STORE_COALESCE_DEFAULT).await {
                Err(object_store::Error::Precondition { .. }) => continue 'again,
                result => return result,
            }
        }
        Err(replaced_during_read(path))
    }

    /// Requests the frames of a range of an opened object. Returns `None` if the object was replaced.
    async fn frames_of(
        &self,
        path: &Path,
        opened: &Opened,
        options: &GetOptions,
        plaintext: Range<u64>,
    ) -> Result<Option<Source>> {
        let frames = opened.layout.frames(plaintext);
        let start = self.cipher.geometry.position(frames.first);
        let end = start + opened.layout.encoded(frames.first, frames.count);
        let mut options = GetOptions { range: Some(GetRange::Bounded(start..end)), ..options.clone() };
        if options.if_match.is_none() {
            options.if_match = strong_tag(&opened.stored);
        }
        if options.version.is_none() {
            options.version.clone_from(&opened.stored.version);
        }
        match self.fetch(path, options).await {
            Ok(frames) if is_same(&opened.stored, &frames.stored) => Ok(Some(frames.source)),
            Ok(_) | Err(object_store::Error::Precondition { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn open_at(&self, path: &Path, options: GetOptions) -> Result<Opened> {
        let header = GetRange::Bounded(0..self.cipher.geometry.header());
        let header = self.fetch(path, GetOptions { range: Some(header), ..options }).await?;
        self.open(path, header).await
    }

    /// Requests stored bytes.
    async fn fetch(&self, path: &Path, options: GetOptions) -> Result<Response> {
        let found = self.inner.get_opts(path, options).await?;
        let (stored, attributes, extensions) = (found.meta.clone(), found.attributes.clone(), found.extensions.clone());
        Ok(Response { source: Source::of_response(path, found).await?, stored, attributes, extensions })
    }

    /// Verifies the header of an object, with which the body of a response begins.
    async fn open(&self, path: &Path, header: Response) -> Result<Opened> {
        let Response { mut source, stored, attributes, extensions } = header;
        let layout = self.layout_of(path, &stored)?;
        let opener = self.open_header(path, &mut source).await?;
        Ok(Opened { opener, layout, stored, attributes, extensions })
    }

    async fn open_header(&self, path: &Path, source: &mut Source) -> Result<Arc<FrameOpener>> {
        let header = source.take(self.cipher.geometry.header_bytes()).await?;
        let (cipher, path) = (Arc::clone(&self.cipher), path.clone());
        run(move || {
            let opened = header.with_slice(|bytes| cipher.open_header(&path, bytes));
            opened.map(Arc::new).map_err(|error| of_object(&path, error))
        })
        .await
    }

    fn frames_per_batch(&self) -> u64 {
        (BATCH / self.cipher.geometry.frame()).max(1)
    }

    fn layout_of(&self, path: &Path, meta: &ObjectMeta) -> Result<Layout> {
        let text = "the object is not encrypted with the lengths of this store, or is truncated: its size is not that \
                    of any encrypted object";
        self.cipher.geometry.layout(meta.size).ok_or_else(|| invalid(path, text))
    }

    fn decrypt(&self, path: &Path, opened: Opened, source: Source, plaintext: Range<u64>) -> GetResult {
        let Opened { opener, layout, stored, attributes, extensions } = opened;
        let stream = self.plaintext(path, opener, layout, source, plaintext.clone());
        let meta = ObjectMeta { size: layout.plaintext_size(), ..stored };
        GetResult { payload: GetResultPayload::Stream(stream), meta, range: plaintext, attributes, extensions }
    }

    /// Decrypts frames in batches, several of them at the same time, and releases them in order.
    fn plaintext(
        &self,
        path: &Path,
        opener: Arc<FrameOpener>,
        layout: Layout,
        source: Source,
        plaintext: Range<u64>,
    ) -> BoxStream<'static, Result<Bytes>> {
        let (geometry, wipes) = (self.cipher.geometry, self.wipes);
        let per_batch = self.frames_per_batch();
        let frames = layout.frames(plaintext);
        let (after, ends, wanted) = (frames.first + frames.count, frames.ends, frames.plaintext);
        let to_end = wanted.end == layout.plaintext_size();
        let batches = stream::try_unfold((source, frames.first), move |(mut source, first)| {
            let wanted = wanted.clone();
            async move {
                if first == after {
                    if to_end {
                        source.expect_end().await?;
                    }
                    return Ok(None);
                }
                let count = per_batch.min(after - first);
                let length = usize::try_from(layout.encoded(first, count)).unwrap_or(usize::MAX);
                let bytes = source.take(length).await?;
                let batch = Frames { first, count, ends: ends && first + count == after, plaintext: wanted };
                Ok(Some(((batch, bytes), (source, first + count))))
            }
        });
        let path = path.clone();
        let opened = batches.map_ok(move |(batch, bytes)| {
            let (opener, path) = (Arc::clone(&opener), path.clone());
            run(move || {
                let opened = bytes.with_slice(|bytes| open_batch(&opener, &batch, bytes));
                let plaintext = opened.map_err(|error| of_object(&path, error.into()))?;
                let part = geometry.requested(&batch, plaintext.len());
                Ok(release(plaintext, wipes).slice(part))
            })
        });
        let opened = opened.try_buffered(self.cipher.threads);
        opened.try_filter(|bytes| std::future::ready(!bytes.is_empty())).boxed()
    }
}

fn open_batch(
    opener: &FrameOpener,
    batch: &Frames,
    bytes: &[u8],
) -> std::result::Result<Vec<u8>, crate::message::MessageError> {
    let count = usize::try_from(batch.count).unwrap_or(usize::MAX);
    let first = u32::try_from(batch.first + 1).map_err(|_| crate::message::MessageError::TooManyFrames)?;
    opener.open(first, count, batch.ends, bytes)
}

/// Returns plaintext as bytes, which are wiped at the end of their use if `wipes`.
fn release(plaintext: Vec<u8>, wipes: bool) -> Bytes {
    if wipes { Bytes::from_owner(Zeroizing::new(plaintext)) } else { Bytes::from(plaintext) }
}

/// Returns `true` if two responses are of the same version of an object, as far as the store reports it.
fn is_same(one: &ObjectMeta, other: &ObjectMeta) -> bool {
    (&one.e_tag, &one.version, one.size) == (&other.e_tag, &other.version, other.size)
        && (one.e_tag.is_some() || one.last_modified == other.last_modified)
}

/// Returns the tag with which a later request can name this version. A weak tag matches nothing.
pub(super) fn strong_tag(meta: &ObjectMeta) -> Option<String> {
    meta.e_tag.clone().filter(|tag| !tag.starts_with("W/"))
}

fn replaced_during_read(path: &Path) -> object_store::Error {
    object_store::Error::Precondition {
        path: path.to_string(),
        source: "the object was replaced while a range of it was read: try again".into(),
    }
}
