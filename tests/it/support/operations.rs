//! Every operation, tried on one key.

use strongroom::algorithm::{
    EncapsulationAlgorithm, KeyAgreementAlgorithm, MacAlgorithm, SigningAlgorithm, WrappingAlgorithm, WrappingKeySpec,
};
use strongroom::identity::{AccountId, Principal};
use strongroom::key::{DataKeyPairSpec, DeletionWindow, Operation, RotationPeriod, Tag};
use strongroom::policy::{GrantId, GrantTerms};
use strongroom::request::{
    CreateGrantRequest, CreateKeyRequest, DecapsulateRequest, DecryptRequest, DeriveSharedSecretRequest, DryRun,
    EncapsulateRequest, EncryptRequest, GenerateDataKeyPairRequest, GenerateDataKeyRequest, GenerateMacRequest,
    GetParametersForImportRequest, GrantFilter, ImportKeyMaterialRequest, IncludeKeyMaterial, KeyReference,
    PageRequest, PutKeyPolicyRequest, ReEncryptRequest, SignRequest, VerifyMacRequest, VerifyRequest,
};
use strongroom::{Kms, Result};

use crate::support::policies::key_policy;

/// One call of an operation.
pub(crate) type Attempt<'a> = Box<dyn Fn(&Kms) -> Result<()> + 'a>;

/// A grant that no key has.
const NO_GRANT: GrantId = GrantId::from_bytes([7; 32]);

/// Ignores the error that the key has no such grant, because the caller was authorized.
fn ended(result: Result<()>) -> Result<()> {
    match result {
        Err(error) if error.to_string().contains("has no grant") => Ok(()),
        other => other,
    }
}

fn terms() -> Result<GrantTerms> {
    GrantTerms::new(Principal::user(AccountId::default(), "alice")?, [Operation::Encrypt])
}

/// Returns every operation of this release, called on one key (and one of its blobs) as a caller
/// would.
pub(crate) fn operations<'a>(key: impl KeyReference + Copy + 'a, blob: &'a [u8]) -> Vec<(Operation, Attempt<'a>)> {
    let page = PageRequest::default;
    vec![
        (Operation::CreateKey, Box::new(|kms| kms.create_key(CreateKeyRequest::default()).map(drop))),
        (Operation::ListKeys, Box::new(move |kms| kms.list_keys(page()).map(drop))),
        (Operation::ListAliases, Box::new(move |kms| kms.list_aliases(page()).map(drop))),
        (Operation::GenerateRandom, Box::new(|kms| kms.generate_random(8).map(drop))),
        (Operation::DescribeKey, Box::new(move |kms| kms.describe_key(key).map(drop))),
        (Operation::UpdateKeyDescription, Box::new(move |kms| kms.update_key_description(key, "new"))),
        (Operation::TagResource, Box::new(move |kms| kms.tag_resource(key, [Tag::new("a", "b")?]))),
        (Operation::UntagResource, Box::new(move |kms| kms.untag_resource(key, ["a"]))),
        (Operation::ListResourceTags, Box::new(move |kms| kms.list_resource_tags(key, page()).map(drop))),
        (Operation::CreateAlias, Box::new(move |kms| kms.create_alias("alias/new", key))),
        (Operation::UpdateAlias, Box::new(move |kms| kms.update_alias("alias/kept", key))),
        (Operation::GetKeyRotationStatus, Box::new(move |kms| kms.get_key_rotation_status(key).map(drop))),
        (Operation::EnableKeyRotation, Box::new(move |kms| kms.enable_key_rotation(key, RotationPeriod::default()))),
        (Operation::DisableKeyRotation, Box::new(move |kms| kms.disable_key_rotation(key))),
        (Operation::RotateKeyOnDemand, Box::new(move |kms| kms.rotate_key_on_demand(key).map(drop))),
        (
            Operation::ListKeyRotations,
            Box::new(move |kms| kms.list_key_rotations(key, IncludeKeyMaterial::AllKeyMaterial, page()).map(drop)),
        ),
        (Operation::Encrypt, Box::new(move |kms| kms.encrypt(EncryptRequest::new(key, b"x")).map(drop))),
        (Operation::Decrypt, Box::new(move |kms| kms.decrypt(DecryptRequest::new(blob)).map(drop))),
        (Operation::ReEncryptTo, Box::new(move |kms| kms.re_encrypt(ReEncryptRequest::new(blob, key)).map(drop))),
        (
            Operation::GenerateDataKey,
            Box::new(move |kms| kms.generate_data_key(GenerateDataKeyRequest::new(key)).map(drop)),
        ),
        (
            Operation::GenerateDataKeyWithoutPlaintext,
            Box::new(move |kms| kms.generate_data_key_without_plaintext(GenerateDataKeyRequest::new(key)).map(drop)),
        ),
        (
            Operation::CreateGrant,
            Box::new(move |kms| kms.create_grant(CreateGrantRequest::new(key, terms()?)).map(drop)),
        ),
        (Operation::ListGrants, Box::new(move |kms| kms.list_grants(key, GrantFilter::default(), page()).map(drop))),
        (Operation::RetireGrant, Box::new(move |kms| ended(kms.retire_grant(key, NO_GRANT, DryRun::No)))),
        (Operation::RevokeGrant, Box::new(move |kms| ended(kms.revoke_grant(key, NO_GRANT, DryRun::No)))),
        (
            Operation::ListRetirableGrants,
            Box::new(move |kms| kms.list_retirable_grants(kms.principal(), page()).map(drop)),
        ),
        (Operation::GetKeyLastUsage, Box::new(move |kms| kms.get_key_last_usage(key).map(drop))),
        (Operation::GetKeyPolicy, Box::new(move |kms| kms.get_key_policy(key).map(drop))),
        (Operation::ListKeyPolicies, Box::new(move |kms| kms.list_key_policies(key, page()).map(drop))),
        (
            Operation::PutKeyPolicy,
            Box::new(move |kms| kms.put_key_policy(PutKeyPolicyRequest::new(key, &key_policy(&[])))),
        ),
        (Operation::EnableKey, Box::new(move |kms| kms.enable_key(key))),
        (Operation::DisableKey, Box::new(move |kms| kms.disable_key(key))),
        (Operation::DeleteAlias, Box::new(|kms| kms.delete_alias("alias/kept"))),
        (Operation::CancelKeyDeletion, Box::new(move |kms| kms.cancel_key_deletion(key).map(drop))),
        (
            Operation::ScheduleKeyDeletion,
            Box::new(move |kms| kms.schedule_key_deletion(key, DeletionWindow::default()).map(drop)),
        ),
    ]
}

