//! Guarantees for every operation: authorization, key state, audit trail, and concurrency.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use strongroom::algorithm::SigningAlgorithm;
use strongroom::audit::{Action, AuditEvent, AuditSink, MemoryTrail, Outcome};
use strongroom::identity::{AccountId, Principal};
use strongroom::key::{
    DataKeyPairSpec, DeletionWindow, KeyEvent, KeyId, KeySpec, KeyState, KeyUsage, Operation, Origin, RotationPeriod,
    SpecClass, Tag, Verdict, verdict,
};
use strongroom::policy::{AttachedPolicies, Decision, Policy, PolicyRequest};
use strongroom::request::{
    CreateKeyRequest, DecryptRequest, DryRun, EncryptRequest, GenerateDataKeyPairRequest, GenerateDataKeyRequest,
    PageRequest, PutKeyPolicyRequest, ReEncryptRequest, SignRequest,
};
use strongroom::{EncryptionContext, Error, ErrorKind, Kms, ManualClock, Result, Timestamp};

use crate::support::kms::{kind, with_key};
use crate::support::operations::{operations, operations_of_other_keys};

/// A function that puts a key into a state.
type Reach = fn(&Kms, KeyId) -> Result<()>;

/// A policy that can be switched to deny everything.
#[derive(Debug, Default)]
struct Switch(AtomicBool);

impl Policy for Switch {
    fn decide(&self, _: &PolicyRequest<'_>, _: &AttachedPolicies<'_>) -> Result<Decision> {
        Ok(if self.0.load(Ordering::SeqCst) { Decision::Deny } else { Decision::Allow })
    }
}

/// An audit sink that can be switched to fail.
#[derive(Debug, Default)]
struct Brittle {
    events: Mutex<Vec<AuditEvent>>,
    fails_at: AtomicUsize,
}

impl AuditSink for Brittle {
    fn record(&self, event: AuditEvent) -> Result<()> {
        let mut events = self.events.lock().expect("no thread panicked");
        if events.len() + 1 == self.fails_at.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Audit, "no space left"));
        }
        events.push(event);
        Ok(())
    }
}

fn prepared(kms: &Kms) -> Result<(KeyId, Vec<u8>)> {
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    kms.create_alias("alias/kept", key)?;
    Ok((key, kms.encrypt(EncryptRequest::new(key, b"x"))?.ciphertext_blob))
}

#[test]
fn flags_that_callers_pass_on_have_the_effect_of_the_plain_setters() -> Result<()> {
    let kms = Kms::in_memory()?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    let encrypt = |dry_run| kms.encrypt(EncryptRequest::new(key, b"x").dry_run_if(dry_run));
    assert_eq!(kind(encrypt(true)), ErrorKind::DryRun);
    assert!(encrypt(false).is_ok());
    let pair = |dry_run| {
        let request = GenerateDataKeyPairRequest::new(key, DataKeyPairSpec::EccNistP256).dry_run_if(dry_run);
        kms.generate_data_key_pair_without_plaintext(request)
    };
    assert_eq!(kind(pair(true)), ErrorKind::DryRun);
    assert!(pair(false).is_ok());
    assert_eq!((DryRun::from(true), DryRun::from(false)), (DryRun::Yes, DryRun::No));

    let locks_out = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kms:*", "Resource": "*",
        "Principal": {"AWS": "arn:aws:iam::000000000000:user/alice"}}}"#;
    let create = |bypass| {
        let request = CreateKeyRequest::default().policy(locks_out);
        kms.create_key(request.bypass_policy_lockout_safety_check_if(bypass))
    };
    assert_eq!(kind(create(false)), ErrorKind::MalformedPolicyDocument);
    assert!(create(true).is_ok());
    let put = |bypass| {
        let request = PutKeyPolicyRequest::new(key, locks_out);
        kms.put_key_policy(request.bypass_policy_lockout_safety_check_if(bypass))
    };
    assert_eq!(kind(put(false)), ErrorKind::MalformedPolicyDocument);
    assert!(put(true).is_ok());
    Ok(())
}

