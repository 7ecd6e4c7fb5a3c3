//! Encrypting the objects under a prefix again: under another key, or with other settings.

use std::fmt;

use futures_util::StreamExt;
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions,
    PutPayload, Result, UpdateVersion,
};

use super::binding::PathBinding;
use super::copy::collect;
use super::current_keys::CurrentKeys;
use super::error::of_object;
use super::read::strong_tag;
use super::source::Source;
use super::store::EncryptedStore;
use super::sweep_report::ObjectSweepReport;
use crate::clock::Timestamp;

/// The largest object that is replaced by a single write, unless another length is set.
const DEFAULT_MAX_IN_MEMORY: u64 = 64 << 20;

/// Encrypts objects again whose data key is not wrapped by the current key: after the rotation of a
/// KMS key, a change of its alias, or a change of the keyring or of a setting of a store.
///
/// An object is replaced only if it is still the one that was read, through a conditional write. The
/// sweep can therefore run while other programs write, be interrupted at any time, and be repeated:
/// objects that are current are left alone, and cost one request for their header. A stopped process
/// leaves the old or the new object.
///
/// Not every store has conditional writes. See
/// [`allow_unconditional_replacement`](Self::allow_unconditional_replacement) for folders and for
/// objects above [`max_in_memory`](Self::max_in_memory).
///
/// An object is current if it has the settings that the store writes, and its data key is wrapped by
/// the keys that the key source uses for its encryption context now. Finding these needs a new data key,
/// for each object with [`PathBinding::Context`] and otherwise once. It does not come from a
/// [`CachingMaterialsManager`](crate::envelope::CachingMaterialsManager), and neither do the data keys of
/// the new objects, unless they are current.
///
/// | key | compared |
/// |---|---|
/// | of a [`Kms`](crate::Kms) | ARN and version |
/// | branch key | ID and version. The keyring finds a new version when the old one's time to live has ended |
/// | ECDH | recipient and sender; with ephemeral keys, only the recipient |
/// | of Vault, through `strongroom-vault` | path and version |
/// | of AWS KMS | the ARN. **A rotation is not visible** |
/// | raw AES and RSA keys | namespace and name |
/// | of other keyrings | the provider information |
///
/// If that is not enough, set [`force_older_than`](Self::force_older_than).
///
/// An object above [`max_in_memory`](Self::max_in_memory) is replaced by an upload in parts. If the
/// process stops before the upload is complete, the old object remains, and S3 keeps the parts until a
/// lifecycle rule of the bucket deletes them.
///
/// Attributes are kept. Tags are lost, because the trait of the store cannot read them. Versions that
/// a bucket keeps of earlier objects remain under the old key. An object that cannot be decrypted is
/// left unchanged and reported.
///
/// # Examples
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use object_store::memory::InMemory;
/// use object_store::path::Path;
/// use object_store::ObjectStoreExt;
/// use strongroom::Kms;
/// use strongroom::envelope::KmsKeyring;
/// use strongroom::objects::{EncryptedStore, ObjectSweep};
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?.key_id();
/// let store = EncryptedStore::new(InMemory::new(), "reports", KmsKeyring::new(&kms, key)?)?;
/// for name in ["2025/a.csv", "2025/b.csv", "2026/a.csv"] {
///     store.put(&Path::from(name), "1;2;3".into()).await?;
/// }
/// kms.rotate_key_on_demand(key)?;
///
/// let sweep = ObjectSweep::new(&store).prefix(Path::from("2025"));
/// let preview = sweep.clone().dry_run().run().await?;
/// assert_eq!((preview.examined(), preview.changed()), (2, 2));
/// let report = sweep.run().await?;
/// assert!(report.changed() == 2 && report.is_complete());
/// assert_eq!(sweep.clone().start_after(Path::from("2025/a.csv")).run().await?.current(), 1);
///
/// // In a folder, or for objects that are larger than the memory for them.
/// let rest = ObjectSweep::new(&store).max_in_memory(1 << 20).allow_unconditional_replacement();
/// assert_eq!(rest.run().await?.changed(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub struct ObjectSweep<T> {
    reader: EncryptedStore<T>,
    writer: EncryptedStore<T>,
    prefix: Option<Path>,
    start_after: Option<Path>,
    dry_run: bool,
    older_than: Option<Timestamp>,
    max_in_memory: u64,
    unconditional: bool,
}

