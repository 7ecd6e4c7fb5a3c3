//! The file store with a thousand and with a hundred thousand keys. The measured costs must not
//! depend on the number of keys.
//!
//! Run it with `cargo bench --bench store`. `STRONGROOM_BENCH_KEYS=1000000` adds a store with that
//! many keys, which needs a kilobyte of memory for each. The size of the file and the bytes that a
//! commit writes are printed first. Rows named `other key` access a different key each time, out of
//! more keys than the KMS caches. Rows named `same key` access a single one. Rows named `revalidate`
//! access many cached keys. A commit waits for the disk. The rows under `memory` commit to a file in
//! memory, and so show the cost of everything else. `scale.rs` measures memory, and work on the whole
//! store.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use std::{env, fs};

use criterion::{Criterion, SamplingMode, Throughput};
use strongroom::crypto::{CryptoBackend, KeyPairKind};
use strongroom::export::{ExportIdentity, ExportRecipient};
use strongroom::identity::AccountId;
use strongroom::key::KeyId;
use strongroom::request::{EncryptRequest, PageRequest};
use strongroom::store::{
    CommitError, Expectation, KeyStore, Record, RecordId, RecordKind, Revision, Scan, SqliteStore, StoreId,
    WriteChanges,
};
use strongroom::{Kms, KmsLimits};

#[path = "support/filled_store.rs"]
mod filled_store;

use self::filled_store::{fill, root};

/// Number of cached keys where each access is to a different key.
const FEW: usize = 16;

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().configure_from_args().sample_size(20);
    let more = env::var("STRONGROOM_BENCH_KEYS").ok().map(|keys| keys.parse()).transpose()?;
    let sizes = [("1k".to_owned(), 1_000), ("100k".to_owned(), 100_000)];
    for (name, keys) in sizes.into_iter().chain(more.map(|keys: usize| (keys.to_string(), keys))) {
        let name = name.as_str();
        let (_memory, first, ids) = fill(keys)?;
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("keys.strongroom");
        fs::copy(&first, &path)?;
        println!("store of {keys} keys: {} bytes", fs::metadata(&path)?.len());
        println!("store/written/{name}: {}", measure_commits(&first, &ids)?);
        measure_reading(&mut criterion, name, &path, &ids)?;
        measure_writing(&mut criterion, "", name, &path, &ids)?;
        measure_writing(&mut criterion, "memory/", name, &first, &ids)?;
    }
    measure_revalidation(&mut criterion, 1_000)?;
    for keys in [1_000, 10_000] {
        measure_metering(&mut criterion, keys)?;
    }
    for keys in [1_000, 16_000] {
        measure_import(&mut criterion, keys)?;
    }
    criterion.final_summary();
    Ok(())
}

/// Opens the store with a small cache, so that accesses to different keys always exceed it.
fn open_with_few(path: &Path) -> strongroom::Result<Kms> {
    let store = SqliteStore::open(path, &CryptoBackend::default())?;
    Kms::builder().store(store, root()).limits(KmsLimits { cached_keys: FEW, ..KmsLimits::default() }).build()
}

/// A store that counts its writes.
#[derive(Debug)]
struct Written {
    store: SqliteStore,
    records: AtomicUsize,
    bytes: AtomicUsize,
}

impl KeyStore for Written {
    fn id(&self) -> StoreId {
        self.store.id()
    }

    fn revision(&self) -> strongroom::Result<Revision> {
        self.store.revision()
    }

    fn get_all(&self, ids: &[RecordId]) -> strongroom::Result<Vec<Option<Record>>> {
        self.store.get_all(ids)
    }

    fn scan(&self, scan: &Scan) -> strongroom::Result<Vec<(RecordId, Record)>> {
        self.store.scan(scan)
    }

    fn commit(&self, expected: &[Expectation], changes: &mut WriteChanges<'_>) -> Result<Revision, CommitError> {
        self.store.commit(expected, &mut |pending| {
            let changes = changes(pending)?;
            let index = changes.iter().filter(|change| change.id.kind == RecordKind::Store);
            self.records.fetch_add(index.clone().count(), Ordering::Relaxed);
            self.bytes.fetch_add(index.filter_map(|change| Some(change.body.as_ref()?.len())).sum(), Ordering::Relaxed);
            Ok(changes)
        })
    }
}

/// Changes a hundred keys and describes what a change writes to the index.
fn measure_commits(path: &Path, ids: &[KeyId]) -> Result<String, Box<dyn Error>> {
    const CHANGES: usize = 100;
    let store = SqliteStore::open(path, &CryptoBackend::default())?;
    let store = Arc::new(Written { store, records: AtomicUsize::new(0), bytes: AtomicUsize::new(0) });
    let kms = Kms::builder().store(Arc::clone(&store), root()).build()?;
    kms.update_key_description(ids[0], "first")?; // may migrate
    for count in [&store.records, &store.bytes] {
        count.store(0, Ordering::Relaxed);
    }
    for (id, number) in ids.iter().cycle().zip(1..=CHANGES) {
        kms.update_key_description(*id, number.to_string())?;
    }
    let [records, bytes] = [&store.records, &store.bytes].map(|count| count.load(Ordering::Relaxed));
    Ok(format!(
        "{} bytes of index in {}.{:02} records per change",
        bytes / CHANGES,
        records / CHANGES,
        records % CHANGES
    ))
}

