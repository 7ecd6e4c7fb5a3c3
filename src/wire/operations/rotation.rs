//! Rotation of key material.

use crate::key::RotationPeriod;
use crate::kms::{IncludeKeyMaterial, Kms, RotationListEntry};
use crate::wire::answer::{Answer, Item, text};
use crate::wire::failure::{Outcome, Unrecorded};
use crate::wire::members::Members;

pub(in crate::wire) fn enable_key_rotation(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    let period = match request.number("RotationPeriodInDays")? {
        Some(days) => RotationPeriod::from_days(days).or_refuse()?,
        None => RotationPeriod::default(),
    };
    kms.enable_key_rotation(request.required_text("KeyId")?, period)?;
    Ok(None)
}

pub(in crate::wire) fn disable_key_rotation(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    kms.disable_key_rotation(request.required_text("KeyId")?)?;
    Ok(None)
}

pub(in crate::wire) fn get_key_rotation_status(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    let status = kms.get_key_rotation_status(request.required_text("KeyId")?)?;
    let answer = Answer::new()
        .with("KeyRotationEnabled", status.enabled)
        .with("KeyId", text(status.key_id()))
        .with_some("RotationPeriodInDays", status.rotation_period.map(RotationPeriod::days))
        .with_some("NextRotationDate", status.next_rotation_date);
    Ok(Some(answer))
}

pub(in crate::wire) fn rotate_key_on_demand(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    let key = kms.rotate_key_on_demand(request.required_text("KeyId")?)?;
    Ok(Some(Answer::new().with("KeyId", text(key.key_id()))))
}

pub(in crate::wire) fn list_key_rotations(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    let include = request.choice("IncludeKeyMaterial", IncludeKeyMaterial::parse)?.unwrap_or_default();
    let page = kms.list_key_rotations(request.required_text("KeyId")?, include, request.page()?)?;
    let entry = |rotation: RotationListEntry| {
        let members = Answer::new()
            .with("KeyId", text(rotation.key_id()))
            .with("KeyMaterialId", text(rotation.key_material_id))
            .with_some("KeyMaterialDescription", rotation.key_material_description)
            .with_some("ImportState", rotation.import_state.map(text))
            .with("KeyMaterialState", rotation.key_material_state.as_str())
            .with_some("ExpirationModel", rotation.expiration_model.map(text))
            .with_some("ValidTo", rotation.valid_to)
            .with_some("RotationDate", rotation.rotation_date)
            .with_some("RotationType", rotation.rotation_type.map(text));
        Item::Structure(members)
    };
    Ok(Some(Answer::page("Rotations", page, entry)))
}
