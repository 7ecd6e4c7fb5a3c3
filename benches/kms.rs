//! Every symmetric operation of the KMS: `kms/<operation>/<bytes>/<backend>`. Also measures two
//! threads that use one key.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use strongroom::crypto::{CryptoBackend, FASTEST, RUST_CRYPTO};
use strongroom::key::KeyId;
use strongroom::request::{DecryptRequest, EncryptRequest, GenerateDataKeyRequest, ReEncryptRequest};
use strongroom::{EncryptionContext, Kms, Result};

fn backends() -> [(&'static str, CryptoBackend); 2] {
    [("fastest", FASTEST), ("rust-crypto", RUST_CRYPTO)]
}

fn with_key(backend: CryptoBackend) -> Result<(Kms, KeyId)> {
    let kms = Kms::builder().backend(backend).build()?;
    let key_id = kms.create_key(Default::default())?.key_id();
    Ok((kms, key_id))
}

fn cryptography(criterion: &mut Criterion) {
    for (name, backend) in backends() {
        let (kms, key) = with_key(backend).expect("a key in memory");
        let context = EncryptionContext::from([("tenant", "42")]);
        let plaintext = [7; 64];
        let blob = kms.encrypt(EncryptRequest::new(key, &plaintext)).expect("a blob").ciphertext_blob;
        let bound = EncryptRequest::new(key, &plaintext).context(&context);
        let bound = kms.encrypt(bound).expect("a blob").ciphertext_blob;
        let mut group = criterion.benchmark_group("kms");
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("generate_data_key/32/{name}"), |bencher| {
            bencher.iter(|| kms.generate_data_key(GenerateDataKeyRequest::new(key)));
        });
        group.bench_function(format!("generate_data_key_with_context/32/{name}"), |bencher| {
            bencher.iter(|| kms.generate_data_key(GenerateDataKeyRequest::new(key).context(&context)));
        });
        group.bench_function(format!("encrypt/64/{name}"), |bencher| {
            bencher.iter(|| kms.encrypt(EncryptRequest::new(key, black_box(&plaintext))));
        });
        group.bench_function(format!("decrypt/64/{name}"), |bencher| {
            bencher.iter(|| kms.decrypt(DecryptRequest::new(black_box(&blob))));
        });
        group.bench_function(format!("decrypt_with_context/64/{name}"), |bencher| {
            bencher.iter(|| kms.decrypt(DecryptRequest::new(black_box(&bound)).context(&context)));
        });
        group.bench_function(format!("re_encrypt/64/{name}"), |bencher| {
            bencher.iter(|| kms.re_encrypt(ReEncryptRequest::new(black_box(&blob), key)));
        });
        group.bench_function(format!("generate_random/32/{name}"), |bencher| bencher.iter(|| kms.generate_random(32)));
        group.finish();
    }
}

fn threads(criterion: &mut Criterion) {
    let (kms, key) = with_key(FASTEST).expect("a key in memory");
    let mut group = criterion.benchmark_group("kms_threads");
    for threads in [1_u64, 2] {
        group.throughput(Throughput::Elements(threads));
        group.bench_function(format!("generate_data_key/32/fastest/{threads}"), |bencher| {
            bencher.iter_custom(|rounds| {
                on_threads(threads, || {
                    for _ in 0..rounds {
                        black_box(kms.generate_data_key(GenerateDataKeyRequest::new(key)).expect("a data key"));
                    }
                })
            });
        });
    }
    group.finish();
}

fn on_threads(threads: u64, work: impl Fn() + Sync) -> Duration {
    let start = Instant::now();
    std::thread::scope(|scope| (0..threads).for_each(|_| _ = scope.spawn(&work)));
    start.elapsed()
}

fn management(criterion: &mut Criterion) {
    let (kms, key) = with_key(FASTEST).expect("a key in memory");
    kms.create_alias("alias/bench", key).expect("an alias");
    let mut group = criterion.benchmark_group("kms");
    group.bench_function("describe_key/id/fastest", |bencher| bencher.iter(|| kms.describe_key(key)));
    group.bench_function("describe_key/alias/fastest", |bencher| bencher.iter(|| kms.describe_key("alias/bench")));
    group.bench_function("disable_and_enable_key/-/fastest", |bencher| {
        bencher.iter(|| kms.disable_key(key).and_then(|()| kms.enable_key(key)));
    });
    group.bench_function("create_key/-/fastest", |bencher| bencher.iter(|| kms.create_key(Default::default())));
    group.finish();
}

criterion_group!(benches, cryptography, threads, management);
criterion_main!(benches);
