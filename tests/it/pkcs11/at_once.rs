//! Keys that many threads make at once: SoftHSM 2.6.1 makes them right only one at a time, which bare C calls show.

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use strongroom::provider::pkcs11::{ErrorClass, NewKey, Token, TokenKeyKind};
use strongroom_pkcs11_faults::{Action, Bare, Function, SoftHsm};

use super::{aes, config, module, pin, soft_hsm, token};

const THREADS: u8 = 8;

/// How many keys each thread makes, unless `STRONGROOM_HSM_KEYS` says otherwise: 1,500 take about a minute.
const KEYS: u32 = 10;

/// Bare C calls of eight threads, each with a session of its own: first all at once, which is counted and printed as it
/// comes by chance, and then in turns, which must not fail.
#[test]
fn bare_calls_make_keys_right_if_they_take_turns() {
    let keys = std::env::var("STRONGROOM_HSM_KEYS").map_or(KEYS, |keys| keys.parse().expect("a number"));
    for in_turns in [false, true] {
        let Some(hsm) = soft_hsm("bare_calls_make_keys_right_if_they_take_turns", &["one"]) else { return };
        let failures = failures(&hsm, keys, in_turns);
        println!("in turns: {in_turns}: {} of {} failed: {failures:?}", failures.len(), keys * u32::from(THREADS));
        assert!(failures.is_empty() || !in_turns, "{failures:?}");
    }
}

fn failures(hsm: &SoftHsm, keys: u32, in_turns: bool) -> Vec<String> {
    let token = token(hsm, "one");
    let key = aes(&token, 1);
    let (turns, failures) = (Mutex::new(()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let mut bare = Bare::new(&hsm.bare_path(), "one", key.id(), false);
            let (failures, turns) = (&failures, &turns);
            scope.spawn(move || {
                let mut id = [thread; 16];
                for number in 0..keys {
                    id[..4].copy_from_slice(&number.to_be_bytes());
                    let turn = in_turns.then(|| turns.lock().expect("no panic"));
                    let made = bare.make_and_destroy(&id);
                    drop(turn);
                    if in_turns {
                        bare.encrypt(&[thread; 12], b"context", b"text");
                    }
                    failures.lock().expect("no panic").extend(made.err());
                }
            });
        }
    });
    failures.into_inner().expect("no panic")
}

#[test]
fn a_key_is_made_after_another_one_of_the_same_module() {
    let Some(hsm) = soft_hsm("a_key_is_made_after_another_one_of_the_same_module", &["one"]) else { return };
    let first = token(&hsm, "one");
    let second = Token::new(&module(&hsm), config("one").session_wait(Duration::from_millis(50)), pin());
    first.connect().expect("it is there");
    second.connect().expect("it is there");
    let make = |token: &Token, id: u8| token.generate_key(&NewKey::new(&[id; 32], "key", TokenKeyKind::Aes256));
    let made = hsm.shim().calls(Function::GenerateKey);
    hsm.shim().rule(Function::GenerateKey, 0, 1, Action::Hang);
    thread::scope(|scope| {
        let hanging = scope.spawn(|| make(&first, 1));
        while hsm.shim().calls(Function::GenerateKey) == made {
            thread::yield_now();
        }
        assert_eq!(make(&second, 2).expect_err("the other one is under way").class(), ErrorClass::Busy);
        assert_eq!(hsm.shim().calls(Function::GenerateKey), made + 1, "it was not asked");
        second.random(16).expect("what is not about objects goes on");
        hsm.shim().clear();
        hanging.join().expect("no panic").expect("a key");
    });
    make(&second, 2).expect("it is its turn");
}

#[test]
fn keys_that_many_threads_make_at_once_are_all_right() {
    let Some(hsm) = soft_hsm("keys_that_many_threads_make_at_once_are_all_right", &["one"]) else { return };
    let token = token(&hsm, "one");
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let token = &token;
            scope.spawn(move || {
                for number in 0..4 {
                    let key = aes(token, thread * 4 + number + 1);
                    let sealed = token.encrypt(&key, b"context", b"text").expect("it encrypts");
                    assert_eq!(token.decrypt(&key, b"context", &sealed).expect("it opens").expose_secret(), b"text");
                    assert_eq!(token.destroy_objects(key.id()).expect("it is destroyed"), 1);
                }
            });
        }
    });
}
