//! Multiple accounts in one KMS: the principals that callers may act as, and the information that
//! one account can obtain about another.

use std::sync::Arc;

use strongroom::audit::{AuditEvent, KeyResource, MemoryTrail, Outcome, to_json};
use strongroom::identity::{AccountId, Locality, Principal};
use strongroom::key::{AliasArn, KeyArn, KeyId, Operation, SpecClass};
use strongroom::policy::{AttachedPolicies, Decision, GrantId, GrantTerms, Policy, PolicyRequest};
use strongroom::request::{
    CreateGrantRequest, CreateKeyRequest, DecryptRequest, DryRun, EncryptRequest, KeyReference, PageRequest,
};
use strongroom::seal::RootKey;
use strongroom::store::RecordKind;
use strongroom::{ErrorKind, Kms, KmsLimits, ManualClock, Result, Timestamp};

use crate::access::management_types::AllowAll;
use crate::support::any_store;
use crate::support::kms::kind;
use crate::support::operations::{operations, operations_of_other_keys};
use crate::support::tampering_store::TamperingStore;

/// An operation, its result, and the events about it in the trail of the caller's account.
type Seen = (Operation, String, Vec<AuditEvent>);

fn other() -> Result<AccountId> {
    AccountId::parse("111122223333")
}

#[test]
fn each_account_sees_its_own_keys_and_aliases() -> Result<()> {
    let ours = any_store::kms()?;
    let theirs = ours.as_principal(Principal::root(other()?))?;
    for kms in [&ours, &theirs] {
        let key = kms.create_key(CreateKeyRequest::default())?;
        assert_eq!(key.account(), kms.principal().account());
        kms.create_alias("alias/same", key.key_id())?;
        assert_eq!(kms.describe_key("alias/same")?, key);
        assert_eq!(kms.list_keys(PageRequest::default())?.entries.len(), 1);
        assert_eq!(kms.list_aliases(PageRequest::default())?.entries.len(), 1);
    }
    Ok(())
}

#[test]
fn another_accounts_key_is_reached_by_arn_only_and_by_the_operations_that_allow_it() -> Result<()> {
    let ours = any_store::builder().policy(AllowAll).build()?;
    let theirs = ours.as_principal(Principal::root(other()?))?;
    let key = ours.create_key(CreateKeyRequest::default())?;
    ours.create_alias("alias/kept", key.key_id())?;
    let alias = AliasArn::new(ours.locality().clone(), key.account(), "alias/kept".parse()?);
    assert_eq!(theirs.describe_key(key.arn())?.arn(), key.arn());
    assert_eq!(theirs.describe_key(&alias)?.arn(), key.arn());
    assert_eq!(kind(theirs.describe_key(key.key_id())), ErrorKind::NotFound);
    assert_eq!(kind(theirs.describe_key("alias/kept")), ErrorKind::NotFound);
    let blob = theirs.encrypt(EncryptRequest::new(key.arn(), b"x"))?.ciphertext_blob;
    assert_eq!(theirs.decrypt(DecryptRequest::new(&blob).key(key.arn())?)?.plaintext.expose_secret(), b"x");
    assert_eq!(kind(theirs.disable_key(key.arn())), ErrorKind::NotFound);
    assert_eq!(kind(theirs.list_resource_tags(key.arn(), PageRequest::default())), ErrorKind::NotFound);
    Ok(())
}

/// Returns the content of an error, without the name of the requested key.
fn refusal(result: Result<()>, key: &KeyArn) -> (ErrorKind, String) {
    let error = result.expect_err("another account's key");
    assert!(std::error::Error::source(&error).is_none() && error.downcast_ref::<strongroom::Error>().is_none());
    (error.kind(), format!("{error:?}").replace(&key.to_string(), "KEY").replace(&key.key_id().to_string(), "ID"))
}

/// A policy that reaches no decision, like one with conditions that cannot be evaluated.
#[derive(Debug)]
struct Undecided;

