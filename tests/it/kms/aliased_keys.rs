//! Keys that are created together with their alias, and keys that are looked up by alias or
//! created.

use std::sync::{Arc, Barrier};
use std::thread;

use strongroom::audit::{Action, MemoryTrail, Outcome};
use strongroom::identity::AccountId;
use strongroom::key::{DeletionWindow, KeyManager, KeySpec, KeyState, KeyUsage, Operation, Origin};
use strongroom::request::{CreateKeyRequest, PageRequest};
use strongroom::seal::RootKey;
use strongroom::store::{KeyStore, RecordKind};
use strongroom::{Error, ErrorKind, Kms, KmsLimits, Result};

use crate::support::any_store;
use crate::support::custom_key_stores::setup;
use crate::support::hooked_store::HookedStore;
use crate::support::kms::{kind, with_clock};
use crate::support::policies::{key_policy, user};
use crate::support::races::{NAMES, race_for_keys};

fn aliased(name: &str) -> CreateKeyRequest {
    CreateKeyRequest::default().alias(name)
}

/// Asserts that a KMS has this many keys and these aliases.
fn has(kms: &Kms, keys: usize, aliases: &[&str]) -> Result<()> {
    assert_eq!(kms.list_keys(PageRequest::default())?.entries.len(), keys);
    let listed = kms.list_aliases(PageRequest::default())?.entries;
    let listed: Vec<_> = listed.iter().map(|entry| entry.alias_name.as_str()).collect();
    assert_eq!(listed, aliases);
    Ok(())
}

#[test]
fn a_key_and_its_alias_are_one_commit_and_one_event() -> Result<()> {
    let store = any_store::new()?;
    let trail = Arc::new(MemoryTrail::default());
    let kms = Kms::builder().store(Arc::clone(&store), RootKey::generate()).audit(Arc::clone(&trail)).build()?;
    let before = store.revision()?;
    let key = kms.create_key(aliased("alias/invoices"))?;
    assert_eq!(store.revision()?.0, before.0 + 1);
    assert_eq!(kms.describe_key("alias/invoices")?, key);
    let of_key = kms.list_aliases_of_key(key.key_id(), PageRequest::default())?.entries;
    assert_eq!((of_key.len(), of_key[0].target_key_id), (1, key.key_id()));
    assert_eq!(of_key[0].creation_date, key.creation_date());

    let events = trail.events();
    let creation: Vec<_> = events.iter().filter(|event| event.action == Action::Call(Operation::CreateKey)).collect();
    assert_eq!(
        creation.iter().map(|event| event.outcome.clone()).collect::<Vec<_>>(),
        [Outcome::Intent, Outcome::Success]
    );
    for event in creation {
        let name = event.parameters.iter().find(|(name, _)| *name == "aliasName");
        assert_eq!(name.map(|(_, value)| value), Some(&"alias/invoices".into()));
        assert_eq!(event.keys[0].map(|resource| resource.key_id), Some(key.key_id()));
    }
    // The alias behaves like any other.
    kms.delete_alias("alias/invoices")?;
    assert_eq!(kind(kms.describe_key("alias/invoices")), ErrorKind::NotFound);
    kms.create_alias("alias/invoices", key.key_id())
}

#[test]
fn no_key_is_created_if_its_alias_is_refused() -> Result<()> {
    let kms = any_store::kms()?;
    let key = kms.create_key(aliased("alias/taken"))?.key_id();
    let signing = |name| aliased(name).spec(KeySpec::Rsa2048).usage(KeyUsage::SignVerify);
    for name in ["alias/taken", "alias/aws/s3", "taken", "alias/", "alias/no spaces", ""] {
        let separately = kind(kms.create_alias(name, key));
        assert_eq!(kind(kms.create_key(aliased(name))), separately, "{name}");
        assert_eq!(kind(kms.get_or_create_key(name, signing(name))), separately, "{name}");
    }
    has(&kms, 1, &["alias/taken"])?;

    let none = any_store::builder().limits(KmsLimits { aliases_per_key: 0, ..KmsLimits::default() }).build()?;
    assert_eq!(kind(none.create_key(aliased("alias/one"))), ErrorKind::LimitExceeded);
    has(&none, 0, &[])?;

    let service = kms.as_service("s3")?;
    assert_eq!(kind(service.create_key(aliased("alias/one"))), ErrorKind::UnsupportedOperation);
    assert_eq!(service.create_key(CreateKeyRequest::default())?.manager(), KeyManager::Owned);
    Ok(())
}

