//! Rotation: on schedule, on demand, and the data that it leaves unchanged.

use std::time::Duration;

use strongroom::key::{DeletionWindow, KeyId, KeyMaterialState, OnDemandRotationLimit, RotationPeriod, RotationType};
use strongroom::request::{CreateKeyRequest, DecryptRequest, EncryptRequest, IncludeKeyMaterial, PageRequest};
use strongroom::{ErrorKind, Kms, KmsLimits, Result};

use crate::support::any_store;
use crate::support::kms::{kind, with_clock, with_key};

fn versions(kms: &Kms, key: KeyId) -> Result<usize> {
    let all = kms.list_key_rotations(key, IncludeKeyMaterial::AllKeyMaterial, PageRequest::default())?;
    Ok(all.entries.len())
}

#[test]
fn old_ciphertexts_open_after_many_rotations_and_new_ones_use_new_material() -> Result<()> {
    let (kms, key) = with_key()?;
    let arn = kms.describe_key(key)?.arn().clone();
    let mut blobs = Vec::new();
    for round in 0..25_u8 {
        blobs.push((round, kms.encrypt(EncryptRequest::new(key, &[round]))?.ciphertext_blob));
        assert_eq!(kms.rotate_key_on_demand(key)?, arn);
    }
    let mut materials = Vec::new();
    for (round, blob) in &blobs {
        let opened = kms.decrypt(DecryptRequest::new(blob))?;
        assert_eq!(opened.plaintext.expose_secret(), [*round]);
        assert!(!materials.contains(&opened.key_material_id));
        materials.push(opened.key_material_id);
    }
    assert_eq!(kind(kms.rotate_key_on_demand(key)), ErrorKind::LimitExceeded);
    assert_eq!(versions(&kms, key)?, 26);
    Ok(())
}

#[test]
fn a_due_rotation_happens_at_the_next_encryption_and_keeps_its_schedule() -> Result<()> {
    let (kms, clock) = with_clock()?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    kms.enable_key_rotation(key, RotationPeriod::from_days(90)?)?;
    let first = kms.get_key_rotation_status(key)?.next_rotation_date;
    let before = kms.encrypt(EncryptRequest::new(key, b"x"))?.ciphertext_blob;
    clock.advance(Duration::from_secs(90 * 86_400 - 1));
    kms.encrypt(EncryptRequest::new(key, b"x"))?;
    assert_eq!(versions(&kms, key)?, 1, "one second early");
    clock.advance_days(3);
    kms.decrypt(DecryptRequest::new(&before))?;
    assert_eq!(versions(&kms, key)?, 1, "decryption needs no new material");
    assert_eq!(kind(kms.encrypt(EncryptRequest::new(key, b"x").dry_run())), ErrorKind::DryRun);
    assert_eq!(versions(&kms, key)?, 1, "a dry run changes nothing");
    kms.encrypt(EncryptRequest::new(key, b"x"))?;
    assert_eq!(versions(&kms, key)?, 2);
    let rotation = kms.list_key_rotations(key, IncludeKeyMaterial::RotationsOnly, PageRequest::default())?;
    assert_eq!(rotation.entries[0].rotation_type, Some(RotationType::Automatic));
    assert_eq!(rotation.entries[0].key_id(), key);
    assert_eq!(kms.get_key_rotation_status(key)?.key_id(), key);
    let next = kms.get_key_rotation_status(key)?.next_rotation_date;
    assert_eq!(next, first.map(|first| first.plus_days(90)), "counted from the due date, not from the late one");
    assert_eq!(kms.decrypt(DecryptRequest::new(&before))?.plaintext.expose_secret(), b"x");
    Ok(())
}

#[test]
fn long_neglect_makes_one_new_version_and_not_many() -> Result<()> {
    let (kms, clock) = with_clock()?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    kms.enable_key_rotation(key, RotationPeriod::from_days(90)?)?;
    clock.advance_days(1000);
    assert_eq!(kms.run_maintenance()?.rotated.len(), 1);
    assert!(kms.run_maintenance()?.rotated.is_empty());
    assert_eq!(versions(&kms, key)?, 2);
    Ok(())
}

#[test]
fn a_disabled_key_rotates_only_once_it_is_enabled_again() -> Result<()> {
    let (kms, clock) = with_clock()?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    kms.enable_key_rotation(key, RotationPeriod::default())?;
    kms.disable_key(key)?;
    clock.advance_days(400);
    assert!(kms.run_maintenance()?.rotated.is_empty());
    assert!(kms.get_key_rotation_status(key)?.enabled);
    assert_eq!(kind(kms.disable_key_rotation(key)), ErrorKind::Disabled);
    kms.enable_key(key)?;
    assert_eq!(kms.run_maintenance()?.rotated.len(), 1);
    Ok(())
}

