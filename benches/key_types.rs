//! Every operation of asymmetric and HMAC keys, next to the same call of the bare backend:
//! `key_types/<operation>/<spec>/<backend>/<kms or raw>`. The difference is the overhead of the
//! KMS.

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use strongroom::algorithm::{EncapsulationAlgorithm, EncryptionAlgorithm, KeyAgreementAlgorithm};
use strongroom::crypto::{
    CryptoBackend, DigestAlgorithm, FASTEST, KeyPairKind, PrivateKey, RUST_CRYPTO, RsaOaep, SignatureInput,
};
use strongroom::key::{KeyId, KeySpec, KeyUsage};
use strongroom::request::{
    CreateKeyRequest, DecapsulateRequest, DecryptRequest, DeriveSharedSecretRequest, EncapsulateRequest,
    EncryptRequest, GenerateMacRequest, SignRequest, VerifyMacRequest, VerifyRequest,
};
use strongroom::{Kms, Result};

const BACKENDS: [(&str, CryptoBackend); 2] = [("fastest", FASTEST), ("rust-crypto", RUST_CRYPTO)];

const MESSAGE: [u8; 64] = [7; 64];

/// Key pair specs and the backends' names for them. The cost of RSA_3072 is between the other two.
const PAIRS: [(KeySpec, KeyPairKind); 13] = [
    (KeySpec::Rsa2048, KeyPairKind::Rsa2048),
    (KeySpec::Rsa4096, KeyPairKind::Rsa4096),
    (KeySpec::EccNistP256, KeyPairKind::EccP256),
    (KeySpec::EccNistP384, KeyPairKind::EccP384),
    (KeySpec::EccNistP521, KeyPairKind::EccP521),
    (KeySpec::EccSecgP256k1, KeyPairKind::EccSecp256k1),
    (KeySpec::EccNistEdwards25519, KeyPairKind::Ed25519),
    (KeySpec::MlDsa44, KeyPairKind::MlDsa44),
    (KeySpec::MlDsa65, KeyPairKind::MlDsa65),
    (KeySpec::MlDsa87, KeyPairKind::MlDsa87),
    (KeySpec::MlKem512, KeyPairKind::MlKem512),
    (KeySpec::MlKem768, KeyPairKind::MlKem768),
    (KeySpec::MlKem1024, KeyPairKind::MlKem1024),
];

/// A KMS and a backend to compare, with their names.
struct Pair<'a, 'b> {
    group: BenchmarkGroup<'a, WallTime>,
    kms: &'b Kms,
    backend: &'b CryptoBackend,
    name: &'static str,
}

impl Pair<'_, '_> {
    fn key(&self, spec: KeySpec, usage: KeyUsage) -> Result<KeyId> {
        Ok(self.kms.create_key(CreateKeyRequest::default().spec(spec).usage(usage))?.key_id())
    }

    fn compare<T, U>(&mut self, what: &str, spec: KeySpec, mut kms: impl FnMut() -> T, mut raw: impl FnMut() -> U) {
        let name = format!("{what}/{spec}/{}", self.name);
        self.group.bench_function(format!("{name}/kms"), |bencher| bencher.iter(&mut kms));
        self.group.bench_function(format!("{name}/raw"), |bencher| bencher.iter(&mut raw));
    }

    /// The time of a single signature of ML-DSA varies by a multiple, because it retries until its
    /// numbers are small, so that only averages can be compared.
    fn signatures(&mut self, spec: KeySpec, raw: &dyn PrivateKey) -> Result<()> {
        let (kms, key) = (self.kms, self.key(spec, KeyUsage::SignVerify)?);
        let public = self.backend.key_pairs().public_key(raw.kind(), &raw.public_key_der())?;
        let input = SignatureInput::Message(&MESSAGE);
        for &algorithm in spec.signing_algorithms(KeyUsage::SignVerify) {
            // The other hash functions cost the same for a short message.
            if !algorithm.as_str().ends_with("256") && !algorithm.as_str().starts_with('E') {
                continue;
            }
            let form = algorithm.message_types()[0];
            let ours = kms.sign(SignRequest::new(key, algorithm, &MESSAGE).message_type(form))?.signature;
            let theirs = raw.sign(algorithm, input)?;
            self.compare(
                &format!("sign_{algorithm}"),
                spec,
                || kms.sign(SignRequest::new(key, algorithm, black_box(&MESSAGE)).message_type(form)),
                || raw.sign(algorithm, black_box(input)),
            );
            self.compare(
                &format!("verify_{algorithm}"),
                spec,
                || kms.verify(VerifyRequest::new(key, algorithm, &MESSAGE, black_box(&ours)).message_type(form)),
                || public.verify(algorithm, input, black_box(&theirs)),
            );
        }
        Ok(())
    }

