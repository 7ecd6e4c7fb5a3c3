//! The destruction of one tenant's data, from end to end.
//!
//! The database, its log and its backup contain rows of several tenants. After the keys of one tenant
//! are deleted, its values neither open nor occur in the bytes of any file.

use std::fs;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, params};
use strongroom::audit::FileTrail;
use strongroom::columns::{BlindIndex, Column, ColumnKeys, Encrypted, RowId};
use strongroom::crypto::CryptoBackend;
use strongroom::key::{DeletionWindow, KeyId, KeySpec, KeyUsage};
use strongroom::request::CreateKeyRequest;
use strongroom::seal::RootKey;
use strongroom::store::SqliteStore;
use strongroom::{Clock, ErrorKind, Kms, ManualClock, Timestamp};

use super::support::TestResult;

const TENANTS: [&str; 3] = ["acme", "globex", "initech"];

/// The tenant whose keys are deleted.
const LEAVING: &str = "acme";

/// The maximum age of cached keys.
const MAX_AGE: Duration = Duration::from_secs(300);

const ROWS: i64 = 12;

/// A row as the database returns it.
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) tenant: String,
    pub(super) stored: Encrypted<String>,
    pub(super) index: Vec<u8>,
}

/// The service with its keys and caches.
pub(super) struct Service {
    folder: PathBuf,
    clock: Arc<ManualClock>,
    kms: Kms,
    keys: ColumnKeys,
    /// Without and with cached data keys.
    columns: [Column<String>; 2],
    /// Without and with cached index keys.
    indexes: [BlindIndex; 2],
}

/// Returns the value of a row, which occurs nowhere else.
pub(super) fn text_of(tenant: &str, id: i64) -> String {
    format!("Confidential-{tenant}-{id}@Example.com")
}

