//! Customer managed, service managed, and service owned keys: the permitted operations, cell by
//! cell.

use std::sync::Arc;

use strongroom::audit::{MemoryTrail, Outcome};
use strongroom::identity::{AccountId, Principal, ServiceName};
use strongroom::key::{DeletionWindow, KeyArn, KeyId, KeyManager, Operation, RotationPeriod, Tag};
use strongroom::policy::{AttachedPolicies, Decision, Policy, PolicyRequest};
use strongroom::request::{CreateKeyRequest, DecryptRequest, EncryptRequest, GenerateDataKeyRequest, PageRequest};
use strongroom::{ErrorKind, Kms, ManualClock, Result, Timestamp};

use crate::support::kms::kind;

/// Allows everything, so that any denial is due to the management type of the key alone.
#[derive(Debug)]
pub(crate) struct AllowAll;

impl Policy for AllowAll {
    fn decide(&self, _: &PolicyRequest<'_>, _: &AttachedPolicies<'_>) -> Result<Decision> {
        Ok(Decision::Allow)
    }
}

/// One key of each management type, seen by the account, by its service, and by another account.
struct Cast {
    clock: Arc<ManualClock>,
    trail: Arc<MemoryTrail>,
    account: Kms,
    stranger: Kms,
    service: Kms,
    customer: KeyArn,
    managed: KeyArn,
    owned: KeyArn,
}

impl Cast {
    fn new() -> Result<Self> {
        let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
        let trail = Arc::new(MemoryTrail::default());
        let kms = Kms::builder().policy(AllowAll).clock(Arc::clone(&clock)).audit(Arc::clone(&trail)).build()?;
        let stranger = kms.as_principal(Principal::root(AccountId::parse("111122223333")?))?;
        let service = kms.as_service("s3")?;
        let customer = kms.create_key(CreateKeyRequest::default())?.arn().clone();
        let managed = service.on_behalf_of(&kms)?.describe_key("alias/aws/s3")?.arn().clone();
        let owned = service.create_key(CreateKeyRequest::default())?.arn().clone();
        trail.clear();
        Ok(Self { clock, trail, account: kms, stranger, service, customer, managed, owned })
    }

    fn through_service(&self) -> Result<Kms> {
        self.service.on_behalf_of(&self.account)
    }
}

/// Returns all management operations, called by the account that would own the key.
fn management(kms: &Kms, key: &KeyArn) -> Vec<(Operation, Result<()>)> {
    vec![
        (Operation::EnableKey, kms.enable_key(key)),
        (Operation::DisableKey, kms.disable_key(key)),
        (Operation::EnableKey, kms.enable_key(key)),
        (Operation::UpdateKeyDescription, kms.update_key_description(key, "mine")),
        (Operation::TagResource, Tag::new("a", "b").and_then(|tag| kms.tag_resource(key, [tag]))),
        (Operation::UntagResource, kms.untag_resource(key, ["a"])),
        (Operation::CreateAlias, kms.create_alias("alias/mine", key)),
        (Operation::UpdateAlias, kms.update_alias("alias/mine", key)),
        (Operation::EnableKeyRotation, kms.enable_key_rotation(key, RotationPeriod::MIN)),
        (Operation::DisableKeyRotation, kms.disable_key_rotation(key)),
        (Operation::RotateKeyOnDemand, kms.rotate_key_on_demand(key).map(drop)),
        (Operation::ScheduleKeyDeletion, kms.schedule_key_deletion(key, DeletionWindow::MIN).map(drop)),
        (Operation::CancelKeyDeletion, kms.cancel_key_deletion(key).map(drop)),
    ]
}

#[test]
fn metadata_of_customer_and_service_managed_keys_can_be_viewed_and_that_of_owned_keys_not() -> Result<()> {
    let cast = Cast::new()?;
    assert_eq!(cast.account.describe_key(&cast.customer)?.manager(), KeyManager::Customer);
    assert_eq!(cast.account.describe_key(&cast.managed)?.manager(), KeyManager::Service);
    assert_eq!(cast.account.describe_key("alias/aws/s3")?.arn(), &cast.managed);
    let absent = KeyArn::new(cast.owned.locality().clone(), cast.owned.account(), KeyId::from_random_bytes([0; 16]));
    let (hidden, nothing) = (cast.account.describe_key(&cast.owned), cast.account.describe_key(&absent));
    let text = |result: Result<_>, arn: &KeyArn| {
        let error = result.expect_err("the key is hidden");
        (error.kind(), error.to_string().replace(&arn.to_string(), "-"))
    };
    assert_eq!(text(hidden, &cast.owned), text(nothing, &absent), "it looks like a key that does not exist");
    let listed = cast.account.list_keys(PageRequest::default())?.entries;
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|entry| entry.key_arn != cast.owned));
    Ok(())
}

