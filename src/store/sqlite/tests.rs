use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::ErrorKind;
use crate::identity::AccountId;
use crate::store::{Change, MemoryStore, RecordKind, conformance};

type TestResult = Result<(), Box<dyn std::error::Error>>;

struct Home(TempDir);

impl Home {
    fn new() -> std::io::Result<Self> {
        tempfile::tempdir().map(Self)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("keys")
    }

    fn open(&self) -> Result<SqliteStore> {
        let options = SqliteOptions::default().staleness(std::time::Duration::ZERO);
        SqliteStore::open_with(self.path(), &CryptoBackend::default(), options)
    }

    /// Returns the contents of all files on disk.
    fn bytes(&self) -> std::io::Result<Vec<u8>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(self.0.path())? {
            let entry = entry?;
            if !entry.file_name().to_string_lossy().ends_with("-shm") {
                all.extend(fs::read(entry.path())?);
            }
        }
        Ok(all)
    }
}

fn id(name: &[u8]) -> RecordId {
    RecordId { kind: RecordKind::Key, account: AccountId::default(), name: name.to_vec() }
}

fn write(
    store: &dyn KeyStore,
    name: &[u8],
    revision: Option<Revision>,
    body: Option<&[u8]>,
) -> Result<Revision, CommitError> {
    store.commit(&[Expectation { id: id(name), revision }], &mut |_| {
        Ok(vec![Change { id: id(name), body: body.map(<[u8]>::to_vec) }])
    })
}

fn reason_of(result: Result<SqliteStore>) -> StoreError {
    let error = result.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Store);
    // The error owns the only copy of the reason, so the reason is rebuilt here, or identified by
    // its text.
    match error.downcast_ref::<StoreError>().expect("a reason of the store") {
        StoreError::NotAStore(path) => StoreError::NotAStore(path.clone()),
        StoreError::NewerFormat { found, known } => StoreError::NewerFormat { found: *found, known: *known },
        StoreError::Missing(path) => StoreError::Missing(path.clone()),
        StoreError::NotAFile(path) => StoreError::NotAFile(path.clone()),
        StoreError::MultipleHardLinks { path, names } => {
            StoreError::MultipleHardLinks { path: path.clone(), names: *names }
        }
        StoreError::WritableByOthers { path, mode } => StoreError::WritableByOthers { path: path.clone(), mode: *mode },
        other => panic!("{other:?}"),
    }
}

#[test]
fn sqlite_store_meets_the_contract() -> TestResult {
    let homes = std::cell::RefCell::new(Vec::new());
    conformance::run(|| {
        let home = Home::new().expect("a folder");
        let store = home.open()?;
        homes.borrow_mut().push(home);
        Ok(Box::new(store))
    })?;
    Ok(())
}

#[test]
fn records_and_identity_outlive_the_store() -> TestResult {
    let home = Home::new()?;
    Ok(conformance::run_durable(|| Ok(Box::new(home.open()?)))?)
}

#[test]
fn handles_on_one_file_see_one_another_s_commits() -> TestResult {
    let (at_once, soon) = (Home::new()?, Home::new()?);
    conformance::run_shared(|| Ok(Box::new(at_once.open()?)))?;
    Ok(conformance::run_shared(|| Ok(Box::new(SqliteStore::open(soon.path(), &CryptoBackend::default())?)))?)
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_the_files() -> TestResult {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new()?;
    let store = home.open()?;
    write(&store, b"a", None, Some(b"body")).map_err(|error| format!("{error:?}"))?;
    store.back_up(home.0.path().join("copy"))?;
    for entry in fs::read_dir(home.0.path())? {
        assert_eq!(entry?.metadata()?.permissions().mode() & 0o777, 0o600);
    }
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_file_that_others_may_write_or_know_by_another_name_is_refused() -> TestResult {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new()?;
    drop(home.open()?);
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o620))?;
    assert!(matches!(reason_of(home.open()), StoreError::WritableByOthers { mode: 0o620, .. }));
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o600))?;
    fs::hard_link(home.path(), home.0.path().join("other"))?;
    assert!(matches!(reason_of(home.open()), StoreError::MultipleHardLinks { names: 2, .. }));
    Ok(())
}

