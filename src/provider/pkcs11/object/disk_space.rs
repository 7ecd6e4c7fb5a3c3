//! Room for another object in a token that does not say when it has none left.
//!
//! SoftHSM 2.6.1 does not look whether the file of a new key could be written: on a full disk it answers CKR_OK, the key works, and
//! is gone when the module is initialised anew. A write that is bigger than the buffer of its C library it does notice. So
//! a token of this kind first keeps something big for a moment.

use cryptoki::object::{Attribute, ObjectClass};
use cryptoki::session::Session;

use crate::provider::pkcs11::connection::SessionContext;
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::quirks::quirks_of;

/// More than any key takes up: the objects of a pair of RSA-4096 have some 5 KiB.
const PROBE_LENGTH: usize = 32 * 1024;

/// By this label it is found again, if a process died while it was there.
const LABEL: &[u8] = b"strongroom: room for a key";

/// How often it is tried, where the token gets in its own way.
const ATTEMPTS: u32 = 3;

/// Makes sure that the token has room for another key, if it would not say so itself.
///
/// # Errors
/// [`ErrorClass::Busy`] if not.
pub(in crate::provider::pkcs11) fn probe_free_space(context: SessionContext<'_>) -> Result<(), TokenError> {
    if !is_checked(context) {
        return Ok(());
    }
    let template = [
        Attribute::Class(ObjectClass::DATA),
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Label(LABEL.to_vec()),
        Attribute::Value(vec![0; PROBE_LENGTH]),
    ];
    let mut tries = 0;
    loop {
        tries += 1;
        let kept = context.session.create_object(&template).map_err(TokenError::from);
        clear(context.session)?;
        match kept {
            Ok(_) => return Ok(()),
            Err(error) if error.class() != ErrorClass::Ambiguous => return Err(error),
            Err(error) if tries == ATTEMPTS => {
                return Err(
                    error.found_to_be(ErrorClass::Busy, "the token has no room for a key: its disk may be full")
                );
            }
            Err(_) => {}
        }
    }
}

/// Removes what those have left who died in between, or lost the token.
pub(in crate::provider::pkcs11) fn tidy(context: SessionContext<'_>) -> Result<(), TokenError> {
    if is_checked(context) { clear(context.session) } else { Ok(()) }
}

fn is_checked(context: SessionContext<'_>) -> bool {
    quirks_of(context.connection.info.manufacturer_id()).writes_unchecked
}

/// Removes it, and what others have left of theirs. Where that fails, the next one does it.
fn clear(session: &Session) -> Result<(), TokenError> {
    for object in session.find_objects(&[Attribute::Class(ObjectClass::DATA), Attribute::Label(LABEL.to_vec())])? {
        let _ = session.destroy_object(object);
    }
    Ok(())
}
