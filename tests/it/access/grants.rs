//! Grants: the operations that they allow, the principals that may end them, and their limits.

use std::fmt;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use strongroom::audit::{Action, AuditEvent, AuditSink, MemoryTrail, Outcome, Tee};
use strongroom::identity::{AccountId, Principal};
use strongroom::key::{DeletionWindow, KeyId, KeySpec, KeyUsage, Operation};
use strongroom::policy::{GrantConstraints, GrantId, GrantTerms};
use strongroom::request::{
    CreateGrantRequest, CreateKeyRequest, DecryptRequest, DryRun, EncryptRequest, GenerateDataKeyRequest, GrantFilter,
    GrantToken, KeyRequest, PageRequest, PutKeyPolicyRequest,
};
use strongroom::seal::RootKey;
use strongroom::store::{RecordId, RecordKind};
use strongroom::{EncryptionContext, ErrorKind, Kms, KmsLimits, ManualClock, Result, Timestamp};

use crate::support::any_store;
use crate::support::kms::{kind, with_key};
use crate::support::policies::{key_policy, user};
use crate::support::tampering_store::TamperingStore;

fn grant(kms: &Kms, key: KeyId, grantee: &Principal, operations: &[Operation]) -> Result<GrantId> {
    let terms = GrantTerms::new(grantee.clone(), operations.iter().copied())?;
    kms.create_grant(CreateGrantRequest::new(key, terms)).map(|made| made.grant_id)
}

fn encrypt(kms: &Kms, key: KeyId) -> Result<()> {
    kms.encrypt(EncryptRequest::new(key, b"x")).map(drop)
}

#[test]
fn a_grant_allows_its_grantee_its_operations_and_nothing_else() -> Result<()> {
    let (kms, key) = with_key()?;
    let (alice, bob) = (kms.as_principal(user("alice")?)?, kms.as_principal(user("bob")?)?);
    grant(&kms, key, &user("alice")?, &[Operation::Encrypt])?;
    let blob = alice.encrypt(EncryptRequest::new(key, b"x"))?.ciphertext_blob;
    assert_eq!(kind(alice.decrypt(DecryptRequest::new(&blob))), ErrorKind::AccessDenied);
    assert_eq!(kind(encrypt(&bob, key)), ErrorKind::AccessDenied);
    grant(&kms, key, &user("alice")?, &[Operation::Decrypt])?;
    assert_eq!(alice.decrypt(DecryptRequest::new(&blob))?.plaintext.expose_secret(), b"x");
    Ok(())
}

#[test]
fn a_grant_ends_when_it_is_revoked_or_retired() -> Result<()> {
    let (kms, key) = with_key()?;
    let alice = kms.as_principal(user("alice")?)?;
    let id = grant(&kms, key, &user("alice")?, &[Operation::Encrypt])?;
    encrypt(&alice, key)?;
    assert_eq!(kind(kms.revoke_grant(key, id, DryRun::Yes)), ErrorKind::DryRun);
    encrypt(&alice, key)?;
    kms.revoke_grant(key, id, DryRun::No)?;
    assert_eq!(kind(encrypt(&alice, key)), ErrorKind::AccessDenied);
    assert_eq!(kind(kms.revoke_grant(key, id, DryRun::No)), ErrorKind::NotFound);
    let id = grant(&kms, key, &user("alice")?, &[Operation::Encrypt, Operation::RetireGrant])?;
    assert_eq!(kind(alice.retire_grant(key, id, DryRun::Yes)), ErrorKind::DryRun);
    alice.retire_grant(key, id, DryRun::No)?;
    assert_eq!(kind(encrypt(&alice, key)), ErrorKind::AccessDenied);
    Ok(())
}

#[test]
fn who_may_retire_a_grant() -> Result<()> {
    let (kms, key) = with_key()?;
    let terms = GrantTerms::new(user("alice")?, [Operation::Encrypt])?.with_retiring_principal(user("keeper")?);
    let make = || kms.create_grant(CreateGrantRequest::new(key, terms.clone()));
    let [alice, bob, keeper] =
        ["alice", "bob", "keeper"].map(|name| user(name).and_then(|user| kms.as_principal(user)));
    let made = make()?;
    for refused in [&alice?, &bob?] {
        assert_eq!(kind(refused.retire_grant(key, made.grant_id, DryRun::No)), ErrorKind::AccessDenied);
        assert_eq!(kind(refused.retire_grant_by_token(&made.grant_token, DryRun::No)), ErrorKind::AccessDenied);
    }
    let keeper = keeper?;
    assert_eq!(kind(keeper.revoke_grant(key, made.grant_id, DryRun::No)), ErrorKind::AccessDenied);
    keeper.retire_grant_by_token(&made.grant_token, DryRun::No)?;
    keeper.retire_grant(key, make()?.grant_id, DryRun::No)?;
    kms.retire_grant(key, make()?.grant_id, DryRun::No)?;
    assert!(kms.list_grants(key, GrantFilter::default(), PageRequest::default())?.entries.is_empty());
    Ok(())
}

