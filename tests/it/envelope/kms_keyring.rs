//! Messages with data keys wrapped by keys of a KMS.

use strongroom::crypto::CryptoBackend;
use strongroom::envelope::{DecryptionMaterials, Keyring, KmsKeyring, RawAesKeyring, UnwrapFailures};
use strongroom::identity::{AccountId, Principal};
use strongroom::key::KeyId;
use strongroom::message::{AlgorithmSuite, EncryptedDataKey, inspect};
use strongroom::request::{CreateKeyRequest, EncryptRequest};
use strongroom::{EncryptionContext, Envelope, ErrorKind, Kms, Result, SecretBytes};

use crate::support::kms::{kind, with_key};

fn sealed(kms: &Kms, key: KeyId, context: &EncryptionContext) -> Result<Vec<u8>> {
    Envelope::new(KmsKeyring::new(kms, key)?).encrypt(b"payload", context)
}

#[test]
fn the_message_names_the_key_by_its_arn_and_carries_its_blob() -> Result<()> {
    let (kms, key) = with_key()?;
    let message = sealed(&kms, key, &EncryptionContext::from([("a", "b")]))?;
    let header = inspect(&message)?;
    let [data_key] = header.data_keys() else { panic!("one data key") };
    assert_eq!(data_key.provider_id(), "aws-kms");
    assert_eq!(data_key.provider_info(), kms.describe_key(key)?.arn().to_string().as_bytes());
    assert_eq!(data_key.ciphertext().len(), 32 + 94);
    Ok(())
}

#[test]
fn any_one_of_several_keys_opens() -> Result<()> {
    let (kms, first) = with_key()?;
    let second = kms.create_key(CreateKeyRequest::default())?.key_id();
    let none = EncryptionContext::new();
    let both = Envelope::new(KmsKeyring::new(&kms, first)?.with_key(second)?);
    let message = both.encrypt(b"payload", &none)?;
    for key in [first, second] {
        assert_eq!(Envelope::new(KmsKeyring::new(&kms, key)?).decrypt(&message, &none)?, b"payload");
    }
    kms.disable_key(first)?;
    assert_eq!(both.decrypt(&message, &none)?, b"payload", "the second key is used instead");
    kms.disable_key(second)?;
    assert_eq!(kind(both.decrypt(&message, &none)), ErrorKind::NoDataKeyUnwrapped);
    Ok(())
}

#[test]
fn a_keyring_uses_only_its_own_keys_unless_it_discovers() -> Result<()> {
    let (kms, ours) = with_key()?;
    let other = kms.create_key(CreateKeyRequest::default())?.key_id();
    let none = EncryptionContext::new();
    let message = sealed(&kms, other, &none)?;
    kms.create_alias("alias/ours", ours)?;
    for strict in [KmsKeyring::new(&kms, ours)?, KmsKeyring::new(&kms, "alias/ours")?] {
        let refused = Envelope::new(strict).decrypt(&message, &none).expect_err("the key of another keyring");
        assert_eq!(refused.kind(), ErrorKind::NoDataKeyUnwrapped);
        assert!(refused.to_string().contains("is not a key of this keyring"), "{refused}");
    }
    let discovery = Envelope::new(KmsKeyring::discovery(&kms));
    assert_eq!(discovery.decrypt(&message, &none)?, b"payload");
    assert_eq!(kind(discovery.encrypt(b"x", &none)), ErrorKind::Validation);
    Ok(())
}

#[test]
fn a_key_may_be_named_by_its_arn() -> Result<()> {
    let (kms, ours) = with_key()?;
    let other = kms.create_key(CreateKeyRequest::default())?.key_id();
    let none = EncryptionContext::new();
    let envelope = Envelope::new(KmsKeyring::new(&kms, kms.describe_key(ours)?.arn())?);
    assert_eq!(envelope.decrypt(&envelope.encrypt(b"payload", &none)?, &none)?, b"payload");
    assert_eq!(envelope.decrypt(&sealed(&kms, ours, &none)?, &none)?, b"payload");
    assert_eq!(kind(envelope.decrypt(&sealed(&kms, other, &none)?, &none)), ErrorKind::NoDataKeyUnwrapped);
    Ok(())
}

