//! Health checks of a token, used after an ambiguous return value.

use super::proof::prove;
use super::search::find_copies;
use crate::crypto::CryptoBackend;
use crate::provider::pkcs11::connection::SessionContext;
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::reference::TokenKeyHandle;

/// Checks that the token responds. Only a new session tests the token itself: an old session may be
/// half dead.
pub(in crate::provider::pkcs11) fn token_is_well(context: SessionContext<'_>) -> Result<(), TokenError> {
    let info = context.module.client().get_token_info(context.connection.slot)?;
    if info.serial_number() != context.connection.info.serial_number() {
        return Err(TokenError::new(ErrorClass::TokenLost, "its slot contains another token"));
    }
    if info.rng() {
        context.session.generate_random_slice(&mut [0; 16])?;
    }
    Ok(())
}

/// Checks that the token responds, and that the key still proves its identity.
pub(in crate::provider::pkcs11) fn key_is_well(
    context: SessionContext<'_>,
    key: &TokenKeyHandle,
    backend: &CryptoBackend,
) -> Result<(), TokenError> {
    token_is_well(context)?;
    let found = match context.connection.handle(key) {
        Some(handle) => vec![handle],
        None => find_copies(context.session, key)?,
    };
    found.into_iter().try_for_each(|handle| prove(context.session, handle, key, backend))
}