#[test]
fn an_explicit_denial_goes_before_a_grant() -> Result<()> {
    let (kms, key) = with_key()?;
    let alice = kms.as_principal(user("alice")?)?;
    grant(&kms, key, &user("alice")?, &[Operation::Encrypt])?;
    let deny = r#"{"Effect": "Deny", "Principal": {"AWS": "arn:aws:iam::000000000000:user/alice"}, "Action": "kms:*",
        "Resource": "*"}"#;
    kms.put_key_policy(PutKeyPolicyRequest::new(key, &key_policy(&[deny])))?;
    assert_eq!(kind(encrypt(&alice, key)), ErrorKind::AccessDenied);
    Ok(())
}

#[test]
fn constraints_are_kept() -> Result<()> {
    let (kms, key) = with_key()?;
    let (tenant, more) =
        (EncryptionContext::from([("tenant", "42")]), EncryptionContext::from([("tenant", "42"), ("n", "1")]));
    let data_key = |name: &str, context: &EncryptionContext| -> Result<()> {
        let kms = kms.as_principal(user(name)?)?;
        kms.generate_data_key(GenerateDataKeyRequest::new(key).context(context)).map(drop)
    };
    let make = |name: &str, constraints| {
        let terms = GrantTerms::new(user(name)?, [Operation::GenerateDataKey])?.with_constraints(constraints);
        kms.create_grant(CreateGrantRequest::new(key, terms))
    };
    make("exact", GrantConstraints::new().with_encryption_context_equals(tenant.clone())?)?;
    make("part", GrantConstraints::new().with_encryption_context_subset(tenant.clone())?)?;
    data_key("exact", &tenant)?;
    assert_eq!(kind(data_key("exact", &more)), ErrorKind::AccessDenied);
    data_key("part", &tenant)?;
    data_key("part", &more)?;
    for name in ["exact", "part"] {
        assert_eq!(kind(data_key(name, &EncryptionContext::new())), ErrorKind::AccessDenied);
    }
    Ok(())
}

#[test]
fn what_a_key_cannot_do_no_grant_allows() -> Result<()> {
    let (kms, key) = with_key()?;
    assert_eq!(kind(grant(&kms, key, &user("alice")?, &[Operation::Sign])), ErrorKind::Validation);
    let request = CreateKeyRequest::default().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
    let mac = kms.create_key(request)?.key_id();
    let constraints = GrantConstraints::new().with_encryption_context_subset(EncryptionContext::from([("a", "b")]))?;
    let terms = GrantTerms::new(user("alice")?, [Operation::GenerateMac])?.with_constraints(constraints);
    assert_eq!(kind(kms.create_grant(CreateGrantRequest::new(mac, terms))), ErrorKind::Validation);
    kms.disable_key(key)?;
    assert_eq!(kind(grant(&kms, key, &user("alice")?, &[Operation::Encrypt])), ErrorKind::Disabled);
    Ok(())
}

#[test]
fn the_same_named_request_makes_one_grant_and_another_token_each_time() -> Result<()> {
    let (kms, key) = with_key()?;
    let terms = GrantTerms::new(user("alice")?, [Operation::Encrypt])?;
    let named = || kms.create_grant(CreateGrantRequest::new(key, terms.clone()).name("retry"));
    let (first, second) = (named()?, named()?);
    assert_eq!(first.grant_id, second.grant_id);
    assert_eq!(first.grant_id.to_string().len(), 64);
    assert_ne!(first.grant_token, second.grant_token);
    let other = GrantTerms::new(user("alice")?, [Operation::Decrypt])?;
    let other = kms.create_grant(CreateGrantRequest::new(key, other).name("retry"))?;
    let (unnamed, again) = (
        kms.create_grant(CreateGrantRequest::new(key, terms.clone()))?,
        kms.create_grant(CreateGrantRequest::new(key, terms.clone()))?,
    );
    let ids = [first.grant_id, other.grant_id, unnamed.grant_id, again.grant_id];
    assert!((0..4).all(|i| (0..i).all(|j| ids[i] != ids[j])));
    assert_eq!(kms.list_grants(key, GrantFilter::default(), PageRequest::default())?.entries.len(), 4);
    for name in ["", "with space", &"x".repeat(257)] {
        assert_eq!(
            kind(kms.create_grant(CreateGrantRequest::new(key, terms.clone()).name(name))),
            ErrorKind::Validation
        );
    }
    Ok(())
}

