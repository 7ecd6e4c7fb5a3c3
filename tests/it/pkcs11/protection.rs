//! Keys that a token does not protect, keys of an unexpected kind, and keys of other programs.

use strongroom::SecretBytes;
use strongroom::algorithm::SigningAlgorithm;
use strongroom::crypto::{FASTEST, KeyPairKind, RsaOaep, SignatureInput};
use strongroom::provider::pkcs11::{ErrorClass, KeyTypes, NewKey, Token, TokenKeyHandle, TokenKeyKind};
use strongroom_pkcs11_faults::{Action, Bare, Function, SoftHsm};

use super::{aes, config, module, options, pin, token};
use crate::support::soft_tokens::{
    CKA_DECRYPT, CKA_DERIVE, CKA_ENCRYPT, CKA_EXTRACTABLE, CKA_PRIVATE, CKA_SENSITIVE, CKA_UNWRAP, CKA_WRAP, soft_hsm,
};

const CKM_AES_KEY_WRAP: u64 = 0x2109;
const CKM_AES_GCM: u64 = 0x1087;
const CKM_AES_CBC: u64 = 0x1082;

const KINDS: [TokenKeyKind; 4] = [
    TokenKeyKind::Aes256,
    TokenKeyKind::WrappingAes256,
    TokenKeyKind::Signing(KeyPairKind::EccP256),
    TokenKeyKind::Decryption(KeyPairKind::Rsa2048),
];

/// Returns a token that may be asked for every kind of key.
fn able(hsm: &SoftHsm) -> Token {
    let token = Token::new(&module(hsm), config("one").key_types(KeyTypes::All), pin());
    token.connect().expect("the token connects");
    token
}

/// Opens a second connection to the same tokens, as another program would.
fn others(hsm: &SoftHsm) -> Token {
    let module = strongroom::provider::pkcs11::Module::load_with(hsm.bare_path(), options()).expect("a module");
    Token::new(&module, config("one"), pin())
}

#[test]
fn a_new_key_that_its_token_does_not_protect_as_told_is_refused_and_destroyed() {
    let test = "a_new_key_that_its_token_does_not_protect_as_told_is_refused_and_destroyed";
    let Some(hsm) = soft_hsm(test, &["one"]) else { return };
    let token = able(&hsm);
    let wrapping = token.generate_key(&NewKey::new(&[1; 32], "kek", TokenKeyKind::WrappingAes256)).expect("a key");
    let source = NewKey::new(&[2; 32], "source", TokenKeyKind::Aes256).extractable_for_replication();
    let source = token.generate_key(&source).expect("a key");
    let wrapped = token.wrap_key(&wrapping, &source).expect("the key is extractable");
    token.destroy_objects(source.id()).expect("the objects are destroyed");

    for (attribute, value) in [(CKA_SENSITIVE, false), (CKA_EXTRACTABLE, true)] {
        let value_of_key = SecretBytes::copy_from_slice(&[7; 32]);
        hsm.shim().weaken(attribute, value);
        let mut refused: Vec<_> = KINDS
            .iter()
            .map(|kind| {
                token.generate_key(&NewKey::new(&[3; 32], "weak", *kind)).expect_err("the key is not protected")
            })
            .collect();
        refused.push(token.import_wrapping_key(&[3; 32], "weak", &value_of_key).expect_err("nor this one"));
        refused.push(token.unwrap_key(&wrapping, &wrapped, &source).expect_err("nor this one"));
        hsm.shim().clear();
        for error in refused {
            assert_eq!(error.class(), ErrorClass::Fatal, "{error}");
            assert!(error.to_string().contains("did not apply the required protection to a new"), "{error}");
        }
        assert_eq!(token.count_objects(&[3; 32]).expect("the token responds"), 0, "{attribute:#x}: no object is left");
        assert_eq!(
            token.count_objects(source.id()).expect("the token responds"),
            0,
            "{attribute:#x}: no object is left"
        );
    }

    // A key that must be extractable temporarily, but is not, could not be replicated to the other
    // tokens.
    hsm.shim().weaken(CKA_EXTRACTABLE, false);
    let refused = token.generate_key(&NewKey::new(&[3; 32], "x", TokenKeyKind::Aes256).extractable_for_replication());
    assert_eq!(refused.expect_err("the key is not extractable").class(), ErrorClass::Fatal);
    hsm.shim().clear();
    assert_eq!(token.count_objects(&[3; 32]).expect("the token responds"), 0);
    // The attributes are read back: a success code alone is not trusted.
    token.unwrap_key(&wrapping, &wrapped, &source).expect("the token works");
    let extractable = NewKey::new(&[3; 32], "x", TokenKeyKind::Aes256).extractable_for_replication();
    let extractable = token.generate_key(&extractable).expect("a key");
    hsm.shim().rule(Function::SetAttributeValue, 0, 1, Action::Return(0));
    let refused = token.forbid_extraction(&extractable).expect_err("the token ignored the request");
    assert_eq!(refused.class(), ErrorClass::Fatal, "{refused}");
    assert!(refused.to_string().contains("is still extractable"), "{refused}");
}

