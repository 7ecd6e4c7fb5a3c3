//! Messages whose encryption context selects the KMS key.

use std::time::Duration;

use strongroom::crypto::CryptoBackend;
use strongroom::envelope::{
    DecryptionMaterials, Keyring, KmsContextKeyring, KmsKeyring, MultiKeyring, RequiredContextManager, UnwrapFailures,
};
use strongroom::key::{DeletionWindow, KeyId};
use strongroom::message::{AlgorithmSuite, EncryptedDataKey, inspect};
use strongroom::{EncryptionContext, Envelope, Error, ErrorKind, Kms, Result};

use crate::support::envelope::{keyring, none};
use crate::support::kms::{kind, with_clock};

fn of(tenant: &str) -> EncryptionContext {
    EncryptionContext::from([("tenant", tenant), ("table", "orders")])
}

/// Creates the keys of tenants 41 and 42.
fn add_tenants(kms: &Kms) -> Result<[KeyId; 2]> {
    let add = |tenant| {
        let key = kms.create_key(Default::default())?.key_id();
        kms.create_alias(format!("alias/tenant/{tenant}"), key).map(|()| key)
    };
    Ok([add("41")?, add("42")?])
}

fn by_alias(kms: &Kms) -> KmsContextKeyring {
    KmsContextKeyring::with_alias_prefix(kms, "tenant", "alias/tenant/").expect("the prefix is allowed")
}

fn tenants() -> Result<(Kms, [KeyId; 2], Envelope)> {
    let kms = Kms::in_memory()?;
    let keys = add_tenants(&kms)?;
    let envelope = Envelope::new(by_alias(&kms));
    Ok((kms, keys, envelope))
}

/// Returns the kind of the decisive failure of an error, which must be `NoDataKeyUnwrapped`.
fn failure<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    let error = result.expect_err("the call must be rejected");
    assert_eq!(error.kind(), ErrorKind::NoDataKeyUnwrapped, "{error}");
    error.downcast_ref::<UnwrapFailures>().expect("the failures").kind()
}

fn data_keys(message: &[u8]) -> Result<Vec<EncryptedDataKey>> {
    Ok(inspect(message)?.data_keys().to_vec())
}

/// Passes wrapped data keys to the keyring together with the context of a tenant.
fn unwrap(kms: &Kms, tenant: &str, data_keys: &[EncryptedDataKey]) -> Result<()> {
    let mut materials = DecryptionMaterials::new(AlgorithmSuite::default(), of(tenant), CryptoBackend::default())?;
    let result = by_alias(kms).on_decrypt(&mut materials, data_keys);
    assert_eq!(result.is_ok(), materials.data_key().is_some());
    result
}

#[test]
fn every_tenant_has_its_own_key() -> Result<()> {
    let (kms, keys, envelope) = tenants()?;
    for (tenant, key) in ["41", "42"].into_iter().zip(keys) {
        let message = envelope.encrypt(tenant.as_bytes(), &of(tenant))?;
        let [data_key] = &data_keys(&message)?[..] else { panic!("one data key") };
        assert_eq!(data_key.provider_info(), kms.describe_key(key)?.arn().to_string().as_bytes());
        assert_eq!(envelope.decrypt(&message, &of(tenant))?, tenant.as_bytes());
        // The message is that of a keyring with this key.
        assert_eq!(Envelope::new(KmsKeyring::new(&kms, key)?).decrypt(&message, &none())?, tenant.as_bytes());
        let other = if tenant == "41" { "42" } else { "41" };
        assert_eq!(kind(envelope.decrypt(&message, &of(other))), ErrorKind::ContextMismatch);
    }
    Ok(())
}