#[test]
fn racing_named_requests_make_one_grant() -> Result<()> {
    let (kms, key) = with_key()?;
    let terms = GrantTerms::new(user("alice")?, [Operation::Encrypt])?;
    let ids: Vec<_> = std::thread::scope(|scope| {
        let make =
            || kms.create_grant(CreateGrantRequest::new(key, terms.clone()).name("once")).map(|made| made.grant_id);
        let calls: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
        calls.into_iter().map(|call| call.join().expect("no thread panicked").expect("a grant")).collect()
    });
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]));
    Ok(())
}

#[test]
fn a_dry_run_makes_no_grant() -> Result<()> {
    let (kms, key) = with_key()?;
    let terms = GrantTerms::new(user("alice")?, [Operation::Encrypt])?;
    let tried = kms.create_grant(CreateGrantRequest::new(key, terms).dry_run());
    assert_eq!(kind(tried), ErrorKind::DryRun);
    assert!(kms.list_grants(key, GrantFilter::default(), PageRequest::default())?.entries.is_empty());
    Ok(())
}

#[test]
fn who_may_create_grants_by_a_grant_passes_on_no_more() -> Result<()> {
    let (kms, key) = with_key()?;
    let tenant = GrantConstraints::new().with_encryption_context_subset(EncryptionContext::from([("tenant", "42")]))?;
    let own =
        GrantTerms::new(user("alice")?, [Operation::Encrypt, Operation::CreateGrant])?.with_constraints(tenant.clone());
    kms.create_grant(CreateGrantRequest::new(key, own))?;
    let alice = kms.as_principal(user("alice")?)?;
    let pass_on = |operation, constraints| {
        let terms = GrantTerms::new(user("bob")?, [operation])?.with_constraints(constraints);
        alice.create_grant(CreateGrantRequest::new(key, terms))
    };
    assert_eq!(kind(pass_on(Operation::Encrypt, GrantConstraints::new())), ErrorKind::AccessDenied, "less strict");
    assert_eq!(kind(pass_on(Operation::Decrypt, tenant.clone())), ErrorKind::AccessDenied, "another operation");
    pass_on(Operation::Encrypt, tenant)?;
    Ok(())
}

#[test]
fn grants_are_listed_in_pages_and_by_grantee() -> Result<()> {
    let (kms, key) = with_key()?;
    let mut made = Vec::new();
    for number in 0..7 {
        made.push(grant(&kms, key, &user(["alice", "bob"][number % 2])?, &[Operation::Encrypt])?);
    }
    made.sort();
    let mut page = PageRequest::default().limit(3);
    let mut seen = Vec::new();
    loop {
        let part = kms.list_grants(key, GrantFilter::default(), page)?;
        assert!(part.entries.len() <= 3);
        seen.extend(part.entries.iter().map(|entry| entry.grant_id));
        let Some(marker) = part.next_marker else { break };
        page = PageRequest::default().limit(3).marker(marker);
    }
    assert_eq!(seen, made);
    let alice = user("alice")?;
    let of_alice = kms.list_grants(key, GrantFilter::default().grantee(&alice), PageRequest::default())?.entries;
    assert_eq!(of_alice.len(), 4);
    assert!(of_alice.iter().all(|entry| entry.terms.grantee() == &alice));
    assert_eq!(
        kind(kms.list_grants(key, GrantFilter::default(), PageRequest::default().limit(101))),
        ErrorKind::Validation
    );
    assert_eq!(
        kind(kms.list_grants(key, GrantFilter::default(), PageRequest::default().marker("x"))),
        ErrorKind::InvalidMarker
    );
    Ok(())
}