#[test]
fn a_file_of_someone_else_is_refused_and_left_as_it_is() -> TestResult {
    let text = b"a diary, and longer than the header of a database, which has a hundred bytes. ".repeat(20);
    let database = {
        let home = Home::new()?;
        Connection::open(home.path())?.execute_batch("CREATE TABLE diary (day TEXT)")?;
        fs::read(home.path())?
    };
    for bytes in [text, database] {
        let home = Home::new()?;
        fs::write(home.path(), &bytes)?;
        #[cfg(unix)]
        fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        assert!(matches!(reason_of(home.open()), StoreError::NotAStore(_)));
        assert_eq!(fs::read(home.path())?, bytes);
    }
    Ok(())
}

#[test]
fn the_error_of_sqlite_is_found_where_no_log_can_be_created() -> TestResult {
    let home = Home::new()?;
    drop(home.open()?);
    fs::create_dir(home.0.path().join("keys-wal"))?;
    let refused = home.open().expect_err("a directory has the name of the log");
    let cause: &rusqlite::Error = refused.downcast_ref().expect("the error of SQLite");
    assert!(refused.to_string().contains(&cause.to_string()), "{refused}");
    Ok(())
}

#[test]
fn a_later_format_a_strange_table_a_directory_and_a_missing_file_are_told_apart() -> TestResult {
    let home = Home::new()?;
    drop(home.open()?);
    let edit = |sql: &str| Connection::open(home.path()).and_then(|connection| connection.execute_batch(sql));
    edit("PRAGMA user_version = 9")?;
    assert!(matches!(reason_of(home.open()), StoreError::NewerFormat { found: 9, known: 2 }));
    edit("PRAGMA user_version = 2; CREATE TRIGGER t AFTER INSERT ON record BEGIN DELETE FROM record; END")?;
    assert!(matches!(reason_of(home.open()), StoreError::NotAStore(_)));
    edit("DROP TRIGGER t")?;
    assert!(home.open().is_ok());

    let backend = CryptoBackend::default();
    assert!(matches!(reason_of(SqliteStore::open(home.0.path(), &backend)), StoreError::NotAFile(_)));
    let refuse = SqliteOptions::default().missing_file(MissingFile::Refuse);
    let absent = home.0.path().join("absent");
    assert!(matches!(reason_of(SqliteStore::open_with(&absent, &backend, refuse)), StoreError::Missing(_)));
    assert!(!absent.exists());
    Ok(())
}

#[test]
fn a_change_through_one_handle_is_seen_by_another_within_the_bound() -> TestResult {
    let home = Home::new()?;
    let (one, other) = (home.open()?, SqliteStore::open(home.path(), &CryptoBackend::default())?);
    other.revision()?;
    let revision = write(&one, b"a", None, Some(b"1")).map_err(|error| format!("{error:?}"))?;
    std::thread::sleep(SqliteOptions::default().staleness);
    assert_eq!(other.revision()?, revision);
    assert!(matches!(write(&other, b"a", None, Some(b"2")), Err(CommitError::Conflict(_))));
    Ok(())
}

#[test]
fn a_file_that_was_replaced_in_use_takes_no_more_changes() -> TestResult {
    let home = Home::new()?;
    let store = home.open()?;
    fs::rename(home.path(), home.0.path().join("moved"))?;
    assert!(
        matches!(write(&store, b"a", None, Some(b"1")), Err(CommitError::Failed(error)) if error.kind() == ErrorKind::Store)
    );
    assert!(store.revision().is_err());
    Ok(())
}