#[test]
fn a_modified_context_does_not_lead_to_another_key() -> Result<()> {
    let (kms, [first, _], envelope) = tenants()?;
    let message = envelope.encrypt(b"text", &of("41"))?;
    let at = message.windows(2).position(|window| window == b"41").expect("the context is in plaintext");
    let mut altered = message.clone();
    altered[at + 1] = b'2';
    assert_eq!(inspect(&altered)?.context(), &of("42"));
    assert_eq!(failure(envelope.decrypt(&altered, &of("42"))), ErrorKind::IncorrectKey);
    // If both tenants have the same key, the KMS rejects the context.
    kms.update_alias("alias/tenant/42", first)?;
    assert_eq!(failure(envelope.decrypt(&altered, &of("42"))), ErrorKind::InvalidCiphertext);
    assert_eq!(envelope.decrypt(&message, &of("41"))?, b"text");
    Ok(())
}

#[test]
fn only_data_keys_of_the_chosen_key_are_unwrapped() -> Result<()> {
    let (kms, keys, envelope) = tenants()?;
    let outside = kms.create_key(Default::default())?.key_id();
    let wrapped = |key: KeyId| data_keys(&Envelope::new(KmsKeyring::new(&kms, key)?).encrypt(b"text", &of("41"))?);
    let own = data_keys(&envelope.encrypt(b"text", &of("41"))?)?;
    for key in [keys[1], outside] {
        let foreign = wrapped(key)?;
        assert_eq!(failure(unwrap(&kms, "41", &foreign)), ErrorKind::IncorrectKey);
        // The handle may use the key, so only the keyring stops this.
        let mut materials = DecryptionMaterials::new(AlgorithmSuite::default(), of("41"), CryptoBackend::default())?;
        KmsKeyring::discovery(&kms).on_decrypt(&mut materials, &foreign)?;
        unwrap(&kms, "41", &[foreign, own.clone()].concat())?;
    }
    let named = kms.describe_key(keys[0])?.arn().to_string();
    let renamed: Vec<_> = wrapped(keys[1])?
        .iter()
        .map(|data_key| EncryptedDataKey::new(data_key.provider_id(), named.as_bytes(), data_key.ciphertext()))
        .collect();
    assert_eq!(failure(unwrap(&kms, "41", &renamed)), ErrorKind::IncorrectKey);
    Ok(())
}

#[test]
fn a_context_without_the_entry_is_refused() -> Result<()> {
    let (kms, [key, _], envelope) = tenants()?;
    let error = envelope.encrypt(b"text", &EncryptionContext::from([("Tenant", "41")])).expect_err("no tenant");
    assert_eq!(error.kind(), ErrorKind::Validation);
    assert!(error.to_string().contains("\"tenant\""), "{error}");
    let message = Envelope::new(KmsKeyring::new(&kms, key)?).encrypt(b"text", &none())?;
    let error = envelope.decrypt(&message, &none()).expect_err("no tenant");
    let failures = error.downcast_ref::<UnwrapFailures>().expect("the failures");
    let told: Vec<_> = failures.iter().map(|failure| (failure.provider_id(), failure.kind())).collect();
    assert_eq!((error.kind(), told), (ErrorKind::NoDataKeyUnwrapped, vec![(None, ErrorKind::Validation)]));
    Ok(())
}

#[test]
fn a_value_that_is_no_part_of_a_name_is_refused_and_not_repeated() -> Result<()> {
    let (kms, keys, envelope) = tenants()?;
    kms.create_alias("alias/tenant/41/backup", keys[1])?;
    kms.create_alias(format!("alias/tenant/{}", "a".repeat(243)), keys[0])?;
    let long = "a".repeat(244);
    let values = [
        "",
        "/",
        "41/backup",
        "/41",
        "41/",
        "../tenant/41",
        "alias/tenant/41",
        "41 ",
        " 41",
        "41\n",
        "41\0",
        "4*",
        "41?",
        "41.0",
        "41:42",
        "\u{ff14}\u{ff11}",
        "\u{e9}",
        &long,
    ];
    for value in values {
        let error = envelope.encrypt(b"text", &of(value)).expect_err(value);
        assert_eq!(error.kind(), ErrorKind::Validation, "{value:?}");
        let shown = |text: &str| !value.trim().is_empty() && value.len() > 1 && text.contains(value);
        assert!(!shown(&error.to_string()) && !shown(&format!("{error:?}")), "{error}");
        // A message that another keyring has written with this context.
        let message = Envelope::new(KmsKeyring::new(&kms, "alias/tenant/41")?).encrypt(b"text", &of(value))?;
        assert_eq!(failure(envelope.decrypt(&message, &of(value))), ErrorKind::Validation, "{value:?}");
    }
    let longest = of(&"a".repeat(243));
    assert_eq!(envelope.decrypt(&envelope.encrypt(b"text", &longest)?, &longest)?, b"text");
    kms.create_alias("alias/tenant/A_b-9", keys[0])?;
    assert!(envelope.encrypt(b"text", &of("A_b-9")).is_ok());
    assert_eq!(kind(envelope.encrypt(b"text", &of("a_b-9"))), ErrorKind::NotFound, "names are case-sensitive");
    Ok(())
}

