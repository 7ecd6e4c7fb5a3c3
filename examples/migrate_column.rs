//! Replaces the encryption of a column without downtime. The old scheme is a common one: AES-256-GCM
//! under one key of the application, with a random nonce before the ciphertext and without a binding to
//! the row.
//!
//!     cargo run --features columns-rusqlite --example migrate_column

use std::error::Error;
use std::ops::ControlFlow;

use aes_gcm::aead::{Aead, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use rusqlite::{Connection, OptionalExtension, params};
use strongroom::columns::{
    BlindIndex, Column, ColumnKeys, Encrypted, Normalization, RowId, SqliteSweepTable, Sweep, SweepColumns,
};
use strongroom::crypto::CryptoBackend;
use strongroom::key::{KeySpec, KeyUsage};
use strongroom::request::CreateKeyRequest;
use strongroom::{ErrorKind, Kms, SecretBytes};

/// The scheme to replace.
#[derive(Clone)]
struct OldScheme(Aes256Gcm);

impl OldScheme {
    fn new(key: &[u8]) -> Result<Self, Box<dyn Error>> {
        Ok(Self(Aes256Gcm::new_from_slice(key)?))
    }

    fn encrypt(&self, value: &str) -> Result<Vec<u8>, Box<dyn Error>> {
        let mut nonce = [0; 12];
        CryptoBackend::default().random().fill(&mut nonce)?;
        let ciphertext = self.0.encrypt(&Nonce::from(nonce), value.as_bytes()).map_err(|_| "cannot encrypt")?;
        Ok([&nonce[..], &ciphertext].concat())
    }

    fn decrypt(&self, stored: &[u8]) -> strongroom::Result<String> {
        let invalid = || strongroom::Error::new(ErrorKind::InvalidCiphertext, "it does not open with the old key");
        let (nonce, ciphertext) = stored.split_first_chunk::<12>().ok_or_else(invalid)?;
        let value = self.0.decrypt(&Nonce::from(*nonce), ciphertext).map_err(|_| invalid())?;
        String::from_utf8(value).map_err(|_| invalid())
    }
}

/// The program during the change: it reads both columns and writes both.
struct Users {
    database: Connection,
    old: OldScheme,
    email: Column<String>,
    index: BlindIndex,
}

impl Users {
    fn open(kms: &Kms, database: Connection, old: OldScheme) -> Result<Self, Box<dyn Error>> {
        let hmac = CreateKeyRequest::default().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
        kms.get_or_create_key("alias/users", CreateKeyRequest::default())?;
        kms.get_or_create_key("alias/users-index", hmac)?;
        let index = BlindIndex::builder(&ColumnKeys::new(kms, "alias/users-index")?, "users", "email");
        Ok(Self {
            database,
            old,
            email: Column::new(&ColumnKeys::new(kms, "alias/users")?, "users", "email")?,
            index: index.normalize(Normalization::new().form_c().trim().lower_case()).build()?,
        })
    }

    /// Step 1: the schema gains a column for the new ciphertext and one for the index.
    fn add_columns(&self) -> rusqlite::Result<()> {
        self.database.execute_batch(
            "ALTER TABLE users ADD COLUMN email_encrypted BLOB;
             ALTER TABLE users ADD COLUMN email_index BLOB;
             CREATE INDEX users_by_email ON users (email_index);",
        )
    }

    /// Step 2: new values are written in both schemes, so that the former release can still read them.
    fn write(&self, id: i64, email: &str) -> Result<(), Box<dyn Error>> {
        let (old, new) = (self.old.encrypt(email)?, self.email.encrypt(&RowId::new(id), email)?);
        self.database.execute(
            "INSERT INTO users (id, email, email_encrypted, email_index) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (id) DO UPDATE SET
                 email = excluded.email, email_encrypted = excluded.email_encrypted, email_index = excluded.email_index",
            params![id, old, new, self.index.of_text(None, email)?],
        )?;
        Ok(())
    }

    /// Step 3: the other rows are converted. This can be interrupted and repeated at any time.
    fn convert(&self) -> Result<(u64, u64), Box<dyn Error>> {
        let (old, index) = (self.old.clone(), self.index.clone());
        let sweep = Sweep::convert(&self.email, move |_row, stored| old.decrypt(stored))
            .index(move |_row, email: &String| index.of_text(None, email));
        let columns = SweepColumns::new("users", "id", "email").target("email_encrypted").index("email_index");
        let mut table = SqliteSweepTable::new(&self.database, columns);
        let report = sweep.run(&mut table, |progress| {
            println!("{} rows converted", progress.changed());
            ControlFlow::Continue(())
        })?;
        for failure in report.failures() {
            println!("row {} is unchanged: {}", failure.cursor(), failure.error());
        }
        Ok((report.changed(), report.failed()))
    }

    fn email(&self, id: i64) -> Result<String, Box<dyn Error>> {
        let select = "SELECT email_encrypted FROM users WHERE id = ?1";
        let stored: Option<Encrypted<String>> = self.database.query_row(select, [id], |row| row.get(0))?;
        Ok(self.email.decrypt(&RowId::new(id), &stored.ok_or("not yet converted")?)?)
    }

    fn find(&self, email: &str) -> Result<Option<i64>, Box<dyn Error>> {
        let select = "SELECT id FROM users WHERE email_index = ?1";
        Ok(self.database.query_row(select, [self.index.of_text(None, email)?], |row| row.get(0)).optional()?)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let old_key = SecretBytes::copy_from_slice(&[7; 32]);
    let old = OldScheme::new(old_key.expose_secret())?;
    let database = Connection::open_in_memory()?;
    database.execute_batch("CREATE TABLE users (id INTEGER PRIMARY KEY, email BLOB)")?;
    for (id, email) in [(1, "alice@example.com"), (2, "bob@example.com"), (3, "carol@example.com")] {
        database.execute("INSERT INTO users VALUES (?1, ?2)", params![id, old.encrypt(email)?])?;
    }
    // This row was already unreadable.
    database.execute("INSERT INTO users VALUES (4, x'0102')", [])?;
    // In the old scheme, a value that was copied to another row opens there.
    database.execute_batch("UPDATE users SET email = (SELECT email FROM users WHERE id = 1) WHERE id = 3")?;

    let kms = Kms::in_memory()?;
    let users = Users::open(&kms, database, old)?;
    users.add_columns()?;
    users.write(3, "carol@example.com")?;
    assert_eq!(users.convert()?, (2, 1));
    assert_eq!(users.convert()?, (0, 1));
    assert_eq!(users.email(1)?, "alice@example.com");
    assert_eq!(users.find("Bob@Example.com")?, Some(2));

    // Step 4: once every reader uses the new column and row 4 is settled, the old one goes.
    users.database.execute_batch("DELETE FROM users WHERE id = 4; ALTER TABLE users DROP COLUMN email; VACUUM")?;
    assert_eq!(users.email(3)?, "carol@example.com");
    users.database.execute_batch(
        "UPDATE users SET email_encrypted = (SELECT email_encrypted FROM users WHERE id = 1) WHERE id = 3",
    )?;
    assert!(users.email(3).is_err());
    println!("every row is converted, and a value that is copied to another row no longer opens");
    Ok(())
}
