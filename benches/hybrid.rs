//! Wrapping and unwrapping of a data key: `hybrid/<wrap or unwrap>/<keyring>/<backend>`. An elliptic
//! curve alone is the reference.

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use strongroom::crypto::{KeyPairKind, RUST_CRYPTO};
use strongroom::envelope::{
    DecryptionMaterials, EncryptionMaterials, HybridKem, Keyring, RawEcdhKeyring, RawHybridKeyring,
};
use strongroom::message::AlgorithmSuite;
use strongroom::{EncryptionContext, Result};

/// A name, a keyring that wraps, and one that unwraps.
type NamedKeyrings = (String, Box<dyn Keyring>, Box<dyn Keyring>);

fn wrapped(keyring: &dyn Keyring) -> Result<EncryptionMaterials> {
    let mut materials = EncryptionMaterials::new(AlgorithmSuite::default(), EncryptionContext::new(), RUST_CRYPTO)?;
    keyring.on_encrypt(&mut materials)?;
    Ok(materials)
}

fn run(criterion: &mut Criterion) -> Result<()> {
    let mut keyrings: Vec<NamedKeyrings> = Vec::new();
    for kem in HybridKem::ALL {
        let private = kem.generate(&RUST_CRYPTO)?;
        let writer = RawHybridKeyring::with_public_key("bench", kem, &kem.public_key(&private)?)?;
        let reader = RawHybridKeyring::with_private_key("bench", kem, &private)?;
        let [writer, reader] = [writer, reader].map(|keyring| Box::new(keyring.with_backend(RUST_CRYPTO)));
        keyrings.push((format!("{kem:?}"), writer, reader));
    }
    for kind in [KeyPairKind::EccP256, KeyPairKind::EccP384] {
        let private = RUST_CRYPTO.key_pairs().generate(kind, RUST_CRYPTO.random())?;
        let writer = RawEcdhKeyring::ephemeral(&private.public_key_der())?.with_backend(RUST_CRYPTO)?;
        let reader = RawEcdhKeyring::discovery(private.to_pkcs8()?.expose_secret())?.with_backend(RUST_CRYPTO)?;
        keyrings.push((format!("{kind:?}"), Box::new(writer), Box::new(reader)));
    }
    let mut group = criterion.benchmark_group("hybrid");
    group.sample_size(20).warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(500));
    for (name, writer, reader) in &keyrings {
        group.bench_function(format!("wrap/{name}/rust-crypto"), |bencher| bencher.iter(|| wrapped(&**writer)));
        let materials = wrapped(&**writer)?;
        let data_keys = materials.encrypted_data_keys();
        group.bench_function(format!("unwrap/{name}/rust-crypto"), |bencher| {
            bencher.iter(|| {
                let (suite, none) = (AlgorithmSuite::default(), EncryptionContext::new());
                let mut materials = DecryptionMaterials::new(suite, none, RUST_CRYPTO)?;
                reader.on_decrypt(&mut materials, data_keys)
            });
        });
    }
    group.finish();
    Ok(())
}

fn bench(criterion: &mut Criterion) {
    run(criterion).expect("the keyrings work");
}

criterion_group!(benches, bench);
criterion_main!(benches);