#[test]
fn a_prefix_must_end_between_two_parts_of_a_name() -> Result<()> {
    let kms = Kms::in_memory()?;
    let long = format!("alias/{}/", "a".repeat(249));
    for (name, prefix, expected) in [
        ("tenant", "alias/tenant", ErrorKind::Validation),
        ("tenant", "alias/tenant-", ErrorKind::Validation),
        ("tenant", "tenant/", ErrorKind::Validation),
        ("tenant", "", ErrorKind::Validation),
        ("tenant", long.as_str(), ErrorKind::Validation),
        ("tenant", "alias/", ErrorKind::InvalidAliasName),
        ("tenant", "alias/a b/", ErrorKind::InvalidAliasName),
        ("tenant", "alias/aws/", ErrorKind::NotAuthorized),
        ("aws-crypto-public-key", "alias/tenant/", ErrorKind::Validation),
    ] {
        assert_eq!(kind(KmsContextKeyring::with_alias_prefix(&kms, name, prefix)), expected, "{name} {prefix}");
    }
    // A prefix that leaves room for one character.
    assert!(KmsContextKeyring::with_alias_prefix(&kms, "tenant", long.replacen("aa", "a", 1)).is_ok());
    Ok(())
}

#[test]
fn a_deleted_alias_and_a_disabled_key_stop_one_tenant_only() -> Result<()> {
    let (kms, [first, _], envelope) = tenants()?;
    let messages = [envelope.encrypt(b"text", &of("41"))?, envelope.encrypt(b"text", &of("42"))?];
    let refused = |encrypts: ErrorKind, decrypts: ErrorKind| -> Result<()> {
        assert_eq!(kind(envelope.encrypt(b"text", &of("41"))), encrypts);
        assert_eq!(failure(envelope.decrypt(&messages[0], &of("41"))), decrypts);
        assert_eq!(envelope.decrypt(&messages[1], &of("42"))?, b"text");
        envelope.encrypt(b"text", &of("42")).map(drop)
    };
    kms.disable_key(first)?;
    refused(ErrorKind::Disabled, ErrorKind::Disabled)?;
    kms.enable_key(first)?;
    assert_eq!(envelope.decrypt(&messages[0], &of("41"))?, b"text");
    kms.delete_alias("alias/tenant/41")?;
    refused(ErrorKind::NotFound, ErrorKind::NotFound)?;
    // An alias of another key does not open older messages.
    let second = kms.create_key(Default::default())?.key_id();
    kms.create_alias("alias/tenant/41", second)?;
    assert_eq!(failure(envelope.decrypt(&messages[0], &of("41"))), ErrorKind::IncorrectKey);
    kms.update_alias("alias/tenant/41", first)?;
    assert_eq!(envelope.decrypt(&messages[0], &of("41"))?, b"text");
    Ok(())
}