impl Policy for Undecided {
    fn decide(&self, request: &PolicyRequest<'_>, _: &AttachedPolicies<'_>) -> Result<Decision> {
        match request.account == request.principal.account() {
            true => Ok(Decision::Allow),
            false => Err(strongroom::Error::new(ErrorKind::Internal, "cannot tell")),
        }
    }
}

/// Returns the view of another account on one key: the results, and the events in that account's
/// own trail.
fn seen(kms: &Kms, trail: &MemoryTrail, key: impl KeyReference + Copy, blob: &[u8]) -> Result<Vec<Seen>> {
    let account = other()?;
    let theirs = kms.as_principal(Principal::root(account))?;
    let all = operations(key, blob).into_iter().chain(operations_of_other_keys(key));
    let mut seen = Vec::new();
    for (operation, run) in all {
        trail.clear();
        let answer = refusal_of(operation, run(&theirs));
        let events: Vec<_> = trail.events().into_iter().filter(|event| event.concerns(account)).collect();
        seen.extend(answer.map(|answer| (operation, answer, events)));
    }
    Ok(seen)
}

#[test]
fn absent_denied_and_damaged_look_alike_across_accounts_for_every_operation_and_in_the_callers_trail() -> Result<()> {
    for policy in [false, true] {
        let (store, trail) = (TamperingStore::new(), Arc::new(MemoryTrail::default()));
        let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(1_700_000_000_000)));
        let builder = Kms::builder().store(Arc::clone(&store), RootKey::from_bytes(&[7; 32])).clock(clock);
        let builder = builder.audit(Arc::clone(&trail)).limits(KmsLimits { cached_keys: 0, ..KmsLimits::default() });
        let kms = if policy { builder.policy(Undecided) } else { builder }.build()?;
        let key = || kms.create_key(CreateKeyRequest::default()).map(|key| key.arn().clone());
        let (there, disabled, damaged) = (key()?, key()?, key()?);
        kms.disable_key(&disabled)?;
        let absent = KeyArn::new(kms.locality().clone(), there.account(), KeyId::from_random_bytes([9; 16]));
        let blob = kms.encrypt(EncryptRequest::new(&there, b"x"))?.ciphertext_blob;
        let alias = |name: &str, target: &KeyArn| -> Result<AliasArn> {
            kms.create_alias(name, target)?;
            Ok(AliasArn::new(kms.locality().clone(), target.account(), name.parse()?))
        };
        let aliases = [alias("alias/a", &there)?, alias("alias/c", &damaged)?, alias("alias/d", &there)?];
        damage(&store, RecordKind::Key, damaged.key_id().as_bytes());
        damage(&store, RecordKind::Alias, b"alias/d");
        assert_eq!(kind(kms.describe_key(&damaged)), ErrorKind::Integrity, "the key's own account gets the real error");

        let blob_key = there.key_id();
        let expected = normal(&seen(&kms, &trail, &absent, &blob)?, &absent, blob_key);
        for key in [&there, &disabled, &damaged] {
            let found = normal(&seen(&kms, &trail, key, &blob)?, key, blob_key);
            found.iter().zip(&expected).for_each(|(found, expected)| assert_eq!(found, expected));
        }
        let absent = AliasArn::new(kms.locality().clone(), there.account(), "alias/b".parse()?);
        let expected = normal(&seen(&kms, &trail, &absent, &blob)?, &absent, blob_key);
        for alias in &aliases {
            let found = normal(&seen(&kms, &trail, alias, &blob)?, alias, blob_key);
            found.iter().zip(&expected).for_each(|(found, expected)| assert_eq!(found, expected));
        }
    }
    Ok(())
}

