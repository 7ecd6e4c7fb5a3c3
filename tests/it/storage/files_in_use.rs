//! Files of a SQLite store that are deleted, moved, truncated, or replaced while the store is in
//! use.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use strongroom::crypto::CryptoBackend;
use strongroom::identity::AccountId;
use strongroom::key::KeyId;
use strongroom::seal::RootKey;
use strongroom::store::{
    Change, Expectation, KeyStore, MissingFile, RecordId, RecordKind, SqliteOptions, SqliteStore, StoreError,
};
use strongroom::{Error, ErrorKind, Kms, Result};
use tempfile::TempDir;

use crate::support::child_process::fast_folder;

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn path_in(folder: &TempDir) -> PathBuf {
    folder.path().join("keys.strongroom")
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn store(path: &Path) -> Result<SqliteStore> {
    SqliteStore::open_with(path, &CryptoBackend::default(), SqliteOptions::default().staleness(Duration::ZERO))
}

fn open(path: &Path) -> Result<Kms> {
    Kms::builder().store(store(path)?, RootKey::from_bytes(&[7; 32])).build()
}

/// Damage that a cleanup job can cause to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    Delete,
    Rename,
    Replace,
    Empty,
    CutTheEnd,
}

impl Damage {
    fn is_a_cut(self) -> bool {
        matches!(self, Self::Empty | Self::CutTheEnd)
    }

    fn apply(self, file: &Path) -> io::Result<()> {
        match self {
            Self::Delete => fs::remove_file(file),
            Self::Rename => fs::rename(file, beside(file, ".old")),
            Self::Replace => fs::remove_file(file).and_then(|()| File::create(file)).map(drop),
            Self::Empty => OpenOptions::new().write(true).open(file)?.set_len(0),
            Self::CutTheEnd => {
                let file = OpenOptions::new().write(true).open(file)?;
                file.set_len(file.metadata()?.len() - 100)
            }
        }
    }
}

const CASES: [(&str, Damage); 8] = [
    ("-wal", Damage::Delete),
    ("-wal", Damage::Rename),
    ("-wal", Damage::Replace),
    ("-wal", Damage::Empty),
    ("-wal", Damage::CutTheEnd),
    ("-shm", Damage::Delete),
    ("-shm", Damage::Rename),
    ("-shm", Damage::Replace),
];

fn reason(error: &Error) -> &StoreError {
    assert_eq!(error.kind(), ErrorKind::Store, "{error}");
    error.downcast_ref().unwrap_or_else(|| panic!("{error:?}"))
}

