//! Encryption, decryption, re-encryption and data keys, in particular ciphertexts that must be
//! rejected.

use proptest::prelude::*;
use strongroom::crypto::{CryptoBackend, FASTEST, RUST_CRYPTO};
use strongroom::identity::{AccountId, Principal};
use strongroom::key::{DataKeySpec, DeletionWindow, MAX_PLAINTEXT_BYTES};
use strongroom::request::{CreateKeyRequest, DecryptRequest, EncryptRequest, GenerateDataKeyRequest, ReEncryptRequest};
use strongroom::{EncryptionContext, ErrorKind, Kms, Result};

use crate::support::kms::{kind, with_key};

#[test]
fn what_is_encrypted_opens_with_the_same_context_only() -> Result<()> {
    let (kms, key) = with_key()?;
    let context = EncryptionContext::from([("a", "bc"), ("d", "")]);
    for length in [1, 2, 31, 32, MAX_PLAINTEXT_BYTES] {
        let plaintext = vec![0x5A; length];
        let sealed = kms.encrypt(EncryptRequest::new(key, &plaintext).context(&context))?.ciphertext_blob;
        assert_eq!(sealed.len(), length + 94);
        let opened = kms.decrypt(DecryptRequest::new(&sealed).context(&context))?;
        assert_eq!((opened.plaintext.expose_secret(), opened.key_id()), (&plaintext[..], key));
        let others = [
            EncryptionContext::new(),
            EncryptionContext::from([("a", "bc")]),
            EncryptionContext::from([("ab", "c"), ("d", "")]),
            EncryptionContext::from([("A", "bc"), ("d", "")]),
            context.clone().with("e", ""),
        ];
        for other in others {
            let refused = kms.decrypt(DecryptRequest::new(&sealed).context(&other));
            assert_eq!(kind(refused), ErrorKind::InvalidCiphertext);
        }
    }
    Ok(())
}

#[test]
fn every_flip_and_every_truncation_is_refused() -> Result<()> {
    let (kms, key) = with_key()?;
    let blob = kms.encrypt(EncryptRequest::new(key, b"x"))?.ciphertext_blob;
    for at in 0..blob.len() {
        for bit in 0..8 {
            let mut flipped = blob.clone();
            flipped[at] ^= 1 << bit;
            let refused = kms.decrypt(DecryptRequest::new(&flipped)).expect_err("a flipped bit");
            // A bit flip in the key id names another key, which is rejected like a key that does
            // not exist.
            let expected = if (2..18).contains(&at) { ErrorKind::AccessDenied } else { ErrorKind::InvalidCiphertext };
            assert_eq!(refused.kind(), expected, "byte {at}, bit {bit}");
        }
        let expected = if at == 0 { ErrorKind::Validation } else { ErrorKind::InvalidCiphertext };
        assert_eq!(kind(kms.decrypt(DecryptRequest::new(&blob[..at]))), expected, "cut at {at}");
    }
    let longer = [&blob[..], &[0]].concat();
    assert_eq!(kind(kms.decrypt(DecryptRequest::new(&longer))), ErrorKind::InvalidCiphertext);
    assert_eq!(kind(kms.decrypt(DecryptRequest::new(&[1; 6144]))), ErrorKind::InvalidCiphertext);
    Ok(())
}

#[test]
fn the_body_of_one_blob_does_not_open_under_the_header_of_another() -> Result<()> {
    let (kms, key) = with_key()?;
    let other = kms.create_key(CreateKeyRequest::default())?.key_id();
    let first = kms.encrypt(EncryptRequest::new(key, b"x"))?.ciphertext_blob;
    kms.rotate_key_on_demand(key)?;
    let rotated = kms.encrypt(EncryptRequest::new(key, b"x"))?.ciphertext_blob;
    let foreign = kms.encrypt(EncryptRequest::new(other, b"x"))?.ciphertext_blob;
    for (header, body) in [(&rotated, &first), (&first, &rotated), (&foreign, &first), (&first, &foreign)] {
        let spliced = [&header[..22], &body[22..]].concat();
        assert_eq!(kind(kms.decrypt(DecryptRequest::new(&spliced))), ErrorKind::InvalidCiphertext);
    }
    Ok(())
}

