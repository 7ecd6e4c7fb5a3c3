//! Aliases.

use crate::kms::{AliasListEntry, Kms};
use crate::wire::answer::{Answer, Item, text};
use crate::wire::failure::Outcome;
use crate::wire::members::Members;

pub(in crate::wire) fn create_alias(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    kms.create_alias(request.required_text("AliasName")?, request.required_text("TargetKeyId")?)?;
    Ok(None)
}

pub(in crate::wire) fn update_alias(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    kms.update_alias(request.required_text("AliasName")?, request.required_text("TargetKeyId")?)?;
    Ok(None)
}

pub(in crate::wire) fn delete_alias(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    kms.delete_alias(request.required_text("AliasName")?)?;
    Ok(None)
}

pub(in crate::wire) fn list_aliases(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    let page = match request.text("KeyId")? {
        Some(key) => kms.list_aliases_of_key(key, request.page()?)?,
        None => kms.list_aliases(request.page()?)?,
    };
    let entry = |alias: AliasListEntry| {
        let members = Answer::new()
            .with("AliasName", text(alias.alias_name))
            .with("AliasArn", text(alias.alias_arn))
            .with("TargetKeyId", text(alias.target_key_id))
            .with("CreationDate", alias.creation_date)
            .with("LastUpdatedDate", alias.last_updated_date);
        Item::Structure(members)
    };
    Ok(Some(Answer::page("Aliases", page, entry)))
}
