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
        let kms = open(&path)?;
        let ids: Vec<KeyId> = (0..keys)
            .map(|_| kms.create_key(Default::default()).map(|key| key.key_id()))
            .collect::<strongroom::Result<_>>()?;
        drop(kms);
        measure(&mut criterion, name, &path, &ids)?;
    }
    criterion.final_summary();
    Ok(())
}

fn open(path: &Path) -> strongroom::Result<Kms> {
    Kms::open(path, RootKey::from_bytes(&[7; 32]))
}

fn measure(criterion: &mut Criterion, name: &str, path: &Path, ids: &[KeyId]) -> Result<(), Box<dyn Error>> {
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

    let store = SqliteStore::open(path, &CryptoBackend::default())?;
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