#[test]
fn nothing_of_a_deleted_or_replaced_record_is_left_after_a_scrub() -> TestResult {
    let home = Home::new()?;
    let store = home.open()?;
    let fail = |error: CommitError| format!("{error:?}");
    let (old, gone) = (b"0123456789 replaced".repeat(300), b"9876543210 deleted".repeat(300));
    let first = write(&store, b"a", None, Some(&old)).map_err(fail)?;
    let second = write(&store, b"b", None, Some(&gone)).map_err(fail)?;
    write(&store, b"a", Some(first), Some(b"new")).map_err(fail)?;
    write(&store, b"b", Some(second), None).map_err(fail)?;
    let holds = |text: &[u8]| home.bytes().map(|all| all.windows(text.len()).any(|window| window == text));
    assert!(holds(b"9876543210 deleted")?, "the log must contain the data for this test to be meaningful");
    store.scrub()?;
    assert!(!holds(b"0123456789 replaced")? && !holds(b"9876543210 deleted")?);
    Ok(())
}

#[test]
fn a_backup_is_one_state_while_others_write() -> TestResult {
    let home = Home::new()?;
    let store = home.open()?;
    // Writes two records that always change together.
    let both = |revision: Option<Revision>, body: u64| {
        let expected = [b"a", b"b"].map(|name| Expectation { id: id(name), revision });
        store.commit(&expected, &mut |_| {
            Ok([b"a", b"b"].map(|name| Change { id: id(name), body: Some(body.to_be_bytes().to_vec()) }).to_vec())
        })
    };
    let mut revision = both(None, 0).expect("committed");
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 1..60 {
                revision = both(Some(revision), number).expect("committed");
            }
        });
        for number in 0..10 {
            let path = home.0.path().join(format!("copy {number}"));
            store.back_up(&path).expect("a backup");
            let copy = SqliteStore::open(&path, &CryptoBackend::default()).expect("a store");
            let [a, b] = [b"a", b"b"].map(|name| copy.get(&id(name)).expect("readable").expect("there"));
            assert_eq!(a, b);
        }
        writer.join().expect("no thread panicked");
    });
    Ok(())
}

/// The number of a record, its new body, and whether the expectation is stale.
type Step = (u8, Option<Vec<u8>>, bool);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn random_batches_do_the_same_as_in_memory(
        batches in prop::collection::vec(prop::collection::vec(any::<Step>(), 1..6), 1..16),
    ) {
        let home = Home::new()?;
        let (model, mut store) = (MemoryStore::new(&CryptoBackend::default())?, home.open()?);
        for (number, batch) in batches.into_iter().enumerate() {
            if number % 5 == 4 {
                drop(store);
                store = home.open()?;
            }
            let batch: BTreeMap<u8, (Option<Vec<u8>>, bool)> =
                batch.into_iter().map(|(name, body, stale)| (name % 8, (body, stale))).collect();
            let expected: Vec<Expectation> = batch.iter().map(|(name, (_, stale))| {
                let current = model.get(&id(&[*name])).expect("readable").map(|record| record.revision);
                // Some expectations are out of date.
                let revision = if *stale && number % 3 == 0 { Some(Revision(u64::from(*name))) } else { current };
                Expectation { id: id(&[*name]), revision }
            }).collect();
            let changes: Vec<Change> =
                batch.iter().map(|(name, (body, _))| Change { id: id(&[*name]), body: body.clone() }).collect();
            let wanted = model.commit(&expected, &mut |_| Ok(changes.clone())).map_err(|error| format!("{error:?}"));
            let found = store.commit(&expected, &mut |_| Ok(changes.clone())).map_err(|error| format!("{error:?}"));
            prop_assert_eq!(wanted, found);
            let all = Scan { kind: RecordKind::Key, account: None, after: None, limit: 100 };
            prop_assert_eq!(model.scan(&all)?, store.scan(&all)?);
            prop_assert_eq!(model.revision()?, store.revision()?);
        }
    }
}
