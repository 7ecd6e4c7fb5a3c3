//! Keys: created as requested, found again, and never confused with another key.

use strongroom::crypto::KeyPairKind;
use strongroom::provider::pkcs11::{
    ErrorClass, GCM_OVERHEAD, IvMode, KeyTypes, Module, NewKey, Token, TokenKeyHandle, TokenKeyKind,
};
use strongroom_pkcs11_faults::{Action, Bare, Function, SoftHsm};

use super::{aes, config, module, options, pin, soft_hsm, token};

#[test]
fn a_new_key_is_sensitive_and_stays_in_its_token() {
    let Some(hsm) = soft_hsm("a_new_key_is_sensitive_and_stays_in_its_token", &["one"]) else { return };
    let token = token(&hsm, "one");
    let key = aes(&token, 1);
    let protection = token.key_protection(&key).expect("the key exists");
    assert!(protection.sensitive && !protection.extractable && protection.local, "{protection:?}");
    let wrapping = NewKey::new(&[2; 32], "kek", TokenKeyKind::WrappingAes256);
    let wrapping = token.generate_key(&wrapping).expect("a wrapping key");
    let refused = token.wrap_key(&wrapping, &key).expect_err("the key is not extractable");
    assert_eq!((refused.class(), refused.code()), (ErrorClass::Denied, Some("CKR_KEY_UNEXTRACTABLE")));
    assert_eq!(token.destroy_objects(key.id()).expect("the objects are destroyed"), 1);
    assert_eq!(token.destroy_objects(key.id()).expect("again"), 0);
    assert_eq!(token.verify_key(&key).expect_err("the key is missing").class(), ErrorClass::KeyMissing);
}

#[test]
fn a_ciphertext_opens_with_its_associated_data_only() {
    let Some(hsm) = soft_hsm("a_ciphertext_opens_with_its_associated_data_only", &["one"]) else { return };
    let token = token(&hsm, "one");
    let (key, other) = (aes(&token, 1), aes(&token, 2));
    for length in [0, 1, 16, 4_096] {
        let plaintext = vec![0x5A; length];
        let sealed = token.encrypt(&key, b"context", &plaintext).expect("encryption succeeds");
        assert_eq!(sealed.len(), length + GCM_OVERHEAD);
        assert_eq!(token.decrypt(&key, b"context", &sealed).expect("decryption succeeds").expose_secret(), plaintext);
        let refused = [
            token.decrypt(&key, b"another", &sealed),
            token.decrypt(&other, b"context", &sealed),
            token.decrypt(&key, b"context", &sealed[..sealed.len() - 1]),
            token.decrypt(&key, b"context", &sealed[..10]),
            token.decrypt(&key, b"context", &[]),
        ];
        for refused in refused {
            assert_eq!(refused.expect_err("the input does not match the key").class(), ErrorClass::BadInput);
        }
    }
    let refused = token.encrypt(&key, b"", b"text").expect_err("associated data is required");
    assert_eq!(refused.class(), ErrorClass::BadInput);
    let (data_key, sealed) = token.generate_data_key(&key, b"context", 32).expect("a data key");
    assert_eq!(token.decrypt(&key, b"context", &sealed).expect("decryption succeeds"), data_key);
    assert_ne!(token.random(32).expect("random bytes"), token.random(32).expect("random bytes"));
}

#[test]
fn a_key_id_that_is_taken_is_refused() {
    let Some(hsm) = soft_hsm("a_key_id_that_is_taken_is_refused", &["one"]) else { return };
    let token = token(&hsm, "one");
    let key = aes(&token, 1);
    let again = token.generate_key(&NewKey::new(key.id(), "again", TokenKeyKind::Aes256));
    assert_eq!(again.expect_err("the id is in use").class(), ErrorClass::Denied);
    assert_eq!(token.count_objects(key.id()).expect("the token responds"), 1);
}

/// Opens a second connection to the same tokens, as another program would, through another copy of
/// the shim in the process.
fn others(hsm: &SoftHsm, label: &str) -> Token {
    let module = Module::load_with(hsm.bare_path(), options()).expect("a module");
    Token::new(&module, config(label), pin())
}