/// The caller already knew the ARN. It must not learn which key an alias of another account points
/// to.
#[test]
fn the_trail_of_a_stranger_has_the_key_that_it_named_whether_it_exists_or_not() -> Result<()> {
    let trail = Arc::new(MemoryTrail::default());
    let kms = any_store::builder().audit(Arc::clone(&trail)).build()?;
    let there = kms.create_key(CreateKeyRequest::default())?.arn().clone();
    let absent = KeyArn::new(kms.locality().clone(), there.account(), KeyId::from_random_bytes([9; 16]));
    kms.create_alias("alias/a", &there)?;
    let theirs = kms.as_principal(Principal::root(other()?))?;
    let noted = |key: &dyn ToString| {
        trail.clear();
        let refused = theirs.describe_key(key.to_string().as_str());
        assert_eq!(kind(refused), ErrorKind::NotFound);
        let own = trail.events().into_iter().find(|event| event.concerns(theirs.principal().account()));
        own.expect("the account has its own event").keys
    };
    for key in [&there, &absent] {
        assert_eq!(noted(key), [Some(KeyResource { account: key.account(), key_id: key.key_id() }), None]);
    }
    for alias in ["alias/a", "alias/b"] {
        let alias = AliasArn::new(kms.locality().clone(), there.account(), alias.parse()?);
        assert_eq!(noted(&alias), [None, None]);
    }
    Ok(())
}

/// Flips a bit in the record whose name ends with these bytes.
fn damage(store: &TamperingStore, kind: RecordKind, name: &[u8]) {
    store.change(|state| {
        let mut found = state.records.iter_mut().filter(|(id, _)| id.kind == kind && id.name.ends_with(name));
        let (_, record) = found.next().expect("there is one");
        let mut body = record.body.to_vec();
        *body.last_mut().expect("a body") ^= 1;
        record.body = body.into();
    });
}

#[test]
fn a_damaged_grant_tells_a_stranger_nothing_and_its_account_the_truth() -> Result<()> {
    let (store, trail) = (TamperingStore::new(), Arc::new(MemoryTrail::default()));
    let builder = Kms::builder().store(Arc::clone(&store), RootKey::from_bytes(&[7; 32]));
    let kms = builder.audit(Arc::clone(&trail)).build()?;
    let key = kms.create_key(CreateKeyRequest::default())?.arn().clone();
    let terms = GrantTerms::new(Principal::user(AccountId::default(), "bob")?, [Operation::Encrypt])?;
    let (id, none) = (kms.create_grant(CreateGrantRequest::new(&key, terms))?.grant_id, GrantId::from_bytes([7; 32]));
    damage(&store, RecordKind::Grant, id.as_bytes());
    let theirs = kms.as_principal(Principal::root(other()?))?;
    for operation in [Operation::RetireGrant, Operation::RevokeGrant] {
        let attempt = |kms: &Kms, grant: GrantId| {
            trail.clear();
            let ended = match operation {
                Operation::RetireGrant => kms.retire_grant(&key, grant, DryRun::No),
                _ => kms.revoke_grant(&key, grant, DryRun::No),
            };
            let error = ended.expect_err("refused");
            let [event] = &trail.events()[..] else { panic!("one event") };
            assert_eq!(event.outcome, Outcome::Failure(error.kind()));
            (error.kind(), format!("{:?}", event.keys), error.to_string().replace(&grant.to_string(), "GRANT"))
        };
        assert_eq!(attempt(&theirs, id), attempt(&theirs, none));
        assert_eq!(attempt(&theirs, id).0, ErrorKind::NotFound);
        assert_eq!((attempt(&kms, id).0, attempt(&kms, none).0), (ErrorKind::Integrity, ErrorKind::NotFound));
    }
    Ok(())
}

fn refusal_of(operation: Operation, result: Result<()>) -> Option<String> {
    match result {
        Ok(()) => {
            assert!(!operation.acts_on_key() || operation == Operation::ListAliases, "{operation} succeeded");
            None
        }
        Err(error) => Some(format!("{error:?}")),
    }
}

/// Returns the observations with the requested name and the key of the blob replaced.
fn normal(seen: &[Seen], named: &impl ToString, blob_key: KeyId) -> Vec<String> {
    let arn = named.to_string();
    let id = arn.rsplit(':').next().map_or("", |name| name.trim_start_matches("key/"));
    let texts = seen.iter().map(|(operation, answer, events)| {
        let events: Vec<_> = events.iter().map(|event| to_json(event, &Locality::default())).collect();
        format!("{operation}: {answer} {events:?}")
    });
    texts.map(|text| text.replace(&arn, "NAME").replace(&blob_key.to_string(), "BLOB").replace(id, "ID")).collect()
}

