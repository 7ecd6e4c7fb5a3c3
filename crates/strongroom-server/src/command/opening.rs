//! The store, the root key, and the KMS on them.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use strongroom::audit::FileTrail;
use strongroom::crypto::CryptoBackend;
use strongroom::identity::Locality;
use strongroom::seal::{PrivateFile, RootKey};
use strongroom::store::SqliteStore;
use strongroom::{Kms, KmsBuilder, TrustedUsers};
use zeroize::Zeroizing;

use super::arguments::StoreArguments;
use super::{anchor, postgres};
use crate::credentials::CredentialsFile;
use crate::error::{Error, Result};
use crate::metrics::Metrics;

/// The maximum size of a file with a passphrase or a password.
const MAX_SECRET: usize = 4_096;

/// The store with the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Store {
    Memory,
    File(PathBuf),
    Postgres(String),
}

impl Store {
    fn of(arguments: &StoreArguments) -> Self {
        let text = &arguments.store;
        if text == "memory" {
            Self::Memory
        } else if is_postgres(text) {
            Self::Postgres(text.clone())
        } else {
            Self::File(text.into())
        }
    }

    /// Returns the name of a file that belongs to the store: that of the store with a suffix.
    fn companion(&self, suffix: &str) -> PathBuf {
        let mut name = match self {
            Self::File(path) => path.clone().into_os_string(),
            Self::Memory | Self::Postgres(_) => "strongroom-server".into(),
        };
        name.push(suffix);
        name.into()
    }
}

/// Returns `true` if the text is the URL of a database, and not a file.
pub(super) fn is_postgres(text: &str) -> bool {
    text.starts_with("postgres://") || text.starts_with("postgresql://")
}

/// An open store.
pub(super) struct Opened {
    pub(super) kms: Kms,
    pub(super) store: Store,
    /// The audit trail that this process writes.
    pub(super) trail: Option<Arc<FileTrail>>,
    pub(super) credentials: CredentialsFile,
    /// The store did not exist before.
    pub(super) is_new: bool,
    /// Sentences about created files and keys, for the operator.
    pub(super) notes: Vec<String>,
}

impl Opened {
    pub(super) fn companion(&self, suffix: &str) -> PathBuf {
        self.store.companion(suffix)
    }

    /// Returns the directory of the audit trail.
    pub(super) fn trail_directory(&self, arguments: &StoreArguments) -> Option<PathBuf> {
        trail_directory(arguments, &self.store)
    }
}

/// Creates the tables of a store in PostgreSQL.
pub(super) fn create_schema(arguments: &StoreArguments, role: Option<&str>) -> Result<()> {
    match Store::of(arguments) {
        Store::Postgres(url) => postgres::create_schema(&url, arguments, role),
        Store::Memory | Store::File(_) => {
            Err(Error::new("only a store in PostgreSQL needs a schema; others are created by the first start"))
        }
    }
}

/// Opens the store, or creates it.
pub(super) fn open(arguments: &StoreArguments, metrics: Option<Arc<Metrics>>) -> Result<Opened> {
    let trail = trail_directory(arguments, &Store::of(arguments)).map(FileTrail::new).map(Arc::new);
    let mut builder = Kms::builder();
    if let Some(metrics) = metrics {
        builder = builder.metrics(metrics);
    }
    if let Some(trail) = &trail {
        builder = builder.audit(Arc::clone(trail));
    }
    open_with(builder, arguments, trail, true)
}

/// Opens an existing store without writing to its audit trail.
pub(super) fn open_existing(arguments: &StoreArguments) -> Result<Opened> {
    open_with(Kms::builder(), arguments, None, false)
}

fn open_with(
    builder: KmsBuilder,
    arguments: &StoreArguments,
    trail: Option<Arc<FileTrail>>,
    may_create: bool,
) -> Result<Opened> {
    let store = Store::of(arguments);
    let mut notes = Vec::new();
    let locality = Locality::new(&arguments.partition, &arguments.region)?;
    let builder = builder.account(arguments.account).locality(locality);
    // Both depend on whether the store exists.
    let mut with_anchor_and_root = |builder: KmsBuilder, is_new| {
        if is_new && !may_create {
            return Err(no_store(&store));
        }
        let builder = match anchor::of(arguments, is_new)? {
            Some(anchor) => builder.anchor(anchor),
            None => builder,
        };
        Ok((builder, root_key(arguments, &store, is_new, &mut notes)?))
    };
    let (kms, is_new) = match &store {
        Store::Memory if !may_create => return Err(in_memory()),
        Store::Memory if arguments.anchor.anchor.is_some() => {
            return Err(Error::new("a store in memory needs no anchor, because it ends with the process"));
        }
        Store::Memory => (builder.build()?, true),
        Store::File(path) => {
            let is_new = !path.exists();
            let (builder, root) = with_anchor_and_root(builder, is_new)?;
            (builder.open(path, root)?, is_new)
        }
        Store::Postgres(url) => postgres::open(url, arguments, |is_new| with_anchor_and_root(builder, is_new))?,
    };
    let file = arguments.credentials.clone().unwrap_or_else(|| store.companion(".credentials.json"));
    Ok(Opened { kms, store, trail, credentials: CredentialsFile::new(file), is_new, notes })
}

