//! The values of strongroom as parameters and columns of sqlx.

use sqlx::any::install_default_drivers;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, PgConnection, Row, SqliteConnection};
use strongroom::Kms;
use strongroom::columns::{BlindIndex, Column, ColumnKeys, Encrypted, RowId, StoredValueError};
use strongroom::key::{KeySpec, KeyUsage};
use strongroom::request::CreateKeyRequest;

use crate::support::{TestResult, block_on, postgres};

/// A row with a column that may be `NULL`.
#[derive(Debug, sqlx::FromRow)]
struct User {
    id: i64,
    phone: Option<Encrypted<String>>,
}

/// A row without.
#[derive(Debug, sqlx::FromRow)]
struct Reachable {
    #[sqlx(rename = "phone")]
    _phone: Encrypted<String>,
}

const IN_MEMORY: &str = "sqlite::memory:";

fn keys(spec: KeySpec, usage: KeyUsage) -> TestResult<ColumnKeys> {
    let kms = Kms::in_memory()?;
    let key = kms.create_key(CreateKeyRequest::default().spec(spec).usage(usage))?.key_id();
    Ok(ColumnKeys::new(&kms, key)?)
}

fn column() -> TestResult<Column<String>> {
    Ok(Column::new(&keys(KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt)?, "users", "phone")?)
}

/// Returns the column that an error names, and its cause.
fn refused<T: std::fmt::Debug>(result: sqlx::Result<T>) -> (String, Box<dyn std::error::Error + Send + Sync>) {
    match result {
        Err(sqlx::Error::ColumnDecode { index, source }) => (index, source),
        other => panic!("a value that cannot be decoded: {other:?}"),
    }
}

/// Tests one driver: its connection, the URL of a database, and its type of bytes.
macro_rules! adapter {
    ($name:ident, $connection:ty, $url:expr, $bytes:literal) => {
        #[test]
        fn $name() -> TestResult {
            install_default_drivers();
            let Some(url): Option<String> = $url(stringify!($name)) else { return Ok(()) };
            block_on(async {
                let mut database = <$connection>::connect(&url).await?;
                sqlx::raw_sql(concat!(
                    "CREATE TABLE users (id BIGINT PRIMARY KEY, note TEXT, phone ",
                    $bytes,
                    ", phone_index ",
                    $bytes,
                    ")"
                ))
                .execute(&mut database)
                .await?;

                // NULL, empty and long values stay apart.
                let column = column()?;
                let long = "x".repeat(10_000);
                let values = [(1_i64, None), (2, Some("")), (3, Some("+44 20 7946 0123")), (4, Some(&long[..]))];
                for (id, value) in values {
                    let stored = value.map(|text| column.encrypt(&RowId::new(id), text)).transpose()?;
                    let insert = sqlx::query("INSERT INTO users (id, phone) VALUES ($1, $2)");
                    insert.bind(id).bind(stored.clone()).execute(&mut database).await?;
                    let select = sqlx::query_as("SELECT id, phone FROM users WHERE id = $1");
                    let user: User = select.bind(id).fetch_one(&mut database).await?;
                    assert_eq!((user.id, &user.phone), (id, &stored));
                    let read = user.phone.map(|stored| column.decrypt(&RowId::new(id), &stored)).transpose()?;
                    assert_eq!(read.as_deref(), value);
                    // By reference too, as a parameter that is compared.
                    let count = sqlx::query_scalar("SELECT count(*) FROM users WHERE phone = $1");
                    let equal: i64 = count.bind(stored.as_ref()).fetch_one(&mut database).await?;
                    assert_eq!(equal, i64::from(stored.is_some()));
                }
                let nulls = sqlx::query_scalar("SELECT count(*) FROM users WHERE phone IS NULL");
                let nulls: i64 = nulls.fetch_one(&mut database).await?;
                assert_eq!(nulls, 1);
                let scalar = sqlx::query_scalar("SELECT phone FROM users WHERE id = 3");
                let scalar: Encrypted<String> = scalar.fetch_one(&mut database).await?;
                assert_eq!(column.decrypt(&RowId::new(3), &scalar)?, "+44 20 7946 0123");
                assert!(column.decrypt(&RowId::new(4), &scalar).is_err());

                // Other bytes, text and NULL are errors that name the column and contain no value.
                let null = sqlx::query_as::<_, Reachable>("SELECT phone FROM users WHERE id = 1");
                let (index, cause) = refused(null.fetch_one(&mut database).await);
                assert!(index.contains("phone"), "{index}: {cause}");

                let update = sqlx::query("UPDATE users SET note = $1, phone = $2 WHERE id = 2");
                let update = update.bind("+49 30 901820").bind(b"+49 30 901820".to_vec());
                update.execute(&mut database).await?;
                let plaintext = sqlx::query_as::<_, User>("SELECT id, phone FROM users WHERE id = 2");
                let (index, cause) = refused(plaintext.fetch_one(&mut database).await);
                assert!(index.contains("phone"), "{index}: {cause}");
                assert_eq!(cause.downcast_ref(), Some(&StoredValueError::NotEncrypted));

                let text = sqlx::query_as::<_, User>("SELECT id, note AS phone FROM users WHERE id = 2");
                let (index, cause) = refused(text.fetch_one(&mut database).await);
                assert!(index.contains("phone"), "{index}: {cause}");
                let cause = cause.to_string();
                assert!(cause.to_lowercase().contains("text") && !cause.contains("901820"), "{cause}");

                // Equality search with an index value, by value and by reference.
                let keys = keys(KeySpec::Hmac256, KeyUsage::GenerateVerifyMac)?;
                let phones = BlindIndex::builder(&keys, "users", "phone").build()?;
                for id in [3_i64, 4] {
                    let index = phones.of_text(None, &format!("number {id}"))?;
                    let update = sqlx::query("UPDATE users SET phone_index = $1 WHERE id = $2");
                    update.bind(index).bind(id).execute(&mut database).await?;
                }
                let wanted = phones.of_text(None, "number 4")?;
                let select = sqlx::query_scalar("SELECT id FROM users WHERE phone_index = $1");
                let found: Vec<i64> = select.bind(&wanted).fetch_all(&mut database).await?;
                assert_eq!(found, [4]);
                Ok(())
            })
        }
    };
}

