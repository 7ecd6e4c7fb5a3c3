//! Tags.

use crate::key::Tag;
use crate::kms::Kms;
use crate::wire::answer::{Answer, Item};
use crate::wire::failure::{Outcome, Unrecorded};
use crate::wire::members::Members;

pub(in crate::wire) fn tag_resource(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    let tag = |tag: Members<'_>| Tag::new(tag.required_text("TagKey")?, tag.required_text("TagValue")?).or_refuse();
    let tags: Vec<Tag> = request.structures("Tags")?.into_iter().map(tag).collect::<Outcome<_>>()?;
    kms.tag_resource(request.required_text("KeyId")?, tags)?;
    Ok(None)
}

pub(in crate::wire) fn untag_resource(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    kms.untag_resource(request.required_text("KeyId")?, request.texts("TagKeys")?)?;
    Ok(None)
}

pub(in crate::wire) fn list_resource_tags(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    let page = kms.list_resource_tags(request.required_text("KeyId")?, request.page()?)?;
    let entry = |tag: Tag| {
        let members = Answer::new().with("TagKey", tag.key().to_owned()).with("TagValue", tag.value().to_owned());
        Item::Structure(members)
    };
    Ok(Some(Answer::page("Tags", page, entry)))
}
