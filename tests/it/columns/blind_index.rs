//! Equality search.

use std::sync::Arc;
use std::time::Duration;

use strongroom::algorithm::MacAlgorithm;
use strongroom::audit::{Action, MemoryTrail};
use strongroom::columns::{BlindIndex, ColumnKeys, Normalization};
use strongroom::crypto::{CryptoBackend, DigestAlgorithm};
use strongroom::identity::{AccountId, Principal};
use strongroom::key::{KeyId, KeySpec, KeyUsage, Operation};
use strongroom::request::{CreateKeyRequest, GenerateMacRequest};
use strongroom::{EncryptionContext, ErrorKind, Kms, ManualClock, Timestamp};

use super::support::TestResult;

fn hmac_key(kms: &Kms) -> strongroom::Result<KeyId> {
    let request = CreateKeyRequest::default().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
    kms.create_key(request).map(|key| key.key_id())
}

fn index(kms: &Kms, table: &str, column: &str) -> TestResult<BlindIndex> {
    Ok(BlindIndex::builder(&ColumnKeys::new(kms, hmac_key(kms)?)?, table, column).build()?)
}

/// Computed with the operations of the KMS and a MAC, as another program would.
#[test]
fn an_index_value_is_what_the_documentation_says() -> TestResult {
    let kms = Kms::in_memory()?;
    let key = hmac_key(&kms)?;
    for tenant in [None, Some("acme")] {
        let index = BlindIndex::builder(&ColumnKeys::new(&kms, key)?, "users", "email").bits(256).build()?;
        let mut context = EncryptionContext::from([("table", "users"), ("column", "email")]);
        context.extend(tenant.map(|tenant| ("tenant", tenant)));
        let message = [b"strongroom blind index v1", &context.to_canonical_bytes()?[..]].concat();
        let request = GenerateMacRequest::new(key, MacAlgorithm::HmacSha256, &message);
        let index_key = kms.generate_mac(request)?.mac;
        let mac = CryptoBackend::default().mac().bind(DigestAlgorithm::Sha256, &index_key);
        let expected = mac.authenticate(&[b"alice@example.com"]);
        assert_eq!(index.of_text(tenant, "alice@example.com")?.as_bytes(), expected.expose_secret());
    }
    Ok(())
}

#[test]
fn equal_values_are_unrelated_across_columns_tables_tenants_and_keys() -> TestResult {
    let kms = Kms::in_memory()?;
    let keys = ColumnKeys::new(&kms, hmac_key(&kms)?)?;
    let of = |table: &str, column: &str, tenant| -> TestResult<_> {
        Ok(BlindIndex::builder(&keys, table, column).build()?.of_text(tenant, "same")?)
    };
    let values = [
        of("users", "email", None)?,
        of("users", "name", None)?,
        of("admins", "email", None)?,
        of("users", "email", Some("acme"))?,
        of("users", "email", Some("globex"))?,
        of("users", "email", Some(""))?,
        index(&kms, "users", "email")?.of_text(None, "same")?,
    ];
    for (number, value) in values.iter().enumerate() {
        assert!(!values[number + 1..].contains(value), "{number}");
    }
    assert_eq!(of("users", "email", Some("acme"))?, values[3]);
    Ok(())
}

#[test]
fn normalization_is_what_was_chosen() -> TestResult {
    let kms = Kms::in_memory()?;
    let keys = ColumnKeys::new(&kms, hmac_key(&kms)?)?;
    let equal = |steps: Normalization, one: &str, other: &str| -> TestResult<bool> {
        let index = BlindIndex::builder(&keys, "t", "c").normalize(steps).build()?;
        Ok(index.of_text(None, one)? == index.of_text(None, other)?)
    };
    let none = Normalization::new();
    for (steps, one, other) in [
        (none.trim(), "\u{A0}a b\n", "a b"),
        (none.lower_case(), "\u{C9}COLE", "\u{E9}cole"),
        (none.form_c(), "e\u{301}", "\u{E9}"),
        (none.lower_case().form_c().trim(), " E\u{301}", "\u{E9}"),
    ] {
        assert!(equal(steps, one, other)? && !equal(none, one, other)?, "{one:?}");
    }
    assert!(!equal(none.trim().lower_case().form_c(), "stra\u{DF}e", "strasse")?);
    Ok(())
}

#[test]
fn shorter_values_are_prefixes_and_collide() -> TestResult {
    let kms = Kms::in_memory()?;
    let keys = ColumnKeys::new(&kms, hmac_key(&kms)?)?;
    let with_bits = |bits| BlindIndex::builder(&keys, "t", "c").bits(bits).build();
    let (long, short) = (with_bits(256)?, with_bits(3)?);
    let mut buckets = std::collections::BTreeSet::new();
    for number in 0..200 {
        let text = number.to_string();
        let value = short.of_text(None, &text)?;
        assert_eq!(value.as_bytes(), [long.of_text(None, &text)?.as_bytes()[0] & 0xE0]);
        buckets.insert(value);
    }
    assert_eq!(buckets.len(), 8);
    for refused in [0, 257] {
        assert_eq!(with_bits(refused).unwrap_err().kind(), ErrorKind::Validation);
    }
    Ok(())
}