#[test]
fn only_customer_managed_keys_can_be_managed() -> Result<()> {
    let cast = Cast::new()?;
    for (operation, result) in management(&cast.account, &cast.customer) {
        result.unwrap_or_else(|error| panic!("{operation}: {error}"));
    }
    let before = cast.account.describe_key(&cast.managed)?;
    for kms in [&cast.account, &cast.through_service()?] {
        for (operation, result) in management(kms, &cast.managed) {
            assert_eq!(kind(result), ErrorKind::UnsupportedOperation, "{operation}");
        }
    }
    assert_eq!(cast.account.describe_key(&cast.managed)?, before);
    for (operation, result) in management(&cast.account, &cast.owned) {
        assert_eq!(kind(result), ErrorKind::NotFound, "{operation}");
    }
    assert_eq!(cast.service.describe_key(&cast.owned)?.state(), strongroom::key::KeyState::Enabled);
    Ok(())
}

#[test]
fn service_managed_keys_are_used_through_their_service_for_a_caller_of_the_account_only() -> Result<()> {
    let cast = Cast::new()?;
    let data_key = |kms: &Kms| kms.generate_data_key(GenerateDataKeyRequest::new(&cast.managed));
    let made = data_key(&cast.through_service()?)?;
    assert_eq!(made.key_arn, cast.managed);
    let opened = cast.through_service()?.decrypt(DecryptRequest::new(&made.ciphertext_blob))?;
    assert_eq!(opened.plaintext, made.plaintext);
    assert_eq!(kind(data_key(&cast.account)), ErrorKind::AccessDenied, "never directly");
    assert_eq!(kind(cast.account.decrypt(DecryptRequest::new(&made.ciphertext_blob))), ErrorKind::AccessDenied);
    let other_service = cast.account.as_service("rds")?.on_behalf_of(&cast.account)?;
    assert_eq!(kind(data_key(&other_service)), ErrorKind::AccessDenied, "never by another service");
    assert_eq!(kind(data_key(&cast.service)), ErrorKind::NotFound, "never without a caller");
    let for_stranger = cast.service.on_behalf_of(&cast.stranger)?;
    assert_eq!(kind(data_key(&for_stranger)), ErrorKind::NotFound, "never for another account");
    assert_eq!(kind(for_stranger.describe_key(&cast.managed)), ErrorKind::NotFound);
    Ok(())
}

#[test]
fn owned_keys_are_used_by_their_service_across_accounts() -> Result<()> {
    let cast = Cast::new()?;
    let blob = cast.service.encrypt(EncryptRequest::new(&cast.owned, b"of all accounts"))?.ciphertext_blob;
    let acting_for = cast.account.as_principal(Principal::service(cast.stranger.principal().account(), "s3")?)?;
    let opened = acting_for.decrypt(DecryptRequest::new(&blob).key(&cast.owned)?)?;
    assert_eq!(opened.plaintext.expose_secret(), b"of all accounts");
    for kms in [&cast.account, &cast.through_service()?, &cast.stranger, &cast.account.as_service("rds")?] {
        assert_eq!(kind(kms.encrypt(EncryptRequest::new(&cast.owned, b"x"))), ErrorKind::NotFound);
        assert_eq!(kind(kms.decrypt(DecryptRequest::new(&blob).key(&cast.owned)?)), ErrorKind::NotFound);
        assert_eq!(kind(kms.decrypt(DecryptRequest::new(&blob))), ErrorKind::AccessDenied);
    }
    assert!(cast.account.as_service("rds")?.list_keys(PageRequest::default())?.entries.is_empty());
    assert_eq!(cast.service.list_keys(PageRequest::default())?.entries.len(), 1);
    Ok(())
}

#[test]
fn customer_managed_keys_rotate_as_their_account_likes() -> Result<()> {
    let cast = Cast::new()?;
    let status = || cast.account.get_key_rotation_status(&cast.customer);
    assert!(!status()?.enabled);
    cast.account.enable_key_rotation(&cast.customer, RotationPeriod::default())?;
    assert_eq!(status()?.rotation_period.map(RotationPeriod::days), Some(365));
    for days in [90, 2_560] {
        cast.account.enable_key_rotation(&cast.customer, RotationPeriod::from_days(days)?)?;
        assert_eq!(status()?.rotation_period.map(RotationPeriod::days), Some(days));
    }
    assert!(RotationPeriod::from_days(89).is_err() && RotationPeriod::from_days(2_561).is_err());
    cast.account.disable_key_rotation(&cast.customer)?;
    assert!(!status()?.enabled);
    Ok(())
}

