//! Encrypted columns: `columns/<operation>/<bytes>/<mode>`, and index values. The modes are a blob of
//! the KMS for each value, and cached data keys. Both use an audit trail in memory; rows named
//! `synced` use a file that is synchronized for each event.
//!
//! `columns/<insert or select>/<mode>` write and read a thousand rows of 64 bytes in one transaction of a
//! SQLite database in memory. The mode `plain` is the driver alone, with the same value unencrypted.
//!
//! The lengths of the stored values are printed first.

use std::error::Error;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use rusqlite::{Connection, params};
use strongroom::Kms;
use strongroom::audit::FileTrail;
use strongroom::columns::{BlindIndex, Column, ColumnKeys, Encrypted, RowId};
use strongroom::key::{KeySpec, KeyUsage};
use strongroom::request::CreateKeyRequest;

/// The lengths of the values in bytes.
const LENGTHS: [usize; 3] = [16, 64, 1_024];

/// The number of rows that are written or read in one transaction.
const ROWS: i64 = 1_000;

/// Long enough for every measurement.
const MAX_AGE: Duration = Duration::from_secs(3_600);

type BenchResult<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> BenchResult {
    let mut criterion = Criterion::default().configure_from_args();
    measure_columns(&mut criterion, "", &Kms::in_memory()?)?;
    let folder = tempfile::tempdir()?;
    let trail = FileTrail::new(folder.path().join("audit"));
    measure_columns(&mut criterion, "synced/", &Kms::builder().audit(trail).build()?)?;
    measure_index(&mut criterion)?;
    measure_rows(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}

fn measure_columns(criterion: &mut Criterion, trail: &str, kms: &Kms) -> BenchResult {
    let keys = ColumnKeys::new(kms, kms.create_key(CreateKeyRequest::default())?.key_id())?;
    let modes = [
        ("blob", Column::<Vec<u8>>::new(&keys, "users", "phone")?),
        ("cached", Column::builder(&keys, "users", "phone").cached_data_keys(MAX_AGE).build()?),
    ];
    let row = RowId::new(42).tenant("acme");
    for (mode, column) in modes {
        for length in LENGTHS {
            let value = vec![7; length];
            let stored = column.encrypt(&row, &value)?;
            println!("columns/stored/{length}/{mode}: {} bytes", stored.as_bytes().len());
            let mut group = criterion.benchmark_group("columns");
            group.throughput(Throughput::Elements(1));
            group.bench_function(format!("{trail}encrypt/{length}/{mode}"), |bencher| {
                bencher.iter(|| column.encrypt(&row, &value));
            });
            group.bench_function(format!("{trail}decrypt/{length}/{mode}"), |bencher| {
                bencher.iter(|| column.decrypt(&row, &stored));
            });
            group.finish();
        }
    }
    Ok(())
}

fn measure_index(criterion: &mut Criterion) -> BenchResult {
    let kms = Kms::in_memory()?;
    let request = CreateKeyRequest::default().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
    let keys = ColumnKeys::new(&kms, kms.create_key(request)?.key_id())?;
    let builder = || BlindIndex::builder(&keys, "users", "email");
    let mut group = criterion.benchmark_group("columns");
    group.throughput(Throughput::Elements(1));
    for (mode, index) in [("call", builder().build()?), ("cached", builder().cached_index_keys(MAX_AGE).build()?)] {
        group.bench_function(format!("index/{mode}"), |bencher| {
            bencher.iter(|| index.of_text(Some("acme"), "alice@example.com"));
        });
    }
    group.finish();
    Ok(())
}

fn measure_rows(criterion: &mut Criterion) -> BenchResult {
    let kms = Kms::in_memory()?;
    let keys = ColumnKeys::new(&kms, kms.create_key(CreateKeyRequest::default())?.key_id())?;
    let modes = [
        ("plain", None),
        ("blob", Some(Column::<Vec<u8>>::new(&keys, "users", "phone")?)),
        ("cached", Some(Column::builder(&keys, "users", "phone").cached_data_keys(MAX_AGE).build()?)),
    ];
    let mut group = criterion.benchmark_group("columns");
    group.throughput(Throughput::Elements(ROWS.unsigned_abs()));
    for (mode, column) in modes {
        let database = Connection::open_in_memory()?;
        database.execute_batch("CREATE TABLE users (id INTEGER PRIMARY KEY, phone BLOB)")?;
        group.bench_function(format!("insert/{mode}"), |bencher| {
            bencher.iter(|| insert(&database, column.as_ref()).expect("the database is in memory"));
        });
        insert(&database, column.as_ref())?;
        group.bench_function(format!("select/{mode}"), |bencher| {
            bencher.iter(|| select(&database, column.as_ref()).expect("the rows open"));
        });
    }
    group.finish();
    Ok(())
}

/// Replaces all rows.
fn insert(database: &Connection, column: Option<&Column<Vec<u8>>>) -> BenchResult {
    let value = vec![7; 64];
    let transaction = database.unchecked_transaction()?;
    let mut insert = transaction.prepare_cached("INSERT OR REPLACE INTO users VALUES (?1, ?2)")?;
    for id in 0..ROWS {
        match column {
            None => insert.execute(params![id, value])?,
            Some(column) => insert.execute(params![id, column.encrypt(&RowId::new(id), &value)?])?,
        };
    }
    drop(insert);
    Ok(transaction.commit()?)
}

/// Reads all rows, and returns the number of bytes in their values.
fn select(database: &Connection, column: Option<&Column<Vec<u8>>>) -> BenchResult<usize> {
    let mut select = database.prepare_cached("SELECT id, phone FROM users ORDER BY id")?;
    let mut rows = select.query([])?;
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        bytes += match column {
            None => row.get::<_, Vec<u8>>(1)?.len(),
            Some(column) => {
                let stored: Encrypted<Vec<u8>> = row.get(1)?;
                column.decrypt(&RowId::new(row.get::<_, i64>(0)?), &stored)?.len()
            }
        };
    }
    Ok(bytes)
}
