//! Every return value of a token, in every operation.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use strongroom::algorithm::SigningAlgorithm;
use strongroom::crypto::{FASTEST, KeyPairKind, RsaOaep, SignatureInput};
use strongroom::provider::pkcs11::{
    ErrorClass, HealthState, KeyTypes, NewKey, Token, TokenError, TokenKeyHandle, TokenKeyKind, TokenSelector,
};
use strongroom_pkcs11_faults::{Action, Function, SoftHsm};

use super::{CODES, aes, config, module, pin, soft_hsm};

/// Codes after which the session or the token is reopened and the call is retried.
const LOST: [&str; 11] = [
    "CKR_SESSION_HANDLE_INVALID",
    "CKR_SESSION_CLOSED",
    "CKR_USER_NOT_LOGGED_IN",
    "CKR_OBJECT_HANDLE_INVALID",
    "CKR_KEY_HANDLE_INVALID",
    "CKR_OPERATION_NOT_INITIALIZED",
    "CKR_DEVICE_REMOVED",
    "CKR_TOKEN_NOT_PRESENT",
    "CKR_TOKEN_NOT_RECOGNIZED",
    "CKR_SLOT_ID_INVALID",
    "CKR_CRYPTOKI_NOT_INITIALIZED",
];

/// Codes after which the call is retried a little later.
const BUSY: [&str; 5] =
    ["CKR_HOST_MEMORY", "CKR_DEVICE_MEMORY", "CKR_FUNCTION_CANCELED", "CKR_OPERATION_ACTIVE", "CKR_SESSION_COUNT"];

/// Codes that may mean anything.
const AMBIGUOUS: [&str; 6] = [
    "CKR_GENERAL_ERROR",
    "CKR_FUNCTION_FAILED",
    "CKR_DEVICE_ERROR",
    "CKR_FUNCTION_REJECTED",
    "CKR_VENDOR_DEFINED",
    "CKR_UNKNOWN",
];

/// Codes that blame the input.
const BAD_INPUT: [&str; 3] = ["CKR_DATA_INVALID", "CKR_DATA_LEN_RANGE", "CKR_ENCRYPTED_DATA_INVALID"];

/// Codes that deny the call.
const DENIED: [&str; 4] = ["CKR_PIN_INCORRECT", "CKR_PIN_EXPIRED", "CKR_PIN_LOCKED", "CKR_KEY_FUNCTION_NOT_PERMITTED"];

/// A token with one key of each kind, and the keys' output from before any faults.
struct Bench {
    token: Token,
    aes: TokenKeyHandle,
    sealed: Vec<u8>,
    ec: TokenKeyHandle,
    rsa: TokenKeyHandle,
    encrypted: Vec<u8>,
    kek: TokenKeyHandle,
    spare: TokenKeyHandle,
    wrapped: Vec<u8>,
}

impl Bench {
    fn new(hsm: &SoftHsm) -> Self {
        let token = Token::new(&module(hsm), config("one").key_types(KeyTypes::All), pin());
        let make = |id: u8, kind| token.generate_key(&NewKey::new(&[id; 32], "key", kind)).expect("a key");
        let aes = make(1, TokenKeyKind::Aes256);
        let ec = make(2, TokenKeyKind::Signing(KeyPairKind::EccP256));
        let rsa = make(3, TokenKeyKind::Decryption(KeyPairKind::Rsa2048));
        let kek = make(4, TokenKeyKind::WrappingAes256);
        let spare = NewKey::new(&[5; 32], "spare", TokenKeyKind::Aes256).extractable_for_replication();
        let spare = token.generate_key(&spare).expect("a key");
        let public = FASTEST.key_pairs().public_key(KeyPairKind::Rsa2048, rsa.public_key().expect("a key pair"));
        let encrypted = public.expect("a public key").encrypt(RsaOaep::Sha1, b"text", FASTEST.random());
        let sealed = token.encrypt(&aes, b"context", b"text").expect("encryption succeeds");
        let wrapped = token.wrap_key(&kek, &spare).expect("wrapping succeeds");
        Self { encrypted: encrypted.expect("encryption succeeds"), token, aes, sealed, ec, rsa, kek, spare, wrapped }
    }

