//! The beginning of a message in either direction: materials, policy, header.

use super::config::Config;
use super::manager::MaterialsManager;
use super::materials::{DecryptionMaterials, EncryptionMaterials};
use crate::context::{EncryptionContext, RESERVED_CONTEXT_PREFIX};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Header, HeaderParts, MessageId, Opener, Sealer, check_readable};

/// Gets a data key and makes the header of a new message, whose plaintext has so many bytes if that is known.
pub(super) fn start_writing(
    config: &Config,
    manager: &dyn MaterialsManager,
    context: &EncryptionContext,
    plaintext_length: Option<usize>,
) -> Result<Sealer> {
    if let Some((name, _)) = context.iter().find(|(name, _)| name.starts_with(RESERVED_CONTEXT_PREFIX)) {
        let text = format!("the encryption context has the name {name:?}: {RESERVED_CONTEXT_PREFIX} is reserved");
        return Err(Error::new(ErrorKind::Validation, text));
    }
    let mut materials = EncryptionMaterials::new(config.suite, context.clone(), config.backend)?;
    if let Some(length) = plaintext_length {
        materials = materials.with_plaintext_length(u64::try_from(length).unwrap_or(u64::MAX));
    }
    let message_id = MessageId::try_fill(config.suite.version(), |id| materials.fill_random(id))?;
    manager.on_encrypt(&mut materials)?;
    let count = materials.encrypted_data_keys().len();
    let limit = usize::from(config.limits.max_encrypted_data_keys());
    let (Some(data_key), 1..) = (materials.data_key(), count) else {
        return Err(Error::new(ErrorKind::Internal, "the keyring made no data key, or did not wrap it"));
    };
    if count > limit {
        let text = format!("the keyring wrapped the data key {count} times, over the limit of {limit}");
        return Err(Error::new(ErrorKind::Validation, text));
    }
    let parts = HeaderParts {
        suite: config.suite,
        message_id: &message_id,
        context: materials.canonical_context(),
        data_keys: materials.encrypted_data_keys(),
        frame_length: config.frame_length,
    };
    Ok(Sealer::new(&config.backend, &parts, data_key)?)
}

/// Gets the data key of a message and verifies its header. What is expected of the context is compared first: a header
/// that lacks it is refused whether it is authentic or not, and then no key needs to be asked for.
pub(super) fn start_reading(
    config: &Config,
    manager: &dyn MaterialsManager,
    header: &Header,
    expect_context: &EncryptionContext,
) -> Result<Opener> {
    check_readable(header)?;
    if let Some(name) = header.context().first_mismatch(expect_context) {
        let text = format!("the context of the message does not have the expected value of {name:?}");
        return Err(Error::new(ErrorKind::ContextMismatch, text));
    }
    let mut materials = DecryptionMaterials::new(header.suite(), header.context().clone(), config.backend)?;
    manager.on_decrypt(&mut materials, header.data_keys())?;
    let data_key = materials
        .data_key()
        .ok_or_else(|| Error::new(ErrorKind::Internal, "the keyring reported no failure and gave no data key"))?;
    Ok(Opener::new(&config.backend, header, data_key, &config.limits)?)
}
