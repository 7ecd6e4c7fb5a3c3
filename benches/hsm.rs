//! Compares every token operation with a loop of the same bare C calls into the same module:
//! `hsm/<operation>/<bare, direct or deadline>`. A line for each operation follows with all three
//! variants measured in turn, as rows of several seconds are hardly comparable on a busy machine.
//!
//! `hsm_pool/<threads>` measures scaling with threads. `hsm_failover/<both_well or one_lost>`
//! measures an encryption by a cluster of two. In the second variant, the call reaches a member
//! that has just been lost, and then the other one.
//!
//! The token is SoftHSM 2, whose calls cost next to nothing. With a device or a network in between,
//! the difference vanishes.

use std::hint::black_box;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use strongroom::algorithm::SigningAlgorithm;
use strongroom::crypto::{KeyPairKind, SignatureInput};
use strongroom::key::ClusterId;
use strongroom::provider::pkcs11::{
    CallMode, FixedPin, KeyTypes, Module, ModuleOptions, NewKey, Pkcs11Cluster, Token, TokenConfig, TokenKeyHandle,
    TokenKeyKind, TokenSelector,
};
use strongroom::provider::{CryptoUserCredential, FixedCredential, HsmCluster, MemberState};
use strongroom::request::{CreateCustomKeyStoreRequest, CreateKeyRequest, EncryptRequest};
use strongroom::{Kms, SecretBytes};
use strongroom_pkcs11_faults::{Bare, PIN, SoftHsm};

const LABEL: &str = "bench";
const CONTEXT: &[u8] = b"associated data of a usual length, which is about sixty bytes";
const PLAINTEXT: [u8; 64] = [7; 64];
const DIGEST: [u8; 32] = [9; 32];