#[test]
fn an_alias_is_followed_when_it_moves() -> Result<()> {
    let (kms, first) = with_key()?;
    let second = kms.create_key(CreateKeyRequest::default())?.key_id();
    kms.create_alias("alias/x", first)?;
    let none = EncryptionContext::new();
    let envelope = Envelope::new(KmsKeyring::new(&kms, "alias/x")?);
    let old = envelope.encrypt(b"old", &none)?;
    assert_eq!(envelope.decrypt(&old, &none)?, b"old");
    kms.update_alias("alias/x", second)?;
    let new = envelope.encrypt(b"new", &none)?;
    assert_eq!(envelope.decrypt(&new, &none)?, b"new");
    assert_eq!(kind(envelope.decrypt(&old, &none)), ErrorKind::NoDataKeyUnwrapped);
    let both = Envelope::new(KmsKeyring::new(&kms, "alias/x")?.with_key(first)?);
    assert_eq!(both.decrypt(&old, &none)?, b"old");
    Ok(())
}

#[test]
fn an_alias_that_is_of_no_use_does_not_hide_the_other_keys() -> Result<()> {
    let (kms, first) = with_key()?;
    let second = kms.create_key(CreateKeyRequest::default())?.key_id();
    kms.create_alias("alias/x", first)?;
    let none = EncryptionContext::new();
    let envelope = Envelope::new(KmsKeyring::new(&kms, "alias/x")?.with_key(second)?);
    let message = envelope.encrypt(b"x", &none)?;
    kms.disable_key(first)?;
    assert_eq!(envelope.decrypt(&message, &none)?, b"x", "the second key decrypts");
    kms.delete_alias("alias/x")?;
    assert_eq!(envelope.decrypt(&message, &none)?, b"x", "the second key decrypts");
    kms.disable_key(second)?;
    let refused = envelope.decrypt(&message, &none).expect_err("neither opens");
    assert!(refused.to_string().contains("alias/x is not found."), "{refused}");
    Ok(())
}

#[test]
fn a_discovery_keyring_takes_no_key_to_wrap_with() -> Result<()> {
    let (kms, key) = with_key()?;
    assert_eq!(kind(KmsKeyring::discovery(&kms).with_key(key)), ErrorKind::Validation);
    Ok(())
}

#[test]
fn the_kms_refuses_what_its_handle_may_not_do() -> Result<()> {
    let (kms, key) = with_key()?;
    let none = EncryptionContext::new();
    let message = sealed(&kms, key, &none)?;
    let user = kms.as_principal(Principal::user(AccountId::default(), "alice")?)?;
    let envelope = Envelope::new(KmsKeyring::new(&user, key)?);
    assert_eq!(kind(envelope.encrypt(b"x", &none)), ErrorKind::AccessDenied);
    let refused = envelope.decrypt(&message, &none).expect_err("no permission");
    assert_eq!(refused.kind(), ErrorKind::NoDataKeyUnwrapped);
    assert!(refused.to_string().contains("not authorized"), "the error contains the reason for each key: {refused}");
    Ok(())
}

#[test]
fn the_context_is_bound_by_the_kms_too() -> Result<()> {
    let (kms, key) = with_key()?;
    let message = sealed(&kms, key, &EncryptionContext::from([("tenant", "1")]))?;
    let at =
        message.windows(7).position(|window| window == b"tenant\0").expect("the encryption context is in plaintext")
            + 8;
    let mut altered = message.clone();
    altered[at] = b'2';
    let envelope = Envelope::new(KmsKeyring::new(&kms, key)?);
    let refused = envelope.decrypt(&altered, &EncryptionContext::from([("tenant", "2")]));
    assert_eq!(
        kind(refused),
        ErrorKind::NoDataKeyUnwrapped,
        "the data key cannot be unwrapped under another encryption context"
    );
    Ok(())
}

