//! The choice of a KMS key by an encryption context.

use std::fmt;
use std::sync::Arc;

use crate::context::{EncryptionContext, RESERVED_CONTEXT_PREFIX};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{AliasName, KeyIdentifier};
use crate::kms::KeyReference;

type ChooseKey = dyn Fn(&EncryptionContext) -> Result<KeyIdentifier> + Send + Sync;

/// A rule that maps an encryption context to a key.
#[derive(Clone)]
pub(crate) enum KeyChoice {
    /// Whatever the function returns.
    Function(Arc<ChooseKey>),
    /// The alias that consists of the prefix and the value of a context pair.
    Alias {
        /// The name of the pair.
        name: String,
        /// The beginning of the alias, including `alias/` and the final `/`.
        prefix: String,
    },
}

impl KeyChoice {
    /// Creates a rule from a function.
    pub(crate) fn by<K: KeyReference>(
        choose: impl Fn(&EncryptionContext) -> Result<K> + Send + Sync + 'static,
    ) -> Self {
        Self::Function(Arc::new(move |context| choose(context)?.to_key_identifier()))
    }

    /// Creates a rule from an alias prefix and the name of a context pair.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if the prefix does not begin with `alias/`, does not end with `/`,
    ///   or leaves no room for a value, or if the name is reserved.
    /// - [`ErrorKind::InvalidAliasName`] if the prefix contains characters that aliases cannot
    ///   contain.
    /// - [`ErrorKind::NotAuthorized`] if the prefix is reserved.
    pub(crate) fn with_alias_prefix(name: String, prefix: String) -> Result<Self> {
        let refused = |kind, text| Err(Error::new(kind, text));
        if name.starts_with(RESERVED_CONTEXT_PREFIX) {
            let text = format!("cannot choose a KMS key by {name:?}: {RESERVED_CONTEXT_PREFIX} is reserved");
            return refused(ErrorKind::Validation, text);
        }
        let alias = AliasName::parse(&prefix)?;
        if alias.is_reserved() {
            return refused(ErrorKind::NotAuthorized, format!("aliases that begin with {alias} are reserved"));
        }
        if !prefix.ends_with('/') || prefix.len() >= AliasName::MAX_LENGTH {
            let text = format!(
                "an alias prefix must end with \"/\" and have at most {} characters: {alias}",
                AliasName::MAX_LENGTH - 1
            );
            return refused(ErrorKind::Validation, text);
        }
        Ok(Self::Alias { name, prefix })
    }

    /// Returns the key for a context.
    pub(crate) fn choose(&self, context: &EncryptionContext) -> Result<KeyIdentifier> {
        match self {
            Self::Function(choose) => choose(context),
            Self::Alias { name, prefix } => alias_for(context, name, prefix).map(KeyIdentifier::AliasName),
        }
    }
}

impl fmt::Debug for KeyChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("KeyChoice");
        if let Self::Alias { name, prefix } = self {
            out.field("name", name).field("prefix", prefix);
        }
        out.finish_non_exhaustive()
    }
}

/// Returns the alias that consists of a prefix and a context value. The errors do not contain the
/// value.
fn alias_for(context: &EncryptionContext, name: &str, prefix: &str) -> Result<AliasName> {
    let refused = |text| Error::new(ErrorKind::Validation, text);
    let value = context
        .get(name)
        .ok_or_else(|| refused(format!("cannot choose a KMS key: the encryption context has no {name:?}")))?;
    let most = AliasName::MAX_LENGTH - prefix.len();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if !(1..=most).contains(&value.len()) || !value.bytes().all(allowed) {
        let text = format!(
            "cannot choose a KMS key: the value of {name:?} in the encryption context must have 1 to {most} letters, \
             digits, \"_\" or \"-\""
        );
        return Err(refused(text));
    }
    AliasName::parse(&format!("{prefix}{value}"))
}