#[test]
fn another_key_under_the_same_id_is_caught() {
    let Some(hsm) = soft_hsm("another_key_under_the_same_id_is_caught", &["one"]) else { return };
    let token = token(&hsm, "one");
    let key = aes(&token, 1);
    let kept = key.to_bytes().expect("a reference");
    token.destroy_objects(key.id()).expect("the objects are destroyed");
    let replaced = aes(&token, 1);
    assert_ne!(kept, replaced.to_bytes().expect("a reference"));
    let key = TokenKeyHandle::from_bytes(&kept).expect("a reference");
    let refused = token.encrypt(&key, b"context", b"text").expect_err("the handle refers to another key");
    assert_eq!(refused.class(), ErrorClass::KeyMissing, "{refused}");
    let refused = token.verify_key(&key).expect_err("same id and label, another value");
    assert_eq!(refused.class(), ErrorClass::KeyMissing, "{refused}");
    token.verify_key(&replaced).expect("the new key can be used");
    // An operation also detects this while nothing is known of the key yet.
    token.disconnect();
    token.connect().expect("the token connects");
    assert_eq!(token.encrypt(&key, b"context", b"text").expect_err("another key").class(), ErrorClass::KeyMissing);
}

/// If a token can no longer use a key, neither the input nor another key under the same id is the
/// reason.
#[test]
fn a_token_that_cannot_use_a_key_any_more_is_lost() {
    let Some(hsm) = soft_hsm("a_token_that_cannot_use_a_key_any_more_is_lost", &["one"]) else { return };
    let maker = Token::new(&module(&hsm), config("one").key_types(KeyTypes::All), pin());
    let key = aes(&maker, 1);
    let sealed = maker.encrypt(&key, b"context", b"text").expect("encryption succeeds");
    // CKR_GENERAL_ERROR is ambiguous. The canary of the key decides.
    hsm.shim().rule(Function::Decrypt, 0, u64::MAX, Action::Return(0x05));
    let error = maker.decrypt(&key, b"context", &sealed).expect_err("the token decrypts nothing");
    assert_eq!(error.class(), ErrorClass::TokenLost, "{error}");
    hsm.shim().clear();
    let pair = NewKey::new(&[2; 32], "a pair", TokenKeyKind::Signing(KeyPairKind::EccP256));
    let pair = maker.generate_key(&pair).expect("a key pair");
    // Another connection does not know the handles yet. These codes reject the input:
    // CKR_ENCRYPTED_DATA_INVALID and CKR_DATA_INVALID.
    let finder = token(&hsm, "one");
    finder.connect().expect("the token connects");
    for (key, function, code) in [(&key, Function::Decrypt, 0x40), (&pair, Function::Sign, 0x20)] {
        hsm.shim().rule(function, 0, u64::MAX, Action::Return(code));
        let error = finder.verify_key(key).expect_err("the key cannot prove its identity");
        assert_eq!(error.class(), ErrorClass::TokenLost, "{function:?}: {error}");
        assert!(error.to_string().contains("failed its test operation"), "{function:?}: {error}");
        hsm.shim().clear();
        finder.verify_key(key).expect("the key is there");
    }
    assert_eq!(maker.decrypt(&key, b"context", &sealed).expect("the key works").expose_secret(), b"text");
}

#[test]
fn two_keys_of_one_id_are_refused() {
    let Some(hsm) = soft_hsm("two_keys_of_one_id_are_refused", &["one"]) else { return };
    let token = token(&hsm, "one");
    let key = aes(&token, 1);
    let tool = std::process::Command::new("pkcs11-tool")
        .args(["--module"])
        .arg(strongroom_pkcs11_faults::soft_hsm_module().expect("SoftHSM"))
        .args(["--token-label", "one", "--login", "--pin", "1234", "--keygen", "--key-type", "AES:32"])
        .args(["--label", "a key", "--id", &"01".repeat(32)])
        .env("SOFTHSM2_CONF", hsm.configuration())
        .output();
    let Ok(tool) = tool else {
        crate::support::external_tools::missing(
            "two_keys_of_one_id_are_refused",
            "pkcs11-tool is not installed; ./test.sh installs it",
        );
        return;
    };
    assert!(tool.status.success(), "{}", String::from_utf8_lossy(&tool.stderr));
    let refused = token.verify_key(&key).expect_err("the key is ambiguous");
    assert_eq!(refused.class(), ErrorClass::KeyMissing, "{refused}");
    assert_eq!(token.count_objects(key.id()).expect("the objects exist"), 2);
}

