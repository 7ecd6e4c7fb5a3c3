//! The store in a file, with a thousand keys and with a hundred thousand: what must not depend on their number.
//!
//! `cargo bench --bench store`. Filling the larger store takes a commit, synchronised to the disk, for each key.

use std::error::Error;
use std::path::Path;

use criterion::Criterion;
use strongroom::crypto::CryptoBackend;
use strongroom::seal::RootKey;
use strongroom::store::{Change, Expectation, KeyStore, RecordId, RecordKind, SqliteStore};
use strongroom::{AccountId, KeyId, Kms, PageRequest};

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().configure_from_args().sample_size(20);
    for (name, keys) in [("1k", 1_000), ("100k", 100_000)] {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("keys.strongroom");
        let ids = fill(&path, keys)?;
        measure_memory(name, &path, keys)?;
        measure(&mut criterion, name, &path, &ids)?;
    }
    criterion.final_summary();
    Ok(())
}

/// Makes a store with keys: in memory if there is such a folder, where nothing waits for a disk, and then copied.
fn fill(path: &Path, keys: usize) -> Result<Vec<KeyId>, Box<dyn Error>> {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory)? } else { tempfile::tempdir()? };
    let first = folder.path().join("keys.strongroom");
    let kms = open(&first)?;
    let ids = (0..keys).map(|_| kms.create_key(Default::default()).map(|key| key.key_id()));
    let ids = ids.collect::<strongroom::Result<_>>()?;
    drop(kms);
    std::fs::copy(&first, path)?;
    println!("store of {keys} keys: {} bytes", std::fs::metadata(path)?.len());
    Ok(ids)
}

/// How much more memory the process has in use once the store is open, and once every key was listed.
#[cfg(target_os = "linux")]
fn measure_memory(name: &str, path: &Path, keys: usize) -> Result<(), Box<dyn Error>> {
    let resident = || -> Result<usize, Box<dyn Error>> {
        let pages = std::fs::read_to_string("/proc/self/statm")?;
        Ok(pages.split(' ').nth(1).ok_or("no such field")?.parse::<usize>()? * 4_096)
    };
    let start = resident()?;
    let kms = open(path)?;
    let opened = resident()?.saturating_sub(start);
    let mut page = PageRequest::default().limit(1_000);
    let mut listed = 0;
    loop {
        let found = kms.list_keys(page)?;
        listed += found.entries.len();
        let Some(marker) = found.next_marker else { break };
        page = PageRequest::default().limit(1_000).marker(marker);
    }
    assert_eq!(listed, keys);
    let after = resident()?.saturating_sub(start);
    println!(
        "store/memory/{name}: {opened} bytes more when open, {after} when all keys were listed ({} a key)",
        after / keys
    );
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn measure_memory(_: &str, _: &Path, _: usize) -> Result<(), Box<dyn Error>> {
    Ok(())
}

fn open(path: &Path) -> strongroom::Result<Kms> {
    Kms::open(path, RootKey::from_bytes(&[7; 32]))
}

fn measure(criterion: &mut Criterion, name: &str, path: &Path, ids: &[KeyId]) -> Result<(), Box<dyn Error>> {
    // What is committed past the KMS goes to a copy, as the store would not take it for its own.
    let copy = path.with_extension("copy");
    std::fs::copy(path, &copy)?;
    criterion.bench_function(&format!("store/open/{name}"), |bench| bench.iter(|| open(path).expect("a store")));

    let kms = open(path)?;
    // Another one each time, so that most must be read and opened.
    let mut next = ids.iter().cycle();
    criterion.bench_function(&format!("store/describe/{name}"), |bench| {
        bench.iter(|| kms.describe_key(*next.next().expect("endless")).expect("a key"));
    });
    criterion.bench_function(&format!("store/list/100/{name}"), |bench| {
        bench.iter(|| kms.list_keys(PageRequest::default()).expect("a page"));
    });

    let store = SqliteStore::open(&copy, &CryptoBackend::default())?;
    let id = RecordId { kind: RecordKind::Audit, account: AccountId::default(), name: b"counter".to_vec() };
    let mut revision = None;
    criterion.bench_function(&format!("store/commit/{name}"), |bench| {
        bench.iter(|| {
            let expected = [Expectation { id: id.clone(), revision }];
            let put = store.commit(&expected, &mut |_| Ok(vec![Change { id: id.clone(), body: Some(vec![0; 300]) }]));
            revision = Some(put.expect("committed"));
        });
    });

    criterion.bench_function(&format!("store/create/{name}"), |bench| {
        bench.iter(|| kms.create_key(Default::default()).expect("a key"));
    });
    Ok(())
}