#[test]
fn another_key_pair_under_the_same_id_is_caught() {
    let Some(hsm) = soft_hsm("another_key_pair_under_the_same_id_is_caught", &["one"]) else { return };
    let token = able(&hsm);
    let kinds = [
        TokenKeyKind::Signing(KeyPairKind::EccP256),
        TokenKeyKind::Signing(KeyPairKind::EccP521),
        TokenKeyKind::Signing(KeyPairKind::Rsa2048),
        TokenKeyKind::Decryption(KeyPairKind::Rsa2048),
    ];
    for kind in kinds {
        let new = NewKey::new(&[1; 32], "a pair", kind);
        let kept = token.generate_key(&new).expect("a key pair").to_bytes().expect("a reference");
        token.destroy_objects(&[1; 32]).expect("the objects are destroyed");
        let replaced = token.generate_key(&new).expect("another key pair");
        let key = TokenKeyHandle::from_bytes(&kept).expect("a reference");
        let refused = token.verify_key(&key).expect_err("same id and label, another key");
        assert_eq!(refused.class(), ErrorClass::KeyMissing, "{kind}: {refused}");
        let refused = token.export_public_key(&key).expect_err("the public key belongs to another key");
        assert_eq!(refused.class(), ErrorClass::KeyMissing, "{kind}: {refused}");
        let used = match kind {
            TokenKeyKind::Signing(KeyPairKind::EccP521) => {
                token.sign(&key, SigningAlgorithm::EcdsaSha512, SignatureInput::Message(b"text")).map(drop)
            }
            TokenKeyKind::Signing(KeyPairKind::EccP256) => {
                token.sign(&key, SigningAlgorithm::EcdsaSha256, SignatureInput::Message(b"text")).map(drop)
            }
            TokenKeyKind::Signing(_) => {
                token.sign(&key, SigningAlgorithm::RsassaPssSha256, SignatureInput::Message(b"text")).map(drop)
            }
            _ => {
                let public = FASTEST.key_pairs().public_key(KeyPairKind::Rsa2048, key.public_key().expect("a pair"));
                let sealed = public.expect("a public key").encrypt(RsaOaep::Sha1, b"text", FASTEST.random());
                token.decrypt_oaep(&key, RsaOaep::Sha1, &sealed.expect("encryption succeeds")).map(drop)
            }
        };
        assert_eq!(used.expect_err("another key").class(), ErrorClass::KeyMissing, "{kind}");
        token.verify_key(&replaced).expect("the new key can be used");
        token.destroy_objects(&[1; 32]).expect("the objects are destroyed");
    }
}