impl Service {
    /// Creates the keys of all tenants, in a store and with an audit trail in the folder.
    pub(super) fn create(folder: &Path) -> TestResult<Self> {
        let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(1_800_000_000_000)));
        let kms = open(folder, &clock)?;
        for tenant in TENANTS {
            kms.create_key(CreateKeyRequest::default().alias(format!("alias/tenant/{tenant}")))?;
            let hmac = CreateKeyRequest::default().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
            kms.create_key(hmac.alias(format!("alias/index/{tenant}")))?;
        }
        let keys = ColumnKeys::per_tenant(&kms, "alias/tenant/")?;
        let builder = || Column::<String>::builder(&keys, "users", "email").clock(Arc::clone(&clock));
        let columns = [builder().build()?, builder().cached_data_keys(MAX_AGE).build()?];
        let index_keys = ColumnKeys::per_tenant(&kms, "alias/index/")?;
        let builder = || BlindIndex::builder(&index_keys, "users", "email").clock(Arc::clone(&clock));
        let indexes = [builder().build()?, builder().cached_index_keys(MAX_AGE).build()?];
        Ok(Self { folder: folder.to_owned(), clock, kms, keys, columns, indexes })
    }

    /// Calls a function with the columns of each row to insert.
    pub(super) fn rows(&self) -> TestResult<Vec<Row>> {
        let mut rows = Vec::new();
        for (id, tenant) in (0..ROWS).zip(TENANTS.into_iter().cycle()) {
            let number = usize::from(id % 2 == 0);
            let text = text_of(tenant, id);
            let stored = self.columns[number].encrypt(&RowId::new(id).tenant(tenant), &text)?;
            let index = self.indexes[number].of_text(Some(tenant), &text)?.into_bytes();
            rows.push(Row { id, tenant: tenant.to_owned(), stored, index });
        }
        Ok(rows)
    }

    /// Decrypts each row, with which the caches are filled.
    pub(super) fn check_all_open(&self, rows: &[Row]) -> TestResult {
        assert_eq!(rows.len(), usize::try_from(ROWS)?);
        for row in rows {
            let place = RowId::new(row.id).tenant(&row.tenant);
            for (column, index) in self.columns.iter().zip(&self.indexes) {
                assert_eq!(column.decrypt(&place, &row.stored)?, text_of(&row.tenant, row.id));
                let found = index.of_text(Some(&row.tenant), &text_of(&row.tenant, row.id))?;
                assert_eq!(found.as_bytes(), row.index);
            }
        }
        Ok(())
    }

    /// Deletes the keys of the tenant that leaves, as the manual says. Returns their IDs.
    pub(super) fn shred(&self, rows: &[Row]) -> TestResult<Vec<KeyId>> {
        let mut keys = Vec::new();
        SqliteStore::open(self.folder.join("keys.db"), &CryptoBackend::default())?
            .back_up(self.folder.join("old.db"))?;
        for kind in ["tenant", "index"] {
            let key = self.kms.describe_key(format!("alias/{kind}/{LEAVING}"))?.key_id();
            self.kms.disable_key(key)?;
            self.kms.schedule_key_deletion(key, DeletionWindow::MIN)?;
            keys.push(key);
        }
        // A cached key ends with its age, which use does not extend.
        let leaving: Vec<_> = rows.iter().filter(|row| row.tenant == LEAVING).collect();
        let [direct, cached] = &self.columns;
        for after in [Duration::ZERO, MAX_AGE / 2, MAX_AGE / 2] {
            self.clock.advance(after);
            for row in &leaving {
                let place = RowId::new(row.id).tenant(LEAVING);
                assert_eq!(
                    direct.decrypt(&place, &row.stored).expect_err("the key is deleted").kind(),
                    ErrorKind::InvalidState
                );
                let is_cached = row.stored.format() == 2;
                assert_eq!(cached.decrypt(&place, &row.stored).is_ok(), is_cached, "{after:?}");
            }
        }
        self.clock.advance(Duration::from_millis(1));
        for row in &leaving {
            let place = RowId::new(row.id).tenant(LEAVING);
            assert_eq!(
                cached.decrypt(&place, &row.stored).expect_err("the key is deleted").kind(),
                ErrorKind::InvalidState
            );
            assert_eq!(cached.encrypt(&place, "more").expect_err("the key is deleted").kind(), ErrorKind::InvalidState);
        }
        assert!(self.indexes[1].of_text(Some(LEAVING), "more").is_err());

        self.clock.advance_days(7);
        self.kms.confirm_clock(self.clock.now())?;
        let report = self.kms.run_maintenance()?;
        assert!(report.is_complete() && report.deleted.len() == 2, "{report:?}");
        Ok(keys)
    }

    /// Restores the backup of the keys, in which those of the tenant exist, and deletes them again.
    pub(super) fn check_restored_keys(&self, rows: &[Row]) -> TestResult {
        let store = SqliteStore::open(self.folder.join("old.db"), &CryptoBackend::default())?;
        let clock = Arc::clone(&self.clock);
        let restored = Kms::builder().clock(clock).store(store, RootKey::from_bytes(&[7; 32])).build()?;
        let column = Column::<String>::new(&ColumnKeys::per_tenant(&restored, "alias/tenant/")?, "users", "email")?;
        let opened = |tenant: &str| {
            let place = |row: &Row| RowId::new(row.id).tenant(&row.tenant);
            rows.iter().filter(|row| row.tenant == tenant && column.decrypt(&place(row), &row.stored).is_ok()).count()
        };
        let all = usize::try_from(ROWS)? / TENANTS.len();
        assert_eq!(opened(LEAVING), all, "a backup of the keys brings them back");
        let list = self.kms.export_deletions()?;
        let unconfirmed = restored.apply_deletions(&list, &[])?.unconfirmed;
        assert_eq!(unconfirmed.len(), 2, "their deletion was not yet planned");
        assert_eq!(restored.apply_deletions(&list, &unconfirmed)?.deleted.len(), 2);
        assert_eq!((opened(LEAVING), opened("globex")), (0, all));
        Ok(())
    }

    /// Requires that none of the tenant's rows opens for any reader, and that all others do.
    pub(super) fn check_shredded(&self, rows: &[Row], deleted: &[KeyId]) -> TestResult {
        assert_eq!(rows.len(), usize::try_from(ROWS)?);
        let [data_key, index_key] = deleted else { return Err("two keys".into()) };
        // Another process, a reader that trusts the old key, and one after a new sign-up of the tenant.
        let reopened = open_again(&self.folder, &self.clock)?;
        let keys = ColumnKeys::per_tenant(&reopened, "alias/tenant/")?;
        let by_id = ColumnKeys::new(&self.kms, *data_key)?;
        let mut readers = self.columns.to_vec();
        for keys in [&self.keys, &keys, &by_id, &self.keys.clone().previous_key(*data_key)?] {
            readers.push(Column::new(keys, "users", "email")?);
        }
        let renewed = self.kms.create_key(CreateKeyRequest::default().alias(format!("alias/tenant/{LEAVING}")));
        let renewed = renewed.or_else(|_| self.kms.describe_key(format!("alias/tenant/{LEAVING}")))?;
        readers.push(Column::new(
            &ColumnKeys::new(&self.kms, renewed.key_id())?.previous_key(*data_key)?,
            "users",
            "email",
        )?);
        let others = rows.iter().filter(|row| row.tenant != LEAVING).count();
        let mut opened = 0;
        for row in rows {
            for tenant in TENANTS {
                let place = RowId::new(row.id).tenant(tenant);
                for reader in &readers {
                    let result = reader.decrypt(&place, &row.stored);
                    assert!(result.is_err() || (row.tenant == tenant && tenant != LEAVING), "{tenant}");
                    opened += usize::from(result.is_ok());
                }
            }
        }
        // All readers but that by ID and the last one.
        assert_eq!(opened, others * (readers.len() - 2));

        for index in &self.indexes {
            let refused = index.of_text(Some(LEAVING), &text_of(LEAVING, 0)).expect_err("the key is deleted");
            assert_eq!(refused.kind(), ErrorKind::NotFound);
        }
        let by_id = BlindIndex::builder(&ColumnKeys::new(&self.kms, *index_key)?, "users", "email").build()?;
        assert!(by_id.of_text(Some(LEAVING), &text_of(LEAVING, 0)).is_err());
        Ok(())
    }
}