#[test]
fn retirable_grants_are_listed_over_all_keys_and_accounts() -> Result<()> {
    let kms = any_store::kms()?;
    let other = Principal::root(AccountId::parse("111122223333")?);
    let keeper = user("keeper")?;
    for account in [&kms, &kms.as_principal(other.clone())?] {
        for _ in 0..2 {
            let key = account.create_key(CreateKeyRequest::default())?.key_id();
            let terms = GrantTerms::new(user("alice")?, [Operation::Encrypt])?;
            account.create_grant(CreateGrantRequest::new(key, terms.clone()))?;
            account.create_grant(CreateGrantRequest::new(key, terms.with_retiring_principal(keeper.clone())))?;
        }
    }
    let first = kms.list_retirable_grants(&keeper, PageRequest::default().limit(3))?;
    let rest = kms
        .list_retirable_grants(&keeper, PageRequest::default().marker(first.next_marker.clone().unwrap_or_default()))?;
    assert_eq!((first.entries.len(), rest.entries.len(), rest.next_marker), (3, 1, None));
    assert!(first.entries.iter().chain(&rest.entries).all(|entry| entry.terms.retiring_principal() == Some(&keeper)));
    assert_eq!(kind(kms.list_retirable_grants(&other, PageRequest::default())), ErrorKind::Validation);
    assert_eq!(
        kind(kms.list_retirable_grants(&keeper, PageRequest::default().marker("m1.00"))),
        ErrorKind::InvalidMarker
    );
    Ok(())
}

#[test]
fn one_grant_is_listed_by_its_id() -> Result<()> {
    let (kms, key) = with_key()?;
    let (alice, bob) = (user("alice")?, user("bob")?);
    let id = grant(&kms, key, &alice, &[Operation::Encrypt])?;
    grant(&kms, key, &alice, &[Operation::Encrypt])?;
    let listed = |key, filter, page| -> Result<Vec<GrantId>> {
        let page = kms.list_grants(key, filter, page)?;
        assert_eq!(page.next_marker, None);
        Ok(page.entries.iter().map(|entry| entry.grant_id).collect())
    };
    let by_id = GrantFilter::default().grant_id(id);
    assert_eq!(listed(key, by_id, PageRequest::default())?, [id]);
    assert_eq!(listed(key, by_id.grantee(&alice), PageRequest::default().limit(1))?, [id]);
    assert_eq!(listed(key, by_id.grantee(&bob), PageRequest::default())?, []);
    assert_eq!(listed(key, GrantFilter::default().grantee(&bob), PageRequest::default())?, []);
    let none = GrantFilter::default().grant_id(GrantId::from_bytes([0; 32]));
    assert_eq!(listed(key, none, PageRequest::default())?, []);
    let another = kms.create_key(CreateKeyRequest::default())?.key_id();
    assert_eq!(listed(another, by_id, PageRequest::default())?, [], "it is on another key");
    // The second page of the two grants has only the other one.
    let first = kms.list_grants(key, GrantFilter::default(), PageRequest::default().limit(1))?;
    let behind = || PageRequest::default().marker(first.next_marker.clone().unwrap_or_default());
    let both = listed(key, GrantFilter::default(), PageRequest::default())?;
    assert_eq!(listed(key, GrantFilter::default().grant_id(both[0]), behind())?, []);
    assert_eq!(listed(key, GrantFilter::default().grant_id(both[1]), behind())?, [both[1]]);
    Ok(())
}

/// Damage to any record that is read would be detected.
#[test]
fn grants_of_others_are_not_read_to_list_those_that_a_principal_may_retire() -> Result<()> {
    let store = TamperingStore::new();
    let open = || Kms::builder().store(Arc::clone(&store), RootKey::from_bytes(&[7; 32])).build();
    let (kms, in_another_process) = (open()?, open()?);
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    let keeper = user("keeper")?;
    let make = |retiring: Option<&Principal>| -> Result<GrantId> {
        let terms = GrantTerms::new(user("alice")?, [Operation::Encrypt])?;
        let terms = retiring.map_or(terms.clone(), |retiring| terms.with_retiring_principal(retiring.clone()));
        kms.create_grant(CreateGrantRequest::new(key, terms)).map(|made| made.grant_id)
    };
    let (mine, no_one_s, another_s) = (make(Some(&keeper))?, make(None)?, make(Some(&user("other")?))?);
    store.change(|state| {
        for (id, record) in &mut state.records {
            let is_of_others = [no_one_s, another_s].iter().any(|grant| id.name.ends_with(grant.as_bytes()));
            // The record after the principal's own part of the index may be read with the last page
            // of that part.
            if id.kind == RecordKind::Grant && is_of_others {
                record.body = Arc::from([0_u8; 64]);
            }
        }
    });
    assert!(kms.list_grants(key, GrantFilter::default(), PageRequest::default()).is_err(), "the record is damaged");
    for kms in [&kms, &in_another_process] {
        let found = kms.list_retirable_grants(&keeper, PageRequest::default())?.entries;
        assert_eq!(found.iter().map(|entry| entry.grant_id).collect::<Vec<_>>(), [mine]);
    }
    Ok(())
}