#[test]
fn a_blob_of_another_accounts_key_and_one_of_no_key_are_refused_alike() -> Result<()> {
    let kms = any_store::kms()?;
    let theirs = kms.as_principal(Principal::root(other()?))?;
    let key = kms.create_key(CreateKeyRequest::default())?;
    let blob = kms.encrypt(EncryptRequest::new(key.arn(), b"x"))?.ciphertext_blob;
    let mut nowhere = blob.clone();
    nowhere[2..18].fill(7); // the key id of the blob
    let attempt = |blob: &[u8]| refusal(theirs.decrypt(DecryptRequest::new(blob)).map(drop), key.arn());
    assert_eq!(attempt(&blob), attempt(&nowhere));
    assert_eq!(attempt(&blob).0, ErrorKind::AccessDenied);
    Ok(())
}

#[test]
fn nobody_but_services_acts_in_the_account_of_services() -> Result<()> {
    let kms = any_store::kms()?;
    assert_eq!(kind(kms.as_principal(Principal::root(AccountId::SERVICES))), ErrorKind::AccessDenied);
    assert_eq!(kind(kms.as_principal(Principal::user(AccountId::SERVICES, "eve")?)), ErrorKind::AccessDenied);
    assert_eq!(kind(any_store::builder().account(AccountId::SERVICES).build()), ErrorKind::Validation);
    assert_eq!(kind(kms.as_service("unheard-of")), ErrorKind::Validation);
    Ok(())
}

#[test]
fn no_handle_but_the_authority_makes_others_and_a_service_needs_its_callers_own() -> Result<()> {
    let kms = any_store::kms()?;
    let alice = kms.as_principal(Principal::user(AccountId::default(), "alice")?)?;
    let s3 = kms.as_service("s3")?;
    for narrowed in [&alice, &s3, &s3.on_behalf_of(&alice)?] {
        assert_eq!(kind(narrowed.as_principal(Principal::root(AccountId::default()))), ErrorKind::AccessDenied);
        assert_eq!(kind(narrowed.as_service("s3")), ErrorKind::AccessDenied);
        assert_eq!(kind(narrowed.run_maintenance()), ErrorKind::AccessDenied);
    }
    assert_eq!(kind(alice.on_behalf_of(&kms)), ErrorKind::AccessDenied, "alice is not a service");
    assert_eq!(kind(kms.on_behalf_of(&alice)), ErrorKind::AccessDenied, "nor is the authority");
    assert_eq!(kind(s3.on_behalf_of(&s3)), ErrorKind::AccessDenied);
    assert_eq!(kind(s3.on_behalf_of(&s3.on_behalf_of(&alice)?)), ErrorKind::AccessDenied);
    assert_eq!(kind(s3.on_behalf_of(&any_store::kms()?)), ErrorKind::AccessDenied, "of another KMS");
    // Acting for the authority means acting for the root of its account, without the authority's
    // privileges.
    assert_eq!(kind(s3.on_behalf_of(&kms)?.run_maintenance()), ErrorKind::AccessDenied);
    Ok(())
}

#[test]
fn a_service_can_do_in_its_own_account_what_its_keys_need_and_nothing_else() -> Result<()> {
    let s3 = any_store::kms()?.as_service("s3")?;
    let key = s3.create_key(CreateKeyRequest::default())?;
    assert_eq!(key.spec().class(), SpecClass::Symmetric);
    assert_eq!(kind(s3.create_alias("alias/own", key.key_id())), ErrorKind::UnsupportedOperation);
    assert_eq!(kind(s3.list_aliases(PageRequest::default())), ErrorKind::AccessDenied);
    assert_eq!(kind(s3.describe_key("alias/aws/s3")), ErrorKind::NotFound);
    assert_eq!(s3.generate_random(8)?.len(), 8);
    Ok(())
}