#[test]
fn the_deletion_of_a_key_shreds_the_messages_of_one_tenant() -> Result<()> {
    let (kms, clock) = with_clock()?;
    let [first, second] = add_tenants(&kms)?;
    let envelope = Envelope::new(by_alias(&kms));
    let messages = [envelope.encrypt(b"text", &of("41"))?, envelope.encrypt(b"text", &of("42"))?];
    kms.schedule_key_deletion(first, DeletionWindow::MIN)?;
    assert_eq!(failure(envelope.decrypt(&messages[0], &of("41"))), ErrorKind::InvalidState);
    assert_eq!(kind(envelope.encrypt(b"text", &of("41"))), ErrorKind::InvalidState);
    clock.advance(Duration::from_secs(7 * 24 * 3600));
    assert_eq!(kms.run_maintenance()?.deleted.len(), 1);
    assert_eq!(failure(envelope.decrypt(&messages[0], &of("41"))), ErrorKind::NotFound);
    // No other key opens them, whatever the alias refers to.
    kms.create_alias("alias/tenant/41", second)?;
    assert_eq!(failure(envelope.decrypt(&messages[0], &of("41"))), ErrorKind::IncorrectKey);
    assert!(Envelope::new(KmsKeyring::discovery(&kms)).decrypt(&messages[0], &of("41")).is_err());
    assert_eq!(envelope.decrypt(&messages[1], &of("42"))?, b"text");
    Ok(())
}

#[test]
fn a_function_chooses_the_key_and_reports_its_own_errors() -> Result<()> {
    let (kms, [first, second], _) = tenants()?;
    let keyring = KmsContextKeyring::new(&kms, move |context| match context.get("tenant") {
        Some("41") => Ok(first),
        Some("42") => Ok(second),
        Some("43") => Err(Error::new(ErrorKind::KeyUnavailable, "the directory does not answer")),
        _ => Err(Error::new(ErrorKind::NotFound, "no such tenant")),
    });
    let envelope = Envelope::new(keyring.clone());
    let message = envelope.encrypt(b"text", &of("41"))?;
    assert_eq!(envelope.decrypt(&message, &of("41"))?, b"text");
    assert_eq!(Envelope::new(by_alias(&kms)).decrypt(&message, &of("41"))?, b"text");
    for (tenant, expected, on_decrypt) in [
        ("43", ErrorKind::KeyUnavailable, ErrorKind::KeyUnavailable),
        ("44", ErrorKind::NotFound, ErrorKind::NoDataKeyUnwrapped),
    ] {
        assert_eq!(kind(envelope.encrypt(b"text", &of(tenant))), expected);
        let message = Envelope::new(KmsKeyring::new(&kms, first)?).encrypt(b"text", &of(tenant))?;
        let error = envelope.decrypt(&message, &of(tenant)).expect_err("no key");
        assert_eq!(error.kind(), on_decrypt, "an outage keeps its kind");
        assert_eq!(error.downcast_ref::<UnwrapFailures>().map(UnwrapFailures::kind), Some(expected));
    }
    let text = KmsContextKeyring::new(&kms, |_| Ok("no key"));
    assert_eq!(kind(Envelope::new(text).encrypt(b"text", &none())), ErrorKind::NotFound);
    // A second keyring opens the message although the choice failed.
    let both = Envelope::new(MultiKeyring::new(keyring).with_child(self::keyring()));
    let elsewhere = Envelope::new(self::keyring()).encrypt(b"text", &of("43"))?;
    assert_eq!(both.decrypt(&elsewhere, &of("43"))?, b"text");
    Ok(())
}

#[test]
fn an_omitted_entry_chooses_the_key_too() -> Result<()> {
    let (kms, _, _) = tenants()?;
    let envelope = Envelope::new(RequiredContextManager::new(by_alias(&kms), ["tenant"])?);
    let message = envelope.encrypt(b"text", &of("41"))?;
    assert_eq!(inspect(&message)?.context().get("tenant"), None);
    let tenant = |tenant| EncryptionContext::from([("tenant", tenant)]);
    assert_eq!(envelope.decrypt_with_reproduced_context(&message, &tenant("41"))?, b"text");
    let other = envelope.decrypt_with_reproduced_context(&message, &tenant("42"));
    assert_eq!(failure(other), ErrorKind::IncorrectKey);
    Ok(())
}