#[test]
fn a_grant_that_has_ended_leaves_nothing_behind() -> Result<()> {
    let store = TamperingStore::new();
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
    let kms = Kms::builder()
        .store(Arc::clone(&store), RootKey::from_bytes(&[7; 32]))
        .clock(Arc::clone(&clock))
        .clock_tolerance(std::time::Duration::MAX)
        .build()?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    let terms = GrantTerms::new(user("alice")?, [Operation::Encrypt])?.with_retiring_principal(user("keeper")?);
    let make = || kms.create_grant(CreateGrantRequest::new(key, terms.clone())).map(|made| made.grant_id);
    let records = || {
        let of_grants = |id: &&RecordId| matches!(id.kind, RecordKind::Grant | RecordKind::RetirableGrant);
        store.state().records.keys().filter(of_grants).count()
    };
    let (retired, revoked, _deleted) = (make()?, make()?, make()?);
    assert_eq!(records(), 6);
    assert!(kms.verify_store(|_| ())?.is_intact());
    kms.as_principal(user("keeper")?)?.retire_grant(key, retired, DryRun::No)?;
    assert_eq!(records(), 4);
    kms.revoke_grant(key, revoked, DryRun::No)?;
    assert_eq!(records(), 2);
    kms.schedule_key_deletion(key, DeletionWindow::MIN)?;
    clock.advance_days(7);
    kms.run_maintenance()?;
    assert_eq!(records(), 0);
    Ok(())
}

#[test]
fn the_root_of_the_account_that_made_a_grant_may_retire_it() -> Result<()> {
    let kms = any_store::kms()?;
    let theirs = AccountId::parse("111122223333")?;
    let may_grant =
        r#"{"Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": "kms:CreateGrant", "Resource": "*"}"#;
    let key = kms.create_key(CreateKeyRequest::default().policy(key_policy(&[may_grant])))?;
    let (as_root, eve) = (kms.as_principal(Principal::root(theirs))?, Principal::user(theirs, "eve")?);
    let make = |kms: &Kms| {
        let terms = GrantTerms::new(eve.clone(), [Operation::Encrypt])?;
        kms.create_grant(CreateGrantRequest::new(key.arn(), terms))
    };
    let refused = |result| assert_eq!(kind(result), ErrorKind::NotFound);
    let made = make(&as_root)?;
    refused(kms.as_principal(eve.clone())?.retire_grant(key.arn(), made.grant_id, DryRun::No));
    refused(as_root.revoke_grant(key.arn(), made.grant_id, DryRun::No));
    as_root.retire_grant(key.arn(), made.grant_id, DryRun::No)?;
    as_root.retire_grant_by_token(&make(&as_root)?.grant_token, DryRun::No)?;
    refused(as_root.retire_grant(key.arn(), make(&kms)?.grant_id, DryRun::No));
    Ok(())
}

#[test]
fn describing_a_key_and_its_public_key_take_tokens() -> Result<()> {
    let kms = any_store::kms()?;
    let request = CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::SignVerify);
    let key = kms.create_key(request)?.key_id();
    let terms = GrantTerms::new(user("alice")?, [Operation::DescribeKey, Operation::GetPublicKey])?;
    let token = kms.create_grant(CreateGrantRequest::new(key, terms.clone()))?.grant_token;
    let foreign = any_store::kms()?;
    let other = foreign.create_key(CreateKeyRequest::default())?.key_id();
    let foreign_terms = GrantTerms::new(user("alice")?, [Operation::DescribeKey])?;
    let foreign = foreign.create_grant(CreateGrantRequest::new(other, foreign_terms))?.grant_token;
    let alice = kms.as_principal(user("alice")?)?;
    let with = |tokens: &[GrantToken]| {
        let request = KeyRequest::new(key).grant_tokens(tokens);
        [alice.describe_key(request).map(drop), alice.get_public_key(request).map(drop)]
    };
    assert!(with(std::slice::from_ref(&token)).iter().all(Result::is_ok));
    for (tokens, expected) in [(vec![foreign], ErrorKind::InvalidGrantToken), (vec![token; 11], ErrorKind::Validation)]
    {
        assert_eq!(with(&tokens).map(kind), [expected; 2]);
    }
    Ok(())
}

