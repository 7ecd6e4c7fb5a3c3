//! The start of a message in either direction: materials, policy, and header.

use std::sync::Arc;

use super::config::Config;
use super::materials::{DecryptionMaterials, EncryptionMaterials, MaterialsManager};
use super::policy::ReleaseMode;
use crate::context::{self, EncryptionContext, RESERVED_CONTEXT_PREFIX};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{
    Header, HeaderForm, HeaderParts, MessageError, MessageId, MessageSigner, Opener, PUBLIC_KEY_NAME, Sealer,
    check_readable,
};

/// Starts messages in either direction. Contains the settings of an envelope and the source of its
/// data keys.
#[derive(Clone)]
pub(super) struct Starter {
    pub(super) manager: Arc<dyn MaterialsManager>,
    pub(super) config: Config,
}

impl Starter {
    pub(super) fn new(manager: impl MaterialsManager + 'static) -> Self {
        Self { manager: Arc::new(manager), config: Config::default() }
    }

    /// Obtains a data key and creates the header of a new message. `plaintext_length` is the length
    /// of the plaintext, if known.
    pub(super) fn begin_encrypt(&self, context: &EncryptionContext, plaintext_length: Option<usize>) -> Result<Sealer> {
        begin_encrypt(&self.config, &*self.manager, context, plaintext_length)
    }

    /// Obtains the data key of a message and verifies its header. The expected context is compared
    /// first, so a header without it is rejected before any key is used, whether or not the header
    /// is authentic.
    pub(super) fn begin_decrypt(&self, header: &Header, known: KnownContext<'_>, mode: ReleaseMode) -> Result<Opener> {
        begin_decrypt(&self.config, &*self.manager, header, known, mode)
    }
}

fn begin_encrypt(
    config: &Config,
    manager: &dyn MaterialsManager,
    context: &EncryptionContext,
    plaintext_length: Option<usize>,
) -> Result<Sealer> {
    refuse_reserved_names(context)?;
    let suite = config.suite();
    config.commitment_policy.check_encrypt(suite)?;
    let mut context = context.clone();
    let signer = match suite.signature() {
        None => None,
        Some(signature) => {
            let signer = MessageSigner::generate(&config.backend, signature)?;
            context.extend([(PUBLIC_KEY_NAME, signer.public_key().as_str())]);
            Some(signer)
        }
    };
    let bound = context.clone();
    let mut materials =
        EncryptionMaterials::new(suite, context, config.backend)?.with_commitment_policy(config.commitment_policy);
    if let Some(length) = plaintext_length {
        materials = materials.with_plaintext_length(u64::try_from(length).unwrap_or(u64::MAX));
    }
    let message_id = MessageId::try_fill(suite.version(), |id| materials.fill_random(id))?;
    manager.on_encrypt(&mut materials)?;
    // A manager could have replaced the materials with others.
    if materials.suite() != suite || *materials.context() != bound {
        return Err(exchanged());
    }
    let count = materials.encrypted_data_keys().len();
    let limit = usize::from(config.limits.max_encrypted_data_keys());
    let (Some(data_key), 1..) = (materials.data_key(), count) else {
        return Err(Error::new(ErrorKind::Internal, "the keyring generated no data key or did not wrap it"));
    };
    if count > limit {
        let text = format!("the keyring wrapped the data key {count} times, above the limit of {limit}");
        return Err(Error::new(ErrorKind::Validation, text));
    }
    let (shown, omitted) = materials.header_contexts()?;
    let parts = HeaderParts {
        suite,
        message_id: &message_id,
        context: &shown,
        omitted_context: &omitted,
        data_keys: materials.encrypted_data_keys(),
        frame_length: config.frame_length,
    };
    let sealer = Sealer::new(&config.backend, &parts, data_key, signer)?.with_parallelism(config.parallelism);
    // As with frames, the same envelope could not read the message.
    let (length, limit) = (sealer.header().len(), config.limits.max_header_bytes());
    if length > limit {
        let text = format!("the message header would have {length} bytes, above the limit of {limit}");
        return Err(Error::new(ErrorKind::Validation, text));
    }
    Ok(sealer)
}

