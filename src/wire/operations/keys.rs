//! Keys: creation, metadata, state, deletion, and usage.

use crate::key::{DeletionWindow, KeyMetadata, KeySpec, KeyUsage, Origin};
use crate::kms::{CreateKeyRequest, KeyListEntry, KeyRequest, Kms};
use crate::wire::answer::{Answer, Item, text};
use crate::wire::failure::{Outcome, Unrecorded};
use crate::wire::members::{Members, invalid, unsupported};

pub(in crate::wire) fn create_key(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    let spec = key_spec(request)?;
    if request.flag("MultiRegion")? {
        return Err(unsupported("Multi-Region keys are not supported."));
    }
    let origin = request.choice("Origin", Origin::parse)?;
    request.refuse_members(&["XksKeyId"])?;
    let mut call = CreateKeyRequest::default()
        .spec(spec)
        .origin(origin.unwrap_or(Origin::Kms))
        .bypass_policy_lockout_safety_check_if(request.flag("BypassPolicyLockoutSafetyCheck")?);
    if let Some(usage) = request.choice("KeyUsage", KeyUsage::parse)? {
        call = call.usage(usage);
    }
    if let Some(description) = request.text("Description")? {
        call = call.description(description);
    }
    if let Some(policy) = request.text("Policy")? {
        call = call.policy(policy);
    }
    if let Some(store) = request.custom_key_store("CustomKeyStoreId")? {
        if origin != Some(Origin::Hsm) {
            return Err(invalid("CustomKeyStoreId requires the Origin AWS_CLOUDHSM."));
        }
        call = call.custom_key_store(store);
    }
    for tag in request.structures("Tags")? {
        call = call.tag(tag.required_text("TagKey")?, tag.required_text("TagValue")?);
    }
    Ok(Some(key_metadata(&kms.create_key(call)?)))
}

/// Returns the key spec, which has an earlier name that is still accepted.
fn key_spec(request: Members<'_>) -> Outcome<KeySpec> {
    let earlier = request.choice("CustomerMasterKeySpec", KeySpec::parse)?;
    match (request.choice("KeySpec", KeySpec::parse)?, earlier) {
        (Some(_), Some(_)) => Err(invalid(
            "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec is \
             deprecated.",
        )),
        (spec, earlier) => Ok(spec.or(earlier).unwrap_or(KeySpec::SymmetricDefault)),
    }
}

pub(in crate::wire) fn describe_key(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    let tokens = request.grant_tokens()?;
    let found = kms.describe_key(KeyRequest::new(request.required_text("KeyId")?).grant_tokens(&tokens))?;
    Ok(Some(key_metadata(&found)))
}

/// Returns everything that AWS reports about a key. `PendingDeletionWindowInDays` is only for
/// multi-Region primary keys that wait for their replicas, which the library does not have.
fn key_metadata(key: &KeyMetadata) -> Answer {
    let metadata = Answer::new()
        .with("AWSAccountId", text(key.account()))
        .with("KeyId", text(key.key_id()))
        .with("Arn", text(key.arn()))
        .with("CreationDate", key.creation_date())
        .with("Enabled", key.is_enabled())
        .with("Description", text(key.description()))
        .with("KeyUsage", key.usage().as_str())
        .with("KeyState", key.state().as_str())
        .with_some("DeletionDate", key.deletion_date())
        .with_some("ValidTo", key.valid_to())
        .with("Origin", key.origin().as_str())
        .with_some("CustomKeyStoreId", key.custom_key_store_id().map(text))
        .with_some("CloudHsmClusterId", key.cluster_id().map(text))
        .with_some("ExpirationModel", key.expiration_model().map(text))
        .with("KeyManager", key.manager().as_str())
        .with("CustomerMasterKeySpec", key.spec().as_str())
        .with("KeySpec", key.spec().as_str())
        .with_names("EncryptionAlgorithms", key.encryption_algorithms())
        .with_names("SigningAlgorithms", key.signing_algorithms())
        .with_names("KeyAgreementAlgorithms", key.key_agreement_algorithms())
        .with_names("EncapsulationAlgorithms", key.encapsulation_algorithms())
        .with("MultiRegion", key.is_multi_region())
        .with_names("MacAlgorithms", key.mac_algorithms())
        .with_some("CurrentKeyMaterialId", key.current_key_material_id().map(text));
    Answer::new().with("KeyMetadata", metadata)
}

pub(in crate::wire) fn list_keys(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    let owners = request.texts("ResourceOwners")?;
    let mut page = kms.list_keys(request.page()?)?;
    // Nothing is shared between accounts with Resource Access Manager.
    if !owners.is_empty() && !owners.contains(&"SELF") {
        page.entries.clear();
        page.next_marker = None;
    }
    let entry = |key: KeyListEntry| {
        Item::Structure(Answer::new().with("KeyId", text(key.key_id)).with("KeyArn", text(key.key_arn)))
    };
    Ok(Some(Answer::page("Keys", page, entry)))
}

pub(in crate::wire) fn update_key_description(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    kms.update_key_description(request.required_text("KeyId")?, request.required_text("Description")?)?;
    Ok(None)
}

pub(in crate::wire) fn enable_key(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    kms.enable_key(request.required_text("KeyId")?)?;
    Ok(None)
}

pub(in crate::wire) fn disable_key(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    kms.disable_key(request.required_text("KeyId")?)?;
    Ok(None)
}

pub(in crate::wire) fn schedule_key_deletion(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    let window = match request.number("PendingWindowInDays")? {
        Some(days) => DeletionWindow::from_days(days).or_refuse()?,
        None => DeletionWindow::default(),
    };
    let scheduled = kms.schedule_key_deletion(request.required_text("KeyId")?, window)?;
    let answer = Answer::new()
        .with("KeyId", text(scheduled.key_arn))
        .with("DeletionDate", scheduled.deletion_date)
        .with("KeyState", scheduled.key_state.as_str())
        .with("PendingWindowInDays", scheduled.pending_window.days());
    Ok(Some(answer))
}

pub(in crate::wire) fn cancel_key_deletion(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    let key = kms.cancel_key_deletion(request.required_text("KeyId")?)?;
    Ok(Some(Answer::new().with("KeyId", text(key))))
}

pub(in crate::wire) fn get_key_last_usage(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    let found = kms.get_key_last_usage(request.required_text("KeyId")?)?;
    let usage = match found.last_usage {
        Some(last) => Answer::new().with("Operation", last.operation.api_name()).with("Timestamp", last.time),
        None => Answer::new(),
    };
    let answer = Answer::new()
        .with("KeyId", text(found.key_id()))
        .with("KeyLastUsage", usage)
        .with("TrackingStartDate", found.tracking_start_date)
        .with("KeyCreationDate", found.key_creation_date);
    Ok(Some(answer))
}