#[test]
fn lengths_are_bounded() -> Result<()> {
    let (kms, key) = with_key()?;
    assert_eq!(kind(kms.encrypt(EncryptRequest::new(key, b""))), ErrorKind::Validation);
    assert_eq!(kind(kms.encrypt(EncryptRequest::new(key, &[0; 4097]))), ErrorKind::Validation);
    for impossible in [&[][..], &[1; 6145]] {
        assert_eq!(kind(kms.decrypt(DecryptRequest::new(impossible))), ErrorKind::Validation);
        assert_eq!(kind(kms.decrypt(DecryptRequest::new(impossible).key(key)?)), ErrorKind::Validation);
        assert_eq!(kind(kms.re_encrypt(ReEncryptRequest::new(impossible, key))), ErrorKind::Validation);
    }
    for (prefix, hint) in [(&b"AQEA"[..], "Base64"), (&[2, 5, 0x78], "Envelope")] {
        let by_mistake = [prefix, &[b'A'; 7_000]].concat();
        let refused = kms.decrypt(DecryptRequest::new(&by_mistake)).expect_err("too long");
        assert_eq!(refused.kind(), ErrorKind::Validation);
        assert!(refused.to_string().to_lowercase().contains(&hint.to_lowercase()), "{refused}");
    }
    let huge = EncryptionContext::from([("a", "x".repeat(65_530))]);
    assert_eq!(kind(kms.encrypt(EncryptRequest::new(key, b"x").context(&huge))), ErrorKind::Validation);
    for bytes in [0, 1025, u32::MAX] {
        let request = GenerateDataKeyRequest::new(key).number_of_bytes(bytes);
        assert_eq!(kind(kms.generate_data_key(request)), ErrorKind::Validation);
        assert_eq!(kind(kms.generate_random(bytes)), ErrorKind::Validation);
    }
    assert_eq!(kms.generate_random(1024)?.len(), 1024);
    Ok(())
}

#[test]
fn a_named_key_must_be_the_one_that_encrypted() -> Result<()> {
    let (kms, key) = with_key()?;
    let other = kms.create_key(CreateKeyRequest::default())?.key_id();
    kms.create_alias("alias/x", key)?;
    let blob = kms.encrypt(EncryptRequest::new(key, b"x"))?.ciphertext_blob;
    assert!(kms.decrypt(DecryptRequest::new(&blob).key("alias/x")?).is_ok());
    assert_eq!(kind(kms.decrypt(DecryptRequest::new(&blob).key(other)?)), ErrorKind::IncorrectKey);
    Ok(())
}

#[test]
fn a_blob_tells_a_stranger_nothing_about_its_key() -> Result<()> {
    let (kms, key) = with_key()?;
    let blob = kms.encrypt(EncryptRequest::new(key, b"x"))?.ciphertext_blob;
    let mut unknown = blob.clone();
    unknown[2..18].copy_from_slice(&[7; 16]);
    let stranger = kms.as_principal(Principal::root(AccountId::parse("999999999999")?))?;
    let user = kms.as_principal(Principal::user(AccountId::default(), "alice")?)?;
    for handle in [&stranger, &user] {
        let (present, absent) =
            (handle.decrypt(DecryptRequest::new(&blob)), handle.decrypt(DecryptRequest::new(&unknown)));
        let (present, absent) = (present.unwrap_err(), absent.unwrap_err());
        assert_eq!((present.kind(), present.to_string()), (absent.kind(), absent.to_string()));
        assert_eq!(present.kind(), ErrorKind::AccessDenied);
    }
    Ok(())
}