#[test]
fn tokens_are_fresh_and_authenticated_and_ten_at_most() -> Result<()> {
    let (kms, key) = with_key()?;
    let terms = GrantTerms::new(user("alice")?, [Operation::Encrypt])?;
    let token = kms.create_grant(CreateGrantRequest::new(key, terms.clone()))?.grant_token;
    let alice = kms.as_principal(user("alice")?)?;
    let with = |tokens: &[GrantToken]| kind(alice.encrypt(EncryptRequest::new(key, b"x").grant_tokens(tokens)));
    alice.encrypt(EncryptRequest::new(key, b"x").grant_tokens(&vec![token.clone(); 10]))?;
    assert_eq!(with(&vec![token.clone(); 11]), ErrorKind::Validation);
    for place in [2, 30, 60, 200] {
        let mut altered = token.as_str().to_owned();
        let digit = if &altered[place..=place] == "0" { "1" } else { "0" };
        altered.replace_range(place..=place, digit);
        assert_eq!(with(&[GrantToken::parse(&altered)?]), ErrorKind::InvalidGrantToken, "{place}");
    }
    let foreign = any_store::kms()?;
    let other = foreign.create_key(CreateKeyRequest::default())?.key_id();
    let foreign = foreign.create_grant(CreateGrantRequest::new(other, terms))?.grant_token;
    assert_eq!(with(std::slice::from_ref(&foreign)), ErrorKind::InvalidGrantToken, "of another store");
    assert_eq!(kind(kms.retire_grant_by_token(&foreign, DryRun::No)), ErrorKind::InvalidGrantToken);
    for text in ["", "01", &"0".repeat(218), &"g".repeat(218)] {
        assert!(GrantToken::parse(text).is_err(), "{text}");
    }
    assert_eq!(format!("{token:?}"), "GrantToken(..)");
    Ok(())
}

#[test]
fn the_quota_of_grants_is_kept_and_given_back() -> Result<()> {
    let limits = KmsLimits { grants_per_key: 2, ..KmsLimits::default() };
    let kms = any_store::builder().limits(limits).build()?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    let first = grant(&kms, key, &user("a")?, &[Operation::Encrypt])?;
    grant(&kms, key, &user("b")?, &[Operation::Encrypt])?;
    assert_eq!(kind(grant(&kms, key, &user("c")?, &[Operation::Encrypt])), ErrorKind::LimitExceeded);
    kms.revoke_grant(key, first, DryRun::No)?;
    grant(&kms, key, &user("c")?, &[Operation::Encrypt])?;
    assert_eq!(KmsLimits::default().grants_per_key, 50_000);
    Ok(())
}

#[test]
fn the_grants_of_a_deleted_key_go_with_it() -> Result<()> {
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
    let kms = any_store::builder().clock(Arc::clone(&clock)).clock_tolerance(std::time::Duration::MAX).build()?;
    let (dying, staying) =
        (kms.create_key(CreateKeyRequest::default())?.key_id(), kms.create_key(CreateKeyRequest::default())?.key_id());
    let keeper = user("keeper")?;
    for key in [dying, staying] {
        for number in 0..260 {
            let terms = GrantTerms::new(user(&format!("u{number}"))?, [Operation::Encrypt])?
                .with_retiring_principal(keeper.clone());
            kms.create_grant(CreateGrantRequest::new(key, terms))?;
        }
    }
    kms.schedule_key_deletion(dying, DeletionWindow::MIN)?;
    clock.advance_days(7);
    let left = || -> Result<usize> {
        let (mut left, mut page) = (0, PageRequest::default().limit(100));
        loop {
            let part = kms.list_retirable_grants(&keeper, page)?;
            assert!(part.entries.iter().all(|entry| entry.key_arn.key_id() == staying));
            left += part.entries.len();
            let Some(marker) = part.next_marker else { return Ok(left) };
            page = PageRequest::default().limit(100).marker(marker);
        }
    };
    assert_eq!(left()?, 260, "grants of a deleted key are hidden before the next sweep");
    assert_eq!(kms.run_maintenance()?.deleted.len(), 1);
    assert_eq!(left()?, 260);
    Ok(())
}