/// One token in both call modes, with keys.
struct Setup {
    hsm: SoftHsm,
    ways: [(&'static str, Token); 2],
    aes: TokenKeyHandle,
    curve: TokenKeyHandle,
    rsa: TokenKeyHandle,
}

impl Setup {
    fn new() -> Option<Self> {
        let hsm = SoftHsm::new(&[LABEL])?;
        let module = Module::load(hsm.bare_path()).expect("a module");
        let token = |mode| {
            let config = TokenConfig::new(TokenSelector::Label(LABEL.into())).key_types(KeyTypes::All).call_mode(mode);
            Token::new(&module, config, FixedPin::new(pin()))
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

    fn bare(&self, key: &TokenKeyHandle, private: bool) -> Bare {
        Bare::new(&self.hsm.bare_path(), LABEL, key.id(), private)
    }
}

/// A single call.
type Work<'a> = Box<dyn FnMut() + 'a>;

/// One operation: as bare C calls, and in both call modes of a token.
struct Operation<'a> {
    name: &'static str,
    ways: [(&'static str, Work<'a>); 3],
}

impl<'a> Operation<'a> {
    /// `bare` is a loop of C calls, and `ours` performs the same operation with a token.
    fn new(setup: &'a Setup, name: &'static str, bare: impl FnMut() + 'a, ours: impl Fn(&Token) + Clone + 'a) -> Self {
        let [direct, deadline] = setup.ways.each_ref().map(|(way, token)| {
            let ours = ours.clone();
            let work: Work<'a> = Box::new(move || ours(token));
            (*way, work)
        });
        Self { name, ways: [("bare", Box::new(bare)), direct, deadline] }
    }
}

fn operations(criterion: &mut Criterion) {
    let Some(setup) = Setup::new() else {
        println!("not run: SoftHSM 2 is not installed");
        return;
    };
    let sealed = setup.ways[0].1.encrypt(&setup.aes, CONTEXT, &PLAINTEXT).expect("encryption succeeds");
    let mut operations = ciphers(&setup, &sealed);
    operations.extend(signatures(&setup));
    let mut group = criterion.benchmark_group("hsm");
    group.sample_size(50).measurement_time(Duration::from_secs(2));
    for operation in &mut operations {
        for (way, work) in &mut operation.ways {
            group.bench_function(format!("{}/{way}", operation.name), |bencher| bencher.iter(&mut *work));
        }
    }
    group.finish();
    if !std::env::args().any(|argument| argument == "--test") {
        operations.iter_mut().for_each(compare);
    }
}

/// Prints the speed of each variant relative to the bare calls. The variants run in turn, so other
/// load on the machine affects all of them.
fn compare(operation: &mut Operation<'_>) {
    const ROUNDS: usize = 200;
    const CALLS: u32 = 50;
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        for ((_, work), times) in operation.ways.iter_mut().zip(&mut times) {
            times.push(timed(|| (0..CALLS).for_each(|_| work())) / CALLS);
        }
    }
    let [bare, direct, deadline] = times.map(|mut times| {
        times.sort_unstable();
        times[ROUNDS / 4]
    });
    println!(
        "hsm/{}: bare {bare:?}, direct {direct:?} ({:.2} of its speed), deadline {deadline:?}",
        operation.name,
        bare.as_secs_f64() / direct.as_secs_f64(),
    );
}

fn ciphers<'a>(setup: &'a Setup, sealed: &'a [u8]) -> Vec<Operation<'a>> {
    let aes = &setup.aes;
    let bare = || setup.bare(aes, false);
    let (iv, body) = sealed.split_first_chunk::<12>().expect("an initialisation vector");
    let (mut one, mut two, mut three, mut four) = (bare(), bare(), bare(), bare());
    vec![
        Operation::new(
            setup,
            "encrypt",
            move || drop(black_box(one.encrypt(iv, CONTEXT, &PLAINTEXT))),
            |token| drop(black_box(token.encrypt(aes, CONTEXT, &PLAINTEXT)).expect("encryption succeeds")),
        ),
        Operation::new(
            setup,
            "decrypt",
            move || drop(black_box(two.decrypt(iv, CONTEXT, body))),
            |token| drop(black_box(token.decrypt(aes, CONTEXT, sealed)).expect("decryption succeeds")),
        ),
        Operation::new(
            setup,
            "generate_data_key",
            move || {
                let data_key = three.random(32);
                drop(black_box(three.encrypt(iv, CONTEXT, &data_key)));
            },
            |token| drop(black_box(token.generate_data_key(aes, CONTEXT, 32)).expect("a data key")),
        ),
        Operation::new(
            setup,
            "random",
            move || drop(black_box(four.random(32))),
            |token| drop(black_box(token.random(32)).expect("random bytes")),
        ),
    ]
}

fn signatures(setup: &Setup) -> Vec<Operation<'_>> {
    // The encoding that CKM_RSA_PKCS signs: a 19-byte prefix before the digest.
    let encoded = [&[0x30; 19][..], &DIGEST].concat();
    let kinds = [
        ("sign_ecdsa_p256", &setup.curve, SigningAlgorithm::EcdsaSha256, DIGEST.to_vec()),
        ("sign_rsa_2048", &setup.rsa, SigningAlgorithm::RsassaPkcs1V15Sha256, encoded),
    ];
    let operation = |(name, key, algorithm, input): (_, _, _, Vec<u8>)| {
        let mut bare = setup.bare(key, true);
        let ecdsa = algorithm == SigningAlgorithm::EcdsaSha256;
        Operation::new(
            setup,
            name,
            move || drop(black_box(bare.sign(ecdsa, &input))),
            move |token| {
                let signature = token.sign(key, algorithm, SignatureInput::Digest(&DIGEST));
                drop(black_box(signature).expect("a signature"));
            },
        )
    };
    kinds.into_iter().map(operation).collect()
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
                                black_box(token.encrypt(&setup.aes, CONTEXT, &PLAINTEXT)).expect("encryption succeeds");
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

fn failover(criterion: &mut Criterion) {
    let (Some(east), Some(west)) = (SoftHsm::new(&["east"]), SoftHsm::new(&["west"])) else { return };
    let options = ModuleOptions::default().reinitialize_interval(Duration::from_millis(1));
    let module = |hsm: &SoftHsm| Module::load_with(hsm.shim().path(), options).expect("a module");
    let config =
        |label: &str| TokenConfig::new(TokenSelector::Label(label.into())).circuit_breaker(3, Duration::from_millis(1));
    let cluster = Pkcs11Cluster::from_members(b"replication key")
        .member("east", "zone-a", &module(&east), config("east"))
        .member("west", "zone-b", &module(&west), config("west"));
    let credential: Arc<dyn CryptoUserCredential> = Arc::new(FixedCredential::new(pin()));
    cluster.connect(&credential).expect("the tokens exist");
    cluster.install_replication_key(&SecretBytes::copy_from_slice(&[0x5A; 32])).expect("the tokens accept the PIN");
    let vault = ClusterId::parse("vault").expect("a name");
    let kms = Kms::builder().cluster(vault.clone(), cluster.clone()).build().expect("a KMS");
    let store = CreateCustomKeyStoreRequest::new("safe", vault).key_store_password(pin());
    let store = kms.create_custom_key_store(store).expect("a store");
    kms.connect_custom_key_store(store).expect("the tokens exist");
    let key = kms.create_key(CreateKeyRequest::default().custom_key_store(store)).expect("a key").key_id();
    let encrypt = || black_box(kms.encrypt(EncryptRequest::new(key, &PLAINTEXT))).expect("one member exists");

    let mut group = criterion.benchmark_group("hsm_failover");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    group.bench_function("both_well", |bencher| bencher.iter(encrypt));
    group.bench_function("one_lost", |bencher| {
        bencher.iter_custom(|rounds| {
            let mut lost = Duration::ZERO;
            for _ in 0..rounds {
                east.shim().vanish();
                // One of two consecutive calls reaches the lost member: the slower one.
                lost += [(); 2].map(|()| timed(encrypt)).into_iter().max().unwrap_or_default();
                east.shim().clear();
                while cluster.members().iter().any(|member| member.state != MemberState::Active) {
                    thread::sleep(Duration::from_millis(2));
                    encrypt();
                }
            }
            lost
        });
    });
    group.finish();
}

fn pin() -> SecretBytes {
    SecretBytes::copy_from_slice(PIN.as_bytes())
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    black_box(work());
    start.elapsed()
}

criterion_group!(benches, operations, pool, failover);
criterion_main!(benches);