#[test]
fn an_unsuitable_state_is_reported_before_an_unsuitable_class_and_after_an_unsuitable_usage() -> Result<()> {
    let kms = Kms::in_memory()?;
    let symmetric = kms.create_key(CreateKeyRequest::default())?.key_id();
    let other = kms.create_key(CreateKeyRequest::default())?.key_id();
    let hmac = CreateKeyRequest::default().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
    let p256 = CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::SignVerify);
    let (hmac, p256) = (kms.create_key(hmac)?.key_id(), kms.create_key(p256)?.key_id());
    let blob = kms.encrypt(EncryptRequest::new(symmetric, b"x"))?.ciphertext_blob;
    type Attempt<'a> = (KeyId, ErrorKind, &'a dyn Fn(KeyId) -> Result<()>);
    let attempts: [Attempt<'_>; 10] = [
        (p256, ErrorKind::UnsupportedOperation, &|key| kms.rotate_key_on_demand(key).map(drop)),
        (hmac, ErrorKind::UnsupportedOperation, &|key| kms.enable_key_rotation(key, RotationPeriod::default())),
        (hmac, ErrorKind::UnsupportedOperation, &|key| kms.disable_key_rotation(key)),
        (symmetric, ErrorKind::UnsupportedOperation, &|key| kms.get_public_key(key).map(drop)),
        (p256, ErrorKind::InvalidKeyUsage, &|key| kms.encrypt(EncryptRequest::new(key, b"x")).map(drop)),
        (hmac, ErrorKind::InvalidKeyUsage, &|key| kms.generate_data_key(GenerateDataKeyRequest::new(key)).map(drop)),
        (p256, ErrorKind::IncorrectKey, &|key| kms.decrypt(DecryptRequest::new(&blob).key(key)?).map(drop)),
        (other, ErrorKind::IncorrectKey, &|key| kms.decrypt(DecryptRequest::new(&blob).key(key)?).map(drop)),
        (other, ErrorKind::IncorrectKey, &|key| {
            kms.re_encrypt(ReEncryptRequest::new(&blob, symmetric).source_key(key)?).map(drop)
        }),
        (symmetric, ErrorKind::InvalidKeyUsage, &|key| {
            kms.sign(SignRequest::new(key, SigningAlgorithm::EcdsaSha256, b"x")).map(drop)
        }),
    ];
    for (number, (key, unsuitable, attempt)) in attempts.into_iter().enumerate() {
        assert_eq!(kind(attempt(key)), unsuitable, "{number}");
        let is_about_usage = [ErrorKind::InvalidKeyUsage, ErrorKind::IncorrectKey].contains(&unsuitable);
        let in_state = |other| if is_about_usage { unsuitable } else { other };
        kms.disable_key(key)?;
        assert_eq!(kind(attempt(key)), in_state(ErrorKind::Disabled), "{number}");
        kms.schedule_key_deletion(key, DeletionWindow::MIN)?;
        assert_eq!(kind(attempt(key)), in_state(ErrorKind::InvalidState), "{number}");
        kms.cancel_key_deletion(key)?;
        kms.enable_key(key)?;
    }
    let waiting = kms.create_key(CreateKeyRequest::default().origin(Origin::External))?.key_id();
    assert_eq!(kind(kms.get_public_key(waiting)), ErrorKind::InvalidState);
    assert_eq!(kind(kms.decrypt(DecryptRequest::new(&blob).key(waiting)?)), ErrorKind::IncorrectKey);
    Ok(())
}

#[test]
fn without_permission_no_operation_works_or_changes_anything_and_each_is_on_the_trail() -> Result<()> {
    let (policy, trail) = (Arc::new(Switch::default()), Arc::new(MemoryTrail::default()));
    let kms = Kms::builder().policy(Arc::clone(&policy)).audit(Arc::clone(&trail)).build()?;
    let (key, blob) = prepared(&kms)?;
    let before = (kms.describe_key(key)?, kms.list_aliases(PageRequest::default())?);
    policy.0.store(true, Ordering::SeqCst);
    for (operation, run) in operations(key, &blob).into_iter().chain(operations_of_other_keys(key)) {
        trail.clear();
        assert_eq!(kind(run(&kms)), ErrorKind::AccessDenied, "{operation}");
        let events = trail.events();
        assert_eq!(events.len(), 1, "{operation}: {events:?}");
        assert_eq!(events[0].outcome, Outcome::Failure(ErrorKind::AccessDenied));
        assert_eq!(events[0].action.to_string(), operation.api_name());
    }
    policy.0.store(false, Ordering::SeqCst);
    assert_eq!((kms.describe_key(key)?, kms.list_aliases(PageRequest::default())?), before);
    Ok(())
}