fn measure_reading(criterion: &mut Criterion, name: &str, path: &Path, ids: &[KeyId]) -> Result<(), Box<dyn Error>> {
    let row = |what: &str| format!("store/{what}/{name}");
    criterion.bench_function(&row("open"), |bench| bench.iter(|| Kms::open(path, root()).expect("a store")));
    let (kms, few) = (Kms::open(path, root())?, open_with_few(path)?);
    let mut others = ids.iter().copied().cycle();
    let mut other = || others.next().expect("endless");
    let describe = |kms: &Kms, id| kms.describe_key(id).expect("a key");
    let encrypt = |kms: &Kms, id| kms.encrypt(EncryptRequest::new(id, &[7; 64])).expect("encrypted");
    criterion.bench_function(&row("describe/same key"), |bench| bench.iter(|| describe(&kms, ids[0])));
    criterion.bench_function(&row("describe/other key"), |bench| bench.iter(|| describe(&few, other())));
    criterion.bench_function(&row("encrypt/same key"), |bench| bench.iter(|| encrypt(&kms, ids[0])));
    criterion.bench_function(&row("encrypt/other key"), |bench| bench.iter(|| encrypt(&few, other())));
    criterion.bench_function(&row("list/100"), |bench| {
        bench.iter(|| kms.list_keys(PageRequest::default()).expect("a page"));
    });
    Ok(())
}

/// Encrypts under each of many cached keys: without a commit in between, after another process has
/// changed one of the keys, and after this process has.
fn measure_revalidation(criterion: &mut Criterion, keys: usize) -> Result<(), Box<dyn Error>> {
    let (_memory, path, ids) = fill(keys)?;
    let (kms, other) = (Kms::open(&path, root())?, Kms::open(&path, root())?);
    let encrypt_under_all =
        || ids.iter().for_each(|id| _ = kms.encrypt(EncryptRequest::new(*id, &[7; 64])).expect("encrypted"));
    encrypt_under_all();
    let mut group = criterion.benchmark_group("store");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(keys.try_into()?));
    for (row, writer) in [("no commit", None), ("foreign commit", Some(&other)), ("own commit", Some(&kms))] {
        let mut numbered = ids.iter().copied().cycle().zip(0_u64..);
        group.bench_function(format!("revalidate/{row}/{keys}"), |bench| {
            bench.iter_custom(|rounds| {
                let measured = (0..rounds).map(|_| {
                    let (id, number) = numbered.next().expect("endless");
                    if let Some(writer) = writer {
                        writer.update_key_description(id, number.to_string()).expect("committed");
                    }
                    let start = Instant::now();
                    encrypt_under_all();
                    start.elapsed()
                });
                measured.sum()
            });
        });
    }
    group.finish();
    Ok(())
}

/// Records the use of many keys in the store, as maintenance and the end of a process do. The time
/// per key must not depend on their number.
fn measure_metering(criterion: &mut Criterion, keys: usize) -> Result<(), Box<dyn Error>> {
    let (_memory, path, ids) = fill(keys)?;
    let kms = Kms::open(&path, root())?;
    let mut group = criterion.benchmark_group("store");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(keys.try_into()?));
    group.bench_function(format!("metering/{keys}"), |bench| {
        bench.iter_custom(|rounds| {
            let added = (0..rounds).map(|_| {
                ids.iter().for_each(|id| _ = kms.describe_key(*id).expect("a key"));
                let start = Instant::now();
                kms.reset_metering(AccountId::default()).expect("added and reset");
                start.elapsed()
            });
            added.sum()
        });
    });
    group.finish();
    Ok(())
}

/// Imports many keys at once. The time per key must not depend on their number.
fn measure_import(criterion: &mut Criterion, keys: usize) -> Result<(), Box<dyn Error>> {
    let (_memory, path, _) = fill(keys)?;
    let backend = CryptoBackend::default();
    let pair = backend.key_pairs().generate(KeyPairKind::Rsa2048, backend.random())?;
    let file = Kms::open(&path, root())?.export_all_keys(&ExportRecipient::rsa(&pair.public_key_der())?)?.file;
    let identity = ExportIdentity::rsa(&pair.to_pkcs8()?)?;
    let folder = path.parent().ok_or("a folder")?;
    let mut group = criterion.benchmark_group("store");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(keys.try_into()?));
    group.bench_function(format!("import/{keys}"), |bench| {
        bench.iter_custom(|rounds| {
            let imported = (0..rounds).map(|_| {
                let target = tempfile::tempdir_in(folder).expect("a folder");
                let kms = Kms::open(target.path().join("keys"), root()).expect("a store");
                let start = Instant::now();
                assert_eq!(kms.import_keys(&file, &identity).expect("imported").len(), keys);
                start.elapsed()
            });
            imported.sum()
        });
    });
    group.finish();
    Ok(())
}

fn measure_writing(
    criterion: &mut Criterion,
    medium: &str,
    name: &str,
    path: &Path,
    ids: &[KeyId],
) -> Result<(), Box<dyn Error>> {
    let kms = Kms::open(path, root())?;
    let mut numbered = ids.iter().copied().cycle().zip(0_u64..);
    criterion.bench_function(&format!("store/{medium}commit/{name}"), |bench| {
        bench.iter(|| {
            let (id, number) = numbered.next().expect("endless");
            kms.update_key_description(id, number.to_string()).expect("committed");
        });
    });
    criterion.bench_function(&format!("store/{medium}create/{name}"), |bench| {
        bench.iter(|| kms.create_key(Default::default()).expect("a key"));
    });
    Ok(())
}
