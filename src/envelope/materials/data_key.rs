//! The data key in the materials of a message. It is set once, with the length that the suite
//! requires.

use crate::error::{Error, ErrorKind, Result};
use crate::message::AlgorithmSuite;
use crate::secret::SecretBytes;

/// Sets a data key once, if its length matches the suite.
pub(super) fn set(slot: &mut Option<SecretBytes>, suite: AlgorithmSuite, data_key: SecretBytes) -> Result<()> {
    expect_none(slot.as_ref())?;
    if data_key.len() != suite.data_key_length() {
        let text = format!(
            "the keyring set a data key of {} bytes, but suite {suite} requires {}",
            data_key.len(),
            suite.data_key_length()
        );
        return Err(Error::new(ErrorKind::Internal, text));
    }
    *slot = Some(data_key);
    Ok(())
}

/// Rejects materials that already contain a data key.
pub(super) fn expect_none(data_key: Option<&SecretBytes>) -> Result<()> {
    match data_key {
        None => Ok(()),
        Some(_) => Err(Error::new(ErrorKind::Internal, "the materials already have a data key")),
    }
}