    /// Performs an operation, which must return the correct result or an error.
    fn run(&self, operation: Operation) -> Result<(), TokenError> {
        let token = &self.token;
        match operation {
            Operation::Encrypt => {
                let sealed = token.encrypt(&self.aes, b"context", b"fresh")?;
                // Decrypted after the faults have ended.
                assert_eq!(sealed.len(), 5 + 28);
            }
            Operation::Decrypt => {
                assert_eq!(token.decrypt(&self.aes, b"context", &self.sealed)?.expose_secret(), b"text");
            }
            Operation::Sign => {
                let (algorithm, input) = (SigningAlgorithm::EcdsaSha256, SignatureInput::Message(b"message"));
                let signature = token.sign(&self.ec, algorithm, input)?;
                let spki = self.ec.public_key().expect("a key pair");
                let public = FASTEST.key_pairs().public_key(KeyPairKind::EccP256, spki).expect("a public key");
                public.verify(algorithm, input, &signature).expect("the signature is right");
            }
            Operation::DecryptOaep => {
                let opened = token.decrypt_oaep(&self.rsa, RsaOaep::Sha1, &self.encrypted)?;
                assert_eq!(opened.expose_secret(), b"text");
            }
            Operation::Random => assert_ne!(token.random(32)?.expose_secret(), [0; 32]),
            Operation::Generate => {
                let key = token.generate_key(&NewKey::new(&[6; 32], "new", TokenKeyKind::Aes256))?;
                assert!(!token.key_protection(&key)?.extractable);
            }
            Operation::Wrap => assert_eq!(token.wrap_key(&self.kek, &self.spare)?, self.wrapped),
            Operation::Unwrap => token.unwrap_key(&self.kek, &self.wrapped, &self.spare)?,
            Operation::Verify => token.verify_key(&self.aes)?,
            Operation::Destroy => assert_eq!(token.destroy_objects(&[7; 32])?, 1),
        }
        Ok(())
    }

