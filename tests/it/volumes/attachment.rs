//! Who can attach a volume.

use std::sync::Arc;

use base64ct::{Base64, Encoding};
use strongroom::identity::{AccountId, Principal};
use strongroom::key::{DeletionWindow, Operation};
use strongroom::policy::{GrantConstraints, GrantTerms};
use strongroom::request::{CreateGrantRequest, DecryptRequest, GenerateDataKeyRequest};
use strongroom::volumes::{LuksToken, SectorSize, VolumeError, VolumeGeometry, VolumeHeader, VolumeId, VolumeKeys};
use strongroom::{Clock, EncryptionContext, ErrorKind, Kms, ManualClock, Timestamp};

use super::support::{Setup, TestResult};

const SIZE: u64 = 1 << 20;

#[test]
fn wrapped_keys_have_the_context_of_the_volume() -> TestResult {
    let setup = Setup::new(SectorSize::Bytes4096, SIZE)?;
    let context = EncryptionContext::from([
        ("aws:ebs:id", "vol-0a1b2c3d4e5f60718"),
        ("strongroom:volume", "1 aes-xts-plain64 4096"),
    ]);
    let opened = setup.kms.decrypt(DecryptRequest::new(setup.header.wrapped_key()).context(&context))?;
    assert_eq!(opened.plaintext.expose_secret(), setup.attach()?.expose_secret());
    Ok(())
}

#[test]
fn other_volumes_keys_and_formats_are_refused() -> TestResult {
    let setup = Setup::new(SectorSize::Bytes4096, SIZE)?;
    let other = VolumeId::parse("vol-2")?;
    let refused = setup.keys.attach(&setup.header, &other).unwrap_err();
    assert_eq!(refused.downcast_ref(), Some(&VolumeError::OtherVolume));

    let other_key = setup.kms.create_key(Default::default())?.key_id();
    let refused = VolumeKeys::new(&setup.kms, other_key)?.attach(&setup.header, &setup.id).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::IncorrectKey);

    let elsewhere = Kms::in_memory()?;
    let key = elsewhere.create_key(Default::default())?.key_id();
    assert!(VolumeKeys::new(&elsewhere, key)?.attach(&setup.header, &setup.id).is_err());
    Ok(())
}

#[test]
fn wrapped_keys_of_other_lengths_are_refused() -> TestResult {
    let setup = Setup::new(SectorSize::Bytes512, SIZE)?;
    let context = EncryptionContext::from([
        ("aws:ebs:id", "vol-0a1b2c3d4e5f60718"),
        ("strongroom:volume", "1 aes-xts-plain64 512"),
    ]);
    let request = GenerateDataKeyRequest::new(setup.key).context(&context);
    let wrapped = setup.kms.generate_data_key_without_plaintext(request)?.ciphertext_blob;
    let token = LuksToken::new(setup.header.clone(), [])?.to_json();
    let mut token: serde_json::Value = serde_json::from_str(&token)?;
    token["wrapped_key"] = Base64::encode_string(&wrapped).into();
    let forged = LuksToken::parse(&token.to_string())?;
    let refused = setup.keys.attach(forged.header(), &setup.id).unwrap_err();
    assert_eq!(refused.downcast_ref(), Some(&VolumeError::KeyLength { length: 32 }));
    Ok(())
}

#[test]
fn disabled_and_deleted_keys_refuse_attachments() -> TestResult {
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
    let kms = Kms::builder().clock(Arc::clone(&clock)).build()?;
    let key = kms.create_key(Default::default())?.key_id();
    let (keys, id) = (VolumeKeys::new(&kms, key)?, VolumeId::parse("vol-1")?);
    let header = keys.create(&id, VolumeGeometry::new(SectorSize::Bytes4096, SIZE)?)?;

    kms.disable_key(key)?;
    assert_eq!(keys.attach(&header, &id).unwrap_err().kind(), ErrorKind::Disabled);
    kms.enable_key(key)?;
    assert!(keys.attach(&header, &id).is_ok());

    kms.schedule_key_deletion(key, DeletionWindow::from_days(7)?)?;
    assert_eq!(keys.attach(&header, &id).unwrap_err().kind(), ErrorKind::InvalidState);
    clock.advance_days(8);
    kms.confirm_clock(clock.now())?;
    assert_eq!(kms.run_maintenance()?.deleted.len(), 1);
    // The volume is shredded: nothing can unwrap its key.
    assert_eq!(keys.attach(&header, &id).unwrap_err().kind(), ErrorKind::NotFound);
    Ok(())
}

#[test]
fn a_grant_for_one_volume_attaches_no_other() -> TestResult {
    let setup = Setup::new(SectorSize::Bytes4096, SIZE)?;
    let machine = Principal::role(AccountId::default(), "machine")?;
    let pairs = EncryptionContext::from([("aws:ebs:id", setup.id.as_str())]);
    let constraints = GrantConstraints::new().with_encryption_context_subset(pairs)?;
    let terms = GrantTerms::new(machine.clone(), [Operation::Decrypt])?.with_constraints(constraints);
    setup.kms.create_grant(CreateGrantRequest::new(setup.key, terms))?;

    let keys = VolumeKeys::new(&setup.kms.as_principal(machine)?, setup.key)?;
    assert!(keys.attach(&setup.header, &setup.id).is_ok());
    let other = VolumeId::parse("vol-2")?;
    let header: VolumeHeader = setup.keys.create(&other, setup.header.geometry())?;
    assert_eq!(keys.attach(&header, &other).unwrap_err().kind(), ErrorKind::AccessDenied);
    assert_eq!(keys.create(&other, setup.header.geometry()).unwrap_err().kind(), ErrorKind::AccessDenied);
    Ok(())
}

#[test]
fn rotated_keys_attach_older_volumes() -> TestResult {
    let setup = Setup::new(SectorSize::Bytes512, SIZE)?;
    let before = setup.attach()?;
    setup.kms.rotate_key_on_demand(setup.key)?;
    assert_eq!(setup.attach()?.expose_secret(), before.expose_secret());
    let rewrapped = setup.keys.rewrap(&setup.header, &setup.id, setup.key, &setup.id)?;
    assert_ne!(rewrapped.wrapped_key(), setup.header.wrapped_key());
    assert_eq!(setup.keys.attach(&rewrapped, &setup.id)?.expose_secret(), before.expose_secret());
    Ok(())
}
