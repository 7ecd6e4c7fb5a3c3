//! Complete messages: `message/<seal|open>/0478/<bytes>/<backend>`. The rows
//! `message/raw-<seal|open>/aes-256-gcm/<bytes>/<backend>` measure one call of the backend's
//! AES-256-GCM over the same bytes.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use strongroom::crypto::{AeadAlgorithm, CryptoBackend, FASTEST, RUST_CRYPTO};
use strongroom::envelope::RawAesKeyring;
use strongroom::{EncryptionContext, Envelope, Result, SecretBytes};

const SIZES: [usize; 4] = [1 << 10, 64 << 10, 1 << 20, 16 << 20];

fn envelope(backend: CryptoBackend) -> Result<Envelope> {
    let keyring = RawAesKeyring::new("bench", "key", SecretBytes::copy_from_slice(&[7; 32]))?;
    Envelope::builder(keyring).backend(backend).build()
}

fn messages(criterion: &mut Criterion) {
    for (name, backend) in [("fastest", FASTEST), ("rust-crypto", RUST_CRYPTO)] {
        let envelope = envelope(backend).expect("an envelope");
        let context = EncryptionContext::from([("tenant", "42")]);
        let raw = backend.aead().bind(AeadAlgorithm::Aes256Gcm, &[7; 32]).expect("32 bytes");
        let mut group = criterion.benchmark_group("message");
        for size in SIZES {
            let plaintext = vec![0xA5; size];
            let message = envelope.encrypt(&plaintext, &context).expect("a message");
            let mut output = vec![0; size];
            let tag = raw.seal(&[0; 12], &[], &plaintext, &mut output).expect("equal lengths");
            let ciphertext = output.clone();
            group.throughput(Throughput::Bytes(u64::try_from(size).expect("a size fits 64 bits")));
            group.sample_size(if size < 1 << 20 { 100 } else { 20 });
            group.bench_function(format!("seal/0478/{size}/{name}"), |bencher| {
                bencher.iter(|| envelope.encrypt(black_box(&plaintext), &context));
            });
            group.bench_function(format!("open/0478/{size}/{name}"), |bencher| {
                bencher.iter(|| envelope.decrypt(black_box(&message), &context));
            });
            group.bench_function(format!("raw-seal/aes-256-gcm/{size}/{name}"), |bencher| {
                bencher.iter(|| raw.seal(&[0; 12], &[], black_box(&plaintext), &mut output));
            });
            group.bench_function(format!("raw-open/aes-256-gcm/{size}/{name}"), |bencher| {
                bencher.iter(|| raw.open(&[0; 12], &[], black_box(&ciphertext), &tag, &mut output));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, messages);
criterion_main!(benches);