/// SoftHSM shows a key twice to the process that created it while another one created a key. A
/// restore by an operator can also duplicate a key.
#[test]
fn a_key_that_is_there_twice_is_that_key_and_goes_as_a_whole() {
    let Some(hsm) = soft_hsm("a_key_that_is_there_twice_is_that_key_and_goes_as_a_whole", &["one"]) else { return };
    let token = token(&hsm, "one");
    token.connect().expect("the token connects");
    let put = |value: u8| Bare::create_cipher_key(&hsm.bare_path(), "one", &[1; 32], &[value; 32]);
    put(5);
    let key = token.adopt_key(&[1; 32], "a key", TokenKeyKind::Aes256).expect("the key exists");
    let sealed = token.encrypt(&key, b"context", b"text").expect("encryption succeeds");
    put(5);
    token.verify_key(&key).expect("both objects are the key");
    assert_eq!(token.decrypt(&key, b"context", &sealed).expect("the object is the key").expose_secret(), b"text");
    assert_eq!(token.count_objects(key.id()).expect("the objects exist"), 2);
    let refused =
        token.adopt_key(&[1; 32], "a key", TokenKeyKind::Aes256).expect_err("nothing is known about the objects");
    assert_eq!(refused.class(), ErrorClass::KeyMissing, "{refused}");

    // One of three is another key, at any position.
    put(6);
    assert_eq!(token.verify_key(&key).expect_err("not the third").class(), ErrorClass::KeyMissing);
    assert!(token.decrypt(&key, b"context", &sealed).is_err());
    // A deletion that fails after others succeeded is retried once.
    hsm.shim().rule(Function::DestroyObject, 1, 1, Action::Return(0x06));
    assert_eq!(token.destroy_objects(key.id()).expect("the objects are destroyed"), 3);
    assert_eq!(token.count_objects(key.id()).expect("the token responds"), 0);
}

#[test]
fn a_key_is_replicated_and_then_unextractable_for_ever() {
    let labels = ["one", "two"];
    let Some(hsm) = soft_hsm("a_key_is_replicated_and_then_unextractable_for_ever", &labels) else { return };
    let [one, two] = labels.map(|label| token(&hsm, label));
    // The same wrapping key in both, as after a key ceremony.
    let kek = [one.clone(), two.clone()].map(|token| {
        super::interop::create_wrapping_key(&hsm, token.config().selector(), &[9; 32]);
        token.adopt_key(&[9; 32], "kek", TokenKeyKind::WrappingAes256).expect("the key was created before")
    });
    let new = NewKey::new(&[1; 32], "shared", TokenKeyKind::Aes256).extractable_for_replication();
    let key = one.generate_key(&new).expect("a key");
    let wrapped = one.wrap_key(&kek[0], &key).expect("the key is extractable");
    assert_eq!(wrapped.len(), 40);
    two.unwrap_key(&kek[1], &wrapped, &key).expect("unwrapping succeeds");
    one.forbid_extraction(&key).expect("for ever");
    one.forbid_extraction(&key).expect("again");
    assert_eq!(one.wrap_key(&kek[0], &key).expect_err("no longer extractable").class(), ErrorClass::Denied);
    for token in [&one, &two] {
        assert!(!token.key_protection(&key).expect("the key exists").extractable);
    }
    let sealed = one.encrypt(&key, b"context", b"text").expect("encryption succeeds");
    assert_eq!(two.decrypt(&key, b"context", &sealed).expect("the same key").expose_secret(), b"text");

    let mut altered = wrapped.clone();
    altered[20] ^= 1;
    let other = TokenKeyHandle::from_bytes(&key.to_bytes().expect("a reference")).expect("a reference");
    assert_eq!(two.unwrap_key(&kek[1], &altered, &other).expect_err("the id is in use").class(), ErrorClass::Denied);
    two.destroy_objects(key.id()).expect("the objects are destroyed");
    assert_eq!(
        two.unwrap_key(&kek[1], &altered, &key).expect_err("the wrapped key is damaged").class(),
        ErrorClass::BadInput
    );
    // A key other than the one that was announced is not kept.
    let stranger = NewKey::new(&[3; 32], "stranger", TokenKeyKind::Aes256).extractable_for_replication();
    let stranger = one.generate_key(&stranger).expect("a key");
    let wrapped = one.wrap_key(&kek[0], &stranger).expect("the key is extractable");
    let refused = two.unwrap_key(&kek[1], &wrapped, &key).expect_err("the unwrapped key is another one");
    assert_eq!(refused.class(), ErrorClass::KeyMissing, "{refused}");
    assert_eq!(two.count_objects(key.id()).expect("nothing stayed"), 0);
}