fn open(folder: &Path, clock: &Arc<ManualClock>) -> TestResult<Kms> {
    let store = SqliteStore::open(folder.join("keys.db"), &CryptoBackend::default())?;
    let builder = Kms::builder().clock(Arc::clone(clock)).store(store, RootKey::from_bytes(&[7; 32]));
    Ok(builder.audit(FileTrail::new(folder.join("trail"))).build()?)
}

/// Opens the store as another process would, without the trail.
fn open_again(folder: &Path, clock: &Arc<ManualClock>) -> TestResult<Kms> {
    let store = SqliteStore::open(folder.join("keys.db"), &CryptoBackend::default())?;
    Ok(Kms::builder().clock(Arc::clone(clock)).store(store, RootKey::from_bytes(&[7; 32])).build()?)
}

/// Searches all files of a folder for a text in the forms in which databases and logs write it. Returns
/// the number of bytes that were searched, and the files with the text.
pub(super) fn files_with(folder: &Path, text: &str) -> TestResult<(u64, Vec<PathBuf>)> {
    let utf16 = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    let hexadecimal = hex::encode(text);
    let forms = [
        text.as_bytes().to_vec(),
        text.to_lowercase().into_bytes(),
        utf16(u16::to_le_bytes),
        // Without the zero byte at its beginning, of which files have many.
        utf16(u16::to_be_bytes).split_off(1),
        hexadecimal.to_uppercase().into_bytes(),
        hexadecimal.into_bytes(),
    ];
    let (mut bytes, mut found, mut folders) = (0, Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() {
                let content = fs::read(&path)?;
                bytes += u64::try_from(content.len())?;
                if forms.iter().any(|form| contains(&content, form)) {
                    found.push(path);
                }
            }
        }
    }
    Ok((bytes, found))
}