/// A trail that runs a callback once the deletion of a key is announced.
#[derive(Default)]
struct Meddler(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl fmt::Debug for Meddler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meddler")
    }
}

impl AuditSink for Meddler {
    fn record(&self, event: AuditEvent) -> Result<()> {
        let is_it = event.action == Action::DeleteKey && event.outcome == Outcome::Intent;
        let act = if is_it { self.0.lock().expect("no thread panicked").take() } else { None };
        act.into_iter().for_each(|act| act());
        Ok(())
    }
}

#[test]
fn a_key_that_is_brought_back_while_maintenance_deletes_it_has_all_its_grants() -> Result<()> {
    let store = any_store::new()?;
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
    let (meddler, trail) = (Arc::new(Meddler::default()), Arc::new(MemoryTrail::default()));
    let open = |clock: Arc<ManualClock>| {
        let builder = Kms::builder().store(Arc::clone(&store), RootKey::from_bytes(&[7; 32]));
        builder.clock(clock).clock_tolerance(std::time::Duration::MAX)
    };
    // Another process, whose clock is slow.
    let late = open(Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)))).build()?;
    let kms = open(Arc::clone(&clock)).audit(Tee(Arc::clone(&meddler), Arc::clone(&trail))).build()?;
    let key = late.create_key(CreateKeyRequest::default())?.key_id();
    for name in ["alice", "bob", "carol"] {
        grant(&late, key, &user(name)?, &[Operation::Encrypt])?;
    }
    late.schedule_key_deletion(key, DeletionWindow::MIN)?;
    clock.advance_days(7);
    let cancel = late.clone();
    *meddler.0.lock().expect("no thread panicked") =
        Some(Box::new(move || _ = cancel.cancel_key_deletion(key).expect("in time")));
    assert!(kms.run_maintenance()?.deleted.is_empty());
    assert_eq!(late.list_grants(key, GrantFilter::default(), PageRequest::default())?.entries.len(), 3);
    late.enable_key(key)?;
    late.as_principal(user("alice")?)?.encrypt(EncryptRequest::new(key, b"x"))?;

    kms.schedule_key_deletion(key, DeletionWindow::MIN)?;
    clock.advance_days(7);
    assert_eq!(kms.run_maintenance()?.deleted.len(), 1);
    let told = || {
        let events = trail.events().into_iter().rev();
        events.filter(|event| event.action == Action::DeleteKey).map(|event| event.parameters).next()
    };
    assert_eq!(told(), Some(vec![("grants", 3_u64.into())]), "the event contains the number of deleted grants");

    let alone = kms.create_key(CreateKeyRequest::default())?.key_id();
    kms.schedule_key_deletion(alone, DeletionWindow::MIN)?;
    clock.advance_days(7);
    assert_eq!(kms.run_maintenance()?.deleted.len(), 1);
    assert_eq!(told(), Some(Vec::new()), "no grants were deleted with it");
    Ok(())
}

#[test]
fn a_grantee_of_another_account_uses_the_key_by_its_arn() -> Result<()> {
    let kms = any_store::kms()?;
    let key = kms.create_key(CreateKeyRequest::default())?;
    let eve = Principal::user(AccountId::parse("111122223333")?, "eve")?;
    let as_eve = kms.as_principal(eve.clone())?;
    assert_eq!(kind(as_eve.encrypt(EncryptRequest::new(key.arn(), b"x"))), ErrorKind::NotFound);
    let id = grant(&kms, key.key_id(), &eve, &[Operation::Encrypt, Operation::RetireGrant])?;
    as_eve.encrypt(EncryptRequest::new(key.arn(), b"x"))?;
    as_eve.retire_grant(key.arn(), id, DryRun::No)?;
    assert_eq!(kind(as_eve.encrypt(EncryptRequest::new(key.arn(), b"x"))), ErrorKind::NotFound);
    let refused = |id| as_eve.retire_grant(key.arn(), id, DryRun::No).expect_err("not hers").to_string();
    let theirs = grant(&kms, key.key_id(), &user("alice")?, &[Operation::Encrypt])?;
    assert_eq!(refused(theirs), refused(GrantId::from_bytes([0; 32])), "the error does not reveal which grants exist");
    Ok(())
}