#[test]
fn an_alias_of_a_new_key_needs_the_permissions_of_a_separate_call() -> Result<()> {
    let kms = any_store::kms()?;
    let alice = kms.as_principal(user("alice")?)?;
    let allow = |action: &str, resource: &str| {
        format!(r#"{{"Effect": "Allow", "Action": "{action}", "Resource": "{resource}"}}"#)
    };
    let permit = |statements: &[String]| {
        let document = format!(r#"{{"Version": "2012-10-17", "Statement": [{}]}}"#, statements.join(", "));
        kms.put_identity_policy(&user("alice")?, "own", &document)
    };
    let create = allow("kms:CreateKey", "*");
    let on_alias = allow("kms:CreateAlias", "arn:aws:kms:local:000000000000:alias/reports");
    let on_key = allow("kms:CreateAlias", "arn:aws:kms:local:000000000000:key/*");

    for refused in [vec![create.clone()], vec![create.clone(), on_alias.clone()], vec![create.clone(), on_key.clone()]]
    {
        permit(&refused)?;
        alice.create_key(CreateKeyRequest::default())?;
        let error = alice.create_key(aliased("alias/reports")).expect_err("not permitted");
        assert_eq!(error.kind(), ErrorKind::AccessDenied);
        assert!(error.to_string().contains("kms:CreateAlias"), "{error}");
    }
    permit(&[create, on_alias, on_key])?;
    // The policy of the new key counts, as it would for a separate call.
    let deny = r#"{"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "kms:CreateAlias", "Resource": "*"}"#;
    let denied = aliased("alias/reports").policy(key_policy(&[deny])).bypass_policy_lockout_safety_check();
    assert_eq!(kind(alice.create_key(denied)), ErrorKind::AccessDenied);
    assert_eq!(kind(alice.create_key(aliased("alias/other"))), ErrorKind::AccessDenied);
    has(&kms, 3, &[])?;
    let key = alice.create_key(aliased("alias/reports"))?;
    assert_eq!(kms.describe_key("alias/reports")?.key_id(), key.key_id());
    Ok(())
}

#[test]
fn a_commit_that_fails_leaves_neither_key_nor_alias() -> Result<()> {
    let hooked = HookedStore::new(any_store::new()?);
    let kms = Kms::builder().store(Arc::clone(&hooked), RootKey::generate()).build()?;
    hooked.before_commit(RecordKind::Alias, || Err(Error::new(ErrorKind::Store, "the disk is full")));
    assert_eq!(kind(kms.create_key(aliased("alias/reports"))), ErrorKind::Store);
    has(&kms, 0, &[])?;
    kms.create_key(aliased("alias/reports"))?;
    has(&kms, 1, &["alias/reports"])
}

#[test]
fn the_loser_of_a_race_for_a_name_leaves_nothing_behind_in_an_hsm() -> Result<()> {
    let setup = setup()?;
    let (store, kms) = (setup.store()?, setup.kms.clone());
    let request = || aliased("alias/hsm").custom_key_store(store);
    let key = kms.create_key(request())?;
    assert_eq!((key.origin(), setup.cluster.keys_on("hsm-1")), (Origin::Hsm, 1));
    assert_eq!(kms.describe_key("alias/hsm")?.key_id(), key.key_id());
    assert_eq!(kind(kms.create_key(request())), ErrorKind::AlreadyExists);
    assert_eq!((setup.cluster.keys_on("hsm-1"), setup.cluster.keys_on("hsm-2")), (1, 1));
    assert_eq!(
        kms.get_or_create_key("alias/hsm", CreateKeyRequest::default().custom_key_store(store))?.key_id(),
        key.key_id()
    );
    let software = kms.get_or_create_key("alias/hsm", CreateKeyRequest::default());
    assert_eq!(kind(software), ErrorKind::AlreadyExists);

    let start = Barrier::new(4);
    let results: Vec<_> = thread::scope(|scope| {
        let create = || {
            start.wait();
            kms.create_key(aliased("alias/race").custom_key_store(store))
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(create)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panicked")).collect()
    });
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    let refused = results.into_iter().filter_map(Result::err);
    assert!(refused.map(|error| error.kind()).all(|kind| kind == ErrorKind::AlreadyExists));
    assert_eq!((setup.cluster.keys_on("hsm-1"), setup.cluster.keys_on("hsm-2")), (2, 2));
    has(&kms, 2, &["alias/hsm", "alias/race"])
}

#[test]
fn an_existing_key_is_returned_and_must_be_like_the_requested_one() -> Result<()> {
    let kms = any_store::kms()?;
    let key = kms.get_or_create_key("alias/a", CreateKeyRequest::default().description("first").tag("a", "1"))?;
    let again = kms.get_or_create_key("alias/a", CreateKeyRequest::default().description("second"))?;
    assert_eq!(again, key, "the description of the request is for a new key");
    kms.disable_key(key.key_id())?;
    assert_eq!(kms.get_or_create_key("alias/a", aliased("alias/a"))?.state(), KeyState::Disabled);

    let p256 = |usage| CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(usage);
    kms.get_or_create_key("alias/p", p256(KeyUsage::SignVerify))?;
    for (name, request, text) in [
        ("alias/a", p256(KeyUsage::SignVerify), "has KeySpec SYMMETRIC_DEFAULT instead of ECC_NIST_P256"),
        ("alias/p", p256(KeyUsage::KeyAgreement), "has KeyUsage SIGN_VERIFY instead of KEY_AGREEMENT"),
        ("alias/a", CreateKeyRequest::default().origin(Origin::External), "has Origin AWS_KMS instead of EXTERNAL"),
        ("alias/a", CreateKeyRequest::default().provider("vault"), "has provider memory instead of vault"),
    ] {
        let refused = kms.get_or_create_key(name, request).expect_err("another kind of key");
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        assert!(refused.to_string().contains(text), "{refused}");
    }
    assert_eq!(kind(kms.get_or_create_key("alias/a", p256(KeyUsage::EncryptDecrypt))), ErrorKind::Validation);
    assert_eq!(kind(kms.get_or_create_key("alias/a", aliased("alias/b"))), ErrorKind::Validation);
    has(&kms, 2, &["alias/a", "alias/p"])
}

#[test]
fn only_the_operation_that_is_performed_needs_a_permission_and_is_recorded() -> Result<()> {
    let trail = Arc::new(MemoryTrail::default());
    let kms = any_store::builder().audit(Arc::clone(&trail)).build()?;
    let alice = kms.as_principal(user("alice")?)?;
    let recorded = || trail.events().last().map(|event| (event.action, event.outcome.clone()));
    assert_eq!(kind(alice.get_or_create_key("alias/a", CreateKeyRequest::default())), ErrorKind::AccessDenied);
    assert_eq!(recorded(), Some((Action::Call(Operation::CreateKey), Outcome::Failure(ErrorKind::AccessDenied))));
    kms.get_or_create_key("alias/a", CreateKeyRequest::default())?;
    assert_eq!(recorded(), Some((Action::Call(Operation::CreateKey), Outcome::Success)));
    assert_eq!(kind(alice.get_or_create_key("alias/a", CreateKeyRequest::default())), ErrorKind::AccessDenied);
    assert_eq!(recorded(), Some((Action::Call(Operation::DescribeKey), Outcome::Failure(ErrorKind::AccessDenied))));
    kms.get_or_create_key("alias/a", CreateKeyRequest::default())?;
    assert_eq!(recorded(), Some((Action::Call(Operation::DescribeKey), Outcome::Success)));
    // Another account has its own aliases.
    let other = kms.as_principal(strongroom::identity::Principal::root(AccountId::parse("111122223333")?))?;
    let theirs = other.get_or_create_key("alias/a", CreateKeyRequest::default())?;
    assert_ne!(theirs.key_id(), kms.describe_key("alias/a")?.key_id());
    Ok(())
}

#[test]
fn the_name_of_a_key_past_its_waiting_period_is_free_after_maintenance() -> Result<()> {
    let (kms, clock) = with_clock()?;
    let key = kms.get_or_create_key("alias/a", CreateKeyRequest::default())?;
    kms.schedule_key_deletion(key.key_id(), DeletionWindow::default())?;
    let pending = kms.get_or_create_key("alias/a", CreateKeyRequest::default())?;
    assert_eq!((pending.key_id(), pending.state()), (key.key_id(), KeyState::PendingDeletion));
    clock.advance_days(31);
    let refused = kms.get_or_create_key("alias/a", CreateKeyRequest::default()).expect_err("not deleted yet");
    assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
    assert!(refused.to_string().contains("run_maintenance"), "{refused}");
    kms.run_maintenance()?;
    assert_ne!(kms.get_or_create_key("alias/a", CreateKeyRequest::default())?.key_id(), key.key_id());
    Ok(())
}

#[test]
fn threads_that_race_for_a_key_get_the_same_one() -> Result<()> {
    let kms = any_store::kms()?;
    let keys = race_for_keys(std::slice::from_ref(&kms))?;
    assert!(keys.iter().all(|keys| keys.len() == 1), "{keys:?}");
    has(&kms, NAMES.len(), &NAMES)
}
