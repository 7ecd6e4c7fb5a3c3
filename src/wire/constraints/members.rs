//! Every member of a request, with its type and bounds, as the model of AWS KMS states them
//! (version 2014-11-01).
//!
//! The pattern of identifiers of keys is not in the model, but in answers of AWS KMS.
//!
//! A member has the same type in all operations, with one exception: `KeySpec` of a data key has
//! the entry [`DATA_KEY_SPEC`].

use super::enums;
use super::pattern;
use super::shape::Shape::{Boolean, Enum, StringMap, Structure, Timestamp};
use super::shape::{
    Field, Shape, blob, bounded_list, integer, list, optional, required, secret_blob, secret_text, text, text_like,
};

/// The entry for the member `KeySpec` of operations that generate a data key.
pub(super) const DATA_KEY_SPEC: &str = "KeySpec of a data key";

/// Returns the name of the member in a request, given that of its entry: its first word.
pub(super) fn name_of(entry: &'static str) -> &'static str {
    entry.split_once(' ').map_or(entry, |(name, _)| name)
}

/// Returns the type of a member, given the name of its entry.
pub(super) fn find(name: &str) -> Option<&'static Shape> {
    let at = MEMBERS.binary_search_by_key(&name, |(name, _)| name).ok()?;
    Some(&MEMBERS[at].1)
}

