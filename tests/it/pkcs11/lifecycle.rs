//! Tokens in production: they disappear and come back, processes fork, and PINs are wrong.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use strongroom::SecretBytes;
use strongroom::crypto::KeyPairKind;
use strongroom::provider::pkcs11::{
    CallMode, ErrorClass, FixedPin, HealthState, KeyTypes, Module, ModuleOptions, NewKey, Token, TokenKeyKind,
};
use strongroom_pkcs11_faults::{Action, Function, SoftHsm, in_child};

use super::{aes, config, module, nss, options, pin, soft_hsm, token};
use crate::support::child_process;
use crate::support::soft_tokens::overtaken;

/// CKF_USER_PIN_COUNT_LOW, which forbids nothing.
const COUNT_LOW: u64 = 0x1_0000;

#[test]
fn a_wrong_pin_is_tried_exactly_once() {
    let Some(hsm) = soft_hsm("a_wrong_pin_is_tried_exactly_once", &["one"]) else { return };
    let token = Token::new(&module(&hsm), config("one"), FixedPin::new(SecretBytes::copy_from_slice(b"wrong")));
    for _ in 0..5 {
        let refused = token.connect().expect_err("the PIN is wrong");
        assert_eq!((refused.class(), refused.code()), (ErrorClass::Denied, Some("CKR_PIN_INCORRECT")));
        assert_eq!(token.check().expect_err("still").class(), ErrorClass::Denied);
    }
    assert_eq!(hsm.shim().calls(Function::Login), 1);
    assert_eq!(token.health().state, HealthState::PinRejected);
    token.set_pin(pin());
    token.connect().expect("the PIN is correct");
    assert_eq!(hsm.shim().calls(Function::Login), 2);
    assert_eq!(token.health().state, HealthState::Connected);
}

#[test]
fn a_wrong_pin_is_tried_once_by_all_threads_together() {
    let modes = [CallMode::Direct, CallMode::Deadline { deadline: Duration::from_secs(60), threads: 8 }];
    for mode in modes {
        let Some(hsm) = soft_hsm("a_wrong_pin_is_tried_once_by_all_threads_together", &["one"]) else { return };
        let wrong = FixedPin::new(SecretBytes::copy_from_slice(b"wrong"));
        let token = Token::new(&module(&hsm), config("one").call_mode(mode), wrong);
        let key = aes(&super::token(&hsm, "one"), 1);
        let logins = hsm.shim().calls(Function::Login);
        // All of them are started before the first one is answered.
        hsm.shim().rule(Function::Login, 0, 1, Action::Sleep(300));
        thread::scope(|scope| {
            for thread in 0..8 {
                let (token, key) = (&token, &key);
                scope.spawn(move || {
                    let refused = match thread % 4 {
                        0 => token.connect().map(drop),
                        1 => token.check(),
                        2 => token.encrypt(key, b"context", b"text").map(drop),
                        _ => token.generate_key(&NewKey::new(&[2; 32], "x", TokenKeyKind::Aes256)).map(drop),
                    };
                    let refused = refused.expect_err("the PIN is wrong");
                    assert_eq!(refused.class(), ErrorClass::Denied, "{refused}");
                });
            }
        });
        assert_eq!(hsm.shim().calls(Function::Login), logins + 1, "{mode:?}");
    }
}