#[test]
fn service_managed_keys_rotate_every_365_days_without_choice() -> Result<()> {
    let cast = Cast::new()?;
    let status = cast.account.get_key_rotation_status(&cast.managed)?;
    assert_eq!((status.enabled, status.rotation_period.map(RotationPeriod::days)), (true, Some(365)));
    cast.clock.advance_days(364);
    assert!(cast.account.run_maintenance()?.rotated.is_empty());
    cast.clock.advance_days(1);
    assert_eq!(cast.account.run_maintenance()?.rotated, std::slice::from_ref(&cast.managed));
    Ok(())
}

#[test]
fn the_service_decides_how_its_owned_keys_rotate() -> Result<()> {
    let cast = Cast::new()?;
    assert!(!cast.service.get_key_rotation_status(&cast.owned)?.enabled);
    cast.service.enable_key_rotation(&cast.owned, RotationPeriod::MIN)?;
    assert!(cast.service.get_key_rotation_status(&cast.owned)?.enabled);
    assert_eq!(kind(cast.account.get_key_rotation_status(&cast.owned)), ErrorKind::NotFound);
    Ok(())
}

#[test]
fn the_trail_of_an_account_tells_of_its_customer_and_service_managed_keys_and_not_of_owned_ones() -> Result<()> {
    let cast = Cast::new()?;
    let account = cast.account.principal().account();
    let of_account = || cast.trail.events().into_iter().filter(|event| event.concerns(account)).collect::<Vec<_>>();
    cast.account.encrypt(EncryptRequest::new(&cast.customer, b"x"))?;
    assert_eq!(of_account().len(), 1);
    cast.through_service()?.encrypt(EncryptRequest::new(&cast.managed, b"x"))?;
    let events = of_account();
    assert_eq!(events.len(), 2);
    assert_eq!(events[1].via_service.as_ref().map(ServiceName::as_str), Some("s3"));
    cast.service.encrypt(EncryptRequest::new(&cast.owned, b"x"))?;
    assert_eq!(of_account().len(), 2);
    assert_eq!(cast.trail.events().len(), 3, "the operator of the KMS sees the key");
    Ok(())
}

#[test]
fn a_service_managed_key_appears_on_first_use_and_once() -> Result<()> {
    let trail = Arc::new(MemoryTrail::default());
    let kms = Kms::builder().service(ServiceName::parse("backup")?).audit(Arc::clone(&trail)).build()?;
    for name in ["s3", "ebs", "rds", "redshift", "ssm", "backup"] {
        let alias = format!("alias/aws/{name}");
        let through = kms.as_service(name)?.on_behalf_of(&kms)?;
        assert_eq!(
            kind(kms.encrypt(EncryptRequest::new(&alias, b"x"))),
            ErrorKind::NotFound,
            "{name}: not without a caller"
        );
        trail.clear();
        let dry = kind(through.encrypt(EncryptRequest::new(&alias, b"x").dry_run()));
        assert_eq!((dry, trail.events().len()), (ErrorKind::DryRun, 1), "{name}: no key was created by the attempt");
        let first = through.encrypt(EncryptRequest::new(&alias, b"x"))?;
        let made: Vec<_> = trail.events().into_iter().map(|event| (event.action.to_string(), event.outcome)).collect();
        let expected = [
            ("Encrypt", Outcome::Failure(ErrorKind::DryRun)),
            ("CreateKey", Outcome::Intent),
            ("CreateKey", Outcome::Success),
            ("Encrypt", Outcome::Success),
        ];
        assert_eq!(made, expected.map(|(action, outcome)| (action.to_owned(), outcome)));
        assert_eq!(through.encrypt(EncryptRequest::new(&alias, b"x"))?.key_arn, first.key_arn);
    }
    assert_eq!(kind(kms.describe_key("alias/aws/unheard-of")), ErrorKind::NotFound);
    assert_eq!(kms.list_keys(PageRequest::default())?.entries.len(), 6);
    Ok(())
}

#[test]
fn threads_that_need_a_service_managed_key_at_once_get_the_same() -> Result<()> {
    let kms = Kms::in_memory()?;
    let through = kms.as_service("ebs")?.on_behalf_of(&kms)?;
    let arns: Vec<_> = std::thread::scope(|scope| {
        let uses: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| through.generate_data_key(GenerateDataKeyRequest::new("alias/aws/ebs"))))
            .collect();
        uses.into_iter().map(|r#use| r#use.join().expect("no thread panicked").expect("a data key").key_arn).collect()
    });
    assert!(arns.windows(2).all(|pair| pair[0] == pair[1]));
    Ok(())
}