/// Operations that are not in these lists because other tests cover them.
const ELSEWHERE: &[(Operation, &str)] = &[
    (Operation::ReEncryptFrom, "the first half of ReEncryptTo"),
    (Operation::CreateCustomKeyStore, "custom key stores"),
    (Operation::DescribeCustomKeyStores, "custom key stores"),
    (Operation::UpdateCustomKeyStore, "custom key stores"),
    (Operation::ConnectCustomKeyStore, "custom key stores"),
    (Operation::DisconnectCustomKeyStore, "custom key stores"),
    (Operation::DeleteCustomKeyStore, "custom key stores"),
];

#[test]
fn no_operation_is_forgotten_where_permission_and_accounts_are_proved() {
    let key = KeyId::from_random_bytes([0; 16]);
    let tried: Vec<_> = operations(key, &[]).into_iter().chain(operations_of_other_keys(key)).map(|(o, _)| o).collect();
    for &operation in Operation::ALL {
        let elsewhere = ELSEWHERE.iter().any(|(other, _)| *other == operation);
        assert!(tried.contains(&operation) != elsewhere, "{operation}: in exactly one of the lists");
    }
}

#[test]
fn every_operation_obeys_the_state_table() -> Result<()> {
    let reach: [(KeyState, Reach); 3] = [
        (KeyState::Enabled, |_, _| Ok(())),
        (KeyState::Disabled, |kms, key| kms.disable_key(key)),
        (KeyState::PendingDeletion, |kms, key| kms.schedule_key_deletion(key, DeletionWindow::default()).map(drop)),
    ];
    let mut cells = 0;
    for (state, reach) in reach {
        let blob = Vec::new();
        let count = operations(KeyId::from_random_bytes([0; 16]), &blob).len();
        for index in 0..count {
            let kms = Kms::in_memory()?;
            let (key, blob) = prepared(&kms)?;
            reach(&kms, key)?;
            assert_eq!(kms.describe_key(key)?.state(), state);
            let operations = operations(key, &blob);
            let (operation, run) = &operations[index];
            if !operation.acts_on_key() || *operation == Operation::ListAliases {
                continue;
            }
            // Re-encryption of a key to itself meets the source's check first. Both checks have the
            // same rules.
            let result = run(&kms);
            match verdict(*operation, state, Origin::Kms, SpecClass::Symmetric) {
                Verdict::Refused(refusal) => assert_eq!(kind(result), refusal.kind(), "{operation} in {state}"),
                Verdict::Allowed | Verdict::NoEffect | Verdict::AllowedOnceAvailable => {
                    result.unwrap_or_else(|error| panic!("{operation} in {state}: {error}"));
                }
                other => panic!("{operation} in {state}: {other:?}"),
            }
            cells += 1;
        }
    }
    println!("state table: {cells} cells tried through the facade");
    assert_eq!(cells, 3 * 30);
    Ok(())
}

#[test]
fn a_call_leaves_who_what_which_and_how_it_ended() -> Result<()> {
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(5)));
    let trail = Arc::new(MemoryTrail::default());
    let kms =
        Kms::builder().clock(clock).clock_tolerance(std::time::Duration::MAX).audit(Arc::clone(&trail)).build()?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    trail.clear();
    let context = EncryptionContext::from([("tenant", "42")]);
    let blob = kms.encrypt(EncryptRequest::new(key, b"secret text").context(&context))?.ciphertext_blob;
    kms.decrypt(DecryptRequest::new(&blob)).expect_err("the context is missing");
    let events = trail.events();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0].action, Action::Call(Operation::Encrypt));
    assert_eq!(events[0].principal, Principal::root(AccountId::default()));
    assert_eq!(events[0].keys.map(|key| key.map(|key| key.key_id)), [Some(key), None]);
    assert_eq!(events[0].context.as_ref(), Some(&context));
    assert_eq!((events[0].outcome.clone(), events[0].time.unix_millis()), (Outcome::Success, 5));
    assert!(events[0].read_only());
    assert_eq!(events[1].outcome, Outcome::Failure(ErrorKind::InvalidCiphertext));
    let text = format!("{events:?}");
    assert!(!text.contains("secret text") && !text.contains(&hex::encode(&blob)));
    Ok(())
}

