//! The operations of AWS KMS, each with the function that answers it. Another encoding of the same
//! operations can use this table.

use super::answer::Answer;
use super::failure::Outcome;
use super::members::Members;
use super::operations::{
    aliases, cipher, custom_key_stores, data_keys, grants, import, keys, policies, rotation, signing, tags,
};
use crate::key::Operation;
use crate::kms::Kms;

/// Answers a request whose members were checked.
pub(super) type Handler = fn(&Kms, Members<'_>) -> Outcome<Option<Answer>>;

/// An operation of AWS KMS.
pub(super) struct Route {
    /// The name in the target of a request.
    pub(super) name: &'static str,
    /// The operation of the library and its handler, or `None` if the library lacks it on purpose.
    pub(super) handler: Option<(Operation, Handler)>,
}

/// Returns the route of an operation.
pub(super) fn find(name: &str) -> Option<&'static Route> {
    ROUTES.iter().find(|route| route.name == name)
}

const fn to(operation: Operation, handler: Handler) -> Route {
    Route { name: operation.api_name(), handler: Some((operation, handler)) }
}

const fn lacking(name: &'static str) -> Route {
    Route { name, handler: None }
}

/// The most frequent operations come first.
const ROUTES: [Route; 56] = [
    to(Operation::Decrypt, cipher::decrypt),
    to(Operation::GenerateDataKey, data_keys::generate_data_key),
    to(Operation::Encrypt, cipher::encrypt),
    to(Operation::Sign, signing::sign),
    to(Operation::Verify, signing::verify),
    to(Operation::GenerateMac, signing::generate_mac),
    to(Operation::VerifyMac, signing::verify_mac),
    to(Operation::DescribeKey, keys::describe_key),
    to(Operation::CancelKeyDeletion, keys::cancel_key_deletion),
    to(Operation::ConnectCustomKeyStore, custom_key_stores::connect_custom_key_store),
    to(Operation::CreateAlias, aliases::create_alias),
    to(Operation::CreateCustomKeyStore, custom_key_stores::create_custom_key_store),
    to(Operation::CreateGrant, grants::create_grant),
    to(Operation::CreateKey, keys::create_key),
    to(Operation::Decapsulate, signing::decapsulate),
    to(Operation::DeleteAlias, aliases::delete_alias),
    to(Operation::DeleteCustomKeyStore, custom_key_stores::delete_custom_key_store),
    to(Operation::DeleteImportedKeyMaterial, import::delete_imported_key_material),
    to(Operation::DeriveSharedSecret, signing::derive_shared_secret),
    to(Operation::DescribeCustomKeyStores, custom_key_stores::describe_custom_key_stores),
    to(Operation::DisableKey, keys::disable_key),
    to(Operation::DisableKeyRotation, rotation::disable_key_rotation),
    to(Operation::DisconnectCustomKeyStore, custom_key_stores::disconnect_custom_key_store),
    to(Operation::EnableKey, keys::enable_key),
    to(Operation::EnableKeyRotation, rotation::enable_key_rotation),
    to(Operation::Encapsulate, signing::encapsulate),
    to(Operation::GenerateDataKeyPair, data_keys::generate_data_key_pair),
    to(Operation::GenerateDataKeyPairWithoutPlaintext, data_keys::generate_data_key_pair_without_plaintext),
    to(Operation::GenerateDataKeyWithoutPlaintext, data_keys::generate_data_key_without_plaintext),
    to(Operation::GenerateRandom, data_keys::generate_random),
    to(Operation::GetKeyLastUsage, keys::get_key_last_usage),
    to(Operation::GetKeyPolicy, policies::get_key_policy),
    to(Operation::GetKeyRotationStatus, rotation::get_key_rotation_status),
    to(Operation::GetParametersForImport, import::get_parameters_for_import),
    to(Operation::GetPublicKey, signing::get_public_key),
    to(Operation::ImportKeyMaterial, import::import_key_material),
    to(Operation::ListAliases, aliases::list_aliases),
    to(Operation::ListGrants, grants::list_grants),
    to(Operation::ListKeyPolicies, policies::list_key_policies),
    to(Operation::ListKeyRotations, rotation::list_key_rotations),
    to(Operation::ListKeys, keys::list_keys),
    to(Operation::ListResourceTags, tags::list_resource_tags),
    to(Operation::ListRetirableGrants, grants::list_retirable_grants),
    to(Operation::PutKeyPolicy, policies::put_key_policy),
    to(Operation::ReEncryptTo, cipher::re_encrypt),
    lacking("ReplicateKey"),
    to(Operation::RetireGrant, grants::retire_grant),
    to(Operation::RevokeGrant, grants::revoke_grant),
    to(Operation::RotateKeyOnDemand, rotation::rotate_key_on_demand),
    to(Operation::ScheduleKeyDeletion, keys::schedule_key_deletion),
    to(Operation::TagResource, tags::tag_resource),
    to(Operation::UntagResource, tags::untag_resource),
    to(Operation::UpdateAlias, aliases::update_alias),
    to(Operation::UpdateCustomKeyStore, custom_key_stores::update_custom_key_store),
    to(Operation::UpdateKeyDescription, keys::update_key_description),
    lacking("UpdatePrimaryRegion"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_operation_of_the_library_has_one_route() {
        let names: BTreeSet<_> = ROUTES.iter().map(|route| route.name).collect();
        assert_eq!(names.len(), 56);
        let known: BTreeSet<_> = Operation::ALL.iter().map(|operation| operation.api_name()).collect();
        let routed: BTreeSet<_> =
            ROUTES.iter().filter_map(|route| route.handler.map(|(operation, _)| operation.api_name())).collect();
        assert_eq!(routed, known);
        assert!(find("Decrypt").is_some() && find("decrypt").is_none() && find("").is_none());
    }
}
