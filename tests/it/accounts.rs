//! Several accounts in one KMS: who acts as whom, and what one account learns of another.

use strongroom::key::SpecClass;
use strongroom::policy::{AttachedPolicies, Decision, Policy, PolicyRequest};
use strongroom::{
    AccountId, AliasArn, CreateKeyRequest, DecryptRequest, EncryptRequest, ErrorKind, KeyArn, KeyId, Kms, Operation,
    PageRequest, Principal, Result,
};

use crate::kms_keys::kind;
use crate::kms_pipeline::{operations, operations_of_other_keys};
use crate::management_types::AllowAll;

fn other() -> Result<AccountId> {
    AccountId::parse("111122223333")
}

#[test]
fn each_account_sees_its_own_keys_and_aliases() -> Result<()> {
    let ours = Kms::in_memory()?;
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
    let ours = Kms::builder().policy(AllowAll).build()?;
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

/// What a refusal says, without the name of the key that was asked for.
fn refusal(result: Result<()>, key: &KeyArn) -> (ErrorKind, String) {
    let error = result.expect_err("another account's key");
    assert!(std::error::Error::source(&error).is_none(), "{error:?}");
    (error.kind(), format!("{error:?}").replace(&key.to_string(), "KEY").replace(&key.id().to_string(), "ID"))
}

/// Reaches no decision, as a policy whose conditions cannot be told does.
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

#[test]
fn absent_and_denied_look_alike_across_accounts_for_every_operation() -> Result<()> {
    for kms in [Kms::in_memory()?, Kms::builder().policy(Undecided).build()?] {
        let theirs = kms.as_principal(Principal::root(other()?))?;
        let there = kms.create_key(CreateKeyRequest::default())?.arn().clone();
        let disabled = kms.create_key(CreateKeyRequest::default())?.arn().clone();
        kms.disable_key(&disabled)?;
        let absent = KeyArn::new(kms.locality().clone(), there.account(), KeyId::from_random_bytes([9; 16]));
        let blob = kms.encrypt(EncryptRequest::new(&there, b"x"))?.ciphertext_blob;
        let attempts = |key| {
            let all = operations(key, &blob).into_iter().chain(operations_of_other_keys(key));
            all.map(|(operation, run)| (operation, refusal_of(operation, run(&theirs)))).collect::<Vec<_>>()
        };
        for ((operation, seen), (_, absent_seen)) in attempts(&there).into_iter().zip(attempts(&absent)) {
            let Some((seen, absent_seen)) = seen.zip(absent_seen) else { continue };
            assert_eq!(normal(&seen, &there), normal(&absent_seen, &absent), "{operation}");
        }
        for ((operation, seen), (_, absent_seen)) in attempts(&disabled).into_iter().zip(attempts(&absent)) {
            let Some((seen, absent_seen)) = seen.zip(absent_seen) else { continue };
            assert_eq!(normal(&seen, &disabled), normal(&absent_seen, &absent), "{operation} of a disabled key");
        }
    }
    Ok(())
}

fn refusal_of(operation: Operation, result: Result<()>) -> Option<String> {
    match result {
        Ok(()) => {
            assert!(!operation.acts_on_key() || operation == Operation::ListAliases, "{operation} went through");
            None
        }
        Err(error) => Some(format!("{error:?}")),
    }
}

fn normal(text: &str, key: &KeyArn) -> String {
    text.replace(&key.to_string(), "KEY").replace(&key.id().to_string(), "ID")
}

#[test]
fn a_blob_of_another_accounts_key_and_one_of_no_key_are_refused_alike() -> Result<()> {
    let kms = Kms::in_memory()?;
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
    let kms = Kms::in_memory()?;
    assert_eq!(kind(kms.as_principal(Principal::root(AccountId::SERVICES))), ErrorKind::AccessDenied);
    assert_eq!(kind(kms.as_principal(Principal::user(AccountId::SERVICES, "eve")?)), ErrorKind::AccessDenied);
    assert_eq!(kind(Kms::builder().account(AccountId::SERVICES).build()), ErrorKind::Validation);
    assert_eq!(kind(kms.as_service("unheard-of")), ErrorKind::Validation);
    Ok(())
}

#[test]
fn no_handle_but_the_authority_makes_others_and_a_service_needs_its_callers_own() -> Result<()> {
    let kms = Kms::in_memory()?;
    let alice = kms.as_principal(Principal::user(AccountId::default(), "alice")?)?;
    let s3 = kms.as_service("s3")?;
    for narrowed in [&alice, &s3, &s3.on_behalf_of(&alice)?] {
        assert_eq!(kind(narrowed.as_principal(Principal::root(AccountId::default()))), ErrorKind::AccessDenied);
        assert_eq!(kind(narrowed.as_service("s3")), ErrorKind::AccessDenied);
        assert_eq!(kind(narrowed.run_maintenance()), ErrorKind::AccessDenied);
    }
    assert_eq!(kind(alice.on_behalf_of(&kms)), ErrorKind::AccessDenied, "alice is no service");
    assert_eq!(kind(kms.on_behalf_of(&alice)), ErrorKind::AccessDenied, "nor is the authority");
    assert_eq!(kind(s3.on_behalf_of(&s3)), ErrorKind::AccessDenied);
    assert_eq!(kind(s3.on_behalf_of(&s3.on_behalf_of(&alice)?)), ErrorKind::AccessDenied);
    assert_eq!(kind(s3.on_behalf_of(&Kms::in_memory()?)), ErrorKind::AccessDenied, "of another KMS");
    // The authority that a service acts for is its account's root, and no authority any more.
    assert_eq!(kind(s3.on_behalf_of(&kms)?.run_maintenance()), ErrorKind::AccessDenied);
    Ok(())
}

#[test]
fn a_service_can_do_in_its_own_account_what_its_keys_need_and_nothing_else() -> Result<()> {
    let s3 = Kms::in_memory()?.as_service("s3")?;
    let key = s3.create_key(CreateKeyRequest::default())?;
    assert_eq!(key.spec().class(), SpecClass::Symmetric);
    assert_eq!(kind(s3.create_alias("alias/own", key.key_id())), ErrorKind::UnsupportedOperation);
    assert_eq!(kind(s3.list_aliases(PageRequest::default())), ErrorKind::AccessDenied);
    assert_eq!(kind(s3.describe_key("alias/aws/s3")), ErrorKind::NotFound);
    assert_eq!(s3.generate_random(8)?.len(), 8);
    Ok(())
}
