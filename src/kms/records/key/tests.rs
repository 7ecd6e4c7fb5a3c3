use proptest::prelude::*;

use super::*;
use crate::key::{KeyMaterialId, RotationType};
use crate::kms::records::key_version::Imported;
use crate::provider::ProviderId;

fn version(number: u32) -> VersionRecord {
    VersionRecord {
        number: KeyVersion::new(number).expect("not zero"),
        material_id: KeyMaterialId::from_bytes([7; 32]),
        created: Timestamp::from_unix_millis(-1),
        rotation: (number > 1).then_some(RotationType::OnDemand),
        provider: ProviderId::new("memory"),
        public_key: (number > 1).then(|| vec![6; 91]),
        sealed_material: if number == 2 { Vec::new() } else { vec![9; 109] },
        imported: (number > 1).then(|| Imported {
            description: "größer".to_owned(),
            valid_to: (number > 2).then(|| Timestamp::from_unix_millis(11)),
            is_pending_rotation: number > 2,
            token_digest: [5; 32],
        }),
    }
}

fn record() -> Result<KeyRecord> {
    Ok(KeyRecord {
        account: AccountId::default(),
        key_id: KeyId::from_random_bytes([1; 16]),
        spec: KeySpec::SymmetricDefault,
        usage: KeyUsage::EncryptDecrypt,
        origin: Origin::Kms,
        manager: KeyManager::Customer,
        state: KeyState::PendingDeletion,
        created: Timestamp::from_unix_millis(5),
        description: Description::parse("größer")?,
        deletion: Some(Deletion { date: Timestamp::from_unix_millis(9), window: DeletionWindow::MIN }),
        rotation: Some(Rotation { period: RotationPeriod::MAX, next: Timestamp::from_unix_millis(i64::MAX) }),
        on_demand_rotations: 3,
        tags: TagSet::from_tags([Tag::new("a", "")?, Tag::new("b", "2")?])?,
        aliases: [AliasName::parse("alias/x")?, AliasName::parse("alias/y")?].into(),
        last_version: 8,
        versions: vec![version(1), version(2), version(7)],
        service: Some(ServiceName::parse("s3")?),
        policy: Some("{}".into()),
        grants: 3,
        custom_key_store: Some(CustomKeyStoreId::from_random_bytes([0x5E; 9])),
    })
}

fn decode(bytes: &[u8]) -> Result<KeyRecord> {
    KeyRecord::decode(&KeyRecord::record_id(AccountId::default(), KeyId::from_random_bytes([1; 16])), bytes)
}

#[test]
fn a_key_is_read_as_it_was_written_and_no_part_of_it_is() -> Result<()> {
    let full = record()?;
    let bare = KeyRecord {
        deletion: None,
        rotation: None,
        versions: Vec::new(),
        service: None,
        policy: None,
        custom_key_store: None,
        ..full.clone()
    };
    for record in [full, bare] {
        let bytes = record.encode()?;
        assert_eq!(decode(&bytes)?, record);
        assert!((0..bytes.len()).all(|length| decode(&bytes[..length]).is_err()));
        assert!(decode(&[&bytes[..], &[0]].concat()).is_err());
    }
    Ok(())
}

#[test]
fn versions_out_of_order_are_refused() -> Result<()> {
    let twice = KeyRecord { versions: vec![version(2), version(2)], ..record()? };
    assert!(decode(&twice.encode()?).is_err());
    Ok(())
}

proptest! {
    #[test]
    fn decoding_is_total(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0..400_usize, value: u8) {
        decode(&bytes).ok();
        let mut altered = record()?.encode()?;
        let at = at % altered.len();
        altered[at] = value;
        if let Ok(read) = decode(&altered) {
            prop_assert_eq!(read.encode()?, altered, "accepted bytes are canonical");
        }
    }
}

#[test]
fn a_rotation_that_is_a_period_late_is_followed_by_one_a_period_later() {
    let (start, period) = (Timestamp::from_unix_millis(9), RotationPeriod::MIN);
    let rotation = Rotation { period, next: start };
    let days = |days| start.plus_days(days);
    let next = |now| rotation.after(now).next;
    assert_eq!(next(start), days(period.days()), "in time");
    assert_eq!(next(days(1)), days(period.days()), "a day late");
    assert_eq!(next(days(period.days())), days(2 * period.days()), "never at once");
    assert_eq!(next(Timestamp::from_unix_millis(0)), Timestamp::from_unix_millis(0).plus_days(period.days()), "early");
}

#[test]
fn a_rotation_is_put_off_if_it_is_later_than_a_period_and_the_tolerance() {
    let (now, period) = (Timestamp::from_unix_millis(9), RotationPeriod::MIN);
    let latest = now.plus_days(period.days()).plus_days(CLOCK_TOLERANCE_DAYS);
    for (next, is_put_off) in [(latest, false), (latest.plus(std::time::Duration::from_millis(1)), true)] {
        assert_eq!(Rotation { period, next }.is_put_off(now), is_put_off);
    }
}