#[test]
fn a_pin_that_a_login_could_lock_is_not_tried() {
    let flags = [
        (0x2_0000, "CKF_USER_PIN_FINAL_TRY", "log in once with the vendor's tool"),
        (0x4_0000, "CKF_USER_PIN_LOCKED", "security officer must set a new PIN"),
        (0x8_0000, "CKF_USER_PIN_TO_BE_CHANGED", "change it with the vendor's tool"),
    ];
    let Some(hsm) = soft_hsm("a_pin_that_a_login_could_lock_is_not_tried", &["one"]) else { return };
    for (flag, name, advice) in flags {
        let token = token(&hsm, "one");
        let logins = hsm.shim().calls(Function::Login);
        hsm.shim().token_flags(flag | COUNT_LOW);
        for _ in 0..3 {
            let refused = token.connect().expect_err("the token does not accept a login");
            assert_eq!((refused.class(), refused.rejected_for()), (ErrorClass::Denied, Some(name)), "{refused}");
            let text = refused.to_string();
            assert!(text.contains(name) && text.contains(advice) && text.contains("'one'"), "{text}");
            assert_eq!(token.count_objects(&[1; 32]).expect_err("nor here").rejected_for(), Some(name));
        }
        assert_eq!(hsm.shim().calls(Function::Login), logins, "{name}");
        // The rejection used no attempt, so the login is retried automatically once the flag is
        // cleared.
        hsm.shim().token_flags(COUNT_LOW);
        token.count_objects(&[1; 32]).expect("the operator has reset the counter");
        assert_eq!(token.health().state, HealthState::Connected);
        assert_eq!(hsm.shim().calls(Function::Login), logins + 1, "{name}");
    }
}

#[test]
fn a_login_that_may_have_been_a_wrong_pin_is_not_repeated_often() {
    let Some(hsm) = soft_hsm("a_login_that_may_have_been_a_wrong_pin_is_not_repeated_often", &["one"]) else { return };
    let token = token(&hsm, "one");
    hsm.shim().rule(Function::Login, 0, u64::MAX, Action::Return(0x06));
    for _ in 0..10 {
        assert!(token.connect().is_err());
    }
    assert_eq!(hsm.shim().calls(Function::Login), 3);
    hsm.shim().clear();
    assert!(token.connect().is_err(), "not before the PIN is set again");
    token.set_pin(pin());
    token.connect().expect("the PIN was correct");
}

/// Another process logs in to the same SoftHSM token. SoftHSM then rewrites the token's file, which
/// is unreadable for a moment.
#[test]
fn a_token_that_another_process_hides_is_logged_in_to_again() {
    let Some(hsm) = soft_hsm("a_token_that_another_process_hides_is_logged_in_to_again", &["one"]) else { return };
    let token = Token::new(&module(&hsm), config("one"), pin());
    hsm.shim().rule(Function::Login, 0, 5, Action::Return(0x05));
    token.connect().expect("the token is only briefly hidden");
    assert_eq!((hsm.shim().calls(Function::Login), hsm.shim().calls(Function::Initialize)), (6, 1));

    let another = Token::new(&module(&hsm), config("one"), pin());
    token.disconnect();
    hsm.shim().rule(Function::Login, 0, u64::MAX, Action::Return(0x05));
    for _ in 0..10 {
        let error = another.connect().expect_err("the token stays hidden");
        assert_eq!(error.code(), Some("CKR_GENERAL_ERROR"), "{error}");
    }
    assert_eq!(hsm.shim().calls(Function::Login), 6 + 3 * 6, "three attempts, as for every ambiguous login failure");
}

#[test]
fn a_token_that_another_process_hides_is_looked_for_again() {
    let test = "a_token_that_another_process_hides_is_looked_for_again";
    // Each lookup queries two slots, including the empty one, and the token is in the first one.
    for (function, times, code) in [(Function::GetTokenInfo, 9, 0x05), (Function::Login, 5, 0x102)] {
        let Some(hsm) = soft_hsm(test, &["one"]) else { return };
        let options = ModuleOptions::default().reinitialize_interval(Duration::from_secs(3_600));
        let module = Module::load_with(hsm.shim().path(), options).expect("a module");
        let token = Token::new(&module, config("one"), pin());
        // The fourth initialization finds it, counting the first one.
        hsm.shim().rule(function, 0, times, Action::Return(code));
        token.connect().expect("the token is only briefly hidden");
        assert_eq!(hsm.shim().calls(Function::Initialize), 4, "{function:?}");
        let key = aes(&token, 1);

        // If the token stays away, the module is initialized no more often than that.
        hsm.shim().rule(function, 0, u64::MAX, Action::Return(code));
        token.disconnect();
        for _ in 0..5 {
            assert_eq!(token.connect().expect_err("the token is unavailable").class(), ErrorClass::TokenLost);
        }
        // The module was finalized with its last lease, so one call is the initialization after
        // that.
        assert_eq!(hsm.shim().calls(Function::Initialize), 1 + 6 + 1, "{function:?}");
        hsm.shim().clear();
        token.connect().expect("the token is available again");
        token.encrypt(&key, b"context", b"text").expect("and works");
    }
}

