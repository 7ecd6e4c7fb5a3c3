//! Copies and renames: an object is bound to its path, so a copy is encrypted again.

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, FuturesUnordered};
use object_store::path::Path;
use object_store::{
    Attributes, CopyMode, CopyOptions, Extensions, GetOptions, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, RenameOptions, RenameTargetMode, Result,
};

use super::binding::PathBinding;
use super::error::generic;
use super::store::EncryptedStore;

/// The largest object that is copied by a single write.
const IN_ONE_PIECE: u64 = 16 << 20;

/// The length of the parts of a longer one.
const PART: usize = 8 << 20;

/// The number of parts that are uploaded at the same time.
const PARTS_IN_FLIGHT: usize = 3;

impl<T: ObjectStore> EncryptedStore<T> {
    pub(super) async fn copy_object(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        if self.cipher.binding == PathBinding::Movable {
            return self.inner.copy_opts(from, to, options).await;
        }
        let CopyOptions { mode, extensions } = options;
        let found = self.wiping().read(from, GetOptions::new()).await?;
        let (size, attributes) = (found.meta.size, found.attributes.clone());
        let plaintext = found.into_stream();
        if size <= IN_ONE_PIECE {
            let payload = collect(plaintext).await?;
            let mode = match mode {
                CopyMode::Overwrite => PutMode::Overwrite,
                CopyMode::Create => PutMode::Create,
            };
            let sealed = self.seal(to, payload).await?;
            let options = PutOptions { mode, attributes, extensions, ..PutOptions::default() };
            return self.inner.put_opts(to, sealed, options).await.map(drop);
        }
        match mode {
            CopyMode::Overwrite => {
                let options = PutMultipartOptions { attributes, extensions, ..PutMultipartOptions::default() };
                self.upload(to, to, plaintext, options).await
            }
            CopyMode::Create => self.create_in_parts(to, plaintext, attributes, extensions).await,
        }
    }

    pub(super) async fn rename_object(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        if self.cipher.binding == PathBinding::Movable {
            return self.inner.rename_opts(from, to, options).await;
        }
        if from == to {
            // Without this case, the object would be deleted after the copy.
            self.read_head(from, GetOptions::new()).await?;
            return match options.target_mode {
                RenameTargetMode::Overwrite => Ok(()),
                RenameTargetMode::Create => Err(object_store::Error::AlreadyExists {
                    path: to.to_string(),
                    source: "an object cannot be renamed to its own name, which exists".into(),
                }),
            };
        }
        let mode = match options.target_mode {
            RenameTargetMode::Overwrite => CopyMode::Overwrite,
            RenameTargetMode::Create => CopyMode::Create,
        };
        self.copy_object(from, to, CopyOptions { mode, extensions: options.extensions }).await?;
        self.inner.delete(from).await
    }

    /// Writes an object in parts, if there is none. The trait has no conditional upload in parts, but a
    /// conditional copy: the parts are uploaded under a temporary name, and copied by the store below.
    async fn create_in_parts(
        &self,
        to: &Path,
        plaintext: BoxStream<'static, Result<Bytes>>,
        attributes: Attributes,
        extensions: Extensions,
    ) -> Result<()> {
        let temporary = self.temporary_name(to)?;
        let options =
            PutMultipartOptions { attributes, extensions: extensions.clone(), ..PutMultipartOptions::default() };
        self.upload(to, &temporary, plaintext, options).await?;
        let options = CopyOptions { mode: CopyMode::Create, extensions };
        let copied = self.inner.copy_opts(&temporary, to, options).await;
        let deleted = self.inner.delete(&temporary).await;
        copied.and(deleted)
    }

    /// Returns a new name in the folder of an object.
    fn temporary_name(&self, path: &Path) -> Result<Path> {
        let mut random = [0; 8];
        self.cipher.backend.random().fill(&mut random).map_err(generic)?;
        let name = format!("{path}.{:016x}.incomplete", u64::from_be_bytes(random));
        Path::parse(name).map_err(generic)
    }

    /// Encrypts an object for a path, and uploads it in parts, possibly under another name.
    async fn upload(
        &self,
        path: &Path,
        name: &Path,
        plaintext: BoxStream<'static, Result<Bytes>>,
        options: PutMultipartOptions,
    ) -> Result<()> {
        let always = std::future::ready(Ok(true));
        self.upload_if(path, name, plaintext, options, always).await.map(drop)
    }

    /// Uploads an object like [`upload`](Self::upload). After the parts and before the object appears,
    /// `wanted` decides whether it should. Returns its answer.
    pub(super) async fn upload_if(
        &self,
        path: &Path,
        name: &Path,
        mut plaintext: BoxStream<'static, Result<Bytes>>,
        options: PutMultipartOptions,
        wanted: impl Future<Output = Result<bool>>,
    ) -> Result<bool> {
        let mut upload = self.start_upload(path, name, options).await?;
        let finish = async {
            upload_parts(&mut plaintext, &mut upload).await?;
            if !wanted.await? {
                return Ok(false);
            }
            upload.complete().await.map(|_| true)
        };
        let result = finish.await;
        if !matches!(result, Ok(true)) {
            // The first error is the one that matters. Incomplete uploads are invisible.
            drop(upload.abort().await);
        }
        result
    }
}

/// Collects the plaintext of an object whose size was checked.
pub(super) async fn collect(mut plaintext: BoxStream<'static, Result<Bytes>>) -> Result<PutPayload> {
    let mut parts = Vec::new();
    while let Some(bytes) = plaintext.next().await {
        parts.push(bytes?);
    }
    Ok(parts.into_iter().collect())
}

async fn upload_parts(
    plaintext: &mut BoxStream<'static, Result<Bytes>>,
    upload: &mut Box<dyn MultipartUpload>,
) -> Result<()> {
    let mut in_flight = FuturesUnordered::new();
    let (mut part, mut length) = (Vec::new(), 0);
    while let Some(bytes) = plaintext.next().await {
        let bytes = bytes?;
        length += bytes.len();
        part.push(bytes);
        if length < PART {
            continue;
        }
        if in_flight.len() >= PARTS_IN_FLIGHT
            && let Some(done) = in_flight.next().await
        {
            done?;
        }
        length = 0;
        in_flight.push(upload.put_part(std::mem::take(&mut part).into_iter().collect()));
    }
    if length > 0 {
        in_flight.push(upload.put_part(part.into_iter().collect()));
    }
    while let Some(done) = in_flight.next().await {
        done?;
    }
    Ok(())
}
