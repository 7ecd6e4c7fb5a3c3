//! Generators of `rand_core`: as the source of randomness of a KMS, and from a KMS for other
//! crates.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use p256::elliptic_curve::Generate;
use rand_core::{TryCryptoRng, TryRng};
use sha2::{Digest, Sha256};
use strongroom::audit::{Action, MemoryTrail};
use strongroom::crypto::{CryptoBackend, CryptoError, FASTEST, LockedRng, RUST_CRYPTO, SecureRng};
use strongroom::identity::{AccountId, Principal};
use strongroom::key::{DataKeyPairSpec, KeyId, KeySpec, KeyUsage, Operation};
use strongroom::policy::GrantTerms;
use strongroom::request::{
    CreateGrantRequest, CreateKeyRequest, EncryptRequest, GenerateDataKeyPairRequest, GenerateDataKeyRequest,
    GrantFilter, IncludeKeyMaterial, PageRequest, SignRequest,
};
use strongroom::{ErrorKind, Kms, KmsRng, Result};

use crate::support::backend;
use crate::support::kms::kind;

/// The error of [`Hashes`].
#[derive(Debug)]
struct Exhausted;

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("exhausted")
    }
}

impl std::error::Error for Exhausted {}

/// A deterministic generator that returns hashes of a counter, and fails once it has been called
/// `budget` times.
#[derive(Clone)]
struct Hashes {
    counter: u64,
    budget: Arc<AtomicUsize>,
}

impl Hashes {
    fn new(budget: usize) -> Self {
        Self { counter: 0, budget: Arc::new(AtomicUsize::new(budget)) }
    }
}

impl TryRng for Hashes {
    type Error = Exhausted;

    fn try_next_u32(&mut self) -> std::result::Result<u32, Exhausted> {
        unreachable!("a backend asks for bytes")
    }

    fn try_next_u64(&mut self) -> std::result::Result<u64, Exhausted> {
        unreachable!("a backend asks for bytes")
    }

    fn try_fill_bytes(&mut self, output: &mut [u8]) -> std::result::Result<(), Exhausted> {
        // A failing generator may have filled a part of the output.
        let half = output.len() / 2;
        output[..half].fill(0xAB);
        let left = self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |budget| budget.checked_sub(1));
        left.map_err(|_| Exhausted)?;
        for part in output.chunks_mut(32) {
            part.copy_from_slice(&Sha256::digest(self.counter.to_be_bytes())[..part.len()]);
            self.counter += 1;
        }
        Ok(())
    }
}

impl TryCryptoRng for Hashes {}

/// Returns a KMS with this generator.
fn kms_with(backend: CryptoBackend, generator: Hashes) -> Result<Kms> {
    Kms::builder().backend(backend.with_rng(generator)).build()
}

fn create(kms: &Kms, spec: KeySpec, usage: KeyUsage) -> Result<KeyId> {
    Ok(kms.create_key(CreateKeyRequest::default().spec(spec).usage(usage))?.key_id())
}

#[test]
fn the_same_generator_makes_the_same_keys() -> Result<()> {
    if backend::lacks("the_same_generator_makes_the_same_keys", &["other random number generators"]) {
        return Ok(());
    }
    let specs = [KeySpec::EccNistP256, KeySpec::EccNistP521, KeySpec::EccSecgP256k1, KeySpec::EccNistEdwards25519];
    let made = |backend: CryptoBackend, with_rsa: bool| -> Result<Vec<Vec<u8>>> {
        let kms = kms_with(backend, Hashes::new(usize::MAX))?;
        // AWS-LC generates RSA keys with its own generator.
        let rsa = with_rsa.then_some(KeySpec::Rsa2048);
        let keys = specs.into_iter().chain(rsa).map(|spec| {
            let key = create(&kms, spec, KeyUsage::SignVerify)?;
            Ok([key.to_string().into_bytes(), kms.get_public_key(key)?.public_key].concat())
        });
        keys.collect()
    };
    assert_eq!(made(RUST_CRYPTO, true)?, made(RUST_CRYPTO, true)?);
    assert_eq!(made(FASTEST, false)?, made(RUST_CRYPTO, false)?);
    let mut later = Hashes::new(usize::MAX);
    later.counter = 1;
    let other = create(&kms_with(RUST_CRYPTO, later)?, KeySpec::EccNistP256, KeyUsage::SignVerify)?;
    assert!(!made(RUST_CRYPTO, false)?[0].starts_with(other.to_string().as_bytes()));
    Ok(())
}