/// Returns `true` if the bytes contain a text. The standard library, which is optimized, searches for
/// its first byte.
fn contains(mut bytes: &[u8], text: &[u8]) -> bool {
    let Some((first, rest)) = text.split_first() else { return true };
    // A slice cannot fail to be read.
    while bytes.skip_until(*first).is_ok_and(|skipped| skipped > 0) {
        if bytes.starts_with(rest) {
            return true;
        }
    }
    false
}

/// Requires that no value is found in any file, although other texts are.
pub(super) fn check_files(folder: &Path, control: &str) -> TestResult {
    // The beginning and the end of all values.
    for text in ["Confidential-", "@Example.com"] {
        assert!(text_of(LEAVING, 0).contains(text));
        let (bytes, found) = files_with(folder, text)?;
        assert!(found.is_empty() && bytes > 50_000, "{text} is in {found:?}");
    }
    let (_, found) = files_with(folder, control)?;
    assert!(!found.is_empty(), "a plaintext is found");
    Ok(())
}

#[test]
fn texts_are_found_in_bytes() {
    for (bytes, text, expected) in [
        (&b"aab"[..], &b"ab"[..], true),
        (b"xxab", b"ab", true),
        (b"xa", b"ab", false),
        (b"", b"a", false),
        (b"ba", b"a", true),
    ] {
        assert_eq!(contains(bytes, text), expected, "{text:?} in {bytes:?}");
    }
}

fn read(database: &Connection) -> TestResult<Vec<Row>> {
    let mut select = database.prepare("SELECT id, tenant, email, email_index FROM users ORDER BY id")?;
    let rows = select.query_map([], |row| {
        Ok(Row { id: row.get(0)?, tenant: row.get(1)?, stored: row.get(2)?, index: row.get(3)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[test]
fn nothing_of_a_deleted_tenant_remains_in_sqlite() -> TestResult {
    let folder = tempfile::tempdir()?;
    let service = Service::create(folder.path())?;
    let database = Connection::open(folder.path().join("users.db"))?;
    database.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
         CREATE TABLE users (id INTEGER PRIMARY KEY, tenant TEXT, email BLOB, email_index BLOB, note TEXT);
         CREATE INDEX users_by_email ON users (email_index);",
    )?;
    for (number, row) in service.rows()?.iter().enumerate() {
        let values = params![row.id, row.tenant, row.stored, row.index];
        database.execute("INSERT INTO users VALUES (?1, ?2, ?3, ?4, 'a note in plaintext')", values)?;
        // Some rows are in the file, and others in the log only.
        if number == 6 {
            database.execute_batch("PRAGMA wal_checkpoint")?;
        }
    }
    let rows = read(&database)?;
    service.check_all_open(&rows)?;

    // A backup through SQLite, and one of the files.
    database.execute("VACUUM INTO ?1", [folder.path().join("backup.db").display().to_string()])?;
    for end in ["", "-wal"] {
        fs::copy(folder.path().join(format!("users.db{end}")), folder.path().join(format!("copy.db{end}")))?;
    }
    let deleted = service.shred(&rows)?;
    assert!(fs::metadata(folder.path().join("users.db-wal"))?.len() > 4_096, "the log is full");
    check_files(folder.path(), "a note in plaintext")?;
    service.check_restored_keys(&rows)?;
    for file in ["users.db", "backup.db", "copy.db"] {
        service.check_shredded(&read(&Connection::open(folder.path().join(file))?)?, &deleted)?;
    }
    Ok(())
}
