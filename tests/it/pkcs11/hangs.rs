//! Calls that never return: each costs one thread or one caller, and affects no others.

use std::thread;
use std::time::Duration;

use strongroom::provider::pkcs11::{CallMode, ErrorClass, Module, Token};
use strongroom_pkcs11_faults::{Action, Function};

use super::{aes, config, module, options, pin, soft_hsm, token};
use crate::support::soft_tokens::{ClearedAtEnd, overtaken};

/// Long enough for the calls of a busy machine that do not hang.
const DEADLINE: Duration = Duration::from_millis(1_500);

#[test]
fn a_call_that_hangs_costs_one_thread_in_deadline_mode() {
    let Some(hsm) = soft_hsm("a_call_that_hangs_costs_one_thread_in_deadline_mode", &["one", "two"]) else { return };
    let mode = CallMode::Deadline { deadline: DEADLINE, threads: 3 };
    let token = Token::new(&module(&hsm), config("one").call_mode(mode), pin());
    let other = super::token(&hsm, "two");
    other.connect().expect("the token connects");
    token.connect().expect("the token connects");
    let key = aes(&token, 1);
    let sealed = token.encrypt(&key, b"context", b"text").expect("encryption succeeds");
    let rest = |stuck: usize| {
        assert_eq!(token.health().stuck_calls, stuck);
        assert!(token.health().module_wedged);
        assert_eq!(token.decrypt(&key, b"context", &sealed).expect("other tokens still work").expose_secret(), b"text");
        other.random(16).expect("the other token still works too");
    };
    for stuck in 1..=2 {
        hsm.shim().rule(Function::Encrypt, 0, 1, Action::Hang);
        let error = token.encrypt(&key, b"context", b"text").expect_err("the call hangs");
        assert_eq!(error.class(), ErrorClass::TokenLost, "{error}");
        rest(stuck);
    }
    // A wedged module is not finalized while calls are running in it.
    let finalised = hsm.shim().calls(Function::Finalize);
    let absent = Token::new(&module(&hsm), config("absent"), pin());
    assert_eq!(absent.connect().expect_err("the token does not exist").class(), ErrorClass::TokenLost);
    assert_eq!(hsm.shim().calls(Function::Finalize), finalised);
    // When the last thread hangs too, every call is rejected immediately.
    hsm.shim().rule(Function::Encrypt, 0, 1, Action::Hang);
    assert!(token.encrypt(&key, b"context", b"text").is_err());
    let calls = hsm.shim().all_calls();
    assert_eq!(token.decrypt(&key, b"context", &sealed).expect_err("no thread").class(), ErrorClass::TokenLost);
    assert_eq!(hsm.shim().all_calls(), calls, "the token was not called");
    other.random(16).expect("the other token still works");
    // Once the calls return, everything works as before.
    hsm.shim().clear();
    while token.health().stuck_calls > 0 {
        thread::yield_now();
    }
    assert!(!token.health().module_wedged);
    assert_eq!(
        token.decrypt(&key, b"context", &sealed).expect("the token is available again").expose_secret(),
        b"text"
    );
}

#[test]
fn a_call_that_hangs_opens_the_circuit_breaker() {
    let Some(hsm) = soft_hsm("a_call_that_hangs_opens_the_circuit_breaker", &["one"]) else { return };
    let mode = CallMode::Deadline { deadline: DEADLINE, threads: 2 };
    let config = config("one").call_mode(mode).circuit_breaker(1, Duration::from_secs(3_600));
    let token = Token::new(&module(&hsm), config, pin());
    token.connect().expect("the token connects");
    let calls = || hsm.shim().calls(Function::GenerateRandom);
    hsm.shim().rule(Function::GenerateRandom, 0, 1, Action::Hang);
    assert_eq!(token.random(16).expect_err("the call hangs").class(), ErrorClass::TokenLost);
    let before = calls();
    let error = token.random(16).expect_err("the circuit breaker is open");
    assert!(error.to_string().contains("not used for now"), "{error}");
    assert_eq!(calls(), before, "the token was not called");
    hsm.shim().clear();
    while token.health().stuck_calls > 0 {
        thread::yield_now();
    }
    token.random(16).expect("a late answer is an answer");
}

