//! Every operation of a token beside a loop of the same bare C calls over the same module:
//! `hsm/<operation>/<bare, direct or deadline>`. And how it scales with threads: `hsm_pool/<threads>`.
//!
//! The token is SoftHSM 2, whose calls cost next to nothing: behind a device or a network the difference vanishes.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use strongroom::SecretBytes;
use strongroom::algorithm::SigningAlgorithm;
use strongroom::crypto::{KeyPairKind, SignatureInput};
use strongroom::provider::pkcs11::{
    CallMode, FixedPin, KeyReference, Module, NewKey, Offer, Token, TokenConfig, TokenKeyKind, TokenSelector,
};
use strongroom_pkcs11_faults::{Bare, PIN, SoftHsm};

const LABEL: &str = "bench";
const CONTEXT: &[u8] = b"associated data of a usual length, which is about sixty bytes";
const PLAINTEXT: [u8; 64] = [7; 64];
const DIGEST: [u8; 32] = [9; 32];

/// One token in both ways of calling, with keys.
struct Setup {
    hsm: SoftHsm,
    ways: [(&'static str, Token); 2],
    aes: KeyReference,
    curve: KeyReference,
    rsa: KeyReference,
}

impl Setup {
    fn new() -> Option<Self> {
        let hsm = SoftHsm::new(&[LABEL])?;
        let module = Module::load(hsm.bare_path()).expect("a module");
        let token = |mode| {
            let config = TokenConfig::new(TokenSelector::Label(LABEL.into())).offer(Offer::Everything).call_mode(mode);
            Token::new(&module, config, FixedPin::new(SecretBytes::copy_of(PIN.as_bytes())))
        };
        let deadline = CallMode::Deadline { deadline: Duration::from_secs(5), threads: 8 };
        let ways = [("direct", token(CallMode::Direct)), ("deadline", token(deadline))];
        let make = |id: u8, kind| ways[0].1.generate_key(&NewKey::new(&[id; 32], "key", kind)).expect("a key");
        let [aes, curve, rsa] = [
            make(1, TokenKeyKind::Aes256),
            make(2, TokenKeyKind::Signing(KeyPairKind::EccP256)),
            make(3, TokenKeyKind::Signing(KeyPairKind::Rsa2048)),
        ];
        Some(Self { hsm, ways, aes, curve, rsa })
    }

    fn bare(&self, key: &KeyReference, private: bool) -> Bare {
        Bare::new(&self.hsm.bare_path(), LABEL, key.id(), private)
    }
}

fn operations(criterion: &mut Criterion) {
    let Some(setup) = Setup::new() else {
        println!("not run: SoftHSM 2 is not installed");
        return;
    };
    ciphers(criterion, &setup);
    signatures(criterion, &setup);
}

fn ciphers(criterion: &mut Criterion, setup: &Setup) {
    let mut group = criterion.benchmark_group("hsm");
    group.sample_size(50).measurement_time(Duration::from_secs(2));
    let mut bare = setup.bare(&setup.aes, false);
    let sealed = setup.ways[0].1.encrypt(&setup.aes, CONTEXT, &PLAINTEXT).expect("it encrypts");
    let (iv, body) = sealed.split_first_chunk::<12>().expect("an initialisation vector");
    group.bench_function("encrypt/bare", |bencher| bencher.iter(|| black_box(bare.encrypt(iv, CONTEXT, &PLAINTEXT))));
    for (way, token) in &setup.ways {
        group.bench_function(format!("encrypt/{way}"), |bencher| {
            bencher.iter(|| black_box(token.encrypt(&setup.aes, CONTEXT, &PLAINTEXT)).expect("it encrypts"));
        });
    }
    group.bench_function("decrypt/bare", |bencher| bencher.iter(|| black_box(bare.decrypt(iv, CONTEXT, body))));
    for (way, token) in &setup.ways {
        group.bench_function(format!("decrypt/{way}"), |bencher| {
            bencher.iter(|| black_box(token.decrypt(&setup.aes, CONTEXT, &sealed)).expect("it opens"));
        });
    }
    group.bench_function("generate_data_key/bare", |bencher| {
        bencher.iter(|| {
            let data_key = bare.random(32);
            black_box(bare.encrypt(iv, CONTEXT, &data_key))
        });
    });
    for (way, token) in &setup.ways {
        group.bench_function(format!("generate_data_key/{way}"), |bencher| {
            bencher.iter(|| black_box(token.generate_data_key(&setup.aes, CONTEXT, 32)).expect("a data key"));
        });
    }
    group.bench_function("random/bare", |bencher| bencher.iter(|| black_box(bare.random(32))));
    for (way, token) in &setup.ways {
        group.bench_function(format!("random/{way}"), |bencher| {
            bencher.iter(|| black_box(token.random(32)).expect("random bytes"));
        });
    }
    group.finish();
}

fn signatures(criterion: &mut Criterion, setup: &Setup) {
    let mut group = criterion.benchmark_group("hsm");
    group.sample_size(50).measurement_time(Duration::from_secs(2));
    // The encoding that CKM_RSA_PKCS signs: a prefix of 19 bytes before the hash value.
    let encoded = [&[0x30; 19][..], &DIGEST].concat();
    let kinds = [
        ("sign_ecdsa_p256", &setup.curve, SigningAlgorithm::EcdsaSha256, &DIGEST[..]),
        ("sign_rsa_2048", &setup.rsa, SigningAlgorithm::RsassaPkcs1V15Sha256, &encoded[..]),
    ];
    for (what, key, algorithm, input) in kinds {
        let mut bare = setup.bare(key, true);
        let ecdsa = algorithm == SigningAlgorithm::EcdsaSha256;
        group.bench_function(format!("{what}/bare"), |bencher| bencher.iter(|| black_box(bare.sign(ecdsa, input))));
        for (way, token) in &setup.ways {
            group.bench_function(format!("{what}/{way}"), |bencher| {
                bencher.iter(|| {
                    black_box(token.sign(key, algorithm, SignatureInput::Digest(&DIGEST))).expect("a signature")
                });
            });
        }
    }
    group.finish();
}

fn pool(criterion: &mut Criterion) {
    let Some(setup) = Setup::new() else { return };
    let token = &setup.ways[0].1;
    let mut group = criterion.benchmark_group("hsm_pool");
    group.sample_size(10).measurement_time(Duration::from_secs(2));
    for threads in [1_u64, 2, 4, 16] {
        group.throughput(Throughput::Elements(threads));
        group.bench_function(format!("{threads}"), |bencher| {
            bencher.iter_custom(|rounds| {
                let start = Instant::now();
                thread::scope(|scope| {
                    for _ in 0..threads {
                        scope.spawn(|| {
                            for _ in 0..rounds {
                                black_box(token.encrypt(&setup.aes, CONTEXT, &PLAINTEXT)).expect("it encrypts");
                            }
                        });
                    }
                });
                start.elapsed()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, operations, pool);
criterion_main!(benches);
