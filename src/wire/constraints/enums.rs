//! The values of members that are enums, as the model of AWS KMS states them (version 2014-11-01).
//!
//! This crate does not support all of them. A request with a value that only AWS supports passes
//! the constraints, and the operation refuses it.

/// The values of an enum.
type Values = &'static [&'static str];

pub(super) const CUSTOM_KEY_STORE_TYPES: Values = &["AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"];
pub(super) const CUSTOMER_MASTER_KEY_SPECS: Values = &[
    "RSA_2048",
    "RSA_3072",
    "RSA_4096",
    "ECC_NIST_P256",
    "ECC_NIST_P384",
    "ECC_NIST_P521",
    "ECC_SECG_P256K1",
    "SYMMETRIC_DEFAULT",
    "HMAC_224",
    "HMAC_256",
    "HMAC_384",
    "HMAC_512",
    "SM2",
];
pub(super) const DATA_KEY_PAIR_SPECS: Values = &[
    "RSA_2048",
    "RSA_3072",
    "RSA_4096",
    "ECC_NIST_P256",
    "ECC_NIST_P384",
    "ECC_NIST_P521",
    "ECC_SECG_P256K1",
    "SM2",
    "ECC_NIST_EDWARDS25519",
    "ML_KEM_512",
    "ML_KEM_768",
    "ML_KEM_1024",
];
pub(super) const DATA_KEY_SPECS: Values = &["AES_256", "AES_128"];
pub(super) const DRY_RUN_MODIFIERS: Values = &["IGNORE_CIPHERTEXT"];
pub(super) const ENCAPSULATION_ALGORITHMS: Values = &["ML_KEM"];
pub(super) const ENCRYPTION_ALGORITHMS: Values =
    &["SYMMETRIC_DEFAULT", "RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", "SM2PKE"];
pub(super) const EXPIRATION_MODELS: Values = &["KEY_MATERIAL_EXPIRES", "KEY_MATERIAL_DOES_NOT_EXPIRE"];
pub(super) const GRANT_OPERATIONS: Values = &[
    "Decrypt",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "ReEncryptFrom",
    "ReEncryptTo",
    "Sign",
    "Verify",
    "GetPublicKey",
    "CreateGrant",
    "RetireGrant",
    "DescribeKey",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
    "GenerateMac",
    "VerifyMac",
    "DeriveSharedSecret",
    "Encapsulate",
    "Decapsulate",
];
pub(super) const IMPORT_TYPES: Values = &["NEW_KEY_MATERIAL", "EXISTING_KEY_MATERIAL"];
pub(super) const INCLUDE_KEY_MATERIAL: Values = &["ALL_KEY_MATERIAL", "ROTATIONS_ONLY"];
pub(super) const KEY_AGREEMENT_ALGORITHMS: Values = &["ECDH"];
pub(super) const KEY_ENCRYPTION_MECHANISMS: Values = &["RSAES_OAEP_SHA_256"];
pub(super) const KEY_SPECS: Values = &[
    "RSA_2048",
    "RSA_3072",
    "RSA_4096",
    "ECC_NIST_P256",
    "ECC_NIST_P384",
    "ECC_NIST_P521",
    "ECC_SECG_P256K1",
    "SYMMETRIC_DEFAULT",
    "HMAC_224",
    "HMAC_256",
    "HMAC_384",
    "HMAC_512",
    "SM2",
    "ML_DSA_44",
    "ML_DSA_65",
    "ML_DSA_87",
    "ECC_NIST_EDWARDS25519",
    "ML_KEM_512",
    "ML_KEM_768",
    "ML_KEM_1024",
];
pub(super) const KEY_USAGES: Values =
    &["SIGN_VERIFY", "ENCRYPT_DECRYPT", "GENERATE_VERIFY_MAC", "KEY_AGREEMENT", "ENCAPSULATE_DECAPSULATE"];
pub(super) const MAC_ALGORITHMS: Values = &["HMAC_SHA_224", "HMAC_SHA_256", "HMAC_SHA_384", "HMAC_SHA_512"];
pub(super) const MESSAGE_TYPES: Values = &["RAW", "DIGEST", "EXTERNAL_MU"];
pub(super) const ORIGINS: Values = &["AWS_KMS", "EXTERNAL", "AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"];
pub(super) const RESOURCE_OWNERS: Values = &["SELF", "OTHER_ACCOUNTS_VIA_RAM"];
pub(super) const SIGNING_ALGORITHMS: Values = &[
    "RSASSA_PSS_SHA_256",
    "RSASSA_PSS_SHA_384",
    "RSASSA_PSS_SHA_512",
    "RSASSA_PKCS1_V1_5_SHA_256",
    "RSASSA_PKCS1_V1_5_SHA_384",
    "RSASSA_PKCS1_V1_5_SHA_512",
    "ECDSA_SHA_256",
    "ECDSA_SHA_384",
    "ECDSA_SHA_512",
    "SM2DSA",
    "ML_DSA_SHAKE_256",
    "ED25519_SHA_512",
    "ED25519_PH_SHA_512",
];
pub(super) const WRAPPING_ALGORITHMS: Values = &[
    "RSAES_PKCS1_V1_5",
    "RSAES_OAEP_SHA_1",
    "RSAES_OAEP_SHA_256",
    "RSA_AES_KEY_WRAP_SHA_1",
    "RSA_AES_KEY_WRAP_SHA_256",
    "SM2PKE",
];
pub(super) const WRAPPING_KEY_SPECS: Values = &["RSA_2048", "RSA_3072", "RSA_4096", "SM2"];
pub(super) const XKS_PROXY_CONNECTIVITY: Values = &["PUBLIC_ENDPOINT", "VPC_ENDPOINT_SERVICE"];