#[test]
fn a_call_that_hangs_costs_one_caller_in_direct_mode() {
    let Some(hsm) = soft_hsm("a_call_that_hangs_costs_one_caller_in_direct_mode", &["one"]) else { return };
    let token = token(&hsm, "one");
    let key = aes(&token, 1);
    let sealed = token.encrypt(&key, b"context", b"text").expect("encryption succeeds");
    let encrypt = || token.encrypt(&key, b"context", b"text");
    let late = overtaken(&hsm, Function::Encrypt, 0, encrypt, || {
        assert_eq!(token.decrypt(&key, b"context", &sealed).expect("other tokens still work").expose_secret(), b"text");
        assert!(!token.health().module_wedged, "it may be any call that takes long");
        // An initialization neither waits forever for the call nor runs while it is in progress.
        let finalised = hsm.shim().calls(Function::Finalize);
        let absent = Token::new(&module(&hsm), config("absent"), pin());
        assert_eq!(absent.connect().expect_err("the token does not exist").class(), ErrorClass::TokenLost);
        assert_eq!(hsm.shim().calls(Function::Finalize), finalised);
        assert!(token.health().module_wedged);
        assert_eq!(token.decrypt(&key, b"context", &sealed).expect("other tokens still work").expose_secret(), b"text");
    });
    let late = late.expect("the call returns");
    assert_eq!(token.decrypt(&key, b"context", &late).expect("decryption succeeds").expose_secret(), b"text");
}

#[test]
fn a_login_that_hangs_does_not_hang_the_others() {
    let Some(hsm) = soft_hsm("a_login_that_hangs_does_not_hang_the_others", &["one"]) else { return };
    let config = config("one").session_wait(Duration::from_millis(100));
    let token = Token::new(&module(&hsm), config, pin());
    let late = overtaken(
        &hsm,
        Function::Login,
        0,
        || token.connect().map(drop),
        || {
            assert_eq!(token.check().expect_err("no connection").class(), ErrorClass::TokenLost);
        },
    );
    late.expect("the call returns");
    token.check().expect("the token connects");
}

#[test]
fn an_initialization_is_waited_for_and_does_not_hang_the_others() {
    let test = "an_initialization_is_waited_for_and_does_not_hang_the_others";
    let (short, long) = (Duration::from_millis(300), Duration::from_secs(60));
    for (action, wait, is_waited_for) in [(Action::Sleep(100), long, true), (Action::Hang, short, false)] {
        // A module has the options with which it was first loaded.
        let Some(hsm) = soft_hsm(test, &["one", "two"]) else { return };
        let module = Module::load_with(hsm.shim().path(), options().wait(wait)).expect("the shim is a module");
        // Their module is finalized with the last of them.
        let [one, two] = ["one", "two"].map(|label| Token::new(&module, config(label), pin()));
        let calls = hsm.shim().calls(Function::Initialize);
        hsm.shim().rule(Function::Initialize, 0, 1, action);
        thread::scope(|scope| {
            let initializing = scope.spawn(|| one.connect().map(drop));
            let _cleared = ClearedAtEnd(hsm.shim());
            while hsm.shim().calls(Function::Initialize) == calls {
                thread::yield_now();
            }
            let waited = two.connect().map(drop);
            hsm.shim().clear();
            initializing.join().expect("no thread panicked").expect("the call returns");
            if is_waited_for {
                return waited.expect("the module is initialized in time");
            }
            let error = waited.expect_err("the initialization hangs");
            assert_eq!(error.class(), ErrorClass::TokenLost, "{error}");
            assert!(error.to_string().contains("is being initialized"), "{error}");
        });
        two.connect().expect("the module is initialized");
        assert_eq!(hsm.shim().calls(Function::Initialize), calls + 1);
    }
}

#[test]
fn more_callers_than_sessions_wait_for_their_turn() {
    let Some(hsm) = soft_hsm("more_callers_than_sessions_wait_for_their_turn", &["one"]) else { return };
    let token = Token::new(&module(&hsm), config("one").max_sessions(2).session_wait(Duration::from_secs(60)), pin());
    let key = aes(&token, 1);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    token.encrypt(&key, b"context", b"text").expect("a session becomes free");
                }
            });
        }
    });
    // One for the login, two for operations, and those of the self-test one at a time.
    let open = hsm.shim().calls(Function::OpenSession) - hsm.shim().calls(Function::CloseSession);
    assert!(open <= 3, "{open} sessions are open");
}