#[test]
fn a_token_that_was_away_recovers_without_a_restart() {
    let Some(hsm) = soft_hsm("a_token_that_was_away_recovers_without_a_restart", &["one"]) else { return };
    let token = token(&hsm, "one");
    let key = aes(&token, 1);
    let sealed = token.encrypt(&key, b"context", b"text").expect("encryption succeeds");
    hsm.take_away();
    for _ in 0..3 {
        let lost = token.decrypt(&key, b"context", &sealed).expect_err("the token is unavailable");
        assert_eq!(lost.class(), ErrorClass::TokenLost, "{lost}");
        assert!(token.generate_key(&NewKey::new(&[8; 32], "x", TokenKeyKind::Aes256)).is_err());
    }
    assert_eq!(token.health().state, HealthState::Failing);
    hsm.bring_back();
    assert_eq!(
        token.decrypt(&key, b"context", &sealed).expect("the token is available again").expose_secret(),
        b"text"
    );
    assert_eq!(token.health().state, HealthState::Connected);
    assert_eq!(token.count_objects(&[8; 32]).expect("the token is available again"), 0);
}

/// SoftHSM shows a token whose folder is missing as one without keys.
#[test]
fn a_token_that_looks_empty_because_it_is_away_is_lost_and_misses_no_key() {
    let test = "a_token_that_looks_empty_because_it_is_away_is_lost_and_misses_no_key";
    let Some(hsm) = soft_hsm(test, &["one"]) else { return };
    let token = token(&hsm, "one");
    let key = aes(&token, 1);
    hsm.take_away();
    assert_eq!(token.verify_key(&key).expect_err("the token is unavailable").class(), ErrorClass::TokenLost);
    hsm.bring_back();
    token.verify_key(&key).expect("the token is available again");
}

#[test]
fn a_token_that_fails_is_left_alone_for_a_while() {
    let Some(hsm) = soft_hsm("a_token_that_fails_is_left_alone_for_a_while", &["one"]) else { return };
    let token = Token::new(&module(&hsm), config("one").circuit_breaker(2, Duration::from_secs(3_600)), pin());
    let key = aes(&token, 1);
    hsm.shim().vanish();
    for _ in 0..2 {
        assert_eq!(token.encrypt(&key, b"context", b"").expect_err("gone").class(), ErrorClass::TokenLost);
    }
    assert_eq!(token.health().state, HealthState::CircuitOpen);
    let calls = hsm.shim().all_calls();
    assert_eq!(token.encrypt(&key, b"context", b"").expect_err("gone").class(), ErrorClass::TokenLost);
    assert_eq!(hsm.shim().all_calls(), calls, "the token was not called");
    hsm.shim().clear();
    assert!(token.encrypt(&key, b"context", b"").is_err(), "not yet");
    token.connect().expect("an explicit connect succeeds immediately");
    token.encrypt(&key, b"context", b"").expect("the token is available again");
}

/// Such a call is not repeated, so its first failure counts.
#[test]
fn a_creation_that_loses_the_token_opens_the_circuit_breaker() {
    let Some(hsm) = soft_hsm("a_creation_that_loses_the_token_opens_the_circuit_breaker", &["one"]) else { return };
    let token = Token::new(&module(&hsm), config("one").circuit_breaker(1, Duration::from_secs(3_600)), pin());
    let key = aes(&token, 1);
    // CKR_DEVICE_REMOVED.
    hsm.shim().rule(Function::Encrypt, 0, 1, Action::Return(0x32));
    token.encrypt(&key, b"context", b"text").expect("it is repeated");
    assert_eq!(token.health().state, HealthState::Connected);
    hsm.shim().rule(Function::GenerateKey, 0, 1, Action::Return(0x32));
    token.generate_key(&NewKey::new(&[2; 32], "a key", TokenKeyKind::Aes256)).expect_err("it is not repeated");
    assert_eq!(token.health().state, HealthState::CircuitOpen);
}