#[test]
fn re_encryption_leaves_both_keys_and_both_contexts() -> Result<()> {
    let trail = Arc::new(MemoryTrail::default());
    let kms = Kms::builder().audit(Arc::clone(&trail)).build()?;
    let (from, to) = (kms.create_key(CreateKeyRequest::default())?, kms.create_key(CreateKeyRequest::default())?);
    let (old, new) = (EncryptionContext::from([("v", "1")]), EncryptionContext::from([("v", "2")]));
    let blob = kms.encrypt(EncryptRequest::new(from.key_id(), b"x").context(&old))?.ciphertext_blob;
    trail.clear();
    let request = ReEncryptRequest::new(&blob, to.key_id()).source_context(&old).destination_context(&new);
    kms.re_encrypt(request)?;
    let [event] = &trail.events()[..] else { panic!("one event") };
    assert_eq!(event.action.to_string(), "ReEncrypt");
    assert_eq!(event.keys.map(|key| key.map(|key| key.key_id)), [Some(from.key_id()), Some(to.key_id())]);
    assert_eq!((event.source_context.as_ref(), event.context.as_ref()), (Some(&old), Some(&new)));
    Ok(())
}

#[test]
fn a_change_announces_itself_before_it_is_committed() -> Result<()> {
    let trail = Arc::new(MemoryTrail::default());
    let kms = Kms::builder().audit(Arc::clone(&trail)).build()?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    trail.clear();
    kms.disable_key(key)?;
    kms.disable_key(key)?;
    let outcomes: Vec<_> = trail.events().into_iter().map(|event| event.outcome).collect();
    assert_eq!(outcomes, [Outcome::Intent, Outcome::Success, Outcome::Success], "the second changes nothing");
    Ok(())
}

#[test]
fn if_the_trail_fails_results_are_withheld_and_changes_do_not_happen() -> Result<()> {
    let trail = Arc::new(Brittle::default());
    let kms = Kms::builder().audit(Arc::clone(&trail)).build()?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    let fail_in = |events: usize| {
        let written = trail.events.lock().expect("no thread panicked").len();
        trail.fails_at.store(written + events, Ordering::SeqCst);
    };
    fail_in(1);
    let withheld = kms.encrypt(EncryptRequest::new(key, b"x")).expect_err("the disk is full");
    assert_eq!(withheld.kind(), ErrorKind::Audit);
    assert!(withheld.to_string().ends_with("no space left"), "{withheld}");
    fail_in(1);
    assert_eq!(kind(kms.disable_key(key)), ErrorKind::Audit);
    fail_in(usize::MAX / 2);
    assert_eq!(
        kms.describe_key(key)?.state(),
        KeyState::Enabled,
        "the intent was not written, so the call had no effect"
    );
    fail_in(2);
    let incomplete = kms.disable_key(key).expect_err("the outcome could not be written");
    assert!(incomplete.to_string().contains("was committed"), "{incomplete}");
    fail_in(usize::MAX / 2);
    assert_eq!(kms.describe_key(key)?.state(), KeyState::Disabled);
    Ok(())
}

#[test]
fn rotation_and_deletion_by_maintenance_are_on_the_trail() -> Result<()> {
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
    let trail = Arc::new(MemoryTrail::default());
    let kms = Kms::builder()
        .clock(Arc::clone(&clock))
        .clock_tolerance(std::time::Duration::MAX)
        .audit(Arc::clone(&trail))
        .build()?;
    let rotating = kms.create_key(CreateKeyRequest::default())?.key_id();
    let dying = kms.create_key(CreateKeyRequest::default())?.key_id();
    kms.enable_key_rotation(rotating, RotationPeriod::from_days(90)?)?;
    for _ in 0..2 {
        clock.advance_days(30);
        kms.run_maintenance()?;
    }
    kms.schedule_key_deletion(dying, DeletionWindow::default())?;
    clock.advance_days(31);
    trail.clear();
    kms.run_maintenance()?;
    let mut seen: Vec<_> = trail.events().into_iter().map(|e| (e.action.to_string(), e.outcome)).collect();
    seen.sort_by_key(|(action, _)| action.clone());
    let pair = |action: &str| [(action.to_owned(), Outcome::Intent), (action.to_owned(), Outcome::Success)];
    assert_eq!(seen, [pair("DeleteKey"), pair("RotateKey")].concat());
    Ok(())
}