/// All members, sorted by name.
#[rustfmt::skip]
pub(super) static MEMBERS: &[(&str, Shape)] = &[
    ("AliasName", text_like(1, 256, pattern::ALIAS_NAME)),
    ("BypassPolicyLockoutSafetyCheck", Boolean),
    ("CiphertextBlob", blob(1, 6144)),
    ("CloudHsmClusterId", text_like(19, 24, pattern::CLUSTER_ID)),
    ("Constraints", Structure(GRANT_CONSTRAINTS)),
    ("CustomKeyStoreId", text(1, 64)),
    ("CustomKeyStoreName", text(1, 256)),
    ("CustomKeyStoreType", Enum(enums::CUSTOM_KEY_STORE_TYPES)),
    ("CustomerMasterKeySpec", Enum(enums::CUSTOMER_MASTER_KEY_SPECS)),
    ("Description", text(0, 8192)),
    ("DestinationEncryptionAlgorithm", Enum(enums::ENCRYPTION_ALGORITHMS)),
    ("DestinationEncryptionContext", StringMap),
    ("DestinationKeyId", text_like(1, 2048, pattern::KEY_ID)),
    ("DryRun", Boolean),
    ("DryRunModifiers", list(&Enum(enums::DRY_RUN_MODIFIERS))),
    ("EncapsulationAlgorithm", Enum(enums::ENCAPSULATION_ALGORITHMS)),
    ("EncryptedKeyMaterial", blob(1, 6144)),
    ("EncryptionAlgorithm", Enum(enums::ENCRYPTION_ALGORITHMS)),
    ("EncryptionContext", StringMap),
    ("ExpirationModel", Enum(enums::EXPIRATION_MODELS)),
    ("GrantId", text(1, 128)),
    ("GrantToken", GRANT_TOKEN),
    ("GrantTokens", bounded_list(0, 10, &GRANT_TOKEN)),
    ("GranteePrincipal", text_like(1, 256, pattern::PRINCIPAL)),
    ("GranteeServicePrincipal", text_like(1, 128, pattern::SERVICE_PRINCIPAL)),
    ("ImportToken", blob(1, 6144)),
    ("ImportType", Enum(enums::IMPORT_TYPES)),
    ("IncludeKeyMaterial", Enum(enums::INCLUDE_KEY_MATERIAL)),
    ("KeyAgreementAlgorithm", Enum(enums::KEY_AGREEMENT_ALGORITHMS)),
    ("KeyId", text_like(1, 2048, pattern::KEY_ID)),
    ("KeyMaterialDescription", text_like(0, 256, pattern::KEY_MATERIAL_DESCRIPTION)),
    ("KeyMaterialId", text_like(64, 64, pattern::KEY_MATERIAL_ID)),
    ("KeyPairSpec", Enum(enums::DATA_KEY_PAIR_SPECS)),
    ("KeySpec", Enum(enums::KEY_SPECS)),
    (DATA_KEY_SPEC, Enum(enums::DATA_KEY_SPECS)),
    ("KeyStorePassword", secret_text(7, 32, None)),
    ("KeyUsage", Enum(enums::KEY_USAGES)),
    ("Limit", integer(1, 1000)),
    ("Mac", blob(1, 6144)),
    ("MacAlgorithm", Enum(enums::MAC_ALGORITHMS)),
    ("Marker", text_like(1, 1024, pattern::MARKER)),
    ("Message", secret_blob(1, 4096)),
    ("MessageType", Enum(enums::MESSAGE_TYPES)),
    ("MultiRegion", Boolean),
    ("Name", text_like(1, 256, pattern::ALIAS_NAME)),
    ("NewCustomKeyStoreName", text(1, 256)),
    ("NumberOfBytes", integer(1, 1024)),
    ("Operations", list(&Enum(enums::GRANT_OPERATIONS))),
    ("Origin", Enum(enums::ORIGINS)),
    ("PendingWindowInDays", integer(1, 365)),
    ("Plaintext", secret_blob(1, 4096)),
    ("Policy", text_like(1, 131_072, pattern::POLICY)),
    ("PolicyName", text_like(1, 128, pattern::POLICY_NAME)),
    ("PrimaryRegion", text_like(1, 32, pattern::REGION)),
    ("PublicKey", blob(1, 8192)),
    ("Recipient", Structure(RECIPIENT)),
    ("ReplicaRegion", text_like(1, 32, pattern::REGION)),
    ("ResourceOwners", bounded_list(1, 2, &Enum(enums::RESOURCE_OWNERS))),
    ("RetiringPrincipal", text_like(1, 256, pattern::PRINCIPAL)),
    ("RetiringServicePrincipal", text_like(1, 128, pattern::SERVICE_PRINCIPAL)),
    ("RotationPeriodInDays", integer(90, 2560)),
    ("SharedSecretCiphertextBlob", blob(1, 6144)),
    ("Signature", blob(1, 6144)),
    ("SigningAlgorithm", Enum(enums::SIGNING_ALGORITHMS)),
    ("SourceEncryptionAlgorithm", Enum(enums::ENCRYPTION_ALGORITHMS)),
    ("SourceEncryptionContext", StringMap),
    ("SourceKeyId", text_like(1, 2048, pattern::KEY_ID)),
    ("TagKeys", list(&TAG_KEY)),
    ("Tags", list(&Structure(TAG))),
    ("TargetKeyId", text_like(1, 2048, pattern::KEY_ID)),
    ("TrustAnchorCertificate", text(1, 5000)),
    ("ValidTo", Timestamp),
    ("WrappingAlgorithm", Enum(enums::WRAPPING_ALGORITHMS)),
    ("WrappingKeySpec", Enum(enums::WRAPPING_KEY_SPECS)),
    ("XksKeyId", text_like(1, 128, pattern::XKS_KEY_ID)),
    ("XksProxyAuthenticationCredential", Structure(XKS_CREDENTIAL)),
    ("XksProxyConnectivity", Enum(enums::XKS_PROXY_CONNECTIVITY)),
    ("XksProxyUriEndpoint", text_like(10, 128, pattern::XKS_URI_ENDPOINT)),
    ("XksProxyUriPath", text_like(10, 128, pattern::XKS_URI_PATH)),
    ("XksProxyVpcEndpointServiceName", text_like(20, 64, pattern::XKS_VPC_SERVICE_NAME)),
    ("XksProxyVpcEndpointServiceOwner", text_like(12, 12, pattern::ACCOUNT_ID)),
];

const GRANT_TOKEN: Shape = text(1, 8192);
const TAG_KEY: Shape = text(1, 128);

static GRANT_CONSTRAINTS: &[Field] = &[
    optional("EncryptionContextSubset", StringMap),
    optional("EncryptionContextEquals", StringMap),
    optional("SourceArn", text_like(20, 512, pattern::SOURCE_ARN)),
];

static RECIPIENT: &[Field] = &[
    optional("KeyEncryptionAlgorithm", Enum(enums::KEY_ENCRYPTION_MECHANISMS)),
    optional("AttestationDocument", blob(1, 262_144)),
];

static TAG: &[Field] = &[required("TagKey", TAG_KEY), required("TagValue", text(0, 256))];

static XKS_CREDENTIAL: &[Field] = &[
    required("AccessKeyId", secret_text(20, 30, Some(pattern::XKS_ACCESS_KEY_ID))),
    required("RawSecretAccessKey", secret_text(43, 64, Some(pattern::XKS_SECRET_ACCESS_KEY))),
];