fn in_memory(_: &str) -> Option<String> {
    Some(IN_MEMORY.to_owned())
}

/// Returns a database of a server that is shared by the tests of this file.
fn on_server(test: &str) -> Option<String> {
    static SERVER: std::sync::OnceLock<Option<postgres::Server>> = std::sync::OnceLock::new();
    let server = SERVER.get_or_init(|| postgres::start(test)).as_ref()?;
    Some(postgres::create_database(server).unwrap_or_else(|error| panic!("{test}: {error}")))
}

adapter!(values_are_types_of_sqlite, SqliteConnection, in_memory, "BLOB");
adapter!(values_are_types_of_postgresql, PgConnection, on_server, "BYTEA");
adapter!(values_are_types_of_any_driver_on_sqlite, AnyConnection, in_memory, "BLOB");
adapter!(values_are_types_of_any_driver_on_postgresql, AnyConnection, on_server, "BYTEA");

/// SQLite stores any value in any column.
#[test]
fn only_blobs_of_sqlite_are_stored_values() -> TestResult {
    block_on(async {
        let mut database = SqliteConnection::connect(IN_MEMORY).await?;
        sqlx::raw_sql("CREATE TABLE users (id INTEGER PRIMARY KEY, phone BLOB)").execute(&mut database).await?;
        let stored = column()?.encrypt(&RowId::new(1), "+44 20 7946 0123")?;
        sqlx::query("INSERT INTO users VALUES (1, $1)").bind(&stored).execute(&mut database).await?;
        let kind: String = sqlx::query_scalar("SELECT typeof(phone) FROM users").fetch_one(&mut database).await?;
        assert_eq!(kind, "blob");
        for value in ["CAST(phone AS TEXT)", "'+44 20 7946 0123'", "17", "1.5", "''"] {
            let select = format!("SELECT id, {value} AS phone FROM users");
            let row = sqlx::query_as::<_, User>(AssertSqlSafe(select)).fetch_one(&mut database).await;
            let (index, cause) = refused(row);
            assert!(index.contains("phone") && cause.to_string().contains("BLOB"), "{index}: {cause}");
        }
        Ok(())
    })
}

/// Without parameters, values have the text format.
#[test]
fn values_in_the_text_format_of_postgresql_are_decoded() -> TestResult {
    let Some(url) = on_server("values_in_the_text_format") else { return Ok(()) };
    block_on(async {
        let mut database = PgConnection::connect(&url).await?;
        sqlx::raw_sql("CREATE TABLE users (phone BYTEA)").execute(&mut database).await?;
        let stored = column()?.encrypt(&RowId::new(1), "+44 20 7946 0123")?;
        sqlx::query("INSERT INTO users VALUES ($1)").bind(&stored).execute(&mut database).await?;
        let row = sqlx::raw_sql("SELECT phone FROM users").fetch_one(&mut database).await?;
        assert_eq!(row.try_get::<Encrypted<String>, _>("phone")?, stored);
        Ok(())
    })
}

/// The manual recommends arrays of bytes for a search during a change of the HMAC key.
#[test]
fn index_values_are_searched_as_an_array_of_bytes() -> TestResult {
    let Some(url) = on_server("index_values_are_searched") else { return Ok(()) };
    block_on(async {
        let index = || {
            let keys = keys(KeySpec::Hmac256, KeyUsage::GenerateVerifyMac)?;
            TestResult::Ok(BlindIndex::builder(&keys, "users", "phone").build()?)
        };
        let (old, new) = (index()?, index()?);
        let mut database = PgConnection::connect(&url).await?;
        sqlx::raw_sql("CREATE TABLE users (phone_index BYTEA)").execute(&mut database).await?;
        for index in [&old, &new] {
            let value = index.of_text(None, "+44")?;
            sqlx::query("INSERT INTO users VALUES ($1)").bind(value).execute(&mut database).await?;
        }
        let both = new.with_previous(old).search_text(None, "+44")?;
        let values: Vec<Vec<u8>> = both.into_iter().map(|value| value.into_bytes()).collect();
        let count = sqlx::query_scalar("SELECT count(*) FROM users WHERE phone_index = ANY($1)").bind(values);
        let found: i64 = count.fetch_one(&mut database).await?;
        assert_eq!(found, 2);
        Ok(())
    })
}
