//! Import of key material.

use crate::algorithm::{WrappingAlgorithm, WrappingKeySpec};
use crate::key::{ExpirationModel, ImportType, KeyMaterialId};
use crate::kms::{GetParametersForImportRequest, ImportKeyMaterialRequest, Kms};
use crate::wire::answer::{Answer, text};
use crate::wire::failure::{Outcome, Unrecorded};
use crate::wire::members::{Members, invalid};

pub(in crate::wire) fn get_parameters_for_import(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    let algorithm = request.required_choice("WrappingAlgorithm", WrappingAlgorithm::parse)?;
    let spec = request.required_choice("WrappingKeySpec", WrappingKeySpec::parse)?;
    let call = GetParametersForImportRequest::new(request.required_text("KeyId")?, algorithm, spec);
    let made = kms.get_parameters_for_import(call)?;
    let answer = Answer::new()
        .with("KeyId", text(made.key_arn))
        .with("ImportToken", made.import_token)
        .with("PublicKey", made.public_key)
        .with("ParametersValidTo", made.parameters_valid_to);
    Ok(Some(answer))
}

pub(in crate::wire) fn import_key_material(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    let (token, material) = (request.required_blob("ImportToken")?, request.required_blob("EncryptedKeyMaterial")?);
    let key = request.required_text("KeyId")?;
    let mut call = ImportKeyMaterialRequest::new(key, token.expose_secret(), material.expose_secret());
    match (request.choice("ExpirationModel", ExpirationModel::parse)?, request.time("ValidTo")?) {
        (Some(ExpirationModel::DoesNotExpire), None) => call = call.does_not_expire(),
        (Some(ExpirationModel::DoesNotExpire), Some(_)) => {
            return Err(invalid(
                "A validTo date must not be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE",
            ));
        }
        (_, Some(time)) => call = call.valid_to(time),
        (_, None) => {} // refused, with the text of AWS
    }
    if let Some(import_type) = request.choice("ImportType", ImportType::parse)? {
        call = call.import_type(import_type);
    }
    if let Some(id) = request.text("KeyMaterialId")? {
        call = call.key_material_id(KeyMaterialId::parse(id).or_refuse()?);
    }
    if let Some(description) = request.text("KeyMaterialDescription")? {
        call = call.key_material_description(description);
    }
    let imported = kms.import_key_material(call)?;
    let answer =
        Answer::new().with("KeyId", text(imported.key_arn)).with("KeyMaterialId", text(imported.key_material_id));
    Ok(Some(answer))
}

pub(in crate::wire) fn delete_imported_key_material(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    let material = request.text("KeyMaterialId")?.map(|id| KeyMaterialId::parse(id).or_refuse()).transpose()?;
    let deleted = kms.delete_imported_key_material(request.required_text("KeyId")?, material)?;
    let answer = Answer::new()
        .with("KeyId", text(deleted.key_arn))
        .with_some("KeyMaterialId", deleted.key_material_id.map(text));
    Ok(Some(answer))
}