/// Everything that an operation of the next test could have stored.
fn stored(kms: &Kms, key: KeyId) -> Result<String> {
    let keys = kms.list_keys(PageRequest::default())?;
    let grants = kms.list_grants(key, GrantFilter::default(), PageRequest::default())?;
    let rotations = kms.list_key_rotations(key, IncludeKeyMaterial::AllKeyMaterial, PageRequest::default())?;
    Ok(format!("{keys:?} {:?} {grants:?} {rotations:?}", kms.describe_key(key)?))
}

type Attempt = (&'static str, fn(&Kms, KeyId) -> Result<()>);

const ATTEMPTS: [Attempt; 12] = [
    ("a symmetric key", |kms, _| create(kms, KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt).map(drop)),
    ("an HMAC key", |kms, _| create(kms, KeySpec::Hmac384, KeyUsage::GenerateVerifyMac).map(drop)),
    ("a P-256 key", |kms, _| create(kms, KeySpec::EccNistP256, KeyUsage::SignVerify).map(drop)),
    ("an Ed25519 key", |kms, _| create(kms, KeySpec::EccNistEdwards25519, KeyUsage::SignVerify).map(drop)),
    ("an RSA key", |kms, _| create(kms, KeySpec::Rsa2048, KeyUsage::SignVerify).map(drop)),
    ("a ciphertext", |kms, key| kms.encrypt(EncryptRequest::new(key, b"x")).map(drop)),
    ("a data key", |kms, key| kms.generate_data_key(GenerateDataKeyRequest::new(key)).map(drop)),
    ("a data key pair", |kms, key| {
        kms.generate_data_key_pair(GenerateDataKeyPairRequest::new(key, DataKeyPairSpec::EccNistP384)).map(drop)
    }),
    ("random bytes", |kms, _| kms.generate_random(32).map(drop)),
    ("a grant", |kms, key| {
        let terms = GrantTerms::new(Principal::user(AccountId::default(), "alice")?, [Operation::Encrypt])?;
        kms.create_grant(CreateGrantRequest::new(key, terms)).map(drop)
    }),
    ("a rotation", |kms, key| kms.rotate_key_on_demand(key).map(drop)),
    ("a changed record", |kms, key| kms.disable_key(key)),
];

#[test]
fn nothing_is_generated_or_stored_if_a_generator_fails_at_any_call() -> Result<()> {
    if backend::lacks(
        "nothing_is_generated_or_stored_if_a_generator_fails_at_any_call",
        &["other random number generators"],
    ) {
        return Ok(());
    }
    for backend in [FASTEST, RUST_CRYPTO] {
        for (name, attempt) in ATTEMPTS {
            let generator = Hashes::new(usize::MAX);
            let budget = Arc::clone(&generator.budget);
            let kms = kms_with(backend, generator)?;
            let key = create(&kms, KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt)?;
            let before = stored(&kms, key)?;
            let mut calls = 0;
            loop {
                budget.store(calls, Ordering::Relaxed);
                let result = attempt(&kms, key);
                budget.store(usize::MAX, Ordering::Relaxed);
                let Err(error) = result else { break };
                assert_eq!(error.kind(), ErrorKind::Internal, "{name}: {error}");
                assert_eq!(error.downcast_ref(), Some(&CryptoError::RandomFailed), "{name}: {error}");
                assert_eq!(stored(&kms, key)?, before, "{name} after {calls} calls");
                calls += 1;
                // The search for the primes of an RSA key takes thousands of calls.
                if calls == 40 {
                    break;
                }
            }
            assert!(calls > 0, "{name} with {} needs no randomness", backend.name());
        }
    }
    Ok(())
}

/// A generator that panics at its first call, and returns the same byte at later ones.
struct Broken {
    panics: bool,
}

impl TryRng for Broken {
    type Error = Exhausted;

    fn try_next_u32(&mut self) -> std::result::Result<u32, Exhausted> {
        unreachable!("a backend asks for bytes")
    }

    fn try_next_u64(&mut self) -> std::result::Result<u64, Exhausted> {
        unreachable!("a backend asks for bytes")
    }

    fn try_fill_bytes(&mut self, output: &mut [u8]) -> std::result::Result<(), Exhausted> {
        assert!(!std::mem::take(&mut self.panics), "the generator panics");
        output.fill(0x11);
        Ok(())
    }
}

impl TryCryptoRng for Broken {}

#[test]
fn a_generator_that_is_stuck_or_panicked_is_refused() {
    if backend::lacks("a_generator_that_is_stuck_or_panicked_is_refused", &["other random number generators"]) {
        return;
    }
    let stuck = FASTEST.with_rng(Broken { panics: false });
    for length in [16, 32, 1_000] {
        let mut output = vec![7; length];
        assert_eq!(stuck.random().fill(&mut output), Err(CryptoError::RandomFailed), "{length} bytes");
        assert_eq!(output, vec![0; length], "what was drawn is wiped");
    }
    assert_eq!(Kms::builder().backend(stuck).build().map(drop).expect_err("a root key").kind(), ErrorKind::Internal);

    let panicking = FASTEST.with_rng(Broken { panics: true });
    let caught = std::panic::catch_unwind(AssertUnwindSafe(|| panicking.random().fill(&mut [0; 8])));
    assert!(caught.is_err(), "the panic reaches the caller");
    assert_eq!(panicking.random().fill(&mut [0; 8]), Err(CryptoError::RandomFailed));
}

#[test]
fn a_generator_is_reported_without_its_state() {
    let backend = RUST_CRYPTO.with_rng(Hashes::new(1));
    let name = backend.random().library();
    assert!(name.ends_with("Hashes"), "{name}");
    assert!(backend.parts().contains(&("random", name)));
    let text = format!("{:?}", LockedRng::new(Hashes::new(1)));
    assert!(text.contains("Hashes") && !text.contains("counter"), "{text}");
    let nested = FASTEST.with_rng(RUST_CRYPTO.rng());
    assert!(nested.random().library().ends_with("SecureRng"));
}

#[test]
fn other_crates_draw_from_the_generator_of_a_backend() {
    let backend = RUST_CRYPTO.with_rng(Hashes::new(3));
    let key = p256::SecretKey::try_generate_from_rng(&mut backend.rng()).expect("the generator works");
    // The crate reads the random number from its least significant byte.
    let drawn: Vec<u8> = Sha256::digest(0_u64.to_be_bytes()).iter().rev().copied().collect();
    assert_eq!(key.to_bytes().as_slice(), drawn);
    let word = |index: u64| Sha256::digest(index.to_be_bytes())[..8].try_into().map(u64::from_le_bytes);
    assert_eq!(backend.rng().try_next_u64().ok(), word(1).ok());
    assert!(backend.rng().try_next_u32().is_ok());
    let failed = p256::SecretKey::try_generate_from_rng(&mut backend.rng());
    assert_eq!(failed.err(), Some(CryptoError::RandomFailed));

    let random = Hashes::new(1);
    let locked = LockedRng::assume_fork_safe(random);
    assert!(SecureRng::new(&locked).try_next_u32().is_ok());
    assert_eq!(SecureRng::new(&locked).try_next_u32(), Err(CryptoError::RandomFailed));
}

#[test]
fn each_use_of_the_generator_of_a_kms_is_a_call_of_generate_random() -> Result<()> {
    let trail = Arc::new(MemoryTrail::default());
    let kms = Kms::builder().audit(Arc::clone(&trail)).build()?;
    let calls =
        || trail.events().iter().filter(|event| event.action == Action::Call(Operation::GenerateRandom)).count();
    let mut rng = KmsRng::new(&kms);

    let key = p256::SecretKey::try_generate_from_rng(&mut rng)?;
    assert_eq!(calls(), 1);
    let other = p256::SecretKey::try_generate_from_rng(&mut rng)?;
    assert!(key != other);
    let mut long = vec![0; 2_500];
    rng.try_fill_bytes(&mut long)?;
    assert_eq!(calls(), 2 + 3);
    assert!(long.chunks(100).all(|part| part.iter().any(|byte| *byte != 0)));
    assert_ne!(rng.try_next_u64()?, rng.try_next_u64()?);
    rng.try_next_u32()?;
    assert_eq!(calls(), 5 + 3);

    let alice = kms.as_principal(Principal::user(AccountId::default(), "alice")?)?;
    let refused = p256::SecretKey::try_generate_from_rng(&mut KmsRng::new(&alice));
    assert_eq!(kind(refused), ErrorKind::AccessDenied);
    Ok(())
}

#[test]
fn a_generator_signs_with_keys_of_every_kind() -> Result<()> {
    if backend::lacks("a_generator_signs_with_keys_of_every_kind", &["Ed25519"]) {
        return Ok(());
    }
    use strongroom::algorithm::SigningAlgorithm::{EcdsaSha256, Ed25519Sha512};
    let kms = Kms::builder().backend(FASTEST.with_rng(RUST_CRYPTO.rng())).build()?;
    for (spec, algorithm) in [(KeySpec::EccNistP256, EcdsaSha256), (KeySpec::EccNistEdwards25519, Ed25519Sha512)] {
        let key = create(&kms, spec, KeyUsage::SignVerify)?;
        assert!(!kms.sign(SignRequest::new(key, algorithm, b"x"))?.signature.is_empty());
    }
    Ok(())
}