#[test]
fn a_narrowed_handle_cannot_be_widened() -> Result<()> {
    let (kms, key) = with_key()?;
    let user = kms.as_principal(Principal::user(AccountId::default(), "alice")?)?;
    assert_eq!(kind(user.as_principal(Principal::root(AccountId::default()))), ErrorKind::AccessDenied);
    assert_eq!(kind(user.clone().as_principal(Principal::root(AccountId::default()))), ErrorKind::AccessDenied);
    assert_eq!(kind(user.run_maintenance()), ErrorKind::AccessDenied);
    assert_eq!(kind(user.describe_key(key)), ErrorKind::AccessDenied);
    Ok(())
}

#[test]
fn concurrent_changes_are_never_lost() -> Result<()> {
    const THREADS: usize = 8;
    const ROUNDS: usize = 6;
    let (kms, key) = with_key()?;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let kms = &kms;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let tag = Tag::new(format!("t{thread}-{round}"), "").expect("a tag");
                    kms.tag_resource(key, [tag]).expect("conflicts are resolved by retrying");
                    kms.create_alias(format!("alias/{thread}-{round}"), key)
                        .expect("conflicts are resolved by retrying");
                }
            });
        }
    });
    assert_eq!(kms.list_resource_tags(key, PageRequest::default())?.entries.len(), THREADS * ROUNDS);
    assert_eq!(kms.list_aliases_of_key(key, PageRequest::default())?.entries.len(), THREADS * ROUNDS);
    Ok(())
}

#[test]
fn use_goes_on_while_a_key_rotates_and_every_result_is_right() -> Result<()> {
    let (kms, key) = with_key()?;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut rounds = 0;
                while !done.load(Ordering::SeqCst) || rounds < 100 {
                    let made = kms.generate_data_key(GenerateDataKeyRequest::new(key)).expect("a data key");
                    let opened = kms.decrypt(DecryptRequest::new(&made.ciphertext_blob)).expect("the same key");
                    assert_eq!(opened.plaintext, made.plaintext);
                    rounds += 1;
                }
            });
        }
        for _ in 0..25 {
            kms.rotate_key_on_demand(key).expect("within the limit");
        }
        done.store(true, Ordering::SeqCst);
    });
    Ok(())
}

#[test]
fn racing_maintenance_rotates_and_deletes_once() -> Result<()> {
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
    let kms = Kms::builder().clock(Arc::clone(&clock)).clock_tolerance(std::time::Duration::MAX).build()?;
    for _ in 0..10 {
        let rotating = kms.create_key(CreateKeyRequest::default())?;
        kms.enable_key_rotation(rotating.key_id(), RotationPeriod::from_days(90)?)?;
    }
    for _ in 0..2 {
        clock.advance_days(30);
        kms.run_maintenance()?;
    }
    for _ in 0..10 {
        let dying = kms.create_key(CreateKeyRequest::default())?;
        kms.schedule_key_deletion(dying.key_id(), DeletionWindow::default())?;
    }
    clock.advance_days(31);
    let reports: Vec<_> = std::thread::scope(|scope| {
        let sweeps: Vec<_> = (0..4).map(|_| scope.spawn(|| kms.run_maintenance().expect("a sweep"))).collect();
        sweeps.into_iter().map(|sweep| sweep.join().expect("no thread panicked")).collect()
    });
    assert_eq!(reports.iter().map(|report| report.rotated.len()).sum::<usize>(), 10);
    assert_eq!(reports.iter().map(|report| report.deleted.len()).sum::<usize>(), 10);
    assert!(reports.iter().all(|report| report.failed.is_empty()));
    Ok(())
}

#[test]
fn the_state_machine_has_no_event_that_this_release_forgets() {
    // A pending deletion can always be canceled, whatever the previous state was.
    for &state in KeyState::ALL {
        if let Some(next) = state.next(KeyEvent::ScheduleDeletion) {
            assert_eq!(next, KeyState::PendingDeletion);
            assert_eq!(next.next(KeyEvent::CancelDeletion), Some(KeyState::Disabled));
        }
    }
}
