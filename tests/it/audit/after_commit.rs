//! Errors after a commit: both the error and the trail state that the change was committed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use strongroom::audit::{Action, AuditEvent, AuditSink, MemoryTrail, Outcome};
use strongroom::crypto::{CryptoBackend, KeyPairKind};
use strongroom::export::{ExportIdentity, ExportRecipient};
use strongroom::key::{DeletionWindow, KeyState, Operation, RotationPeriod};
use strongroom::request::{CreateKeyRequest, DecryptRequest, EncryptRequest, GenerateDataKeyRequest, PageRequest};
use strongroom::seal::RootKey;
use strongroom::{Error, ErrorKind, Kms, ManualClock, Result, Timestamp};

use crate::support::any_store;
use crate::support::custom_key_stores::{request, two_members, vault};
use crate::support::stuck_anchor::StuckAnchor;
use crate::support::tampering_store::TamperingStore;

/// A trail that rejects the outcomes of changes while `forgets` is set.
#[derive(Debug, Default)]
struct Forgetful {
    trail: MemoryTrail,
    forgets: AtomicBool,
}

impl AuditSink for Forgetful {
    fn record(&self, event: AuditEvent) -> Result<()> {
        let is_outcome = event.change.is_some() && event.outcome != Outcome::Intent;
        if is_outcome && self.forgets.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Io, "no space left"));
        }
        self.trail.record(event)
    }
}

/// Returns the outcome of every change in the trail. Each change is announced and has one outcome.
fn outcomes(trail: &MemoryTrail) -> Vec<(Action, Outcome)> {
    let mut announced = HashMap::new();
    let mut outcomes = Vec::new();
    for event in trail.events() {
        let Some(change) = event.change else { continue };
        match event.outcome.clone() {
            Outcome::Intent => assert!(announced.insert(change, event.action).is_none(), "{event:?}"),
            outcome => {
                assert_eq!(announced.remove(&change), Some(event.action), "{event:?}");
                outcomes.push((event.action, outcome));
            }
        }
    }
    assert!(announced.is_empty(), "{announced:?}");
    outcomes
}

fn says_that_it_was_committed<T: std::fmt::Debug>(result: Result<T>, kind: ErrorKind) {
    let error = result.expect_err("a step after the commit failed");
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains("was committed"), "{error}");
}

#[test]
fn a_change_after_which_the_anchor_stays_is_told_as_made() -> Result<()> {
    let (anchor, trail) = (StuckAnchor::new(), Arc::new(MemoryTrail::default()));
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(1_700_000_000_000)));
    let builder =
        Kms::builder().store(TamperingStore::new(), RootKey::from_bytes(&[7; 32])).anchor(Arc::clone(&anchor));
    let kms = builder
        .audit(Arc::clone(&trail))
        .clock(Arc::clone(&clock))
        .clock_tolerance(std::time::Duration::MAX)
        .cluster(vault(), two_members())
        .build()?;
    let key = kms.create_key(Default::default())?.key_id();
    let safe = kms.create_custom_key_store(request("safe", "vault")?)?;
    kms.connect_custom_key_store(safe)?;
    let before = outcomes(&trail).len();

    anchor.stop_after(0);
    says_that_it_was_committed(kms.disable_key(key), ErrorKind::Store);
    assert_eq!(kms.describe_key(key)?.state(), KeyState::Disabled);
    kms.enable_key(key).expect_err("the anchor still does not move");
    says_that_it_was_committed(kms.create_key(Default::default()), ErrorKind::Store);
    assert_eq!(kms.list_keys(PageRequest::default())?.entries.len(), 2);
    let s3 = kms.as_service("s3")?.on_behalf_of(&kms)?;
    says_that_it_was_committed(s3.generate_data_key(GenerateDataKeyRequest::new("alias/aws/s3")), ErrorKind::Store);
    kms.describe_key("alias/aws/s3")?;
    // The first commit is that of the intent. If it is the only one, no key was created.
    let refused =
        kms.create_key(CreateKeyRequest::default().custom_key_store(safe)).expect_err("the anchor does not move");
    assert!(
        refused.kind() == ErrorKind::Store && refused.to_string().contains("nothing else was changed"),
        "{refused}"
    );
    // The mark of the store in the cluster is confirmed first, followed by the intent.
    anchor.stop_after(2);
    let in_safe = kms.create_key(CreateKeyRequest::default().custom_key_store(safe));
    says_that_it_was_committed(in_safe, ErrorKind::Store);
    anchor.stop_after(0);
    kms.schedule_key_deletion(key, DeletionWindow::from_days(7)?).expect_err("the anchor does not move");
    clock.advance_days(7);
    let report = kms.run_maintenance();
    assert!(report.is_err() || report.is_ok_and(|report| !report.is_complete()));

    anchor.stop_after(u32::MAX);
    assert!(kms.run_maintenance()?.is_complete());
    kms.describe_key(key).expect_err("the key was deleted");
    let (made, failed): (Vec<_>, Vec<_>) =
        outcomes(&trail).into_iter().partition(|(_, outcome)| *outcome == Outcome::Success);
    assert!(made.len() > before + 5, "{made:?}");
    assert_eq!(failed, [(Action::Call(Operation::CreateKey), Outcome::Failure(ErrorKind::Store))]);
    // The key that was created in the cluster exists and works.
    let listed = kms.list_keys(PageRequest::default())?.entries;
    let keys = listed.iter().map(|entry| kms.describe_key(&entry.key_arn)).collect::<Result<Vec<_>>>()?;
    let in_safe: Vec<_> = keys.iter().filter(|key| key.custom_key_store_id() == Some(safe)).collect();
    let [made] = in_safe[..] else { panic!("one is listed: {in_safe:?}") };
    // A message is counted before it is encrypted.
    anchor.stop_after(0);
    let refused = kms.encrypt(EncryptRequest::new(made.key_id(), b"text")).expect_err("the anchor does not move again");
    assert!(
        refused.kind() == ErrorKind::Store && refused.to_string().contains("nothing else was changed"),
        "{refused}"
    );
    let told = trail.events().pop().map(|event| (event.action, event.outcome));
    assert_eq!(told, Some((Action::Call(Operation::Encrypt), Outcome::Failure(ErrorKind::Store))));
    anchor.stop_after(u32::MAX);
    let blob = kms.encrypt(EncryptRequest::new(made.key_id(), b"text"))?.ciphertext_blob;
    assert_eq!(kms.decrypt(DecryptRequest::new(&blob))?.plaintext.expose_secret(), b"text");
    Ok(())
}

