use serde_json::json;

use super::*;
use crate::identity::Locality;

fn metadata() -> KeyMetadata {
    let account = AccountId::parse("111122223333").unwrap();
    KeyMetadata {
        arn: KeyArn::new(Locality::default(), account, KeyId::from_bytes([0x11; 16])),
        created: Timestamp::from_unix_millis(1_502_910_355_475),
        state: KeyState::Enabled,
        description: Description::parse("invoices").unwrap(),
        manager: KeyManager::Customer,
        spec: KeySpec::SymmetricDefault,
        usage: KeyUsage::EncryptDecrypt,
        origin: Origin::Kms,
        deletion_date: None,
        pending_window: None,
        valid_to: None,
        expiration_model: None,
        current_key_material_id: Some(KeyMaterialId::from_bytes([0xab; 32])),
        custom_key_store_id: None,
        cluster_id: None,
    }
}

#[test]
fn a_symmetric_key_is_described_with_the_members_of_the_service() -> Result<(), serde_json::Error> {
    let expected = json!({
        "AWSAccountId": "111122223333",
        "KeyId": "11111111-1111-1111-1111-111111111111",
        "Arn": "arn:aws:kms:local:111122223333:key/11111111-1111-1111-1111-111111111111",
        "CreationDate": 1_502_910_355.475,
        "Enabled": true,
        "Description": "invoices",
        "KeyUsage": "ENCRYPT_DECRYPT",
        "KeyState": "Enabled",
        "Origin": "AWS_KMS",
        "KeyManager": "CUSTOMER",
        "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "KeySpec": "SYMMETRIC_DEFAULT",
        "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
        "MultiRegion": false,
        "CurrentKeyMaterialId": "ab".repeat(32),
    });
    assert_eq!(serde_json::to_value(metadata())?, expected);
    Ok(())
}

#[test]
fn what_applies_to_other_keys_is_there_when_it_applies() -> Result<(), serde_json::Error> {
    let doomed = KeyMetadata {
        state: KeyState::PendingDeletion,
        spec: KeySpec::EccNistP256,
        usage: KeyUsage::KeyAgreement,
        origin: Origin::External,
        deletion_date: Some(Timestamp::from_unix_millis(2_000_000_000_000)),
        pending_window: DeletionWindow::from_days(7).ok(),
        valid_to: Some(Timestamp::from_unix_millis(1_900_000_000_000)),
        expiration_model: Some(ExpirationModel::Expires),
        current_key_material_id: None,
        custom_key_store_id: None,
        cluster_id: None,
        ..metadata()
    };
    let value = serde_json::to_value(doomed)?;
    assert_eq!(value["Enabled"], json!(false));
    assert_eq!(value["DeletionDate"], json!(2_000_000_000.0));
    assert_eq!(value["PendingDeletionWindowInDays"], json!(7));
    assert_eq!(value["ValidTo"], json!(1_900_000_000.0));
    assert_eq!(value["ExpirationModel"], json!("KEY_MATERIAL_EXPIRES"));
    assert_eq!(value["KeyAgreementAlgorithms"], json!(["ECDH"]));
    for absent in ["EncryptionAlgorithms", "SigningAlgorithms", "MacAlgorithms", "CurrentKeyMaterialId"] {
        assert_eq!(value.get(absent), None, "{absent}");
    }
    Ok(())
}

#[test]
fn a_description_has_at_most_8192_characters() {
    assert_eq!(Description::parse(&"é".repeat(8192)).map(|text| text.as_str().len()).ok(), Some(16_384));
    let kind = Description::parse(&"x".repeat(8193)).map_err(|error| error.kind());
    assert_eq!(kind, Err(ErrorKind::Validation));
    assert_eq!(Description::default().as_str(), "");
}
