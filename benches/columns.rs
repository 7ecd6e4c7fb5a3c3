//! Encrypted columns: `columns/<operation>/<bytes>/<mode>`, and index values. The modes are a blob of
//! the KMS for each value, and cached data keys. Both use an audit trail in memory; rows named
//! `synced` use a file that is synchronized for each event.
//!
//! The lengths of the stored values are printed first.

use std::error::Error;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use strongroom::Kms;
use strongroom::audit::FileTrail;
use strongroom::columns::{BlindIndex, Column, ColumnKeys, RowId};
use strongroom::key::{KeySpec, KeyUsage};
use strongroom::request::CreateKeyRequest;

/// The lengths of the values in bytes.
const LENGTHS: [usize; 3] = [16, 64, 1_024];

/// Long enough for every measurement.
const MAX_AGE: Duration = Duration::from_secs(3_600);

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().configure_from_args();
    measure_columns(&mut criterion, "", &Kms::in_memory()?)?;
    let folder = tempfile::tempdir()?;
    let trail = FileTrail::new(folder.path().join("audit"));
    measure_columns(&mut criterion, "synced/", &Kms::builder().audit(trail).build()?)?;
    measure_index(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}

fn measure_columns(criterion: &mut Criterion, trail: &str, kms: &Kms) -> Result<(), Box<dyn Error>> {
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

fn measure_index(criterion: &mut Criterion) -> Result<(), Box<dyn Error>> {
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