#[test]
fn what_a_token_cannot_do_is_refused_with_the_mechanism() {
    let Some(hsm) = soft_hsm("what_a_token_cannot_do_is_refused_with_the_mechanism", &["one"]) else { return };
    let symmetric = token(&hsm, "one");
    let refused = symmetric.generate_key(&NewKey::new(&[1; 32], "x", TokenKeyKind::Signing(KeyPairKind::Ed25519)));
    assert_eq!(refused.expect_err("not in tokens").class(), ErrorClass::Fatal);
    let all = Token::new(&module(&hsm), config("one").key_types(KeyTypes::All), pin());
    let able = all.connect().expect("the token connects");
    assert_eq!(able.oaep, [strongroom::crypto::RsaOaep::Sha1], "SoftHSM has no other hash function");
    let curves = [KeyPairKind::EccP256, KeyPairKind::EccP384, KeyPairKind::EccP521, KeyPairKind::EccSecp256k1];
    assert_eq!(able.curves, curves);
    assert_eq!(able.iv_mode, Some(IvMode::Caller));
    let key = NewKey::new(&[2; 32], "rsa", TokenKeyKind::Decryption(KeyPairKind::Rsa2048));
    let key = all.generate_key(&key).expect("a key pair");
    let refused = all.decrypt_oaep(&key, strongroom::crypto::RsaOaep::Sha256, &[0; 256]).expect_err("not here");
    assert_eq!(refused.missing_mechanism(), Some("CKM_RSA_PKCS_OAEP"));
}

#[test]
fn a_token_that_makes_its_own_initialisation_vectors_is_understood() {
    let modes = [(1, IvMode::TokenWritten), (2, IvMode::TokenPrepended), (3, IvMode::TokenAppended)];
    for (behaviour, mode) in modes {
        let Some(hsm) = soft_hsm("a_token_that_makes_its_own_initialisation_vectors_is_understood", &["one"]) else {
            return;
        };
        hsm.shim().iv_mode(behaviour);
        let plain = token(&hsm, "one");
        if behaviour != 3 {
            // It rejects our IVs, which the self-test detects.
            assert_eq!(plain.connect().expect("the other capabilities work").iv_mode, None);
            let refused = plain.generate_key(&NewKey::new(&[1; 32], "x", TokenKeyKind::Aes256));
            let refused = refused.expect_err("the key could not be used");
            assert_eq!(refused.missing_mechanism(), Some("CKM_AES_GCM"), "{refused}");
        }
        let token = Token::new(&module(&hsm), config("one").iv_mode(mode), pin());
        assert_eq!(token.connect().expect("the self-test passes").iv_mode, Some(mode));
        let key = aes(&token, 1);
        let sealed = token.encrypt(&key, b"context", b"text").expect("encryption succeeds");
        assert_eq!(sealed.len(), 4 + GCM_OVERHEAD);
        assert_eq!(token.decrypt(&key, b"context", &sealed).expect("decryption succeeds").expose_secret(), b"text");
        // One layout: whichever side generates the IV, every reader can decrypt.
        let other = others(&hsm, "one");
        assert_eq!(
            other.decrypt(&key, b"context", &sealed).expect("decryption succeeds").expose_secret(),
            b"text",
            "{mode:?}"
        );
    }
}