#[test]
fn a_key_of_others_is_adopted_only_if_its_token_protects_it() {
    use TokenKeyKind::{Aes256, WrappingAes256};
    let Some(hsm) = soft_hsm("a_key_of_others_is_adopted_only_if_its_token_protects_it", &["one"]) else { return };
    let token = token(&hsm, "one");
    token.connect().expect("the token connects");
    let put = |id: u8, kind, length: usize, wrong: Option<(u64, bool)>, mechanisms: &[u64]| {
        let mut attributes = if kind == Aes256 { Bare::CIPHER } else { Bare::WRAPPING }.to_vec();
        attributes.extend(wrong);
        Bare::create_key_for(&hsm.bare_path(), "one", &[id; 8], &[7; 32][..length], &attributes, mechanisms);
        token.adopt_key(&[id; 8], "of others", kind)
    };
    let rejected = [
        (Aes256, CKA_SENSITIVE, false, "CKA_SENSITIVE"),
        (Aes256, CKA_EXTRACTABLE, true, "CKA_EXTRACTABLE"),
        (Aes256, CKA_PRIVATE, false, "CKA_PRIVATE"),
        (Aes256, CKA_ENCRYPT, false, "CKA_ENCRYPT"),
        (Aes256, CKA_DECRYPT, false, "CKA_DECRYPT"),
        (Aes256, CKA_DERIVE, true, "CKA_DERIVE"),
        (WrappingAes256, CKA_SENSITIVE, false, "CKA_SENSITIVE"),
        (WrappingAes256, CKA_EXTRACTABLE, true, "CKA_EXTRACTABLE"),
        (WrappingAes256, CKA_WRAP, false, "CKA_WRAP"),
        (WrappingAes256, CKA_UNWRAP, false, "CKA_UNWRAP"),
        (WrappingAes256, CKA_ENCRYPT, true, "CKA_ENCRYPT"),
        (WrappingAes256, CKA_DECRYPT, true, "CKA_DECRYPT"),
    ];
    let mut id = 0;
    let mut check = |kind, length, wrong, mechanisms: &[u64], name: Option<&str>| {
        id += 1;
        let adopted = put(id, kind, length, wrong, mechanisms);
        let Some(name) = name else { return drop(adopted.expect("the key is protected")) };
        let refused = adopted.expect_err("the key is not protected");
        assert_eq!((refused.class(), refused.rejected_for()), (ErrorClass::Denied, Some(name)), "{refused}");
        let text = refused.to_string();
        assert!(text.contains(name), "{text}");
        assert!(length == 32 || text.contains(&format!("CKA_VALUE_LEN is {length} but must be 32")), "{text}");
        assert_eq!(token.count_objects(&[id; 8]).expect("the token responds"), 1, "{name}: the object is not changed");
    };
    for (kind, attribute, value, name) in rejected {
        check(kind, 32, Some((attribute, value)), &[], Some(name));
    }
    for kind in [Aes256, WrappingAes256] {
        check(kind, 32, None, &[], None);
        check(kind, 16, None, &[], Some("CKA_VALUE_LEN"));
        check(kind, 24, None, &[], Some("CKA_VALUE_LEN"));
        check(kind, 32, None, &[CKM_AES_CBC], Some("CKA_ALLOWED_MECHANISMS"));
    }
    check(Aes256, 32, None, &[CKM_AES_CBC, CKM_AES_GCM], None);
    check(Aes256, 32, None, &[CKM_AES_KEY_WRAP], Some("CKA_ALLOWED_MECHANISMS"));
    check(WrappingAes256, 32, None, &[CKM_AES_KEY_WRAP], None);
    // Other software lets a cipher key wrap as well. It encrypts like any other.
    check(Aes256, 32, Some((CKA_WRAP, true)), &[], None);
}