#[test]
fn every_value_is_an_audited_call_unless_index_keys_are_cached() -> TestResult {
    let trail = Arc::new(MemoryTrail::default());
    let kms = Kms::builder().audit(Arc::clone(&trail)).build()?;
    let keys = ColumnKeys::new(&kms, hmac_key(&kms)?)?;
    let builder = || BlindIndex::builder(&keys, "users", "email");
    let (direct, cached) = (builder().build()?, builder().cached_index_keys(Duration::from_secs(60)).build()?);
    let calls = || trail.events().iter().filter(|event| event.action == Action::Call(Operation::GenerateMac)).count();
    for number in 0..5 {
        direct.of_text(None, &number.to_string())?;
    }
    assert_eq!(calls(), 5);
    for (number, tenant) in (0..6).zip([None, Some("acme")].into_iter().cycle()) {
        assert_eq!(cached.of_text(tenant, "x")?, direct.of_text(tenant, "x")?, "{number}");
    }
    assert_eq!(calls(), 5 + 6 + 2);
    Ok(())
}

#[test]
fn permissions_and_the_state_of_the_key_count() -> TestResult {
    let kms = Kms::in_memory()?;
    let key = hmac_key(&kms)?;
    let stranger = kms.as_principal(Principal::role(AccountId::default(), "stranger")?)?;
    let refused = BlindIndex::builder(&ColumnKeys::new(&stranger, key)?, "users", "email").build()?;
    let error = refused.of_text(None, "alice@example.com").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AccessDenied);
    assert!(error.to_string().starts_with("cannot compute an index value of users.email: "), "{error}");
    assert!(!error.to_string().contains("alice"));

    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
    let builder = BlindIndex::builder(&ColumnKeys::new(&kms, key)?, "users", "email");
    let cached = builder.cached_index_keys(Duration::from_secs(60)).clock(Arc::clone(&clock)).build()?;
    cached.of_text(None, "alice@example.com")?;
    kms.disable_key(key)?;
    assert!(cached.of_text(None, "bob@example.com").is_ok());
    clock.advance(Duration::from_secs(61));
    assert_eq!(cached.of_text(None, "bob@example.com").unwrap_err().kind(), ErrorKind::Disabled);

    let encryption_key = kms.create_key(Default::default())?.key_id();
    let wrong = BlindIndex::builder(&ColumnKeys::new(&kms, encryption_key)?, "users", "email").build()?;
    assert_eq!(wrong.of_text(None, "x").unwrap_err().kind(), ErrorKind::InvalidKeyUsage);
    Ok(())
}

#[test]
fn an_index_searches_for_its_values_and_those_of_its_predecessors() -> TestResult {
    let kms = Kms::in_memory()?;
    let [first, second, third] = [0; 3].map(|_| index(&kms, "users", "email"));
    let (first, second, third) = (first?, second?, third?);
    let expected = [third.clone(), second.clone(), first.clone()].map(|index| index.of_text(None, "alice"));
    let expected = expected.into_iter().collect::<Result<Vec<_>, _>>()?;
    let all = third.with_previous(second.with_previous(first));
    assert_eq!(all.search_text(None, "alice")?, expected);
    assert_eq!(all.search_bytes(None, b"alice")?, expected);
    assert_eq!(all.of_text(None, "alice")?, expected[0]);
    Ok(())
}

/// Without the tenant's HMAC key, a guess can no longer be compared with the index.
#[test]
fn the_index_of_a_deleted_tenant_cannot_be_computed() -> TestResult {
    let kms = Kms::in_memory()?;
    for tenant in ["acme", "globex"] {
        kms.create_alias(format!("alias/index/{tenant}"), hmac_key(&kms)?)?;
    }
    let keys = ColumnKeys::per_tenant(&kms, "alias/index/")?;
    let index = BlindIndex::builder(&keys, "users", "email").build()?;
    let before = index.of_text(Some("acme"), "alice")?;
    let key = kms.describe_key("alias/index/acme")?.key_id();
    kms.schedule_key_deletion(key, strongroom::key::DeletionWindow::MIN)?;
    assert_eq!(index.of_text(Some("acme"), "alice").unwrap_err().kind(), ErrorKind::InvalidState);
    assert!(index.of_text(Some("globex"), "alice").is_ok_and(|other| other != before));
    assert_eq!(index.of_text(None, "alice").unwrap_err().kind(), ErrorKind::Validation);
    Ok(())
}
