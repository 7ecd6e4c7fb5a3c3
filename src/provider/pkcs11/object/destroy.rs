//! Destruction of objects: all objects with an id, or those with a given label.

use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;

use super::disk_space;
use super::search::{label, objects, remaining_objects};
use crate::provider::pkcs11::connection::SessionContext;
use crate::provider::pkcs11::error::TokenError;

/// Destroys every object with an id, and returns their number.
pub(in crate::provider::pkcs11) fn destroy(context: SessionContext<'_>, id: &[u8]) -> Result<usize, TokenError> {
    context.connection.forget_handles(id);
    let found = remaining_objects(context.session, id)?;
    if let Err(error) = destroy_all(context.session, &found) {
        // If the token lists one object twice, the second entry disappears with the first.
        let left = objects(context.session, id)?;
        if left.len() == found.len() {
            return Err(error);
        }
        destroy_all(context.session, &left)?;
    }
    disk_space::tidy(context)?;
    Ok(found.len())
}

pub(super) fn destroy_all(session: &Session, objects: &[ObjectHandle]) -> Result<(), TokenError> {
    objects.iter().try_for_each(|object| Ok(session.destroy_object(*object)?))
}

/// Destroys only the objects with an id that have this label. Returns their number.
pub(in crate::provider::pkcs11) fn destroy_labelled(
    context: SessionContext<'_>,
    id: &[u8],
    wanted: &[u8],
) -> Result<usize, TokenError> {
    context.connection.forget_handles(id);
    let mut found = Vec::new();
    for object in remaining_objects(context.session, id)? {
        if label(context.session, object)? == wanted {
            found.push(object);
        }
    }
    for (count, object) in found.iter().enumerate() {
        match context.session.destroy_object(*object) {
            // If the token lists one object twice, the second entry disappears with the first.
            Err(_) if count > 0 && label(context.session, *object).is_err() => {}
            destroyed => destroyed?,
        }
    }
    disk_space::tidy(context)?;
    Ok(found.len())
}