#[test]
fn a_private_key_of_others_is_adopted_only_if_its_token_protects_it() {
    let test = "a_private_key_of_others_is_adopted_only_if_its_token_protects_it";
    let Some(hsm) = soft_hsm(test, &["one"]) else { return };
    let token = able(&hsm);
    let kind = TokenKeyKind::Signing(KeyPairKind::EccP256);
    let key = token.generate_key(&NewKey::new(&[1; 32], "pair", kind)).expect("a key pair");
    token.adopt_key(key.id(), "pair", kind).expect("the key is protected");
    for (attribute, value, name) in
        [(CKA_SENSITIVE, false, "CKA_SENSITIVE"), (CKA_EXTRACTABLE, true, "CKA_EXTRACTABLE")]
    {
        hsm.shim().claim(attribute, value, 0);
        let refused = token.adopt_key(key.id(), "pair", kind).expect_err("the key is not protected");
        assert_eq!(refused.rejected_for(), Some(name), "{refused}");
        // A single lookup may be wrong while another process creates a key.
        hsm.shim().claim(attribute, !value, 0);
        token.adopt_key(key.id(), "pair", kind).expect("the key is protected");
    }
    let other_use = TokenKeyKind::Decryption(KeyPairKind::Rsa2048);
    let rsa = token.generate_key(&NewKey::new(&[2; 32], "pair", other_use)).expect("a key pair");
    let refused = token.adopt_key(rsa.id(), "pair", TokenKeyKind::Signing(KeyPairKind::Rsa2048));
    assert_eq!(refused.expect_err("the key is for decryption").rejected_for(), Some("CKA_SIGN"));
}

/// SoftHSM misreports some attributes while another process creates a key.
#[test]
fn an_attribute_that_is_not_reported_once_rejects_no_key() {
    let Some(hsm) = soft_hsm("an_attribute_that_is_not_reported_once_rejects_no_key", &["one"]) else { return };
    let token = token(&hsm, "one");
    let key = aes(&token, 1);
    let reads = || hsm.shim().calls(Function::GetAttributeValue);
    let before = reads();
    token.adopt_key(key.id(), "a key", TokenKeyKind::Aes256).expect("the key is protected");
    for skip in 0..reads() - before {
        // CKR_ATTRIBUTE_TYPE_INVALID.
        hsm.shim().rule(Function::GetAttributeValue, skip, 1, Action::Return(0x12));
        token.adopt_key(key.id(), "a key", TokenKeyKind::Aes256).expect("the second look is right");
        hsm.shim().clear();
    }
}

/// SoftHSM sometimes hides an object. A call that creates a key then considers a taken id free.
#[test]
fn a_creation_that_fails_leaves_the_key_of_another_process_alone() {
    let test = "a_creation_that_fails_leaves_the_key_of_another_process_alone";
    let Some(hsm) = soft_hsm(test, &["one"]) else { return };
    let token = token(&hsm, "one");
    token.connect().expect("the token connects");
    let other = others(&hsm);
    let key = aes(&other, 1);
    let sealed = other.encrypt(&key, b"context", b"text").expect("encryption succeeds");
    for function in [Function::GenerateKey, Function::GetAttributeValue] {
        // Looking up an id takes three searches: for a secret, a private and a public key.
        hsm.shim().rule(Function::FindObjects, 0, 3, Action::Return(0));
        hsm.shim().rule(function, 0, u64::MAX, Action::Return(0x05));
        token.generate_key(&NewKey::new(&[1; 32], "a key", TokenKeyKind::Aes256)).expect_err("the call fails");
        hsm.shim().clear();
        assert_eq!(token.count_objects(&[1; 32]).expect("the token responds"), 1, "{function:?}");
        other.verify_key(&key).expect("the key exists");
        assert_eq!(other.decrypt(&key, b"context", &sealed).expect("the key works").expose_secret(), b"text");
    }
    // If the id is free, a creation that fails this way is retried.
    hsm.shim().rule(Function::GenerateKey, 0, 2, Action::Return(0x05));
    aes(&token, 2);
    assert_eq!(token.count_objects(&[2; 32]).expect("the token responds"), 1);
}
