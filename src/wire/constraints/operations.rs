//! Every operation of AWS KMS with its members, as the model states them (version 2014-11-01).
//!
//! The type of a member is in [`super::members`].

use super::members::{self, DATA_KEY_SPEC};
use super::shape::Shape;

/// An operation and its members.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) required: &'static [&'static str],
    pub(super) optional: &'static [&'static str],
    /// Returns the type of a member, given the name of its entry.
    pub(super) type_of: fn(&str) -> Option<&'static Shape>,
}

/// Returns `true` if the operation requires a ciphertext, except in a dry run that ignores it. The
/// model states that in prose, and AWS KMS reports it like the constraints of shapes.
pub(super) fn requires_ciphertext(operation: &str) -> bool {
    matches!(operation, "Decrypt" | "ReEncrypt")
}

/// Returns an operation.
pub(super) fn find(name: &str) -> Option<&'static Operation> {
    let at = OPERATIONS.binary_search_by_key(&name, |operation| operation.name).ok()?;
    Some(&OPERATIONS[at])
}

/// All operations, sorted by name, with their required and their optional members.
pub(super) static OPERATIONS: &[Operation] = &[
    operation("CancelKeyDeletion", &["KeyId"], &[]),
    operation("ConnectCustomKeyStore", &["CustomKeyStoreId"], &[]),
    operation("CreateAlias", &["AliasName", "TargetKeyId"], &[]),
    operation(
        "CreateCustomKeyStore",
        &["CustomKeyStoreName"],
        &[
            "CloudHsmClusterId",
            "CustomKeyStoreType",
            "KeyStorePassword",
            "TrustAnchorCertificate",
            "XksProxyAuthenticationCredential",
            "XksProxyConnectivity",
            "XksProxyUriEndpoint",
            "XksProxyUriPath",
            "XksProxyVpcEndpointServiceName",
            "XksProxyVpcEndpointServiceOwner",
        ],
    ),
    operation(
        "CreateGrant",
        &["KeyId", "Operations"],
        &[
            "Constraints",
            "GranteePrincipal",
            "GranteeServicePrincipal",
            "Name",
            "RetiringPrincipal",
            "RetiringServicePrincipal",
            "GrantTokens",
            "DryRun",
        ],
    ),
    operation(
        "CreateKey",
        &[],
        &[
            "BypassPolicyLockoutSafetyCheck",
            "CustomKeyStoreId",
            "CustomerMasterKeySpec",
            "Description",
            "KeySpec",
            "KeyUsage",
            "MultiRegion",
            "Origin",
            "Policy",
            "Tags",
            "XksKeyId",
        ],
    ),
    operation(
        "Decapsulate",
        &["EncapsulationAlgorithm", "KeyId", "SharedSecretCiphertextBlob"],
        &["GrantTokens", "DryRun"],
    ),
    operation(
        "Decrypt",
        &[],
        &[
            "CiphertextBlob",
            "DryRunModifiers",
            "EncryptionAlgorithm",
            "EncryptionContext",
            "KeyId",
            "Recipient",
            "GrantTokens",
            "DryRun",
        ],
    ),
    operation("DeleteAlias", &["AliasName"], &[]),
    operation("DeleteCustomKeyStore", &["CustomKeyStoreId"], &[]),
    operation("DeleteImportedKeyMaterial", &["KeyId"], &["KeyMaterialId"]),
    operation(
        "DeriveSharedSecret",
        &["KeyAgreementAlgorithm", "KeyId", "PublicKey"],
        &["Recipient", "GrantTokens", "DryRun"],
    ),
    operation("DescribeCustomKeyStores", &[], &["CustomKeyStoreId", "CustomKeyStoreName", "Limit", "Marker"]),
    operation("DescribeKey", &["KeyId"], &["GrantTokens"]),
    operation("DisableKey", &["KeyId"], &[]),
    operation("DisableKeyRotation", &["KeyId"], &[]),
    operation("DisconnectCustomKeyStore", &["CustomKeyStoreId"], &[]),
    operation("EnableKey", &["KeyId"], &[]),
    operation("EnableKeyRotation", &["KeyId"], &["RotationPeriodInDays"]),
    operation("Encapsulate", &["EncapsulationAlgorithm", "KeyId"], &["GrantTokens", "DryRun"]),
    operation(
        "Encrypt",
        &["KeyId", "Plaintext"],
        &["EncryptionAlgorithm", "EncryptionContext", "GrantTokens", "DryRun"],
    ),
    operation(
        "GenerateDataKey",
        &["KeyId"],
        &["EncryptionContext", DATA_KEY_SPEC, "NumberOfBytes", "Recipient", "GrantTokens", "DryRun"],
    ),
    operation(
        "GenerateDataKeyPair",
        &["KeyId", "KeyPairSpec"],
        &["EncryptionContext", "Recipient", "GrantTokens", "DryRun"],
    ),
    operation(
        "GenerateDataKeyPairWithoutPlaintext",
        &["KeyId", "KeyPairSpec"],
        &["EncryptionContext", "GrantTokens", "DryRun"],
    ),
    operation(
        "GenerateDataKeyWithoutPlaintext",
        &["KeyId"],
        &["EncryptionContext", DATA_KEY_SPEC, "NumberOfBytes", "GrantTokens", "DryRun"],
    ),
    operation("GenerateMac", &["KeyId", "MacAlgorithm", "Message"], &["GrantTokens", "DryRun"]),
    operation("GenerateRandom", &[], &["CustomKeyStoreId", "NumberOfBytes", "Recipient"]),
    operation("GetKeyLastUsage", &["KeyId"], &[]),
    operation("GetKeyPolicy", &["KeyId"], &["PolicyName"]),
    operation("GetKeyRotationStatus", &["KeyId"], &[]),
    operation("GetParametersForImport", &["KeyId", "WrappingAlgorithm", "WrappingKeySpec"], &[]),
    operation("GetPublicKey", &["KeyId"], &["GrantTokens"]),
    operation(
        "ImportKeyMaterial",
        &["EncryptedKeyMaterial", "ImportToken", "KeyId"],
        &["ExpirationModel", "ImportType", "KeyMaterialDescription", "KeyMaterialId", "ValidTo"],
    ),
    operation("ListAliases", &[], &["KeyId", "Limit", "Marker"]),
    operation("ListGrants", &["KeyId"], &["GrantId", "GranteePrincipal", "GranteeServicePrincipal", "Limit", "Marker"]),
    operation("ListKeyPolicies", &["KeyId"], &["Limit", "Marker"]),
    operation("ListKeyRotations", &["KeyId"], &["IncludeKeyMaterial", "Limit", "Marker"]),
    operation("ListKeys", &[], &["ResourceOwners", "Limit", "Marker"]),
    operation("ListResourceTags", &["KeyId"], &["Limit", "Marker"]),
    operation("ListRetirableGrants", &[], &["RetiringPrincipal", "RetiringServicePrincipal", "Limit", "Marker"]),
    operation("PutKeyPolicy", &["KeyId", "Policy"], &["BypassPolicyLockoutSafetyCheck", "PolicyName"]),
    operation(
        "ReEncrypt",
        &["DestinationKeyId"],
        &[
            "CiphertextBlob",
            "DestinationEncryptionAlgorithm",
            "DestinationEncryptionContext",
            "DryRunModifiers",
            "SourceEncryptionAlgorithm",
            "SourceEncryptionContext",
            "SourceKeyId",
            "GrantTokens",
            "DryRun",
        ],
    ),
    operation(
        "ReplicateKey",
        &["KeyId", "ReplicaRegion"],
        &["BypassPolicyLockoutSafetyCheck", "Description", "Policy", "Tags"],
    ),
    operation("RetireGrant", &[], &["DryRun", "GrantId", "GrantToken", "KeyId"]),
    operation("RevokeGrant", &["GrantId", "KeyId"], &["DryRun"]),
    operation("RotateKeyOnDemand", &["KeyId"], &[]),
    operation("ScheduleKeyDeletion", &["KeyId"], &["PendingWindowInDays"]),
    operation("Sign", &["KeyId", "Message", "SigningAlgorithm"], &["MessageType", "GrantTokens", "DryRun"]),
    operation("TagResource", &["KeyId", "Tags"], &[]),
    operation("UntagResource", &["KeyId", "TagKeys"], &[]),
    operation("UpdateAlias", &["AliasName", "TargetKeyId"], &[]),
    operation(
        "UpdateCustomKeyStore",
        &["CustomKeyStoreId"],
        &[
            "CloudHsmClusterId",
            "KeyStorePassword",
            "NewCustomKeyStoreName",
            "XksProxyAuthenticationCredential",
            "XksProxyConnectivity",
            "XksProxyUriEndpoint",
            "XksProxyUriPath",
            "XksProxyVpcEndpointServiceName",
            "XksProxyVpcEndpointServiceOwner",
        ],
    ),
    operation("UpdateKeyDescription", &["Description", "KeyId"], &[]),
    operation("UpdatePrimaryRegion", &["KeyId", "PrimaryRegion"], &[]),
    operation(
        "Verify",
        &["KeyId", "Message", "Signature", "SigningAlgorithm"],
        &["MessageType", "GrantTokens", "DryRun"],
    ),
    operation("VerifyMac", &["KeyId", "Mac", "MacAlgorithm", "Message"], &["GrantTokens", "DryRun"]),
];

const fn operation(
    name: &'static str,
    required: &'static [&'static str],
    optional: &'static [&'static str],
) -> Operation {
    Operation { name, required, optional, type_of: members::find }
}