fn has_key(path: &Path, key: KeyId) -> Result<bool> {
    match open(path)?.describe_key(key) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Copies only the main file, which is what remains after a kill if the log is missing.
fn main_file_alone(path: &Path) -> Result<(TempDir, PathBuf), Box<dyn std::error::Error>> {
    let folder = fast_folder()?;
    let copy = path_in(&folder);
    fs::copy(path, &copy)?;
    Ok((folder, copy))
}

#[test]
fn a_change_is_never_acknowledged_after_a_file_of_the_store_vanished() -> TestResult {
    for (suffix, damage) in CASES {
        let what = format!("{damage:?} {suffix}");
        let folder = fast_folder()?;
        let path = path_in(&folder);
        let (one, other) = (open(&path)?, open(&path)?);
        let key = one.create_key(Default::default())?.key_id();
        other.describe_key(key)?;
        damage.apply(&beside(&path, suffix))?;
        for kms in [&one, &other, &one] {
            let refused = kms.create_key(Default::default()).expect_err(&what);
            let expected = match reason(&refused) {
                StoreError::Replaced(_) => !damage.is_a_cut(),
                StoreError::LogLost(_) => damage.is_a_cut(),
                _ => false,
            };
            assert!(expected && !refused.to_string().contains("safe"), "{what}: {refused}");
        }
        // A process that opens the store now is rejected, too.
        if suffix == "-wal" {
            let refused = open(&path).expect_err(&what);
            assert!(!refused.to_string().contains("safe"), "{what}: {refused}");
        }
        // Acknowledged changes are saved as long as any process has the log open.
        if !damage.is_a_cut() && suffix == "-wal" {
            let (_folder, copy) = main_file_alone(&path)?;
            assert!(has_key(&copy, key)?, "{what}: saved in the main file");
        }
        drop((one, other));
        if !damage.is_a_cut() {
            assert!(has_key(&path, key)?, "{what}");
        }
        assert!(open(&path)?.verify_store(|_| {})?.is_intact(), "{what}");
    }
    Ok(())
}

fn id(name: &[u8]) -> RecordId {
    RecordId { kind: RecordKind::Key, account: AccountId::default(), name: name.to_vec() }
}

/// The file vanishes after the checks and before the change is written.
#[test]
fn a_commit_during_which_a_file_vanishes_is_acknowledged_only_if_it_is_safe() -> TestResult {
    for (suffix, damage) in CASES {
        let what = format!("{damage:?} {suffix}");
        let folder = fast_folder()?;
        let path = path_in(&folder);
        let store = store(&path)?;
        let put = |name: &[u8], damage: Option<Damage>| {
            store.commit(&[Expectation { id: id(name), revision: None }], &mut |_| {
                if let Some(damage) = damage {
                    damage.apply(&beside(&path, suffix)).expect("applied");
                }
                Ok(vec![Change { id: id(name), body: Some(b"body".to_vec()) }])
            })
        };
        put(b"before", None).map_err(Error::from)?;
        let done = put(b"meanwhile", Some(damage)).map_err(Error::from);
        if suffix == "-wal" && !damage.is_a_cut() {
            done.map_err(|error| format!("{what}: the data can be saved: {error}"))?;
            let (_folder, copy) = main_file_alone(&path)?;
            assert!(self::store(&copy)?.get(&id(b"meanwhile"))?.is_some(), "{what}");
        } else {
            let error = done.expect_err(&what);
            assert!(matches!(reason(&error), StoreError::Unconfirmed(_)), "{what}: {error:?}");
            assert!(!error.to_string().contains("nothing was changed"), "{error}");
        }
        put(b"after", None).map(|_| ()).map_err(Error::from).expect_err(&what);
    }
    Ok(())
}

/// Normal operations of other processes are not reported as damage.
#[test]
fn checkpoints_and_restarts_of_the_log_by_others_are_no_damage() -> TestResult {
    let folder = fast_folder()?;
    let path = path_in(&folder);
    let stores = (0..4).map(|_| store(&path).map(Arc::new)).collect::<Result<Vec<_>>>()?;
    std::thread::scope(|scope| {
        for (thread, store) in stores.iter().enumerate() {
            scope.spawn(move || {
                for number in 0..150_u32 {
                    let id = id(format!("{thread} {number}").as_bytes());
                    let absent = Expectation { id: id.clone(), revision: None };
                    let change = Change { id, body: Some(vec![0; 20_000]) };
                    store.commit(&[absent], &mut |_| Ok(vec![change.clone()])).expect("committed");
                    if number % 7 == 0 {
                        // This fails if there are readers.
                        let _ = store.scrub();
                    }
                    store.revision().expect("the store can be read");
                }
            });
        }
    });
    // Handles are opened and closed, and closing the last one removes the log.
    drop(stores);
    for _ in 0..3 {
        let store = store(&path)?;
        assert_eq!(store.revision()?.0, 600);
    }
    Ok(())
}

#[test]
fn a_store_that_must_exist_is_not_made_of_an_empty_file_or_one_without_records() -> TestResult {
    let backend = CryptoBackend::default();
    let refuse = || SqliteOptions::default().missing_file(MissingFile::Refuse);
    let folder = fast_folder()?;
    let path = path_in(&folder);
    let is_missing = |path: &Path| {
        let error = SqliteStore::open_with(path, &backend, refuse()).map(drop).expect_err("refused");
        matches!(reason(&error), StoreError::Missing(missing) if missing == path)
    };
    OpenOptions::new().write(true).create_new(true).open(&path)?;
    #[cfg(unix)]
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    assert!(is_missing(&path) && fs::metadata(&path)?.len() == 0);
    // This simulates a process that ended before it wrote the first record.
    drop(SqliteStore::open(&path, &backend)?);
    assert!(is_missing(&path));
    drop(open(&path)?);
    let store = SqliteStore::open_with(&path, &backend, refuse())?;
    Kms::builder().store(store, RootKey::from_bytes(&[7; 32])).build()?;
    Ok(())
}

/// A directory in place of the log simulates an unwritable directory. This also works for root.
#[test]
fn a_store_beside_which_no_file_can_be_made_is_refused_with_its_path() -> TestResult {
    let folder = fast_folder()?;
    let path = path_in(&folder);
    drop(open(&path)?);
    fs::create_dir(beside(&path, "-wal"))?;
    let refused = open(&path).expect_err("no log can be created");
    let named = refused.to_string().contains(&*path.to_string_lossy());
    assert!(named && matches!(reason(&refused), StoreError::CannotOpen { .. }), "{refused:?}");
    Ok(())
}