#[test]
fn re_encryption_moves_data_between_keys_contexts_and_versions() -> Result<()> {
    let (kms, old) = with_key()?;
    let new = kms.create_key(CreateKeyRequest::default())?.key_id();
    let (from, to) = (EncryptionContext::from([("v", "1")]), EncryptionContext::from([("v", "2")]));
    let blob = kms.encrypt(EncryptRequest::new(old, b"data").context(&from))?.ciphertext_blob;
    let request = || ReEncryptRequest::new(&blob, new).source_context(&from).destination_context(&to);
    let moved = kms.re_encrypt(request())?;
    assert_eq!((moved.source_key_id(), moved.key_id()), (old, new));
    let opened = kms.decrypt(DecryptRequest::new(&moved.ciphertext_blob).context(&to))?;
    assert_eq!(opened.plaintext.expose_secret(), b"data");
    assert_eq!(opened.key_material_id, moved.destination_key_material_id);
    assert_eq!(kind(kms.re_encrypt(ReEncryptRequest::new(&blob, new))), ErrorKind::InvalidCiphertext);
    assert_eq!(kind(kms.re_encrypt(request().source_key(new)?)), ErrorKind::IncorrectKey);
    kms.disable_key(new)?;
    assert_eq!(kind(kms.re_encrypt(request())), ErrorKind::Disabled);
    kms.rotate_key_on_demand(old)?;
    let renewed = kms.re_encrypt(ReEncryptRequest::new(&blob, old).source_context(&from))?;
    assert_ne!(renewed.source_key_material_id, renewed.destination_key_material_id);
    Ok(())
}

#[test]
fn data_keys_come_in_every_length_and_open_again() -> Result<()> {
    let (kms, key) = with_key()?;
    let context = EncryptionContext::from([("a", "b")]);
    let request = || GenerateDataKeyRequest::new(key).context(&context);
    let rows = [
        (request(), 32),
        (request().key_spec(DataKeySpec::Aes128), 16),
        (request().key_spec(DataKeySpec::Aes256), 32),
        (request().number_of_bytes(1), 1),
        (request().number_of_bytes(1024), 1024),
    ];
    for (request, length) in rows {
        let made = kms.generate_data_key(request.clone())?;
        assert_eq!((made.plaintext.len(), made.ciphertext_blob.len()), (length, length + 94));
        let opened = kms.decrypt(DecryptRequest::new(&made.ciphertext_blob).context(&context))?;
        assert_eq!((opened.plaintext, opened.key_material_id), (made.plaintext, Some(made.key_material_id)));
        let sealed = kms.generate_data_key_without_plaintext(request)?;
        assert_eq!(
            kms.decrypt(DecryptRequest::new(&sealed.ciphertext_blob).context(&context))?.plaintext.len(),
            length
        );
    }
    Ok(())
}

#[test]
fn a_dry_run_ends_in_its_own_error_after_every_check() -> Result<()> {
    let (kms, key) = with_key()?;
    let blob = kms.encrypt(EncryptRequest::new(key, b"x"))?.ciphertext_blob;
    let all = |kms: &Kms| {
        [
            kind(kms.encrypt(EncryptRequest::new(key, b"x").dry_run())),
            kind(kms.decrypt(DecryptRequest::new(&blob).dry_run())),
            kind(kms.re_encrypt(ReEncryptRequest::new(&blob, key).dry_run())),
            kind(kms.generate_data_key(GenerateDataKeyRequest::new(key).dry_run())),
            kind(kms.generate_data_key_without_plaintext(GenerateDataKeyRequest::new(key).dry_run())),
        ]
    };
    assert_eq!(all(&kms), [ErrorKind::DryRun; 5]);
    assert_eq!(kind(kms.decrypt(DecryptRequest::new(&blob[1..]).dry_run())), ErrorKind::InvalidCiphertext);
    kms.disable_key(key)?;
    assert_eq!(all(&kms), [ErrorKind::Disabled; 5]);
    kms.schedule_key_deletion(key, DeletionWindow::default())?;
    assert_eq!(all(&kms), [ErrorKind::InvalidState; 5]);
    Ok(())
}