/// A token that decrypts whatever it is given authenticates nothing.
#[test]
fn a_token_whose_aes_gcm_does_not_authenticate_is_not_used() {
    let Some(hsm) = soft_hsm("a_token_whose_aes_gcm_does_not_authenticate_is_not_used", &["one"]) else { return };
    let calls = || hsm.shim().calls(Function::Decrypt);
    let token = token(&hsm, "one");
    let key = aes(&token, 1);
    let sealed = token.encrypt(&key, b"context", b"text").expect("encryption succeeds");
    let before = calls();
    token.decrypt(&key, b"context", &sealed).expect("decryption succeeds");
    let of_each = calls() - before;
    // The self-test decrypts a ciphertext, the same one with another tag, and the first one with
    // other associated data. The last call of each decryption writes the plaintext, or here nothing.
    for decryption in 0..3 {
        hsm.shim().rule(Function::Decrypt, of_each * (decryption + 1) - 1, 1, Action::Return(0));
        let tested = Token::new(&module(&hsm), config("one"), pin());
        let error = tested.connect().expect_err("it is not AES-GCM");
        assert_eq!(error.class(), ErrorClass::Fatal, "{decryption}: {error}");
        assert!(error.to_string().contains("failed the self-test of CKM_AES_GCM"), "{decryption}: {error}");
        hsm.shim().clear();
        tested.connect().expect("it is AES-GCM");
    }
}

#[test]
fn a_token_that_does_not_show_a_key_once_is_not_believed_that_it_is_destroyed() {
    let Some(hsm) = soft_hsm("a_token_that_does_not_show_a_key_once_is_not_believed_that_it_is_destroyed", &["one"])
    else {
        return;
    };
    let token = token(&hsm, "one");
    let key = aes(&token, 1);
    // One lookup consists of three searches: for a secret, a private and a public key.
    let show_nothing = || hsm.shim().rule(Function::FindObjects, 0, 3, Action::Return(0));
    show_nothing();
    assert_eq!(token.count_objects(key.id()).expect("the token responds"), 1);
    show_nothing();
    assert_eq!(token.destroy_objects(key.id()).expect("the objects are destroyed"), 1);
    assert_eq!(token.count_objects(key.id()).expect("the token responds"), 0);
}

#[test]
fn a_key_that_a_token_does_not_show_once_is_looked_for_again() {
    let Some(hsm) = soft_hsm("a_key_that_a_token_does_not_show_once_is_looked_for_again", &["one"]) else { return };
    let key = aes(&token(&hsm, "one"), 1);
    let token = token(&hsm, "one");
    token.connect().expect("the token exists");
    hsm.shim().rule(Function::FindObjects, 0, 1, Action::Return(0));
    token.encrypt(&key, b"context", b"text").expect("the second search finds the token");
}

/// Returns the number of objects in the tokens, of any kind.
fn object_files(hsm: &SoftHsm) -> usize {
    let folders = std::fs::read_dir(hsm.folder().join("tokens")).expect("a folder");
    let files = folders.flat_map(|token| std::fs::read_dir(token.expect("an entry").path()).expect("a folder"));
    files.filter(|file| file.as_ref().expect("an entry").path().extension().is_some_and(|end| end == "object")).count()
}

/// A token that does not report a full disk is tested with a large object before each new key.
#[test]
fn the_object_that_tests_for_free_space_does_not_stay() {
    let Some(hsm) = soft_hsm("the_object_that_tests_for_free_space_does_not_stay", &["one"]) else { return };
    let token = token(&hsm, "one");
    let before = {
        token.connect().expect("the token connects");
        object_files(&hsm)
    };
    aes(&token, 1);
    assert_eq!(object_files(&hsm), before + 1, "the key alone");
    // If it cannot be removed, the next call that creates or destroys a key removes it.
    for round in 1..=2 {
        hsm.shim().rule(Function::DestroyObject, 0, 1, Action::Return(0x30));
        aes(&token, 2);
        assert_eq!(object_files(&hsm), before + 3, "the probe is there too");
        if round == 1 {
            aes(&token, 3);
            assert_eq!(object_files(&hsm), before + 3);
            token.destroy_objects(&[3; 32]).expect("the objects are destroyed");
        } else {
            token.destroy_objects(&[1; 32]).expect("the objects are destroyed");
            assert_eq!(object_files(&hsm), before + 1);
        }
        token.destroy_objects(&[2; 32]).expect("the objects are destroyed");
    }
    assert_eq!(object_files(&hsm), before);
}