    fn encryption(&mut self, spec: KeySpec, raw: &dyn PrivateKey) -> Result<()> {
        let (kms, backend, key) = (self.kms, self.backend, self.key(spec, KeyUsage::EncryptDecrypt)?);
        let public = backend.key_pairs().public_key(raw.kind(), &raw.public_key_der())?;
        let algorithm = EncryptionAlgorithm::RsaesOaepSha256;
        let ours = kms.encrypt(EncryptRequest::new(key, &MESSAGE).algorithm(algorithm))?.ciphertext_blob;
        let theirs = public.encrypt(RsaOaep::Sha256, &MESSAGE, backend.random())?;
        self.compare(
            "encrypt",
            spec,
            || kms.encrypt(EncryptRequest::new(key, black_box(&MESSAGE)).algorithm(algorithm)),
            || public.encrypt(RsaOaep::Sha256, black_box(&MESSAGE), backend.random()),
        );
        self.compare(
            "decrypt",
            spec,
            || kms.decrypt(DecryptRequest::new(black_box(&ours)).key(key)?.algorithm(algorithm)),
            || raw.decrypt(RsaOaep::Sha256, black_box(&theirs)),
        );
        Ok(())
    }

    fn agreement(&mut self, spec: KeySpec, raw: &dyn PrivateKey) -> Result<()> {
        let (kms, key) = (self.kms, self.key(spec, KeyUsage::KeyAgreement)?);
        let peer = raw.public_key_der();
        self.compare(
            "derive_shared_secret",
            spec,
            || kms.derive_shared_secret(DeriveSharedSecretRequest::new(key, KeyAgreementAlgorithm::Ecdh, &peer)),
            || raw.agree(black_box(&peer)),
        );
        Ok(())
    }

    fn encapsulation(&mut self, spec: KeySpec, raw: &dyn PrivateKey) -> Result<()> {
        let (kms, backend, key) = (self.kms, self.backend, self.key(spec, KeyUsage::EncapsulateDecapsulate)?);
        let public = backend.key_pairs().public_key(raw.kind(), &raw.public_key_der())?;
        let algorithm = EncapsulationAlgorithm::MlKem;
        let ours = kms.encapsulate(EncapsulateRequest::new(key, algorithm))?.shared_secret_ciphertext_blob;
        let theirs = public.encapsulate(backend.random())?.ciphertext;
        self.compare(
            "encapsulate",
            spec,
            || kms.encapsulate(EncapsulateRequest::new(key, algorithm)),
            || public.encapsulate(backend.random()),
        );
        self.compare(
            "decapsulate",
            spec,
            || kms.decapsulate(DecapsulateRequest::new(key, algorithm, black_box(&ours))),
            || raw.decapsulate(black_box(&theirs)),
        );
        Ok(())
    }

    fn codes(&mut self, spec: KeySpec) -> Result<()> {
        let (kms, key) = (self.kms, self.key(spec, KeyUsage::GenerateVerifyMac)?);
        let algorithm = spec.mac_algorithms(KeyUsage::GenerateVerifyMac)[0];
        let code = kms.generate_mac(GenerateMacRequest::new(key, algorithm, &MESSAGE))?.mac;
        let hash = match algorithm.tag_length() {
            32 => DigestAlgorithm::Sha256,
            _ => DigestAlgorithm::Sha512,
        };
        let raw = self.backend.mac().bind(hash, &[7; 32]);
        let verify = || kms.verify_mac(VerifyMacRequest::new(key, algorithm, &MESSAGE, black_box(&code)));
        self.compare(
            "generate_mac",
            spec,
            || kms.generate_mac(GenerateMacRequest::new(key, algorithm, black_box(&MESSAGE))),
            || raw.authenticate(&[black_box(&MESSAGE)]),
        );
        self.compare("verify_mac", spec, verify, || raw.authenticate(&[black_box(&MESSAGE)]));
        Ok(())
    }
}

fn run(criterion: &mut Criterion) -> Result<()> {
    for (name, backend) in BACKENDS {
        let kms = Kms::builder().backend(backend).build()?;
        let mut group = criterion.benchmark_group("key_types");
        group.sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
        let mut pair = Pair { group, kms: &kms, backend: &backend, name };
        for (spec, kind) in PAIRS {
            let raw = backend.key_pairs().generate(kind, backend.random())?;
            if !kind.signing_algorithms().is_empty() {
                pair.signatures(spec, &*raw)?;
            }
            if kind.encapsulation_length().is_some() {
                pair.encapsulation(spec, &*raw)?;
            }
            if kind.modulus_bits().is_some() {
                pair.encryption(spec, &*raw)?;
            }
            if kind.supports_key_agreement() {
                pair.agreement(spec, &*raw)?;
            }
        }
        for spec in [KeySpec::Hmac256, KeySpec::Hmac512] {
            pair.codes(spec)?;
        }
        pair.group.finish();
    }
    Ok(())
}

/// Measures key generation. RSA key generation is so slow, and its duration varies so much, that
/// ten samples have to suffice.
fn generation(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("create_key");
    group.sample_size(10).warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_secs(2));
    for (name, backend) in BACKENDS {
        let kms = Kms::builder().backend(backend).build().expect("a KMS in memory");
        for spec in [KeySpec::Rsa2048, KeySpec::EccNistP256, KeySpec::EccNistEdwards25519] {
            let request = CreateKeyRequest::default().spec(spec).usage(KeyUsage::SignVerify);
            group.bench_function(format!("{spec}/{name}"), |bencher| bencher.iter(|| kms.create_key(request.clone())));
        }
    }
    group.finish();
}

fn key_types(criterion: &mut Criterion) {
    run(criterion).expect("keys in memory");
}

criterion_group!(benches, key_types, generation);
criterion_main!(benches);
