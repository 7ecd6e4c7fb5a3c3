//! Import of key material: `import/<operation>/<spec>/<backend>`. The generation of wrapping keys
//! is not measured, as `run_maintenance` keeps a pool of them filled.

use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use strongroom::algorithm::{WrappingAlgorithm, WrappingKeySpec};
use strongroom::crypto::{CryptoBackend, FASTEST, KeyPairKind, KeyWrapMode, RUST_CRYPTO, RsaOaep};
use strongroom::key::{KeyId, KeySpec, KeyUsage, Origin};
use strongroom::request::{CreateKeyRequest, GetParametersForImportRequest, ImportKeyMaterialRequest};
use strongroom::{Kms, KmsLimits, Result};

const ALGORITHM: WrappingAlgorithm = WrappingAlgorithm::RsaAesKeyWrapSha256;
const SIZE: WrappingKeySpec = WrappingKeySpec::Rsa2048;

fn material(backend: &CryptoBackend, spec: KeySpec) -> Result<Vec<u8>> {
    let kind = match spec {
        KeySpec::Rsa2048 => KeyPairKind::Rsa2048,
        KeySpec::EccNistP256 => KeyPairKind::EccP256,
        KeySpec::EccNistEdwards25519 => KeyPairKind::Ed25519,
        _ => return Ok(vec![7; 32]),
    };
    Ok(backend.key_pairs().generate(kind, backend.random())?.to_pkcs8()?.expose_secret().to_vec())
}

/// Wraps material with `RSA_AES_KEY_WRAP_SHA_256`, as the owner of a key would.
fn wrap(backend: &CryptoBackend, spki: &[u8], material: &[u8]) -> Result<Vec<u8>> {
    let key = backend.key_pairs().public_key(KeyPairKind::Rsa2048, spki)?;
    let wrapped = backend.key_wrap().wrap(KeyWrapMode::Padded, &[5; 32], material)?;
    Ok([key.encrypt(RsaOaep::Sha256, &[5; 32], backend.random())?, wrapped].concat())
}

fn waiting(kms: &Kms, spec: KeySpec, usage: KeyUsage) -> Result<KeyId> {
    let request = CreateKeyRequest::default().spec(spec).usage(usage).origin(Origin::External);
    Ok(kms.create_key(request)?.key_id())
}

fn run(criterion: &mut Criterion) -> Result<()> {
    for (name, backend) in [("fastest", FASTEST), ("rust-crypto", RUST_CRYPTO)] {
        let mut group = criterion.benchmark_group("import");
        group.sample_size(10).warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(500));
        let limits = KmsLimits { prepared_wrapping_keys: 1, ..KmsLimits::default() };
        let kms = Kms::builder().backend(backend).limits(limits).build()?;
        let key = waiting(&kms, KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt)?;
        let parameters = |key| kms.get_parameters_for_import(GetParametersForImportRequest::new(key, ALGORITHM, SIZE));
        parameters(key)?;
        group.bench_function(format!("get_parameters_for_import/{SIZE}/{name}"), |bencher| {
            bencher.iter_batched(|| kms.run_maintenance(), |_| parameters(key), BatchSize::PerIteration);
        });
        for (spec, usage) in [
            (KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt),
            (KeySpec::Hmac256, KeyUsage::GenerateVerifyMac),
            (KeySpec::Rsa2048, KeyUsage::SignVerify),
            (KeySpec::EccNistP256, KeyUsage::SignVerify),
            (KeySpec::EccNistEdwards25519, KeyUsage::SignVerify),
        ] {
            let key = waiting(&kms, spec, usage)?;
            let made = parameters(key)?;
            let wrapped = wrap(&backend, &made.public_key, &material(&backend, spec)?)?;
            let request = || ImportKeyMaterialRequest::new(key, &made.import_token, &wrapped).does_not_expire();
            // The first import fills the key. All others import the same material again.
            group.bench_function(format!("import_key_material/{spec}/{name}"), |bencher| {
                bencher.iter(|| kms.import_key_material(request()));
            });
        }
        group.finish();
    }
    Ok(())
}

fn import(criterion: &mut Criterion) {
    run(criterion).expect("keys in memory");
}

criterion_group!(benches, import);
criterion_main!(benches);
