//! The trait of the crate `object_store`, implemented by an encrypted store.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

use super::geometry::Geometry;
use super::store::EncryptedStore;

#[async_trait]
impl<T: ObjectStore> ObjectStore for EncryptedStore<T> {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let sealed = self.seal(location, payload).await?;
        self.inner.put_opts(location, sealed, opts).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.start_upload(location, location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        match options.head {
            true => self.read_head(location, options).await,
            false => self.read(location, options).await,
        }
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.read_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let geometry = self.cipher.geometry;
        self.inner.list(prefix).map_ok(move |meta| with_plaintext_size(geometry, meta)).boxed()
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        let geometry = self.cipher.geometry;
        self.inner.list_with_offset(prefix, offset).map_ok(move |meta| with_plaintext_size(geometry, meta)).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let mut listed = self.inner.list_with_delimiter(prefix).await?;
        let objects = listed.objects.into_iter();
        listed.objects = objects.map(|meta| with_plaintext_size(self.cipher.geometry, meta)).collect();
        Ok(listed)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.copy_object(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.rename_object(from, to, options).await
    }
}

/// Replaces the stored size. An object of a size that no encrypted one has keeps its stored size, so
/// that a listing shows it; reading it is an error.
fn with_plaintext_size(geometry: Geometry, meta: ObjectMeta) -> ObjectMeta {
    let size = geometry.plaintext_size(meta.size).unwrap_or(meta.size);
    ObjectMeta { size, ..meta }
}
