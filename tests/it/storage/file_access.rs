//! Stores, audit logs, anchors, and root key files that other users could replace are rejected and
//! left unchanged.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use strongroom::audit::FileTrail;
use strongroom::crypto::CryptoBackend;
use strongroom::seal::RootKey;
use strongroom::store::{Anchor, AnchorPoint, FileAnchor, Revision, SqliteOptions, SqliteStore, StoreError, StoreId};
use strongroom::{ErrorKind, Kms, Result, TrustedUsers};

type TestResult = std::result::Result<(), Box<dyn std::error::Error>>;

/// A user ID that exists on no machine.
const NOBODY: u32 = 54_321;

type Open = fn(&Path, TrustedUsers) -> Result<()>;

/// The objects that are opened in a directory, with the error kind and the opening function.
const KINDS: [(&str, ErrorKind, Open); 4] = [
    ("keys", ErrorKind::Store, |path, users| {
        let options = SqliteOptions::default().trusted_users(users);
        SqliteStore::open_with(path, &CryptoBackend::default(), options).map(drop)
    }),
    ("trail", ErrorKind::Audit, |path, users| {
        let kms = Kms::builder().audit(FileTrail::new(path).trusted_users(users)).build()?;
        kms.create_key(Default::default()).map(drop)
    }),
    ("anchor", ErrorKind::Store, |path, users| {
        let anchor = FileAnchor::new(path).trusted_users(users);
        anchor.last()?;
        anchor.advance(&AnchorPoint { store: StoreId([7; 16]), revision: Revision(1), digest: [7; 32] })
    }),
    ("root.key", ErrorKind::Validation, |path, users| {
        if !path.exists() {
            drop(RootKey::generate_file(path)?);
        }
        RootKey::from_file_trusting(path, users).map(drop)
    }),
];

fn set_mode(path: &Path, mode: u32) -> std::io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
}

#[test]
fn what_lies_on_a_path_that_others_can_change_is_refused_and_not_created() -> TestResult {
    for (name, kind, open) in KINDS {
        let home = tempfile::tempdir()?;
        let outer = home.path().join("outer");
        let inner = outer.join("inner");
        fs::create_dir_all(&inner)?;
        for (directory, mode) in [(&inner, 0o777), (&outer, 0o777), (&inner, 0o772)] {
            set_mode(directory, mode)?;
            let refused = open(&inner.join(name), TrustedUsers::Owner).expect_err(name);
            assert_eq!(refused.kind(), kind, "{name}: {refused}");
            let text = refused.to_string();
            assert!(text.contains(&format!("{} can be written by other users", directory.display())), "{text}");
            assert_eq!(fs::read_dir(&inner)?.count(), 0, "{name}");
            set_mode(directory, 0o755)?;
        }
        open(&inner.join(name), TrustedUsers::Owner)?;
        set_mode(&outer, 0o777)?;
        assert_eq!(open(&inner.join(name), TrustedUsers::Group).expect_err(name).kind(), kind);
        open(&inner.join(name), TrustedUsers::Everyone)?;
    }
    Ok(())
}

#[test]
fn what_belongs_to_another_user_is_refused() -> TestResult {
    let home = tempfile::tempdir()?;
    if home.path().metadata()?.uid() != 0 {
        // Do not use `println`, because the test runner hides its output for passing tests.
        let _ = writeln!(
            std::io::stderr(),
            "not run: what_belongs_to_another_user_is_refused (only root gives files away)"
        );
        return Ok(());
    }
    for (name, kind, open) in KINDS {
        let directory = home.path().join(format!("of-{name}"));
        fs::create_dir(&directory)?;
        let path = directory.join(name);
        open(&path, TrustedUsers::Owner)?;
        let mut owned = vec![directory.clone(), path.clone()];
        if path.is_dir() {
            let files = fs::read_dir(&path)?.map(|entry| entry.map(|entry| entry.path()));
            let files = files.collect::<std::io::Result<Vec<_>>>()?;
            owned.extend(files.into_iter().filter(|file| file.extension() == Some("jsonl".as_ref())));
        }
        for owned in owned {
            chown(&owned, Some(NOBODY), None)?;
            for users in [TrustedUsers::Owner, TrustedUsers::Group] {
                let refused = open(&path, users).expect_err(name);
                assert_eq!(refused.kind(), kind, "{name}: {refused}");
                let text = refused.to_string();
                assert!(text.contains(&format!("{} belongs to another user", owned.display())), "{text}");
            }
            chown(&owned, Some(0), None)?;
        }
        open(&path, TrustedUsers::Owner)?;
    }
    Ok(())
}

#[test]
fn a_log_that_others_may_write_is_refused_with_its_store() -> TestResult {
    let home = tempfile::tempdir()?;
    let path = home.path().join("keys");
    let store = SqliteStore::open(&path, &CryptoBackend::default())?;
    let kms = Kms::builder().store(store, RootKey::from_bytes(&[7; 32])).build()?;
    kms.create_key(Default::default())?;
    for suffix in ["-wal", "-shm"] {
        let log = home.path().join(format!("keys{suffix}"));
        set_mode(&log, 0o666)?;
        let refused = SqliteStore::open(&path, &CryptoBackend::default()).expect_err("its log can be written");
        let reason = refused.downcast_ref::<StoreError>();
        assert!(
            matches!(reason, Some(StoreError::WritableByOthers { path, mode: 0o666 }) if *path == log),
            "{refused}"
        );
        set_mode(&log, 0o600)?;
    }
    SqliteStore::open(&path, &CryptoBackend::default())?;
    Ok(())
}
