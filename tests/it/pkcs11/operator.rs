//! Actions of operators and users on tokens: wrong or duplicate names, files that are not modules,
//! tokens that are reinitialized, and keys that are replaced while a process uses them. Errors say
//! what to do.

use std::process::Command;

use strongroom::SecretBytes;
use strongroom::provider::pkcs11::{
    ErrorClass, FixedPin, HealthState, Module, NewKey, Token, TokenConfig, TokenError, TokenKeyKind, TokenSelector,
};
use strongroom_pkcs11_faults::{Action, Function, PIN, SoftHsm, soft_hsm_module};

use super::{aes, config, module, pin, soft_hsm, token};
use crate::support::external_tools;

/// Runs a program on the same tokens, alongside this process. If it is not installed, reports that
/// and returns `false`.
fn beside(test: &str, hsm: &SoftHsm, program: &str, arguments: &[&str]) -> bool {
    let ran = Command::new(program).args(arguments).env("SOFTHSM2_CONF", hsm.configuration()).output();
    let Ok(output) = ran else {
        external_tools::missing(test, &format!("{program} is not installed; ./test.sh installs it"));
        return false;
    };
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&said));
    true
}

fn util(test: &str, hsm: &SoftHsm, arguments: &[&str]) -> bool {
    beside(test, hsm, "softhsm2-util", arguments)
}

fn pkcs11_tool(test: &str, hsm: &SoftHsm, arguments: &[&str]) -> bool {
    let module = soft_hsm_module().expect("SoftHSM is installed").display().to_string();
    let all = [&["--module", &module, "--token-label", "one", "--login", "--pin", PIN][..], arguments].concat();
    beside(test, hsm, "pkcs11-tool", &all)
}

fn refused(token: &Token) -> TokenError {
    token.connect().expect_err("the token cannot be connected")
}

#[test]
fn a_token_that_is_not_there_is_told_with_those_that_are() {
    let Some(hsm) = soft_hsm("a_token_that_is_not_there_is_told_with_those_that_are", &["one", "two"]) else { return };
    let missing = refused(&token(&hsm, "three"));
    assert_eq!(missing.class(), ErrorClass::TokenLost);
    let text = missing.to_string();
    let said = ["cannot find token 'three'", "'one' (serial number ", "'two' (serial number "];
    assert!(said.iter().all(|part| text.contains(part)), "{text}");
    // A slot without an initialized token has neither a name nor a number.
    let empty = TokenConfig::new(TokenSelector::Label(String::new()));
    assert_eq!(refused(&Token::new(&module(&hsm), empty, pin())).class(), ErrorClass::TokenLost);
}

#[test]
fn two_tokens_of_one_label_are_told_apart_by_their_serial_numbers() {
    let test = "two_tokens_of_one_label_are_told_apart_by_their_serial_numbers";
    let Some(hsm) = soft_hsm(test, &["one", "one"]) else { return };
    let error = refused(&token(&hsm, "one"));
    assert_eq!(error.class(), ErrorClass::Fatal);
    let text = error.to_string();
    let serials: Vec<&str> =
        text.split("(serial number '").skip(1).filter_map(|rest| rest.split('\'').next()).collect();
    assert!(text.contains("select one by its serial number") && serials.len() == 2, "{text}");
    for serial in serials {
        let config = TokenConfig::new(TokenSelector::Serial(serial.to_owned()));
        assert_eq!(
            Token::new(&module(&hsm), config, pin()).connect().expect("the serial number selects the token").serial,
            serial
        );
    }
}

#[test]
fn a_file_that_is_no_module_is_refused_by_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = folder.path().join("text.so");
    std::fs::write(&text, "no library").expect("a file");
    let absent = folder.path().join("absent.so");
    for path in [folder.path(), &text, &absent] {
        let refused = Module::load(path).expect_err("the file is not a module");
        assert_eq!(refused.class(), ErrorClass::Fatal, "{refused}");
        assert!(refused.to_string().contains(&path.display().to_string()), "{refused}");
    }
}

#[test]
fn a_token_without_a_pin_says_who_sets_one() {
    let test = "a_token_without_a_pin_says_who_sets_one";
    let Some(hsm) = soft_hsm(test, &[]) else { return };
    let module = hsm.bare_path().display().to_string();
    let made = ["--module", &module, "--init-token", "--slot-index", "0", "--label", "one", "--so-pin", "5678"];
    if !beside(test, &hsm, "pkcs11-tool", &made) {
        return;
    }
    let token = token(&hsm, "one");
    let error = refused(&token);
    assert_eq!((error.class(), error.code()), (ErrorClass::Denied, Some("CKR_USER_PIN_NOT_INITIALIZED")));
    assert!(error.to_string().contains("security officer"), "{error}");
    assert_eq!((hsm.shim().calls(Function::Login), token.health().state), (1, HealthState::PinRejected));
}

#[test]
fn a_login_that_is_refused_says_what_to_do() {
    let answers = [
        (0xA0, "CKR_PIN_INCORRECT", "will not be tried again until a different one is configured"),
        (0xA4, "CKR_PIN_LOCKED", "security officer"),
        (0xA3, "CKR_PIN_EXPIRED", "security officer"),
        (0x104, "CKR_USER_ANOTHER_ALREADY_LOGGED_IN", "another user"),
    ];
    for (code, name, advice) in answers {
        let Some(hsm) = soft_hsm("a_login_that_is_refused_says_what_to_do", &["one"]) else { return };
        let token = token(&hsm, "one");
        hsm.shim().rule(Function::Login, 0, 1, Action::Return(code));
        for _ in 0..3 {
            let error = refused(&token);
            assert_eq!((error.class(), error.code()), (ErrorClass::Denied, Some(name)));
            assert!(error.to_string().contains(advice), "{error}");
        }
        assert_eq!((hsm.shim().calls(Function::Login), token.health().state), (1, HealthState::PinRejected));
    }
}