/// Returns the operations of asymmetric, HMAC, and imported keys. The caller is authorized before
/// the kind of key is checked, so a rejection reveals nothing about it.
pub(crate) fn operations_of_other_keys<'a>(key: impl KeyReference + Copy + 'a) -> Vec<(Operation, Attempt<'a>)> {
    const BYTES: [u8; 32] = [7; 32];
    let (signing, mac) = (SigningAlgorithm::EcdsaSha256, MacAlgorithm::HmacSha256);
    let pair = move || GenerateDataKeyPairRequest::new(key, DataKeyPairSpec::EccNistP256);
    vec![
        (Operation::Sign, Box::new(move |kms| kms.sign(SignRequest::new(key, signing, &BYTES)).map(drop))),
        (
            Operation::Verify,
            Box::new(move |kms| kms.verify(VerifyRequest::new(key, signing, &BYTES, &BYTES)).map(drop)),
        ),
        (
            Operation::GenerateMac,
            Box::new(move |kms| kms.generate_mac(GenerateMacRequest::new(key, mac, &BYTES)).map(drop)),
        ),
        (
            Operation::VerifyMac,
            Box::new(move |kms| kms.verify_mac(VerifyMacRequest::new(key, mac, &BYTES, &BYTES)).map(drop)),
        ),
        (
            Operation::DeriveSharedSecret,
            Box::new(move |kms| {
                let request = DeriveSharedSecretRequest::new(key, KeyAgreementAlgorithm::Ecdh, &BYTES);
                kms.derive_shared_secret(request).map(drop)
            }),
        ),
        (
            Operation::Encapsulate,
            Box::new(move |kms| kms.encapsulate(EncapsulateRequest::new(key, EncapsulationAlgorithm::MlKem)).map(drop)),
        ),
        (
            Operation::Decapsulate,
            Box::new(move |kms| {
                let request = DecapsulateRequest::new(key, EncapsulationAlgorithm::MlKem, &BYTES);
                kms.decapsulate(request).map(drop)
            }),
        ),
        (Operation::GetPublicKey, Box::new(move |kms| kms.get_public_key(key).map(drop))),
        (Operation::GenerateDataKeyPair, Box::new(move |kms| kms.generate_data_key_pair(pair()).map(drop))),
        (
            Operation::GenerateDataKeyPairWithoutPlaintext,
            Box::new(move |kms| kms.generate_data_key_pair_without_plaintext(pair()).map(drop)),
        ),
        (
            Operation::GetParametersForImport,
            Box::new(move |kms| {
                let (algorithm, spec) = (WrappingAlgorithm::RsaesOaepSha256, WrappingKeySpec::Rsa2048);
                kms.get_parameters_for_import(GetParametersForImportRequest::new(key, algorithm, spec)).map(drop)
            }),
        ),
        (
            Operation::ImportKeyMaterial,
            Box::new(move |kms| {
                let request = ImportKeyMaterialRequest::new(key, &BYTES, &BYTES).does_not_expire();
                kms.import_key_material(request).map(drop)
            }),
        ),
        (
            Operation::DeleteImportedKeyMaterial,
            Box::new(move |kms| kms.delete_imported_key_material(key, None).map(drop)),
        ),
    ]
}
