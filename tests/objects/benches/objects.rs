//! Reads and writes of an encrypted store, compared with the store below it in the same run.
//!
//!     cargo bench -p strongroom-object-tests
//!
//! | group | ours | compared with |
//! |---|---|---|
//! | `put 16 MiB`, `get 16 MiB` | an encrypted store over memory | AES-256-GCM of the same bytes, and a store in memory that copies them |
//! | the same in a folder | an encrypted store over a folder | the folder alone |
//! | `range 64 KiB of 1 GiB` | an encrypted store over a folder, within two frames or one | the folder alone |

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures_util::StreamExt;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use strongroom::SecretBytes;
use strongroom::crypto::{AeadAlgorithm, CryptoBackend};
use strongroom::envelope::RawAesKeyring;
use strongroom::objects::EncryptedStore;
use tokio::runtime::Runtime;

const MIB: usize = 1 << 20;

fn encrypted<T: ObjectStore>(below: T) -> EncryptedStore<T> {
    let keyring = RawAesKeyring::new("bench", "key", SecretBytes::zeroed(32)).expect("a valid key");
    EncryptedStore::new(below, "bench", keyring).expect("valid settings")
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// Reads an object to its end, without collecting it.
async fn drain(store: &dyn ObjectStore, path: &Path) -> usize {
    let mut stream = store.get(path).await.expect("an object").into_stream();
    let mut length = 0;
    while let Some(bytes) = stream.next().await {
        length += black_box(bytes.expect("authentic bytes")).len();
    }
    length
}

fn whole_objects(criterion: &mut Criterion) {
    let runtime = runtime();
    let bytes = Bytes::from(vec![7; 16 * MIB]);
    let path = Path::from("object");
    let folder = tempfile::tempdir().expect("a folder");
    let files = || LocalFileSystem::new_with_prefix(folder.path()).expect("a folder");
    let stores: [(&str, Arc<dyn ObjectStore>); 4] = [
        ("memory, encrypted", Arc::new(encrypted(InMemory::new()))),
        ("memory", Arc::new(InMemory::new())),
        ("folder, encrypted", Arc::new(encrypted(files()))),
        ("folder", Arc::new(files())),
    ];
    let backend = CryptoBackend::default();
    let key = backend.aead().bind(AeadAlgorithm::Aes256Gcm, &[7; 32]).expect("32 bytes");

    let mut group = criterion.benchmark_group("put 16 MiB");
    group.throughput(Throughput::Bytes(16 * 1_048_576)).sample_size(20);
    group.bench_function("AES-256-GCM alone", |bencher| {
        bencher.iter(|| {
            let mut output = vec![0; bytes.len()];
            key.seal(&[0; 12], &[], &bytes, &mut output).expect("a tag");
            output
        });
    });
    group.bench_function("a copy", |bencher| bencher.iter(|| bytes.to_vec()));
    for (name, store) in &stores {
        group.bench_function(*name, |bencher| {
            bencher.iter(|| runtime.block_on(store.put(&path, PutPayload::from(bytes.clone()))).expect("a write"));
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("get 16 MiB");
    group.throughput(Throughput::Bytes(16 * 1_048_576)).sample_size(20);
    for (name, store) in &stores {
        runtime.block_on(store.put(&path, PutPayload::from(bytes.clone()))).expect("a write");
        group.bench_function(*name, |bencher| {
            bencher.iter(|| assert_eq!(runtime.block_on(drain(&**store, &path)), 16 * MIB));
        });
    }
    group.finish();
}

fn range_of_a_large_object(criterion: &mut Criterion) {
    let runtime = runtime();
    let folder = tempfile::tempdir().expect("a folder");
    let below = Arc::new(LocalFileSystem::new_with_prefix(folder.path()).expect("a folder"));
    let store = encrypted(Arc::clone(&below));
    let path = Path::from("large");
    runtime.block_on(async {
        let mut upload = store.put_multipart(&path).await.expect("an upload");
        let part = Bytes::from(vec![7; 16 * MIB]);
        for _ in 0..64 {
            upload.put_part(part.clone().into()).await.expect("a part");
        }
        upload.complete().await.expect("an object");
    });
    let mut group = criterion.benchmark_group("range 64 KiB of 1 GiB");
    group.throughput(Throughput::Bytes(65_536));
    let stores: [(&str, &dyn ObjectStore); 2] = [("folder, encrypted", &store), ("folder", &*below)];
    // Of two frames, and of one.
    for (position, start) in [("", 700_000_000), (", aligned", 10_000 * 65_536)] {
        for (name, store) in stores {
            group.bench_function(format!("{name}{position}"), |bencher| {
                bencher.iter(|| runtime.block_on(store.get_range(&path, start..start + 65_536)).expect("a range"));
            });
        }
    }
    group.finish();
}

criterion_group!(objects, whole_objects, range_of_a_large_object);
criterion_main!(objects);