/// The result for one object.
enum Outcome {
    Current,
    Changed,
    ChangedByOthers,
    TooLarge,
}

impl<T: ObjectStore> ObjectSweep<T> {
    /// Creates a sweep over a store, whose keyring must unwrap old data keys, too.
    pub fn new(store: &EncryptedStore<T>) -> Self {
        Self {
            reader: store.clone(),
            writer: store.clone(),
            prefix: None,
            start_after: None,
            dry_run: false,
            older_than: None,
            max_in_memory: DEFAULT_MAX_IN_MEMORY,
            unconditional: false,
        }
    }

    /// Reads old objects through another store, which has the settings with which they were written.
    /// Both must have the same store below.
    ///
    /// # Examples
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use std::sync::Arc;
    /// use object_store::memory::InMemory;
    /// use object_store::path::Path;
    /// use object_store::ObjectStoreExt;
    /// use strongroom::SecretBytes;
    /// use strongroom::envelope::RawAesKeyring;
    /// use strongroom::objects::{EncryptedStore, ObjectSweep};
    ///
    /// let below = Arc::new(InMemory::new());
    /// let keyring = |name| RawAesKeyring::new("laboratory", name, SecretBytes::zeroed(32));
    /// let old = EncryptedStore::new(Arc::clone(&below), "reports", keyring("2025")?)?;
    /// old.put(&Path::from("a.csv"), "1;2;3".into()).await?;
    ///
    /// let new = EncryptedStore::builder(below, "reports", keyring("2026")?).frame_length(4_096).build()?;
    /// assert!(new.get(&Path::from("a.csv")).await.is_err());
    /// assert_eq!(ObjectSweep::new(&new).read_with(&old).run().await?.changed(), 1);
    /// assert_eq!(new.get(&Path::from("a.csv")).await?.bytes().await?, "1;2;3");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read_with(mut self, old: &EncryptedStore<T>) -> Self {
        self.reader = old.clone();
        self
    }

    /// Examines only objects under a prefix. Default: all objects.
    pub fn prefix(mut self, prefix: Path) -> Self {
        self.prefix = Some(prefix);
        self
    }

    /// Examines only objects whose path is greater than this one, such as the
    /// [`last`](ObjectSweepReport::last) of an earlier report. Useful only if the store lists objects in
    /// order, as S3 does and a folder does not.
    pub fn start_after(mut self, path: Path) -> Self {
        self.start_after = Some(path);
        self
    }

    /// Changes nothing, and reports the number of objects that would change. Objects that would change
    /// are not decrypted.
    pub const fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    /// Also encrypts every object again that was last modified before an instant, whatever its key is.
    /// For rotations that cannot be seen, such as those of a key in AWS KMS: pass the time of the
    /// rotation.
    ///
    /// Such a sweep can be interrupted and repeated with the same instant, because objects that it has
    /// written are newer. It compares the clock of the store, so add the difference of the clocks.
    ///
    /// # Examples
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use object_store::memory::InMemory;
    /// use object_store::path::Path;
    /// use object_store::ObjectStoreExt;
    /// use strongroom::envelope::RawAesKeyring;
    /// use strongroom::objects::{EncryptedStore, ObjectSweep};
    /// use strongroom::{Clock, SecretBytes, SystemClock};
    ///
    /// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
    /// let store = EncryptedStore::new(InMemory::new(), "reports", keyring)?;
    /// store.put(&Path::from("a.csv"), "1;2;3".into()).await?;
    /// assert_eq!(ObjectSweep::new(&store).run().await?.current(), 1);
    /// let tomorrow = SystemClock.now().plus_days(1);
    /// assert_eq!(ObjectSweep::new(&store).force_older_than(tomorrow).run().await?.changed(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn force_older_than(mut self, instant: Timestamp) -> Self {
        self.older_than = Some(instant);
        self
    }

    /// Sets the size up to which an object is held in memory, in bytes, once as plaintext and once
    /// encrypted. Default: 64 MiB. Only such objects can be replaced conditionally, because the trait of
    /// the store has no conditional upload in parts.
    pub const fn max_in_memory(mut self, bytes: u64) -> Self {
        self.max_in_memory = bytes;
        self
    }

    /// Also replaces objects that cannot be replaced conditionally: those above
    /// [`max_in_memory`](Self::max_in_memory), and all objects of a store without conditional writes,
    /// such as a folder. The object is compared once more before it is replaced. **A write by another
    /// program between the comparison and the replacement is lost.** Default: such objects are
    /// reported.
    pub const fn allow_unconditional_replacement(mut self) -> Self {
        self.unconditional = true;
        self
    }

    /// Processes all objects.
    ///
    /// # Errors
    /// - The errors of listing the store.
    /// - The errors of the key source, if it generates no data key. With [`PathBinding::Context`], they
    ///   belong to an object, and are reported with it.
    pub async fn run(&self) -> Result<ObjectSweepReport> {
        let mut report = ObjectSweepReport::default();
        let cipher = &self.writer.cipher;
        let shared = match cipher.binding {
            PathBinding::Context => None,
            // All objects have the same encryption context.
            PathBinding::Header | PathBinding::Movable => {
                Some(CurrentKeys::of_path(cipher, &Path::from("sweep")).await?)
            }
        };
        let below = &self.writer.inner;
        let mut listed = match &self.start_after {
            Some(after) => below.list_with_offset(self.prefix.as_ref(), after),
            None => below.list(self.prefix.as_ref()),
        };
        while let Some(meta) = listed.next().await {
            let path = meta?.location;
            match self.examine(&path, shared.as_ref()).await {
                Ok(Outcome::Current) => report.add_current(),
                Ok(Outcome::Changed) => report.add_changed(),
                Ok(Outcome::ChangedByOthers) | Err(object_store::Error::NotFound { .. }) => {
                    report.add_changed_by_others();
                }
                Ok(Outcome::TooLarge) => report.add_too_large(path.clone()),
                Err(error) => report.add_failure(path.clone(), error),
            }
            report.reach(path);
        }
        report.reach_end();
        Ok(report)
    }

    async fn examine(&self, path: &Path, shared: Option<&CurrentKeys>) -> Result<Outcome> {
        let (reader, writer) = (&self.reader, &self.writer);
        let longest = reader.cipher.geometry.header().max(writer.cipher.geometry.header());
        let options = GetOptions::new().with_range(Some(GetRange::Bounded(0..longest)));
        let found = writer.inner.get_opts(path, options).await?;
        let modified = found.meta.last_modified.timestamp_millis();
        let is_forced = self.older_than.is_some_and(|instant| modified < instant.unix_millis());
        let length = usize::try_from(longest.min(found.meta.size)).unwrap_or(usize::MAX);
        let bytes = Source::of_response(path, found).await?.take(length).await?;
        let header = bytes.with_slice(|bytes| writer.cipher.parse_header(bytes));
        let header = header.map_err(|error| of_object(path, error))?;
        if !is_forced && writer.cipher.has_settings(&header, path) {
            let is_current = match shared {
                Some(current) => current.are_those_of(&header),
                None => CurrentKeys::of_path(&writer.cipher, path).await?.are_those_of(&header),
            };
            if is_current {
                return Ok(Outcome::Current);
            }
        }
        if self.dry_run {
            return Ok(Outcome::Changed);
        }
        self.replace(path, shared).await
    }

    /// Encrypts an object whose data key is wrapped by the current keys.
    async fn seal(&self, path: &Path, plaintext: PutPayload, shared: Option<&CurrentKeys>) -> Result<PutPayload> {
        let writer = &self.writer;
        let Some(current) = shared else {
            return writer.seal_under_new_key(path, plaintext).await;
        };
        // Objects share data keys, of which a cache may still contain one under the old key.
        let sealed = writer.seal(path, plaintext.clone()).await?;
        let header = writer.cipher.parse_header(sealed.as_ref().first().map_or(&[], |first| &first[..]));
        if header.is_ok_and(|header| current.are_those_of(&header)) {
            return Ok(sealed);
        }
        writer.seal_under_new_key(path, plaintext).await
    }

    /// Encrypts one object again.
    async fn replace(&self, path: &Path, shared: Option<&CurrentKeys>) -> Result<Outcome> {
        let found = self.reader.wiping().read(path, GetOptions::new()).await?;
        let (meta, attributes, extensions) = (found.meta.clone(), found.attributes.clone(), found.extensions.clone());
        let (version, is_large) = (meta.version.clone(), meta.size > self.max_in_memory);
        if is_large && !self.unconditional {
            return Ok(Outcome::TooLarge);
        }
        if is_large {
            // In the place of the old one, so that a stopped process leaves no other object.
            let options = PutMultipartOptions { attributes, extensions, ..PutMultipartOptions::default() };
            let wanted = self.is_unchanged(path, &meta);
            let replaced = self.writer.upload_if(path, path, found.into_stream(), options, wanted).await?;
            return Ok(if replaced { Outcome::Changed } else { Outcome::ChangedByOthers });
        }
        let plaintext = collect(found.into_stream()).await?;
        let sealed = self.seal(path, plaintext, shared).await?;
        let mode = PutMode::Update(UpdateVersion { e_tag: strong_tag(&meta), version });
        let options = PutOptions { mode, attributes, extensions, ..PutOptions::default() };
        let replaced = match meta.e_tag.is_some() {
            true => self.writer.inner.put_opts(path, sealed.clone(), options.clone()).await,
            false => Err(object_store::Error::NotImplemented {
                operation: "conditional write without an entity tag".to_owned(),
                implementer: self.writer.to_string(),
            }),
        };
        match replaced {
            Ok(_) => Ok(Outcome::Changed),
            Err(object_store::Error::Precondition { .. } | object_store::Error::NotFound { .. }) => {
                Ok(Outcome::ChangedByOthers)
            }
            Err(object_store::Error::NotImplemented { .. }) if self.unconditional => {
                if !self.is_unchanged(path, &meta).await? {
                    return Ok(Outcome::ChangedByOthers);
                }
                let options = PutOptions { mode: PutMode::Overwrite, ..options };
                self.writer.inner.put_opts(path, sealed, options).await.map(|_| Outcome::Changed)
            }
            Err(error) => Err(error),
        }
    }

    /// Returns `true` if the stored object is still the one that was read.
    async fn is_unchanged(&self, path: &Path, read: &ObjectMeta) -> Result<bool> {
        match self.writer.inner.head(path).await {
            Ok(now) => Ok(is_same_write(&now, read)),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn is_same_write(now: &ObjectMeta, read: &ObjectMeta) -> bool {
    (&now.e_tag, &now.version, now.last_modified) == (&read.e_tag, &read.version, read.last_modified)
}

impl<T> Clone for ObjectSweep<T> {
    fn clone(&self) -> Self {
        Self {
            reader: self.reader.clone(),
            writer: self.writer.clone(),
            prefix: self.prefix.clone(),
            start_after: self.start_after.clone(),
            ..*self
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for ObjectSweep<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectSweep")
            .field("writer", &self.writer)
            .field("prefix", &self.prefix)
            .field("dry_run", &self.dry_run)
            .finish_non_exhaustive()
    }
}
