//! Keys created concurrently by many threads. SoftHSM 2.6.1 creates them reliably only one at a
//! time, as bare C calls show.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

use strongroom::provider::pkcs11::{ErrorClass, NewKey, Token, TokenKeyKind};
use strongroom_pkcs11_faults::{Action, Bare, Function, SoftHsm};

use super::{aes, config, module, pin, soft_hsm, token};
use crate::support::soft_tokens::overtaken;

const THREADS: u8 = 8;

/// Number of keys that each thread creates with bare calls: 12,000 in total.
const KEYS: u32 = 1_500;

/// The scheduling of the bare calls of several threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    AllAtOnce,
    InTurns,
    /// Keys are created one at a time, while as many threads look up another key.
    InTurnsWhileOthersLook,
}

/// Makes bare C calls from eight threads, each with its own session. Failures are random, so they
/// are counted and printed. On a busy machine they occasionally occur even one at a time, while
/// other threads encrypt.
#[test]
#[ignore = "counts the faults of SoftHSM itself, which takes ten minutes"]
fn bare_calls_make_keys_wrong_now_and_then() {
    for way in [Way::AllAtOnce, Way::InTurns, Way::InTurnsWhileOthersLook] {
        let Some(hsm) = soft_hsm("bare_calls_make_keys_wrong_now_and_then", &["one"]) else { return };
        let failures = failures(&hsm, KEYS, way);
        println!("{way:?}: {} of {} failed: {failures:?}", failures.len(), KEYS * u32::from(THREADS));
    }
}

#[test]
fn a_key_that_a_token_fails_to_make_is_made_anew_and_there_once() {
    let Some(hsm) = soft_hsm("a_key_that_a_token_fails_to_make_is_made_anew_and_there_once", &["one"]) else { return };
    let token = token(&hsm, "one");
    token.connect().expect("the token connects");
    // CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED and CKR_TEMPLATE_INCONSISTENT, as SoftHSM returns
    // them.
    for (id, code) in [(1, 0x05), (2, 0x06), (3, 0xD1)] {
        hsm.shim().rule(Function::GenerateKey, 0, 2, Action::Return(code));
        let key = aes(&token, id);
        assert_eq!(token.count_objects(key.id()).expect("the token responds"), 1, "{code:#x}");
        hsm.shim().rule(Function::GenerateKey, 0, 4, Action::Return(code));
        let refused = token.generate_key(&NewKey::new(&[id + 10; 32], "key", TokenKeyKind::Aes256));
        assert!(refused.is_err(), "{code:#x}");
        assert_eq!(token.count_objects(&[id + 10; 32]).expect("the token responds"), 0, "{code:#x}");
        hsm.shim().clear();
    }
}

fn failures(hsm: &SoftHsm, keys: u32, way: Way) -> Vec<String> {
    let token = token(hsm, "one");
    let key = aes(&token, 1);
    let (turns, failures, making) = (Mutex::new(()), Mutex::new(Vec::new()), AtomicU8::new(THREADS));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let mut bare = Bare::new(&hsm.bare_path(), "one", key.id(), false);
            let (failures, turns, making) = (&failures, &turns, &making);
            scope.spawn(move || {
                let mut id = [thread; 16];
                for number in 0..keys {
                    id[..4].copy_from_slice(&number.to_be_bytes());
                    let turn = (way != Way::AllAtOnce).then(|| turns.lock().expect("no thread panicked"));
                    let made = bare.make_and_destroy(&id);
                    drop(turn);
                    if way == Way::InTurns {
                        bare.encrypt(&[thread; 12], b"context", b"text");
                    }
                    failures.lock().expect("no thread panicked").extend(made.err());
                }
                making.fetch_sub(1, Ordering::Relaxed);
            });
        }
        for _ in 0..if way == Way::InTurnsWhileOthersLook { THREADS } else { 0 } {
            let mut bare = Bare::new(&hsm.bare_path(), "one", key.id(), false);
            let (making, key) = (&making, &key);
            scope.spawn(move || {
                while making.load(Ordering::Relaxed) > 0 {
                    assert_eq!(bare.find(key.id()), 1);
                }
            });
        }
    });
    failures.into_inner().expect("no thread panicked")
}

#[test]
fn a_key_is_made_after_another_one_of_the_same_module() {
    let Some(hsm) = soft_hsm("a_key_is_made_after_another_one_of_the_same_module", &["one"]) else { return };
    let first = token(&hsm, "one");
    let second = Token::new(&module(&hsm), config("one").session_wait(Duration::from_millis(50)), pin());
    first.connect().expect("the token connects");
    second.connect().expect("the token connects");
    let make = |token: &Token, id: u8| token.generate_key(&NewKey::new(&[id; 32], "key", TokenKeyKind::Aes256));
    let made = hsm.shim().calls(Function::GenerateKey);
    let late = overtaken(
        &hsm,
        Function::GenerateKey,
        0,
        || make(&first, 1),
        || {
            assert_eq!(make(&second, 2).expect_err("the other call is in progress").class(), ErrorClass::Busy);
            assert_eq!(hsm.shim().calls(Function::GenerateKey), made + 1, "the token was not called");
            second.random(16).expect("calls that do not concern objects continue");
        },
    );
    late.expect("a key");
    make(&second, 2).expect("the call gets its turn");
}

#[test]
fn a_key_that_is_not_known_yet_is_looked_for_after_another_one_is_made() {
    let test = "a_key_that_is_not_known_yet_is_looked_for_after_another_one_is_made";
    let Some(hsm) = soft_hsm(test, &["one"]) else { return };
    let first = token(&hsm, "one");
    let second = Token::new(&module(&hsm), config("one").session_wait(Duration::from_millis(50)), pin());
    let (known, unknown) = (aes(&first, 1), aes(&first, 2));
    second.encrypt(&known, b"context", b"text").expect("the key is found");
    let sought = hsm.shim().calls(Function::FindObjectsInit);
    let generate = || first.generate_key(&NewKey::new(&[3; 32], "key", TokenKeyKind::Aes256));
    let mut seeks = 0;
    let late = overtaken(&hsm, Function::GenerateKey, 0, generate, || {
        let busy = second.encrypt(&unknown, b"context", b"text").expect_err("another key is being created");
        assert_eq!(busy.class(), ErrorClass::Busy, "{busy}");
        second.encrypt(&known, b"context", b"text").expect("the key is known");
        seeks = hsm.shim().calls(Function::FindObjectsInit) - sought;
    });
    late.expect("a key");
    // All by the thread that creates a key: three to check that the id is free, and one to probe for
    // free space.
    assert_eq!(seeks, 4);
    second.encrypt(&unknown, b"context", b"text").expect("the call gets its turn");
}

#[test]
fn keys_that_many_threads_make_at_once_are_all_right() {
    let Some(hsm) = soft_hsm("keys_that_many_threads_make_at_once_are_all_right", &["one"]) else { return };
    // On a busy machine, a thread may wait long for its turn.
    let token = Token::new(&module(&hsm), config("one").session_wait(Duration::from_secs(60)), pin());
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let token = &token;
            scope.spawn(move || {
                for number in 0..4 {
                    let key = aes(token, thread * 4 + number + 1);
                    let sealed = token.encrypt(&key, b"context", b"text").expect("encryption succeeds");
                    assert_eq!(
                        token.decrypt(&key, b"context", &sealed).expect("decryption succeeds").expose_secret(),
                        b"text"
                    );
                    assert_eq!(token.destroy_objects(key.id()).expect("the objects are destroyed"), 1);
                }
            });
        }
    });
}