/// A token that refuses a session or has none left still works.
#[test]
fn a_connection_that_is_refused_or_waits_its_turn_does_not_open_the_circuit_breaker() {
    let test = "a_connection_that_is_refused_or_waits_its_turn_does_not_open_the_circuit_breaker";
    let Some(hsm) = soft_hsm(test, &["one"]) else { return };
    // CKR_SESSION_COUNT and CKR_FUNCTION_NOT_SUPPORTED.
    for (code, class) in [(0xB1, ErrorClass::Busy), (0x54, ErrorClass::Fatal)] {
        let token = Token::new(&module(&hsm), config("one").circuit_breaker(1, Duration::from_secs(3_600)), pin());
        hsm.shim().rule(Function::OpenSession, 0, u64::MAX, Action::Return(code));
        let error = token.check().expect_err("there is no session");
        assert_eq!(error.class(), class, "{error}");
        assert_eq!(token.health().state, HealthState::Disconnected, "{code:#x}");
        hsm.shim().clear();
        token.check().expect("it connects at once");
    }
}

/// Such a call is not repeated, so a dead session is replaced before it.
#[test]
fn a_key_is_created_and_destroyed_although_the_session_has_died() {
    let Some(hsm) = soft_hsm("a_key_is_created_and_destroyed_although_the_session_has_died", &["one"]) else { return };
    let token = token(&hsm, "one");
    token.connect().expect("the token connects");
    for code in [0xB3, 0x101, 0x32] {
        hsm.shim().rule_for_all(0, 1, Action::Return(code));
        let key = aes(&token, 1);
        assert_eq!(token.count_objects(key.id()).expect("the token responds"), 1, "{code:#x}");
        hsm.shim().rule_for_all(0, 1, Action::Return(code));
        assert_eq!(token.destroy_objects(key.id()).expect("the objects are destroyed"), 1, "{code:#x}");
    }
    // A call that fails later is not repeated.
    let generated = hsm.shim().calls(Function::GenerateKey);
    hsm.shim().rule(Function::GenerateKey, 0, 1, Action::Return(0xB3));
    token.generate_key(&NewKey::new(&[1; 32], "a key", TokenKeyKind::Aes256)).expect_err("it may be there");
    assert_eq!(hsm.shim().calls(Function::GenerateKey), generated + 1);
}

#[test]
fn a_module_is_not_initialised_all_the_time() {
    let Some(hsm) = soft_hsm("a_module_is_not_initialised_all_the_time", &["one", "two"]) else { return };
    let module = Module::load_with(
        hsm.shim().path(),
        ModuleOptions::default().reinitialize_interval(Duration::from_secs(3_600)).wait(Duration::from_millis(100)),
    );
    let module = module.expect("a module");
    let [one, absent] = ["one", "absent"].map(|label| Token::new(&module, config(label), pin()));
    let key = aes(&one, 1);
    for _ in 0..5 {
        assert_eq!(absent.connect().expect_err("there is no such token").class(), ErrorClass::TokenLost);
    }
    assert_eq!(hsm.shim().calls(Function::Initialize), 2);
    one.encrypt(&key, b"context", b"text").expect("the other token still works");
    // The module does not show other tokens until it is initialized, so there is no use in looking
    // twice. A look reads the list of slots with two calls.
    let looks = hsm.shim().calls(Function::GetSlotList);
    absent.connect().expect_err("there is no such token");
    assert_eq!(hsm.shim().calls(Function::GetSlotList), looks + 2);
}

/// SoftHSM hides tokens while other processes log in to them. Other modules are not initialized
/// again and again, even for their only user.
#[test]
fn a_module_that_hides_no_tokens_is_initialised_once_more_for_a_token_that_is_not_there() {
    let test = "a_module_that_hides_no_tokens_is_initialised_once_more_for_a_token_that_is_not_there";
    let Some(nss) = nss(test) else { return };
    let options = ModuleOptions::default().reinitialize_interval(Duration::from_secs(3_600));
    let module = Module::load_with(nss.shim().path(), options).expect("a module");
    let absent = Token::new(&module, config("absent"), pin());
    for _ in 0..4 {
        assert_eq!(absent.connect().expect_err("there is no such token").class(), ErrorClass::TokenLost);
    }
    assert_eq!(nss.shim().calls(Function::Initialize), 2);
}

