//! A table of notes for several tenants: encrypted columns, a search by author, re-encryption after a
//! rotation, and the deletion of one tenant.
//!
//!     cargo run --features columns-rusqlite --example columns

use std::error::Error;
use std::ops::ControlFlow;
use std::sync::Arc;

use rusqlite::{Connection, params};
use strongroom::columns::{
    BlindIndex, Column, ColumnKeys, Encrypted, Json, Normalization, RowId, SqliteSweepTable, Sweep, SweepColumns,
};
use strongroom::key::{DeletionWindow, KeySpec, KeyUsage};
use strongroom::request::CreateKeyRequest;
use strongroom::{Clock, Kms, ManualClock, SystemClock};

/// The content of one row.
#[derive(Debug, PartialEq, serde::Deserialize, serde::Serialize)]
struct Note {
    title: String,
    urgent: bool,
}

/// The table, and what encrypts its columns.
struct Notes {
    database: Connection,
    note: Column<Json<Note>>,
    author: Column<String>,
    authors: BlindIndex,
}

impl Notes {
    fn new(kms: &Kms) -> Result<Self, Box<dyn Error>> {
        let database = Connection::open_in_memory()?;
        database.execute_batch(
            "CREATE TABLE notes (
                 id INTEGER PRIMARY KEY, tenant TEXT NOT NULL,
                 note BLOB NOT NULL, author BLOB NOT NULL, author_index BLOB NOT NULL
             );
             CREATE INDEX notes_by_author ON notes (tenant, author_index);",
        )?;
        let keys = ColumnKeys::per_tenant(kms, "alias/notes/")?;
        let authors = BlindIndex::builder(&ColumnKeys::per_tenant(kms, "alias/notes-index/")?, "notes", "author");
        Ok(Self {
            database,
            note: Column::builder(&keys, "notes", "note").pad_to(64).build()?,
            author: Column::new(&keys, "notes", "author")?,
            authors: authors.normalize(Normalization::new().form_c().trim().lower_case()).build()?,
        })
    }

    fn insert(&self, id: i64, tenant: &str, author: &str, note: &Note) -> Result<(), Box<dyn Error>> {
        let row = RowId::new(id).tenant(tenant);
        let index = self.authors.of_text(Some(tenant), author)?;
        let values = params![id, tenant, self.note.encrypt(&row, note)?, self.author.encrypt(&row, author)?, index];
        self.database.execute("INSERT INTO notes VALUES (?1, ?2, ?3, ?4, ?5)", values)?;
        Ok(())
    }

    fn by_author(&self, tenant: &str, author: &str) -> Result<Vec<Note>, Box<dyn Error>> {
        let index = self.authors.of_text(Some(tenant), author)?;
        let select = "SELECT id, note FROM notes WHERE tenant = ?1 AND author_index = ?2 ORDER BY id";
        let mut select = self.database.prepare(select)?;
        let rows = select.query_map(params![tenant, index], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Encrypted<Json<Note>>>(1)?))
        })?;
        let mut notes = Vec::new();
        for row in rows {
            let (id, stored) = row?;
            let Json(note) = self.note.decrypt(&RowId::new(id).tenant(tenant), &stored)?;
            notes.push(note);
        }
        Ok(notes)
    }

    /// Re-encrypts a column. Returns the number of rows that changed, and of those that failed.
    fn renew(&self) -> Result<(u64, u64), Box<dyn Error>> {
        let names = SweepColumns::new("notes", "id", "note").tenant("tenant");
        let mut table = SqliteSweepTable::new(&self.database, names);
        let report = Sweep::new(&self.note).run(&mut table, |_| ControlFlow::Continue(()))?;
        Ok((report.changed(), report.failed()))
    }
}

fn add_tenant(kms: &Kms, tenant: &str) -> strongroom::Result<()> {
    let hmac = CreateKeyRequest::default().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
    kms.get_or_create_key(format!("alias/notes/{tenant}"), CreateKeyRequest::default())?;
    kms.get_or_create_key(format!("alias/notes-index/{tenant}"), hmac)?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let kms = Kms::builder().clock(Arc::clone(&clock)).build()?;
    let notes = Notes::new(&kms)?;
    for tenant in ["acme", "globex"] {
        add_tenant(&kms, tenant)?;
        notes.insert(
            if tenant == "acme" { 1 } else { 2 },
            tenant,
            "Ada",
            &Note { title: format!("call {tenant}"), urgent: true },
        )?;
    }

    let found = notes.by_author("acme", " ada")?;
    assert_eq!(found, [Note { title: "call acme".to_owned(), urgent: true }]);
    println!("found {} note by its author", found.len());

    kms.rotate_key_on_demand(kms.describe_key("alias/notes/acme")?.key_id())?;
    let (changed, failed) = notes.renew()?;
    assert_eq!((changed, failed), (1, 0));
    println!("re-encrypted {changed} row after the rotation");

    for key in ["alias/notes/acme", "alias/notes-index/acme"] {
        kms.schedule_key_deletion(kms.describe_key(key)?.key_id(), DeletionWindow::MIN)?;
    }
    clock.advance_days(7);
    kms.confirm_clock(clock.now())?;
    assert_eq!(kms.run_maintenance()?.deleted.len(), 2);
    assert!(notes.by_author("acme", "Ada").is_err());
    assert_eq!(notes.by_author("globex", "Ada")?.len(), 1);
    println!("the notes of acme are unreadable, those of globex are not");
    Ok(())
}
