//! Columns in a SQLite database.

use rusqlite::types::FromSqlError;
use rusqlite::{Connection, params};
use strongroom::columns::{Column, ColumnKeys, Encrypted, RowId, StoredValueError};

use super::support::{Mode, TestResult, kms_with_key};

fn database() -> TestResult<Connection> {
    let database = Connection::open_in_memory()?;
    database.execute_batch("CREATE TABLE users (id INTEGER PRIMARY KEY, phone BLOB)")?;
    Ok(database)
}

fn phone(database: &Connection, id: i64) -> rusqlite::Result<Option<Encrypted<String>>> {
    database.query_row("SELECT phone FROM users WHERE id = ?1", [id], |row| row.get(0))
}

#[test]
fn null_empty_and_long_values_stay_apart_in_sqlite() -> TestResult {
    let (kms, key) = kms_with_key()?;
    let keys = ColumnKeys::new(&kms, key)?;
    for mode in Mode::ALL {
        let column: Column<String> = mode.column(&keys, "users", "phone")?;
        let database = database()?;
        let long = "x".repeat(10_000);
        for (id, value) in [(1, None), (2, Some("")), (3, Some("+44 20 7946 0123")), (4, Some(&long[..]))] {
            let stored = value.map(|text| column.encrypt(&RowId::new(id), text)).transpose()?;
            database.execute("INSERT INTO users VALUES (?1, ?2)", params![id, stored])?;
            let read = phone(&database, id)?.map(|stored| column.decrypt(&RowId::new(id), &stored)).transpose()?;
            assert_eq!(read.as_deref(), value);
        }
        let kinds: String =
            database.query_row("SELECT group_concat(typeof(phone)) FROM users", [], |row| row.get(0))?;
        assert_eq!(kinds, "null,blob,blob,blob");
    }
    Ok(())
}

#[test]
fn values_moved_by_sql_do_not_open() -> TestResult {
    let (kms, key) = kms_with_key()?;
    let column = Column::<String>::new(&ColumnKeys::new(&kms, key)?, "users", "phone")?;
    let database = database()?;
    for id in [1, 2] {
        let stored = column.encrypt(&RowId::new(id), &format!("number {id}"))?;
        database.execute("INSERT INTO users VALUES (?1, ?2)", params![id, stored])?;
    }
    database.execute_batch("UPDATE users SET phone = (SELECT phone FROM users WHERE id = 1) WHERE id = 2")?;
    let moved = phone(&database, 2)?.ok_or("a value")?;
    assert!(column.decrypt(&RowId::new(2), &moved).is_err());
    assert_eq!(column.decrypt(&RowId::new(1), &moved)?, "number 1");
    Ok(())
}

#[test]
fn bytes_that_are_no_stored_value_are_errors_of_the_driver() -> TestResult {
    let database = database()?;
    for (id, value, reason) in [
        (1, "X''", Some(StoredValueError::Empty)),
        (2, "X'2B3434'", Some(StoredValueError::NotEncrypted)),
        (3, "zeroblob(20000000)", Some(StoredValueError::TooLong { length: 20_000_000, limit: 16_783_435 })),
        (4, "'+44 20 7946 0123'", None),
        (5, "17", None),
    ] {
        database.execute_batch(&format!("INSERT INTO users VALUES ({id}, {value})"))?;
        let error = phone(&database, id).expect_err("no stored value");
        let found = match &error {
            rusqlite::Error::FromSqlConversionFailure(_, _, cause) => {
                let other = match cause.downcast_ref() {
                    Some(FromSqlError::Other(inner)) => inner,
                    _ => cause,
                };
                other.downcast_ref().copied()
            }
            _ => None,
        };
        assert_eq!(found, reason, "{error:?}");
    }
    Ok(())
}