#[test]
fn what_was_counted_is_added_once_whether_the_anchor_moves_or_not() -> Result<()> {
    let (store, anchor) = (TamperingStore::new(), StuckAnchor::new());
    let builder = Kms::builder().store(Arc::clone(&store), RootKey::from_bytes(&[7; 32]));
    let kms = builder.anchor(Arc::clone(&anchor)).build()?;
    let key = kms.create_key(Default::default())?;
    let account = key.arn().account();
    kms.reset_metering(account)?;
    kms.encrypt(EncryptRequest::new(key.key_id(), b"text"))?;
    anchor.stop_after(0);
    says_that_it_was_committed(kms.metered_keys(account), ErrorKind::Store);
    anchor.stop_after(u32::MAX);
    assert_eq!(kms.metered_keys(account)?[0].requests, 1);
    // A commit that failed has added nothing.
    kms.encrypt(EncryptRequest::new(key.key_id(), b"text"))?;
    store.fail_after(0);
    assert_eq!(kms.metered_keys(account).expect_err("the disk is full").kind(), ErrorKind::Store);
    store.fail_after(u64::MAX);
    assert_eq!(kms.metered_keys(account)?[0].requests, 2);
    Ok(())
}

#[test]
fn a_change_whose_outcome_the_trail_does_not_take_is_told_as_made() -> Result<()> {
    let backend = CryptoBackend::default();
    let rsa = backend.key_pairs().generate(KeyPairKind::Rsa2048, backend.random())?;
    let elsewhere = any_store::kms()?;
    let (one, two) = (elsewhere.create_key(Default::default())?, elsewhere.create_key(Default::default())?);
    let recipient = ExportRecipient::rsa(&rsa.public_key_der())?;
    let export = elsewhere.export_all_keys(&recipient)?;

    let trail = Arc::new(Forgetful::default());
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(1_700_000_000_000)));
    let kms = any_store::builder()
        .audit(Arc::clone(&trail))
        .clock(Arc::clone(&clock))
        .clock_tolerance(std::time::Duration::MAX)
        .build()?;
    trail.forgets.store(true, Ordering::SeqCst);
    says_that_it_was_committed(
        kms.import_keys(&export.file, &ExportIdentity::rsa(&rsa.to_pkcs8()?)?),
        ErrorKind::Audit,
    );
    kms.describe_key(one.key_id())?;
    says_that_it_was_committed(kms.enable_key_rotation(one.key_id(), RotationPeriod::from_days(90)?), ErrorKind::Audit);
    says_that_it_was_committed(kms.schedule_key_deletion(two.key_id(), DeletionWindow::default()), ErrorKind::Audit);
    let s3 = kms.as_service("s3")?.on_behalf_of(&kms)?;
    says_that_it_was_committed(s3.generate_data_key(GenerateDataKeyRequest::new("alias/aws/s3")), ErrorKind::Audit);
    for _ in 0..3 {
        clock.advance_days(30);
        for (arn, error) in kms.run_maintenance()?.failed {
            says_that_it_was_committed::<()>(Err(error), ErrorKind::Audit);
            assert!([one.key_id(), two.key_id()].contains(&arn.key_id()), "{arn}");
        }
    }
    kms.describe_key(two.key_id()).expect_err("the key was deleted");
    assert_ne!(kms.describe_key(one.key_id())?.current_key_material_id(), one.current_key_material_id());
    Ok(())
}