#[test]
fn the_trail_names_the_grant_that_allowed_a_call() -> Result<()> {
    let trail = Arc::new(MemoryTrail::default());
    let kms = any_store::builder().audit(Arc::clone(&trail)).build()?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    let made =
        kms.create_grant(CreateGrantRequest::new(key, GrantTerms::new(user("alice")?, [Operation::Encrypt])?))?;
    encrypt(&kms.as_principal(user("alice")?)?, key)?;
    let events = format!("{:?}", trail.events());
    let used = trail.events().pop().map(|event| format!("{:?}", event.additional)).unwrap_or_default();
    assert!(used.contains("allowedByGrant") && used.contains(&made.grant_id.to_string()), "{used}");
    assert!(!events.contains(made.grant_token.as_str()), "a token is never written to the audit trail");
    Ok(())
}

/// One step: a person delegates some operations to another one, with or without a constraint.
#[derive(Clone, Debug)]
struct Step {
    grantor: usize,
    grantee: usize,
    operations: Vec<Operation>,
    context: Option<&'static str>,
}

const OPERATIONS: [Operation; 4] =
    [Operation::Encrypt, Operation::Decrypt, Operation::GenerateDataKey, Operation::CreateGrant];
const PEOPLE: [&str; 4] = ["a", "b", "c", "d"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step =
        (0..4_usize, 0..4_usize, subsequence(OPERATIONS.to_vec(), 1..=4), select(vec![None, Some("1"), Some("2")]));
    let step = step.prop_map(|(grantor, grantee, operations, context)| Step { grantor, grantee, operations, context });
    prop::collection::vec(step, 1..12)
}

/// Returns the abilities of a person: each operation without a context and with either one.
fn abilities(kms: &Kms, key: KeyId, blobs: &[(Option<&'static str>, Vec<u8>)], person: &str) -> Vec<bool> {
    let kms = kms.as_principal(user(person).expect("a name")).expect("the authority");
    let allowed = |result: Result<()>| !matches!(result, Err(error) if error.kind() == ErrorKind::AccessDenied);
    let mut able = Vec::new();
    for (value, blob) in blobs {
        let context: EncryptionContext = value.iter().map(|value| ("tenant", *value)).collect();
        able.push(allowed(kms.encrypt(EncryptRequest::new(key, b"x").context(&context)).map(drop)));
        able.push(allowed(kms.decrypt(DecryptRequest::new(blob).context(&context)).map(drop)));
        able.push(allowed(kms.generate_data_key(GenerateDataKeyRequest::new(key).context(&context)).map(drop)));
    }
    able
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn no_sequence_of_grants_lets_a_grantee_do_what_its_grantor_could_not(steps in steps(), first in subsequence(OPERATIONS.to_vec(), 1..=4)) {
        let (kms, key) = with_key()?;
        let contexts = [None, Some("1"), Some("2")];
        let blobs: Vec<_> = contexts.into_iter().map(|value| {
            let context: EncryptionContext = value.iter().map(|value| ("tenant", *value)).collect();
            let made = kms.encrypt(EncryptRequest::new(key, b"x").context(&context));
            (value, made.expect("the account may").ciphertext_blob)
        }).collect();
        grant(&kms, key, &user(PEOPLE[0])?, &first)?;
        let able = |person: usize| abilities(&kms, key, &blobs, PEOPLE[person]);
        for Step { grantor, grantee, operations, context } in steps {
            let (grantors, before) = (able(grantor), able(grantee));
            let constraints = match context {
                Some(value) => GrantConstraints::new().with_encryption_context_subset(EncryptionContext::from([("tenant", value)]))?,
                None => GrantConstraints::new(),
            };
            let terms = GrantTerms::new(user(PEOPLE[grantee])?, operations)?.with_constraints(constraints);
            let as_grantor = kms.as_principal(user(PEOPLE[grantor])?)?;
            let made = as_grantor.create_grant(CreateGrantRequest::new(key, terms));
            let after = able(grantee);
            for place in 0..after.len() {
                prop_assert!(!after[place] || before[place] || (made.is_ok() && grantors[place]));
            }
        }
    }
}