    /// Creates what an operation removes, and removes what it creates.
    fn prepare(&self, operation: Operation) {
        match operation {
            Operation::Generate => assert!(self.token.destroy_objects(&[6; 32]).expect("the token works") <= 1),
            Operation::Unwrap => assert!(self.token.destroy_objects(self.spare.id()).expect("the token works") <= 1),
            Operation::Wrap if self.token.count_objects(self.spare.id()).expect("the token works") == 0 => {
                panic!("the key exists because of the order of operations");
            }
            Operation::Destroy => {
                self.token.destroy_objects(&[7; 32]).expect("the token works");
                aes(&self.token, 7);
            }
            _ => {}
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Operation {
    Encrypt,
    Decrypt,
    Sign,
    DecryptOaep,
    Random,
    Generate,
    Wrap,
    Verify,
    Destroy,
    Unwrap,
}

/// Operations with the functions that they call. Unwrapping comes last, because it removes what
/// wrapping needs.
const PLACES: [(Operation, &[Function]); 10] = [
    (Operation::Encrypt, &[Function::EncryptInit, Function::Encrypt]),
    (Operation::Decrypt, &[Function::DecryptInit, Function::Decrypt]),
    (Operation::Sign, &[Function::SignInit, Function::Sign]),
    (Operation::DecryptOaep, &[Function::DecryptInit, Function::Decrypt]),
    (Operation::Random, &[Function::GenerateRandom]),
    (
        Operation::Generate,
        &[Function::FindObjectsInit, Function::FindObjects, Function::GenerateKey, Function::GetAttributeValue],
    ),
    (Operation::Wrap, &[Function::WrapKey]),
    (Operation::Verify, &[Function::FindObjectsInit, Function::FindObjects, Function::GetAttributeValue]),
    (Operation::Destroy, &[Function::FindObjectsInit, Function::FindObjects, Function::DestroyObject]),
    (Operation::Unwrap, &[Function::UnwrapKey]),
];

impl Operation {
    const fn may_be_repeated(self) -> bool {
        !matches!(self, Self::Generate | Self::Unwrap | Self::Destroy)
    }
}

/// Returns `true` to run all combinations instead of a sample.
fn at_length() -> bool {
    std::env::var_os("STRONGROOM_HSM_FAULTS").is_some_and(|value| value == "all")
}

/// Returns the required result of one fault where the operation may be repeated: no error, or this
/// class.
fn expected(code: &str) -> Option<ErrorClass> {
    if LOST.contains(&code) || BUSY.contains(&code) || AMBIGUOUS.contains(&code) {
        None
    } else if BAD_INPUT.contains(&code) {
        Some(ErrorClass::BadInput)
    } else if DENIED.contains(&code) {
        Some(ErrorClass::Denied)
    } else {
        Some(ErrorClass::Fatal)
    }
}

#[test]
fn every_answer_in_every_operation_leads_to_the_right_result_or_a_typed_error() {
    let test = "every_answer_in_every_operation_leads_to_the_right_result_or_a_typed_error";
    let Some(hsm) = soft_hsm(test, &["one"]) else { return };
    let bench = Bench::new(&hsm);
    let mut outcomes: BTreeMap<(bool, Operation, String), usize> = BTreeMap::new();
    // In the short run, each place sees every twelfth code, and together they see all of them.
    let step = if at_length() { 1 } else { 12 };
    let (mut cells, mut place) = (0, 0);
    for (operation, functions) in PLACES {
        for &function in functions {
            place += 1;
            for &(name, value) in CODES.iter().skip(place % step).step_by(step) {
                for times in [1, u64::MAX] {
                    if times > 1 && BUSY.contains(&name) && name != "CKR_OPERATION_ACTIVE" {
                        // These are waited for in the same way, which takes a while.
                        continue;
                    }
                    bench.prepare(operation);
                    if operation.may_be_repeated() {
                        // Makes the fault hit the operation, and not the verification of a key
                        // after a reconnection.
                        bench.run(operation).expect("the token works");
                    }
                    hsm.shim().rule(function, 0, times, Action::Return(value));
                    let outcome = catch_unwind(AssertUnwindSafe(|| bench.run(operation)));
                    hsm.shim().clear();
                    let at = format!("{operation:?}, C_{function:?}, {name}, {times} times");
                    let outcome = outcome.unwrap_or_else(|_| panic!("{at}: a wrong result"));
                    check(&at, operation, function, name, times, &outcome);
                    let class = outcome.err().map_or("right".to_owned(), |error| error.class().to_string());
                    *outcomes.entry((times > 1, operation, class)).or_default() += 1;
                    cells += 1;
                    // Whatever it was, it has ended.
                    bench.prepare(operation);
                    bench.run(operation).unwrap_or_else(|error| panic!("{at}: the error {error} persists"));
                }
            }
        }
    }
    println!("{cells} cells, {} codes in {place} positions", CODES.len());
    for ((for_ever, operation, class), count) in outcomes {
        println!("{:>8} {operation:?}: {class} {count}", if for_ever { "for ever" } else { "once" });
    }
    assert_eq!(bench.token.health().state, HealthState::Connected);
}

fn check(at: &str, operation: Operation, function: Function, name: &str, times: u64, outcome: &Result<(), TokenError>) {
    let class = outcome.as_ref().err().map(TokenError::class);
    assert_ne!(class, Some(ErrorClass::Ambiguous), "{at}: {outcome:?}");
    // After some codes, the bindings continue reading attributes and find none.
    let attributes = function == Function::GetAttributeValue;
    match (times, operation.may_be_repeated()) {
        (1, true) if !attributes => assert_eq!(class, expected(name), "{at}: {outcome:?}"),
        (1, _) => {}
        (_, _) if AMBIGUOUS.contains(&name) && function == Function::GenerateRandom => {
            assert_eq!(class, Some(ErrorClass::TokenLost), "{at}: {outcome:?}");
        }
        (_, _) if AMBIGUOUS.contains(&name) && operation == Operation::Encrypt => {
            assert_eq!(class, Some(ErrorClass::BadInput), "the canary is decrypted; {at}: {outcome:?}");
        }
        (_, true) if AMBIGUOUS.contains(&name) && matches!(function, Function::Decrypt | Function::Sign) => {
            assert_eq!(class, Some(ErrorClass::TokenLost), "the canary fails; {at}: {outcome:?}");
        }
        _ => assert!(class.is_some(), "{at}: it cannot have succeeded"),
    }
}

#[test]
fn thousands_of_corrupt_ciphertexts_do_not_look_like_an_outage() {
    let Some(hsm) = soft_hsm("thousands_of_corrupt_ciphertexts_do_not_look_like_an_outage", &["one"]) else { return };
    let module = module(&hsm);
    let settings = strongroom::provider::pkcs11::TokenConfig::new(TokenSelector::Label("one".into()));
    let token = Token::new(&module, settings.circuit_breaker(1, Duration::from_secs(3_600)), pin());
    let key = aes(&token, 1);
    let sealed = token.encrypt(&key, b"context", b"text").expect("encryption succeeds");
    let (epoch, logins) = (module.generation(), hsm.shim().calls(Function::Login));
    let rounds: usize = if at_length() { 10_000 } else { 1_000 };
    for round in 0..rounds {
        let mut corrupt = sealed.clone();
        let length = corrupt.len();
        corrupt[round % length] ^= 1 << (round / length % 8);
        let refused = token.decrypt(&key, b"context", &corrupt).expect_err("the ciphertext is corrupt");
        assert_eq!(refused.class(), ErrorClass::BadInput, "{round}: {refused}");
        assert_eq!(token.health().state, HealthState::Connected);
    }
    assert_eq!((module.generation(), hsm.shim().calls(Function::Login)), (epoch, logins));
    assert_eq!(token.decrypt(&key, b"context", &sealed).expect("the token works").expose_secret(), b"text");
}