#[test]
fn other_providers_and_malformed_names_are_passed_over() -> Result<()> {
    let (kms, key) = with_key()?;
    let none = EncryptionContext::new();
    let raw = Envelope::new(RawAesKeyring::new("ns", "key", SecretBytes::zeroed(32))?).encrypt(b"x", &none)?;
    let envelope = Envelope::new(KmsKeyring::new(&kms, key)?);
    let refused = envelope.decrypt(&raw, &none).expect_err("not wrapped by a KMS key");
    assert_eq!(refused.kind(), ErrorKind::NoDataKeyUnwrapped);
    let mut message = sealed(&kms, key, &none)?;
    let at = message.windows(4).position(|window| window == b"arn:").expect("the ARN is in plaintext");
    message[at] = 0xFF;
    assert_eq!(kind(envelope.decrypt(&message, &none)), ErrorKind::NoDataKeyUnwrapped);
    Ok(())
}

/// Returns the wrapped data keys of a message under a key, as modified by `edit`.
fn edited(
    kms: &Kms,
    key: KeyId,
    edit: impl Fn(&EncryptedDataKey) -> EncryptedDataKey,
) -> Result<(Vec<EncryptedDataKey>, DecryptionMaterials)> {
    let message = sealed(kms, key, &EncryptionContext::new())?;
    let data_keys = inspect(&message)?.data_keys().iter().map(edit).collect();
    let materials =
        DecryptionMaterials::new(AlgorithmSuite::default(), EncryptionContext::new(), CryptoBackend::default())?;
    Ok((data_keys, materials))
}

#[test]
fn the_key_that_opens_must_be_the_one_that_the_message_names() -> Result<()> {
    let (kms, key) = with_key()?;
    let other = kms.create_key(CreateKeyRequest::default())?;
    kms.create_alias("alias/x", key)?;
    let named = other.arn().to_string();
    let renamed = |data_key: &EncryptedDataKey| {
        EncryptedDataKey::new(data_key.provider_id(), named.as_bytes(), data_key.ciphertext())
    };
    for keyring in [
        KmsKeyring::discovery(&kms),
        KmsKeyring::new(&kms, "alias/x")?,
        KmsKeyring::new(&kms, other.key_id())?.with_key("alias/x")?,
    ] {
        let (data_keys, mut materials) = edited(&kms, key, Clone::clone)?;
        keyring.on_decrypt(&mut materials, &data_keys)?;
        let (data_keys, mut materials) = edited(&kms, key, renamed)?;
        let error = keyring.on_decrypt(&mut materials, &data_keys).expect_err("the message specifies another key");
        assert!(materials.data_key().is_none());
        let failures = error.downcast_ref::<UnwrapFailures>().expect("the failures");
        assert_eq!(
            (error.kind(), failures.kind()),
            (ErrorKind::NoDataKeyUnwrapped, ErrorKind::IncorrectKey),
            "{error}"
        );
    }
    Ok(())
}

/// A caller that may encrypt under a key can wrap anything with it, and insert that before the data
/// key of a message.
#[test]
fn what_is_no_data_key_does_not_hide_the_one_behind_it() -> Result<()> {
    let (kms, key) = with_key()?;
    let arn = kms.describe_key(key)?.arn().to_string();
    let wrapped = |bytes: &[u8]| {
        let blob = kms.encrypt(EncryptRequest::new(key, bytes))?.ciphertext_blob;
        Ok::<_, strongroom::Error>(EncryptedDataKey::new("aws-kms", arn.as_bytes(), blob))
    };
    let (data_keys, mut materials) = edited(&kms, key, Clone::clone)?;
    let odd = [wrapped(&[1; 16])?, wrapped(&[1; 33])?];
    let error = KmsKeyring::discovery(&kms).on_decrypt(&mut materials, &odd).expect_err("no data key is among them");
    let failures = error.downcast_ref::<UnwrapFailures>().expect("the failures");
    assert_eq!((error.kind(), failures.kind()), (ErrorKind::NoDataKeyUnwrapped, ErrorKind::InvalidCiphertext));
    KmsKeyring::discovery(&kms).on_decrypt(&mut materials, &[&odd[..], &data_keys].concat())?;
    assert!(materials.data_key().is_some());
    Ok(())
}