/// Otherwise, the calls of other tokens would wait as well.
#[test]
fn a_module_is_not_closed_for_an_initialization_while_a_call_is_known_to_hang() {
    let test = "a_module_is_not_closed_for_an_initialization_while_a_call_is_known_to_hang";
    let Some(hsm) = soft_hsm(test, &["one"]) else { return };
    let options = ModuleOptions::default().reinitialize_interval(Duration::ZERO).wait(Duration::from_secs(120));
    let module = Module::load_with(hsm.shim().path(), options).expect("a module");
    let mode = CallMode::Deadline { deadline: Duration::from_millis(1_500), threads: 2 };
    let token = Token::new(&module, config("one").call_mode(mode), pin());
    token.connect().expect("the token connects");
    hsm.shim().rule(Function::GenerateRandom, 0, 1, Action::Hang);
    token.random(16).expect_err("the call hangs");
    let started = Instant::now();
    let error = Token::new(&module, config("absent"), pin()).connect().expect_err("there is no such token");
    assert!(error.to_string().contains("while a call to it does not return"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(60), "it waited for the call: {:?}", started.elapsed());
    hsm.shim().clear();
}

#[test]
fn a_token_that_is_lost_during_its_self_test_is_tested_again() {
    let Some(hsm) = soft_hsm("a_token_that_is_lost_during_its_self_test_is_tested_again", &["one"]) else { return };
    // The first key pair is for RSA, and the others are on one curve each. CKR_DEVICE_REMOVED.
    for lost in 0..4 {
        let token = Token::new(&module(&hsm), config("one").key_types(KeyTypes::All), pin());
        hsm.shim().rule(Function::GenerateKeyPair, lost, 1, Action::Return(0x32));
        let able = token.connect().expect("it is tested again");
        hsm.shim().clear();
        for pair in [KeyPairKind::EccP256, KeyPairKind::EccP384, KeyPairKind::EccP521] {
            assert_eq!(able.check_kind(TokenKeyKind::Signing(pair)), Ok(()), "{lost}");
        }
        assert_eq!(able.check_kind(TokenKeyKind::Decryption(KeyPairKind::Rsa2048)), Ok(()), "{lost}");
    }
}

/// Handles are assigned in the order in which objects are found. Creating and destroying keys in
/// between therefore changes the handles with each initialization.
#[test]
fn handles_that_change_never_give_a_wrong_key() {
    let Some(hsm) = soft_hsm("handles_that_change_never_give_a_wrong_key", &["one", "two"]) else { return };
    let token = token(&hsm, "one");
    let keys: Vec<_> = (1..=6).map(|id| aes(&token, id)).collect();
    let sealed: Vec<_> =
        keys.iter().map(|key| token.encrypt(key, b"context", key.id()).expect("encryption succeeds")).collect();
    let (started, done) = (Instant::now(), AtomicBool::new(false));
    thread::scope(|scope| {
        for thread in 0..4 {
            let (token, keys, sealed, done) = (&token, &keys, &sealed, &done);
            scope.spawn(move || {
                let mut right = 0;
                for at in thread.. {
                    let (key, sealed) = (&keys[at % 6], &sealed[at % 6]);
                    match token.decrypt(key, b"context", sealed) {
                        Ok(opened) => {
                            assert_eq!(opened.expose_secret(), key.id());
                            right += 1;
                        }
                        Err(error) => assert_ne!(error.class(), ErrorClass::BadInput, "{error}"),
                    }
                    // Data encrypted in the meantime is encrypted under the intended key.
                    if let Ok(fresh) = token.encrypt(key, b"context", b"fresh") {
                        loop {
                            match token.decrypt(key, b"context", &fresh) {
                                Ok(opened) => break assert_eq!(opened.expose_secret(), b"fresh"),
                                Err(error) => assert_ne!(error.class(), ErrorClass::BadInput, "{error}"),
                            }
                        }
                    }
                    if done.load(Ordering::Relaxed) && right > 0 {
                        break;
                    }
                }
            });
        }
        // Each search for an absent token reinitializes the module while others are using it.
        let module = module(&hsm);
        let absent = Token::new(&module, config("absent"), pin());
        let epoch = module.generation();
        while module.generation() < epoch + 8 && started.elapsed() < Duration::from_secs(300) {
            assert!(absent.connect().is_err());
            let passing = token.generate_key(&NewKey::new(&[99; 32], "passing", TokenKeyKind::Aes256));
            if passing.is_ok() {
                while token.destroy_objects(&[99; 32]).is_err() {}
            }
        }
        assert!(module.generation() >= epoch + 8, "the module was initialized {} times", module.generation() - epoch);
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_forked_child_has_a_connection_of_its_own() {
    let Some(hsm) = soft_hsm("a_forked_child_has_a_connection_of_its_own", &["one"]) else { return };
    let token = token(&hsm, "one");
    let key = aes(&token, 1);
    let sealed = token.encrypt(&key, b"context", b"text").expect("encryption succeeds");
    let (logins, starts) = (hsm.shim().calls(Function::Login), hsm.shim().calls(Function::Initialize));
    let (generation, ends) = (token.module().generation(), hsm.shim().calls(Function::Finalize));
    for _ in 0..3 {
        let code = in_child(std::panic::AssertUnwindSafe(|| {
            let opened = token.decrypt(&key, b"context", &sealed).is_ok_and(|text| text.expose_secret() == b"text");
            // It did not use inherited state: it has initialized the module and logged in itself.
            let anew =
                hsm.shim().calls(Function::Login) == logins + 1 && hsm.shim().calls(Function::Initialize) == starts + 1;
            let is_of_parent = token.module().generation() == generation;
            let finalized = hsm.shim().calls(Function::Finalize) == ends + 1;
            i32::from(!opened) + 2 * i32::from(!anew) + 4 * i32::from(is_of_parent) + 8 * i32::from(!finalized)
        }));
        assert_eq!(
            code, 0,
            "1: the child cannot decrypt; 2: it used the parent's session; 4: its handles are valid; 8: it kept the \
             parent's state"
        );
        assert_eq!(token.decrypt(&key, b"context", &sealed).expect("the parent still works").expose_secret(), b"text");
    }
    assert_eq!((hsm.shim().calls(Function::Login), hsm.shim().calls(Function::Initialize)), (logins, starts));
}

#[test]
fn a_child_that_is_forked_under_a_call_of_its_parent_goes_on_by_itself() {
    let test = "a_child_that_is_forked_under_a_call_of_its_parent_goes_on_by_itself";
    let modes = [CallMode::Direct, CallMode::Deadline { deadline: Duration::from_secs(20), threads: 2 }];
    for mode in modes {
        let Some(hsm) = soft_hsm(test, &["one"]) else { return };
        let token = Token::new(&module(&hsm), config("one").call_mode(mode), pin());
        let key = aes(&token, 1);
        let sealed = token.encrypt(&key, b"context", b"text").expect("encryption succeeds");
        let opens =
            |token: &Token| token.decrypt(&key, b"context", &sealed).map(|text| text.expose_secret() == b"text");
        let logins = hsm.shim().calls(Function::Login);
        let encrypt = || token.encrypt(&key, b"context", b"text");
        let late = overtaken(&hsm, Function::Encrypt, 0, encrypt, || {
            let code = in_child(std::panic::AssertUnwindSafe(|| {
                let opened = opens(&token).is_ok_and(|right| right);
                i32::from(!opened) + 2 * i32::from(hsm.shim().calls(Function::Login) != logins + 1)
            }));
            assert_eq!(code, 0, "{mode:?}: 1: the child cannot decrypt; 2: it used the parent's session");
            assert!(opens(&token).expect("the parent still works"));
        });
        late.expect("the call of the parent returns");
    }
}

#[test]
fn a_child_of_a_child_has_a_connection_of_its_own_and_leaves_what_it_inherits_alone() {
    let test = "a_child_of_a_child_has_a_connection_of_its_own_and_leaves_what_it_inherits_alone";
    let Some(hsm) = soft_hsm(test, &["one"]) else { return };
    let deadline = CallMode::Deadline { deadline: Duration::from_secs(60), threads: 2 };
    for (id, mode) in [(1, CallMode::Direct), (2, deadline)] {
        let token = Token::new(&module(&hsm), config("one").call_mode(mode), pin());
        let key = aes(&token, id);
        let sealed = token.encrypt(&key, b"context", b"text").expect("encryption succeeds");
        let logins = hsm.shim().calls(Function::Login);
        let is_well_after = |more: u64| {
            let opened = token.decrypt(&key, b"context", &sealed);
            opened.is_ok_and(|text| text.expose_secret() == b"text")
                && hsm.shim().calls(Function::Login) == logins + more
        };
        let code = in_child(std::panic::AssertUnwindSafe(|| {
            if !is_well_after(1) {
                return 1;
            }
            let of_child = in_child(std::panic::AssertUnwindSafe(|| 2 * i32::from(!is_well_after(2))));
            if of_child == 0 { 3 * i32::from(!is_well_after(1)) } else { of_child }
        }));
        assert_eq!(code, 0, "1: the child fails; 2: its child fails; 3: the child fails after that; {mode:?}");
        assert!(is_well_after(0), "the parent still works; {mode:?}");
        let unused = in_child(std::panic::AssertUnwindSafe(move || {
            drop(token);
            0
        }));
        assert_eq!(unused, 0, "{mode:?}");
    }
}

#[test]
fn a_module_that_somebody_else_initialised_is_used_and_never_finalised() {
    let Some(hsm) = soft_hsm("a_module_that_somebody_else_initialised_is_used_and_never_finalised", &["one"]) else {
        return;
    };
    // Two copies of the shim in front of one library: the second finds it already initialized.
    let second = strongroom_pkcs11_faults::Shim::new(
        hsm.bare_path().parent().expect("a folder"),
        "second",
        &hsm.bare_path(),
        "",
    );
    let first = token(&hsm, "one");
    let key = aes(&first, 1);
    let guest = Token::new(&Module::load_with(second.path(), options()).expect("a module"), config("one"), pin());
    guest.encrypt(&key, b"context", b"text").expect("both handles use the same token");
    let absent = Token::new(guest.module(), config("absent"), pin());
    assert!(absent.connect().is_err());
    let finalized = in_child(std::panic::AssertUnwindSafe(|| {
        let _ = guest.check();
        i32::from(second.calls(Function::Finalize) > 0)
    }));
    assert_eq!(finalized, 0, "nor by a child process");
    drop((guest, absent));
    assert_eq!(second.calls(Function::Finalize), 0);
    first.encrypt(&key, b"context", b"text").expect("the owner still works");
    // A guest initializes the module once its owner has finalized it.
    let guest = Token::new(&Module::load_with(second.path(), options()).expect("a module"), config("one"), pin());
    guest.connect().expect("the token connects");
    drop(first);
    guest.encrypt(&key, b"context", b"text").expect("the module is initialized again");
    drop(guest);
    assert_eq!(second.calls(Function::Finalize), 1);
}

#[test]
fn the_last_one_out_finalises_the_module() {
    let Some(hsm) = soft_hsm("the_last_one_out_finalises_the_module", &["one", "two"]) else { return };
    let [one, two] = ["one", "two"].map(|label| token(&hsm, label));
    one.connect().expect("the token connects");
    two.connect().expect("the token connects");
    drop(one);
    assert_eq!(hsm.shim().calls(Function::Finalize), 0);
    two.disconnect();
    assert_eq!(hsm.shim().calls(Function::Finalize), 1);
    assert_eq!(two.check().expect_err("the token is disconnected").class(), ErrorClass::TokenLost);
    two.connect().expect("the token connects");
    assert_eq!(two.health().state, HealthState::Connected);
    drop(two);
    assert_eq!(hsm.shim().calls(Function::Finalize), 2);
}

#[test]
fn a_module_that_another_library_uses_is_finalised_neither_for_a_lost_token_nor_in_the_end() {
    let test = "a_module_that_another_library_uses_is_finalised_neither_for_a_lost_token_nor_in_the_end";
    let Some(hsm) = soft_hsm(test, &["one"]) else { return };
    let module = Module::load_with(hsm.shim().path(), options().keep_initialized()).expect("a module");
    let token = Token::new(&module, config("one"), pin());
    let key = aes(&token, 1);
    // The other library has its own sessions, which a C_Finalize ends.
    let other = strongroom_pkcs11_faults::Bare::new(&hsm.bare_path(), "one", key.id(), false);
    let absent = Token::new(&module, config("absent"), pin());
    let generation = module.generation();
    let error = absent.connect().expect_err("there is no such token");
    assert!(error.to_string().contains("is in use by another part of this process"), "{error}");
    assert_eq!(module.generation(), generation, "sessions and handles are still valid");
    token.encrypt(&key, b"context", b"text").expect("the token is connected");
    let finalized = in_child(std::panic::AssertUnwindSafe(|| {
        let _ = token.check();
        i32::from(hsm.shim().calls(Function::Finalize) > 0)
    }));
    assert_eq!(finalized, 0, "nor by a child process");
    drop((token, absent));
    assert_eq!(hsm.shim().calls(Function::Finalize), 0);
    drop(other);
    let again = Token::new(&module, config("one"), pin());
    again.encrypt(&key, b"context", b"text").expect("the module is still initialized");
}

/// One file is one module, whatever path it is loaded by.
#[test]
fn a_file_is_loaded_once() {
    let Some(hsm) = soft_hsm("a_file_is_loaded_once", &["one"]) else { return };
    let path = hsm.shim().path();
    let detour = path.parent().expect("a folder").join("..").join(path.strip_prefix("/tmp").expect("in /tmp"));
    assert_eq!(Module::load(path).expect("a module"), Module::load(detour).expect("the same"));
    let other: Option<SoftHsm> = SoftHsm::new(&[]);
    let other = other.expect("SoftHSM is installed");
    assert_ne!(Module::load(path).expect("a module"), Module::load(other.shim().path()).expect("another"));
}

const FULL_DISK: &str = "pkcs11::lifecycle::works_on_a_full_disk";

/// SoftHSM behaves as on a full disk if files are limited to 512 bytes, because a key needs 771.
#[test]
fn a_key_for_which_the_disk_has_no_room_is_not_made() {
    let Some(hsm) = soft_hsm("a_key_for_which_the_disk_has_no_room_is_not_made", &["one"]) else { return };
    let one = token(&hsm, "one");
    let key = aes(&one, 1);
    one.disconnect();
    let child = child_process::child(FULL_DISK, hsm.folder()).expect("this program");
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$@\"", "limited"]).arg(child.get_program());
    limited.args(child.get_args()).env(FULL_DISK_TOKEN, hsm.folder()).env("TMPDIR", "/tmp");
    let output = limited.output().expect("a shell is available");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    // With space again, the token is unchanged and creates keys.
    assert_eq!(
        one.connect().map(|_| one.count_objects(&[2; 32])).expect("the tool succeeds").expect("the token responds"),
        0
    );
    one.verify_key(&key).expect("the key exists");
    aes(&one, 2);
}

const FULL_DISK_TOKEN: &str = "STRONGROOM_FULL_DISK_TOKEN";

#[test]
#[ignore = "run only as the child process of a test that limits files to 512 bytes"]
fn works_on_a_full_disk() {
    let folder = std::env::var_os(FULL_DISK_TOKEN).expect("run only by another test");
    let module = std::path::Path::new(&folder).join("softhsm.so");
    let token = Token::new(&Module::load_with(module, options()).expect("a module"), config("one"), pin());
    let refused = token.generate_key(&NewKey::new(&[2; 32], "a key", TokenKeyKind::Aes256)).expect_err("no room");
    assert_eq!(refused.class(), ErrorClass::Busy, "{refused}");
    assert!(refused.to_string().contains("has no space for a key"), "{refused}");
    assert_eq!(token.count_objects(&[2; 32]).expect("the token responds"), 0);
}
