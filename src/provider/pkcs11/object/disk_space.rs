//! Probes for free space in a token that does not report a full disk.
//!
//! SoftHSM 2.6.1 does not check whether the file of a new key could be written. On a full disk it
//! returns CKR_OK, and the key works until the module is initialized again. SoftHSM does notice a
//! failed write that exceeds the buffer of its C library. Before a key is created in such a token,
//! a large object is therefore created and removed.

use cryptoki::object::{Attribute, ObjectClass};
use cryptoki::session::Session;

use crate::provider::pkcs11::connection::SessionContext;
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::quirks::quirks_of;

/// Larger than any key: the objects of an RSA-4096 key pair take about 5 KiB.
const PROBE_LENGTH: usize = 32 * 1024;

/// Label by which the probe object is found if a process died before removing it.
const LABEL: &[u8] = b"strongroom: room for a key";

/// Maximum number of attempts, for tokens whose concurrent operations interfere with each other.
const ATTEMPTS: u32 = 3;

/// Ensures that the token has room for another key, if the token would not report a full disk
/// itself.
///
/// # Errors
/// - [`ErrorClass::Busy`] if it has no room.
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
                    error.found_to_be(ErrorClass::Busy, "the token has no space for a key: its disk may be full")
                );
            }
            Err(_) => {}
        }
    }
}

/// Removes probe objects left by processes that died or lost the token.
pub(in crate::provider::pkcs11) fn tidy(context: SessionContext<'_>) -> Result<(), TokenError> {
    if is_checked(context) { clear(context.session) } else { Ok(()) }
}

fn is_checked(context: SessionContext<'_>) -> bool {
    quirks_of(context.connection.info.manufacturer_id()).writes_unchecked
}

/// Removes the probe object, and those that other processes left. If that fails, the next caller
/// repeats it.
fn clear(session: &Session) -> Result<(), TokenError> {
    for object in session.find_objects(&[Attribute::Class(ObjectClass::DATA), Attribute::Label(LABEL.to_vec())])? {
        let _ = session.destroy_object(object);
    }
    Ok(())
}
