use std::collections::BTreeSet;

use super::*;
use crate::identity::{AccountId, Locality};
use crate::key::KeyId;

/// All 56 operations of the service, transcribed from its API model.
const SERVICE: &str = "CancelKeyDeletion ConnectCustomKeyStore CreateAlias CreateCustomKeyStore CreateGrant CreateKey \
    Decapsulate Decrypt DeleteAlias DeleteCustomKeyStore DeleteImportedKeyMaterial DeriveSharedSecret \
    DescribeCustomKeyStores DescribeKey DisableKey DisableKeyRotation DisconnectCustomKeyStore EnableKey \
    EnableKeyRotation Encapsulate Encrypt GenerateDataKey GenerateDataKeyPair GenerateDataKeyPairWithoutPlaintext \
    GenerateDataKeyWithoutPlaintext GenerateMac GenerateRandom GetKeyLastUsage GetKeyPolicy GetKeyRotationStatus \
    GetParametersForImport GetPublicKey ImportKeyMaterial ListAliases ListGrants ListKeyPolicies ListKeyRotations \
    ListKeys ListResourceTags ListRetirableGrants PutKeyPolicy ReEncrypt ReplicateKey RetireGrant RevokeGrant \
    RotateKeyOnDemand ScheduleKeyDeletion Sign TagResource UntagResource UpdateAlias UpdateCustomKeyStore \
    UpdateKeyDescription UpdatePrimaryRegion Verify VerifyMac";

/// Multi-Region operations are excluded permanently.
const LEFT_OUT: &str = "ReplicateKey UpdatePrimaryRegion";

const CRYPTOGRAPHY: &str = "Encrypt Decrypt ReEncryptFrom ReEncryptTo GenerateDataKey GenerateDataKeyWithoutPlaintext \
    GenerateDataKeyPair GenerateDataKeyPairWithoutPlaintext Sign Verify GenerateMac VerifyMac DeriveSharedSecret \
    Encapsulate Decapsulate";

/// Returns the operations for which the table contains `true`.
fn where_true(column: fn(Operation) -> bool) -> BTreeSet<&'static str> {
    Operation::ALL.iter().filter(|operation| column(**operation)).map(|operation| operation.as_str()).collect()
}

fn names(lists: &[&'static str]) -> BTreeSet<&'static str> {
    lists.iter().flat_map(|list| list.split_whitespace()).collect()
}

#[test]
fn the_operations_are_those_of_the_service_without_the_written_exclusions() {
    let service = names(&[SERVICE]);
    assert_eq!(service.len(), 56);
    let ours: BTreeSet<&str> = Operation::ALL.iter().map(|operation| operation.api_name()).collect();
    assert_eq!(ours, &service - &names(&[LEFT_OUT]));
    // Re-encryption counts twice.
    assert_eq!((ours.len(), Operation::ALL.len()), (54, 55));
}

#[test]
fn cryptography_describe_key_and_get_public_key_take_aliases() {
    assert_eq!(where_true(Operation::accepts_alias), names(&[CRYPTOGRAPHY, "DescribeKey GetPublicKey"]));
}

#[test]
fn operations_across_accounts_are_those_of_the_reference() {
    let others = "CreateGrant DescribeKey GetKeyRotationStatus GetPublicKey ListGrants RetireGrant RevokeGrant";
    assert_eq!(where_true(Operation::is_cross_account), names(&[CRYPTOGRAPHY, others]));
}

#[test]
fn cryptography_and_changes_of_grants_have_a_dry_run() {
    assert_eq!(where_true(Operation::has_dry_run), names(&[CRYPTOGRAPHY, "CreateGrant RetireGrant RevokeGrant"]));
}

#[test]
fn grants_can_allow_what_the_reference_lists() {
    let others = "GetPublicKey DescribeKey CreateGrant RetireGrant";
    assert_eq!(where_true(Operation::is_grantable), names(&[CRYPTOGRAPHY, others]));
    assert_eq!(where_true(Operation::is_grantable).len(), 19);
}

#[test]
fn cryptography_and_everything_that_tells_is_read_only() {
    let told = |name: &&str| ["Get", "List", "Describe"].iter().any(|verb| name.starts_with(verb));
    let mut expected: BTreeSet<&str> = Operation::ALL.iter().map(|operation| operation.as_str()).filter(told).collect();
    expected.extend(names(&[CRYPTOGRAPHY, "GenerateRandom"]));
    assert_eq!(where_true(Operation::is_read_only), expected);
}

#[test]
fn keys_of_services_cannot_be_managed_by_their_account() {
    let management = "UpdateKeyDescription EnableKey DisableKey ScheduleKeyDeletion CancelKeyDeletion TagResource \
        UntagResource ListResourceTags EnableKeyRotation DisableKeyRotation RotateKeyOnDemand GetParametersForImport \
        ImportKeyMaterial DeleteImportedKeyMaterial PutKeyPolicy CreateGrant RevokeGrant CreateAlias UpdateAlias \
        DeleteAlias";
    assert_eq!(where_true(Operation::needs_customer_managed), names(&[management]));
}

#[test]
fn operations_without_a_key_concern_the_account_or_a_key_store() {
    let keyless = "CreateKey ListKeys GenerateRandom ListRetirableGrants CreateCustomKeyStore DescribeCustomKeyStores \
        UpdateCustomKeyStore ConnectCustomKeyStore DisconnectCustomKeyStore DeleteCustomKeyStore";
    assert_eq!(where_true(|operation| !operation.acts_on_key()), names(&[keyless]));
}

#[test]
fn only_cryptography_needs_a_usage_and_each_the_right_one() {
    assert_eq!(where_true(|operation| operation.required_usage().is_some()), names(&[CRYPTOGRAPHY]));
    for &operation in Operation::ALL {
        let expected = match operation.as_str() {
            "Sign" | "Verify" => Some(KeyUsage::SignVerify),
            "GenerateMac" | "VerifyMac" => Some(KeyUsage::GenerateVerifyMac),
            "DeriveSharedSecret" => Some(KeyUsage::KeyAgreement),
            "Encapsulate" | "Decapsulate" => Some(KeyUsage::EncapsulateDecapsulate),
            name if CRYPTOGRAPHY.split_whitespace().any(|other| other == name) => Some(KeyUsage::EncryptDecrypt),
            _ => None,
        };
        assert_eq!(operation.required_usage(), expected, "{operation}");
    }
}

#[test]
fn a_key_for_something_else_is_refused_in_the_words_of_the_service() {
    let key = KeyArn::new(Locality::default(), AccountId::default(), KeyId::from_bytes([0x11; 16]));
    let mut refused = 0;
    for &operation in Operation::ALL {
        for &usage in KeyUsage::ALL {
            let fits = operation.required_usage().is_none_or(|required| required == usage);
            let Err(error) = operation.check_key_usage(usage, &key) else {
                assert!(fits, "{operation} {usage}");
                continue;
            };
            refused += 1;
            assert!(!fits, "{operation} {usage}");
            if matches!(operation.as_str(), "Decrypt" | "ReEncryptFrom") {
                let text = "The key ID in the request does not identify a CMK that can perform this operation.";
                assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::IncorrectKey, text));
            } else {
                let name = operation.as_str().trim_end_matches("To");
                let text = format!("{key} key usage is {usage} which is not valid for {name}.");
                assert_eq!((error.kind(), error.to_string()), (ErrorKind::InvalidKeyUsage, text));
            }
        }
    }
    // Fifteen operations require one of five usages.
    assert_eq!(refused, 15 * 4);
}