#[test]
fn a_token_is_tested_for_free_space_only_if_it_does_not_report_a_full_disk() {
    let test = "a_token_is_tested_for_free_space_only_if_it_does_not_report_a_full_disk";
    let Some(hsm) = soft_hsm(test, &["one"]) else { return };
    let token = token(&hsm, "one");
    let created = || hsm.shim().calls(Function::CreateObject);
    let generate = |id: u8| token.generate_key(&NewKey::new(&[id; 32], "a key", TokenKeyKind::Aes256));
    generate(1).expect("there is room");
    assert_eq!(created(), 1);
    // Another operation may have disturbed the test. A disk that stays full is no disturbance.
    for (failures, expected) in [(1, Ok(())), (2, Ok(())), (3, Err(ErrorClass::Busy))] {
        let before = created();
        hsm.shim().rule(Function::CreateObject, 0, failures, Action::Return(0x05));
        let made = generate(2).map(drop);
        hsm.shim().clear();
        assert_eq!(created() - before, (failures + 1).min(3), "{failures}");
        if let Err(error) = &made {
            assert!(error.to_string().contains("has no space for a key"), "{error}");
        }
        assert_eq!(made.map_err(|error| error.class()), expected, "{failures}");
        assert_eq!(token.destroy_objects(&[2; 32]).expect("the token responds"), usize::from(expected.is_ok()));
    }
    let before = created();
    hsm.shim().rule(Function::CreateObject, 0, u64::MAX, Action::Return(0xE2));
    let refused = generate(2).expect_err("it is write-protected");
    assert_eq!((refused.class(), created() - before), (ErrorClass::Denied, 1), "{refused}");

    let Some(hsm) = soft_hsm(test, &["one"]) else { return };
    hsm.shim().conceal_manufacturer();
    aes(&super::token(&hsm, "one"), 1);
    assert_eq!(hsm.shim().calls(Function::CreateObject), 0, "nothing is known of this vendor");
}

#[test]
fn a_key_is_searched_for_once() {
    let Some(hsm) = soft_hsm("a_key_is_searched_for_once", &["one"]) else { return };
    let token = token(&hsm, "one");
    let keys = [1, 2, 3].map(|id| aes(&token, id));
    let encrypt = || {
        for key in &keys {
            token.encrypt(key, b"context", b"text").expect("encryption succeeds");
        }
    };
    let searches = || hsm.shim().calls(Function::FindObjectsInit);
    let before = searches();
    encrypt();
    assert_eq!(searches(), before, "they were created here");
    let generated = hsm.shim().calls(Function::GenerateKey);
    token.disconnect();
    token.connect().expect("the token connects");
    assert_eq!(hsm.shim().calls(Function::GenerateKey), generated, "the token is tested once");
    let before = searches();
    encrypt();
    assert_eq!(searches(), before + 3, "the handles of an earlier connection are invalid");
    encrypt();
    assert_eq!(searches(), before + 3);
    token.verify_key(&keys[0]).expect("the tool succeeds");
    assert_eq!(searches(), before + 4);
    encrypt();
    assert_eq!(searches(), before + 4, "the others are still known");
}

#[test]
fn a_reference_is_read_back_whole_or_not_at_all() {
    let Some(hsm) = soft_hsm("a_reference_is_read_back_whole_or_not_at_all", &["one"]) else { return };
    let key = aes(&token(&hsm, "one"), 1);
    let bytes = key.to_bytes().expect("a reference");
    assert_eq!(TokenKeyHandle::from_bytes(&bytes), Some(key));
    for length in 0..bytes.len() {
        assert_eq!(TokenKeyHandle::from_bytes(&bytes[..length]), None, "{length}");
    }
    assert_eq!(TokenKeyHandle::from_bytes(&[&bytes[..], &[0]].concat()), None);
    for wrong in [[0, 1, 0], [2, 1, 0], [1, 0, 0], [1, 9, 0], [1, 1, 1], [1, 3, 9]] {
        assert_eq!(TokenKeyHandle::from_bytes(&[&wrong[..], &bytes[3..]].concat()), None, "{wrong:?}");
    }
}