#[test]
fn a_pending_deletion_hides_the_schedule_and_its_cancelling_restores_it() -> Result<()> {
    let (kms, _) = with_clock()?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    kms.enable_key_rotation(key, RotationPeriod::default())?;
    kms.schedule_key_deletion(key, DeletionWindow::default())?;
    assert!(!kms.get_key_rotation_status(key)?.enabled);
    kms.cancel_key_deletion(key)?;
    assert!(kms.get_key_rotation_status(key)?.enabled);
    Ok(())
}

#[test]
fn enabling_again_keeps_the_schedule_and_a_new_period_starts_one() -> Result<()> {
    let (kms, clock) = with_clock()?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    let next = |kms: &Kms| kms.get_key_rotation_status(key).map(|status| status.next_rotation_date);
    kms.enable_key_rotation(key, RotationPeriod::from_days(100)?)?;
    let first = next(&kms)?;
    clock.advance_days(50);
    kms.enable_key_rotation(key, RotationPeriod::from_days(100)?)?;
    assert_eq!(next(&kms)?, first);
    kms.enable_key_rotation(key, RotationPeriod::from_days(200)?)?;
    assert_eq!(next(&kms)?, first.map(|first| first.plus_days(150)));
    kms.disable_key_rotation(key)?;
    assert_eq!(next(&kms)?, None);
    Ok(())
}

#[test]
fn on_demand_rotation_yields_to_an_automatic_one_that_is_near() -> Result<()> {
    let (kms, clock) = with_clock()?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    kms.enable_key_rotation(key, RotationPeriod::from_days(90)?)?;
    clock.advance(Duration::from_secs(90 * 86_400 - 20 * 60));
    assert_eq!(kind(kms.rotate_key_on_demand(key)), ErrorKind::Conflict);
    kms.disable_key_rotation(key)?;
    assert!(kms.rotate_key_on_demand(key).is_ok());
    Ok(())
}

#[test]
fn the_limit_of_on_demand_rotations_is_a_setting_and_spares_automatic_ones() -> Result<()> {
    let limits = KmsLimits { on_demand_rotations: OnDemandRotationLimit::new(0), ..KmsLimits::default() };
    let kms = any_store::builder().limits(limits).build()?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    assert_eq!(kind(kms.rotate_key_on_demand(key)), ErrorKind::LimitExceeded);
    assert!(kms.enable_key_rotation(key, RotationPeriod::default()).is_ok());
    Ok(())
}

#[test]
fn rotations_are_listed_with_their_states_in_pages() -> Result<()> {
    let (kms, key) = with_key()?;
    for _ in 0..3 {
        kms.rotate_key_on_demand(key)?;
    }
    let list = |include, page| kms.list_key_rotations(key, include, page);
    let first = list(IncludeKeyMaterial::AllKeyMaterial, PageRequest::default().limit(3))?;
    let marker = first.next_marker.clone().unwrap_or_default();
    let rest = list(IncludeKeyMaterial::AllKeyMaterial, PageRequest::default().marker(marker))?;
    assert!(first.entries.iter().all(|entry| entry.key_material_state == KeyMaterialState::NonCurrent));
    assert_eq!(rest.entries[0].key_material_state, KeyMaterialState::Current);
    assert_eq!(Some(rest.entries[0].key_material_id), kms.describe_key(key)?.current_key_material_id());
    assert_eq!((first.entries[0].rotation_type, first.entries[0].rotation_date), (None, None));
    assert_eq!(list(IncludeKeyMaterial::RotationsOnly, PageRequest::default())?.entries.len(), 3);
    Ok(())
}

#[test]
fn the_versions_of_a_test_key_are_the_first_one_and_rotations_on_demand() -> Result<()> {
    let kms = any_store::builder().allow_insecure_test_keys().build()?;
    let id = KeyId::parse("1234abcd-12ab-34cd-56ef-1234567890ab")?;
    kms.create_insecure_test_key(id, CreateKeyRequest::default(), &[&[1; 32], &[2; 32], &[3; 32]])?;
    let rotations = kms.list_key_rotations(id, IncludeKeyMaterial::RotationsOnly, PageRequest::default())?.entries;
    let kinds: Vec<_> = rotations.iter().map(|rotation| rotation.rotation_type).collect();
    assert_eq!((kinds, versions(&kms, id)?), (vec![Some(RotationType::OnDemand); 2], 3));
    Ok(())
}