#[test]
fn a_pin_is_bytes_and_a_strange_one_is_wrong_and_no_more() {
    for strange in [&b"\xFF\xFE\0\x01"[..], "ключ".as_bytes(), b"", &[b'1'; 300]] {
        let Some(hsm) = soft_hsm("a_pin_is_bytes_and_a_strange_one_is_wrong_and_no_more", &["one"]) else { return };
        let token = Token::new(&module(&hsm), config("one"), FixedPin::new(SecretBytes::copy_from_slice(strange)));
        let error = refused(&token);
        assert_eq!(error.class(), ErrorClass::Denied, "{error}");
        token.set_pin(pin());
        token.connect().expect("the PIN is correct");
    }
}

#[test]
fn a_token_that_takes_no_new_keys_uses_those_that_it_has() {
    let Some(hsm) = soft_hsm("a_token_that_takes_no_new_keys_uses_those_that_it_has", &["one"]) else { return };
    let token = token(&hsm, "one");
    let key = aes(&token, 1);
    for (code, class) in [(0xE2, ErrorClass::Denied), (0xB5, ErrorClass::Denied), (0x31, ErrorClass::Busy)] {
        hsm.shim().rule(Function::GenerateKey, 0, 1, Action::Return(code));
        let refused =
            token.generate_key(&NewKey::new(&[2; 32], "x", TokenKeyKind::Aes256)).expect_err("the disk is full");
        assert_eq!(refused.class(), class, "{refused}");
        token.encrypt(&key, b"context", b"text").expect("the token still works");
    }
    assert_eq!(token.count_objects(&[2; 32]).expect("the token responds"), 0);
}

#[test]
fn keys_of_a_token_that_was_initialised_again_are_missing_and_nothing_else() {
    let test = "keys_of_a_token_that_was_initialised_again_are_missing_and_nothing_else";
    let Some(hsm) = soft_hsm(test, &["one"]) else { return };
    let token = token(&hsm, "one");
    let key = aes(&token, 1);
    let sealed = token.encrypt(&key, b"context", b"text").expect("encryption succeeds");
    let serial = token.capabilities().expect("the token is connected").serial.clone();
    let again = ["--init-token", "--free", "--label", "one", "--pin", PIN, "--so-pin", "5678"];
    if !util(test, &hsm, &["--delete-token", "--token", "one"]) || !util(test, &hsm, &again) {
        return;
    }
    let mut last = None;
    for _ in 0..4 {
        let error = token.decrypt(&key, b"context", &sealed).expect_err("the key is missing");
        assert!([ErrorClass::TokenLost, ErrorClass::KeyMissing].contains(&error.class()), "{error}");
        last = Some(error.class());
    }
    assert_eq!(last, Some(ErrorClass::KeyMissing), "the new token is in use");
    assert_ne!(token.capabilities().expect("the token is connected").serial, serial);
    let other = aes(&token, 1);
    let error = token.decrypt(&key, b"context", &sealed).expect_err("the ciphertext belongs to another key");
    assert_eq!(error.class(), ErrorClass::KeyMissing, "{error}");
    token.encrypt(&other, b"context", b"text").expect("the new key works");
}

#[test]
fn a_key_that_another_program_replaces_is_missing_and_its_label_does_not_matter() {
    let test = "a_key_that_another_program_replaces_is_missing_and_its_label_does_not_matter";
    let Some(hsm) = soft_hsm(test, &["one"]) else { return };
    let token = token(&hsm, "one");
    let key = aes(&token, 1);
    let sealed = token.encrypt(&key, b"context", b"text").expect("encryption succeeds");
    let opens = |what: &str| {
        assert_eq!(token.decrypt(&key, b"context", &sealed).expect(what).expose_secret(), b"text");
    };
    let id = "01".repeat(32);
    let of_key = ["--type", "secrkey", "--id", &id];
    let change = |arguments: &[&str]| pkcs11_tool(test, &hsm, &[arguments, &of_key[..]].concat());
    if !change(&["--set-id", &"77".repeat(32)]) {
        return;
    }
    let error = token.verify_key(&key).expect_err("the key is searched by its id");
    assert_eq!(error.class(), ErrorClass::KeyMissing, "{error}");
    pkcs11_tool(test, &hsm, &["--type", "secrkey", "--id", &"77".repeat(32), "--set-id", &id]);
    opens("the key has its id again");
    change(&["--delete-object"]);
    let error = token.decrypt(&key, b"context", &sealed).expect_err("the key was deleted");
    assert_eq!(error.class(), ErrorClass::KeyMissing, "{error}");
    pkcs11_tool(test, &hsm, &["--keygen", "--key-type", "AES:32", "--label", "a key", "--id", &id]);
    for _ in 0..2 {
        let error = token.decrypt(&key, b"context", &sealed).expect_err("the ciphertext belongs to another key");
        assert_eq!(error.class(), ErrorClass::KeyMissing, "{error}");
        assert!(token.encrypt(&key, b"context", b"text").is_err(), "nothing is encrypted under another key");
    }
}