/// Does not repeat a URL, which may contain a password.
fn no_store(store: &Store) -> Error {
    Error::new(match store {
        Store::File(path) => format!("there is no store {}", path.display()),
        Store::Memory | Store::Postgres(_) => "there is no store in the database yet".to_owned(),
    })
}

fn in_memory() -> Error {
    Error::new("a store in memory belongs to one process, so other processes cannot use it")
}

/// Copies the store in a file to a new file.
pub(super) fn back_up(store: &Path, copy: &Path) -> Result<()> {
    if !store.is_file() {
        return Err(Error::new(format!("cannot back up {}: it is not a file with a store", store.display())));
    }
    Ok(SqliteStore::open(store, &CryptoBackend::default())?.back_up(copy)?)
}

/// Opens an existing store, performs an action of the operator, and closes it, so that the audit trail
/// is complete.
pub(super) fn with_store(arguments: &StoreArguments, action: impl FnOnce(&Opened) -> Result<()>) -> Result<()> {
    if Store::of(arguments) == Store::Memory {
        return Err(in_memory());
    }
    let opened = open(arguments, None)?;
    opened.notes.iter().for_each(|note| eprintln!("{note}"));
    let result = action(&opened);
    opened.kms.close()?;
    result
}

fn trail_directory(arguments: &StoreArguments, store: &Store) -> Option<PathBuf> {
    match (&arguments.audit, store) {
        (Some(directory), _) => Some(directory.clone()),
        (None, Store::Memory) => None,
        (None, Store::File(_) | Store::Postgres(_)) => Some(store.companion(".audit")),
    }
}

/// Returns the root key. A file for it is created only with a new store, because another key cannot
/// open an existing one.
fn root_key(store_arguments: &StoreArguments, store: &Store, is_new: bool, notes: &mut Vec<String>) -> Result<RootKey> {
    let (arguments, trusted) = (&store_arguments.root_key, store_arguments.trusted_users());
    if let Some(name) = &arguments.root_key_environment {
        return Ok(RootKey::from_environment(name)?);
    }
    if let Some(path) = &arguments.passphrase_file {
        let passphrase = read_line(&PrivateFile::new(path).trusted_users(trusted))?;
        return Ok(RootKey::from_passphrase(&passphrase)?);
    }
    if let Some(name) = &arguments.passphrase_environment {
        let cannot =
            |_| Error::new(format!("the environment variable {name} with the passphrase is not set, or not UTF-8"));
        let passphrase = Zeroizing::new(env::var(name).map_err(cannot)?);
        return Ok(RootKey::from_passphrase(&passphrase)?);
    }
    let path = arguments.root_key_file.clone().unwrap_or_else(|| store.companion(".root-key"));
    root_key_file(&path, trusted, is_new, notes)
}

fn root_key_file(path: &Path, trusted: TrustedUsers, is_new: bool, notes: &mut Vec<String>) -> Result<RootKey> {
    let shown = path.display();
    match (path.exists(), is_new) {
        (true, _) => Ok(RootKey::from_file_trusting(path, trusted)?),
        (false, true) => {
            let root = RootKey::generate_file(path)?;
            notes.push(format!(
                "created the root key {shown}: back it up elsewhere, because without it the store cannot be opened"
            ));
            Ok(root)
        }
        (false, false) => Err(Error::new(format!(
            "cannot open the store: its root key {shown} is missing; restore it from a backup, or pass --root-key-file"
        ))),
    }
}

/// Reads a secret from the first line of a private file.
pub(super) fn read_line(file: &PrivateFile) -> Result<Zeroizing<String>> {
    let shown = file.path().display();
    let content =
        file.read(MAX_SECRET).map_err(|error| Error::new(format!("cannot read {shown}")).with_source(error))?;
    let text = std::str::from_utf8(&content).map_err(|_| Error::new(format!("the secret in {shown} is not UTF-8")))?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() || line.contains('\n') {
        return Err(Error::new(format!("{shown} must contain one line with a secret")));
    }
    Ok(Zeroizing::new(line.to_owned()))
}