#[test]
fn keys_made_with_one_backend_are_used_with_another() -> Result<()> {
    use std::sync::Arc;
    use strongroom::seal::RootKey;
    use strongroom::store::MemoryStore;

    let store = Arc::new(MemoryStore::new(&FASTEST)?);
    let open = |backend: CryptoBackend| {
        Kms::builder().backend(backend).store(Arc::clone(&store), RootKey::from_bytes(&[3; 32])).build()
    };
    let (fast, pure) = (open(FASTEST)?, open(RUST_CRYPTO)?);
    let key = fast.create_key(CreateKeyRequest::default())?.key_id();
    for (writer, reader) in [(&fast, &pure), (&pure, &fast)] {
        let blob = writer.encrypt(EncryptRequest::new(key, b"portable"))?.ciphertext_blob;
        assert_eq!(reader.decrypt(DecryptRequest::new(&blob))?.plaintext.expose_secret(), b"portable");
    }
    fast.disable_key(key)?;
    assert_eq!(
        kind(pure.encrypt(EncryptRequest::new(key, b"x"))),
        ErrorKind::Disabled,
        "both handles see the same state"
    );
    let wrong = Kms::builder().store(Arc::clone(&store), RootKey::from_bytes(&[4; 32])).build();
    assert_eq!(kind(wrong), ErrorKind::RootKey, "another root key cannot decrypt anything");
    Ok(())
}

proptest! {
    #[test]
    fn any_data_and_context_come_back(
        plaintext in prop::collection::vec(any::<u8>(), 1..200),
        pairs in prop::collection::btree_map(".{0,6}", ".{0,6}", 0..4),
    ) {
        let (kms, key) = with_key()?;
        let context: EncryptionContext = pairs.into_iter().collect();
        let blob = kms.encrypt(EncryptRequest::new(key, &plaintext).context(&context))?.ciphertext_blob;
        let opened = kms.decrypt(DecryptRequest::new(&blob).context(&context))?;
        prop_assert_eq!(opened.plaintext.expose_secret(), &plaintext[..]);
    }

    #[test]
    fn arbitrary_bytes_never_open(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (kms, _) = with_key()?;
        prop_assert!(kms.decrypt(DecryptRequest::new(&bytes)).is_err());
    }
}

/// The condition depends only on the keys of a request, and not on how the request names them.
#[test]
fn re_encryption_may_be_limited_to_one_key() -> Result<()> {
    let kms = Kms::in_memory()?;
    let [one, other] = [(); 2].map(|()| kms.create_key(CreateKeyRequest::default()).expect("a key"));
    kms.create_alias("alias/one", one.key_id())?;
    let alice = Principal::user(AccountId::default(), "alice")?;
    let policy = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kms:ReEncrypt*", "Resource": "*",
        "Condition": {"Bool": {"kms:ReEncryptOnSameKey": "true"}}}}"#;
    kms.put_identity_policy(&alice, "one-key", policy)?;
    let alice = kms.as_principal(alice)?;
    let blob = kms.encrypt(EncryptRequest::new(one.key_id(), b"text"))?.ciphertext_blob;

    alice.re_encrypt(ReEncryptRequest::new(&blob, one.key_id()))?;
    alice.re_encrypt(ReEncryptRequest::new(&blob, "alias/one"))?;
    alice.re_encrypt(ReEncryptRequest::new(&blob, one.arn()).source_key("alias/one")?)?;
    let to_other = ReEncryptRequest::new(&blob, other.key_id());
    assert_eq!(kind(alice.re_encrypt(to_other)), ErrorKind::AccessDenied);
    let to_other = ReEncryptRequest::new(&blob, other.key_id()).source_key(one.key_id())?;
    assert_eq!(kind(alice.re_encrypt(to_other)), ErrorKind::AccessDenied);
    // Naming the destination key as the source bypasses nothing.
    let disguised = ReEncryptRequest::new(&blob, other.key_id()).source_key(other.key_id())?;
    alice.re_encrypt(disguised).expect_err("the ciphertext belongs to another key");
    assert_eq!(kind(alice.re_encrypt(ReEncryptRequest::new(b"no blob", other.key_id()))), ErrorKind::InvalidCiphertext);
    Ok(())
}