/// The pairs of a message's context that the caller supplies.
#[derive(Clone, Copy)]
pub(super) enum KnownContext<'a> {
    /// Pairs that the header must contain.
    Expected(&'a EncryptionContext),
    /// Pairs that the header either contains with equal values, or omits.
    Reproduced(&'a EncryptionContext),
}

impl<'a> KnownContext<'a> {
    /// Returns the pairs that the header omits. Returns an error if the header contains a pair with
    /// another value.
    fn omitted_from(self, shown: &EncryptionContext) -> Result<EncryptionContext> {
        let (mismatch, omitted) = match self {
            Self::Expected(expected) => (shown.first_mismatch(expected), EncryptionContext::new()),
            Self::Reproduced(reproduced) => {
                let differs = |(name, value): &(&str, &str)| shown.get(name).is_some_and(|other| other != *value);
                let omitted = reproduced.iter().filter(|(name, _)| shown.get(name).is_none()).collect();
                (reproduced.iter().find(differs).map(|(name, _)| name), omitted)
            }
        };
        if let Some(name) = mismatch {
            let text = format!("the encryption context of the message does not have the expected value of {name:?}");
            return Err(Error::new(ErrorKind::ContextMismatch, text));
        }
        refuse_reserved_names(&omitted)?;
        Ok(omitted)
    }

    fn reproduced_names(self) -> impl Iterator<Item = &'a str> {
        let reproduced = match self {
            Self::Expected(_) => None,
            Self::Reproduced(reproduced) => Some(reproduced),
        };
        reproduced.into_iter().flat_map(EncryptionContext::iter).map(|(name, _)| name)
    }
}

fn exchanged() -> Error {
    Error::new(
        ErrorKind::Internal,
        "the materials manager returned materials with a different suite or encryption context",
    )
}

fn refuse_reserved_names(context: &EncryptionContext) -> Result<()> {
    match context.iter().find(|(name, _)| name.starts_with(RESERVED_CONTEXT_PREFIX)) {
        None => Ok(()),
        Some((name, _)) => {
            let text = format!(
                "the encryption context contains the name {name:?}: the prefix {RESERVED_CONTEXT_PREFIX} is \
                 reserved"
            );
            Err(Error::new(ErrorKind::Validation, text))
        }
    }
}

fn begin_decrypt(
    config: &Config,
    manager: &dyn MaterialsManager,
    header: &Header,
    known: KnownContext<'_>,
    mode: ReleaseMode,
) -> Result<Opener> {
    let suite = header.suite();
    config.commitment_policy.check_decrypt(suite)?;
    config.signature_policy.check_decrypt(suite, mode)?;
    check_readable(header)?;
    let omitted = known.omitted_from(header.context())?;
    let mut full = header.context().clone();
    full.extend(omitted.iter());
    let bound = full.clone();
    let mut materials = DecryptionMaterials::new(suite, full, config.backend)?
        .with_commitment_policy(config.commitment_policy)
        .with_reproduced_names(known.reproduced_names());
    // That SDK cannot omit a part of a context.
    if config.accepts_javascript_context_order && omitted.is_empty() {
        materials = materials.with_context_as_received(header.context_as_received());
    }
    let omitted = omitted.to_canonical_bytes().map_err(context::too_long)?;
    manager.on_decrypt(&mut materials, header.data_keys())?;
    if materials.suite() != suite || *materials.context() != bound {
        return Err(exchanged());
    }
    let data_key = materials
        .data_key()
        .ok_or_else(|| Error::new(ErrorKind::Internal, "the keyring reported no failure but returned no data key"))?;
    let open = |form| Opener::in_form(form, &config.backend, header, &omitted, data_key, &config.limits);
    let opener = match open(HeaderForm::Standard) {
        Err(MessageError::HeaderAuth) if config.accepts_dotnet_4_0_0 => open(HeaderForm::DotNet400)?,
        opener => opener?,
    };
    Ok(opener.with_parallelism(config.parallelism))
}