/// A token may have fewer sessions than it says.
#[test]
fn a_token_without_another_session_is_not_asked_for_one_again() {
    let Some(hsm) = soft_hsm("a_token_without_another_session_is_not_asked_for_one_again", &["one"]) else { return };
    let token = token(&hsm, "one");
    let key = aes(&token, 1);
    thread::scope(|scope| {
        let encrypts = hsm.shim().calls(Function::Encrypt);
        hsm.shim().rule(Function::Encrypt, 0, 1, Action::Hang);
        let first = scope.spawn(|| token.encrypt(&key, b"context", b"text").map(drop));
        let _cleared = ClearedAtEnd(hsm.shim());
        while hsm.shim().calls(Function::Encrypt) == encrypts {
            thread::yield_now();
        }
        let opened = hsm.shim().calls(Function::OpenSession);
        hsm.shim().rule(Function::OpenSession, 0, u64::MAX, Action::Return(0xB1));
        let second = scope.spawn(|| token.encrypt(&key, b"context", b"text").map(drop));
        while hsm.shim().calls(Function::OpenSession) == opened {
            thread::yield_now();
        }
        thread::sleep(Duration::from_millis(200));
        assert!(!second.is_finished(), "it waits for the session of the first");
        hsm.shim().clear();
        first.join().expect("no thread panicked").expect("the call returns");
        second.join().expect("no thread panicked").expect("it gets the session");
        assert_eq!(hsm.shim().calls(Function::OpenSession), opened + 1);
    });
}

/// An old session may be half dead, so only a new one shows whether the token responds.
/// The operation failed for an unknown reason, and the check for a known one.
#[test]
fn a_doubtful_answer_of_a_busy_token_is_no_outage() {
    let Some(hsm) = soft_hsm("a_doubtful_answer_of_a_busy_token_is_no_outage", &["one"]) else { return };
    let token = token(&hsm, "one");
    let key = aes(&token, 1);
    // CKR_HOST_MEMORY and CKR_DEVICE_REMOVED.
    for (code, class) in [(0x02, ErrorClass::Busy), (0x32, ErrorClass::TokenLost)] {
        hsm.shim().clear();
        hsm.shim().rule(Function::Encrypt, 0, u64::MAX, Action::Return(0x05));
        hsm.shim().rule(Function::GenerateRandom, 0, u64::MAX, Action::Return(code));
        let error = token.encrypt(&key, b"context", b"text").expect_err("the token fails");
        assert_eq!(error.class(), class, "{error}");
    }
}

#[test]
fn a_doubtful_answer_is_checked_with_a_new_session() {
    let Some(hsm) = soft_hsm("a_doubtful_answer_is_checked_with_a_new_session", &["one"]) else { return };
    let token = token(&hsm, "one");
    let key = aes(&token, 1);
    let encrypt = || token.encrypt(&key, b"context", b"text").map(drop);
    let sessions = || (hsm.shim().calls(Function::OpenSession), hsm.shim().calls(Function::CloseSession));
    // Two calls at the same time leave two sessions to use again.
    let late = overtaken(&hsm, Function::Encrypt, 0, encrypt, || encrypt().expect("it has a session of its own"));
    late.expect("the call returns");
    let (opened, closed) = sessions();
    for _ in 0..3 {
        encrypt().expect("encryption succeeds");
    }
    assert_eq!(sessions(), (opened, closed));
    hsm.shim().rule(Function::Encrypt, 0, 1, Action::Return(0x05));
    encrypt().expect("the token is well, so it is asked again");
    assert_eq!(sessions(), (opened + 1, closed + 2), "the failed call's session and an idle one are closed");
}

#[test]
fn a_token_that_says_it_is_busy_is_asked_again() {
    let Some(hsm) = soft_hsm("a_token_that_says_it_is_busy_is_asked_again", &["one"]) else { return };
    let token = token(&hsm, "one");
    let key = aes(&token, 1);
    for code in [0xB1, 0x90, 0x02] {
        hsm.shim().rule(Function::EncryptInit, 0, 3, Action::Return(code));
        token.encrypt(&key, b"context", b"text").expect("the fourth call has enough time");
        hsm.shim().clear();
    }
    hsm.shim().rule(Function::EncryptInit, 0, u64::MAX, Action::Return(0x90));
    assert_eq!(token.encrypt(&key, b"context", b"text").expect_err("never").class(), ErrorClass::Busy);
}
