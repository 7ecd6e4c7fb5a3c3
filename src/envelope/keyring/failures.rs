//! Why none of the wrapped data keys of a message opened.

use std::fmt;

use crate::error::{Error, ErrorKind};
use crate::message::EncryptedDataKey;

/// How much of what a message says about its keys is repeated in an error.
const SHOWN_CHARACTERS: usize = 64;

/// Why one wrapped data key did not open, or why a keyring could not try any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnwrapFailure {
    provider_id: Option<String>,
    reason: String,
}

impl UnwrapFailure {
    /// The provider id of the wrapped data key, as the message says; `None` if a keyring failed before it came to one.
    pub fn provider_id(&self) -> Option<&str> {
        self.provider_id.as_deref()
    }

    /// Why it did not open.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for UnwrapFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(provider_id) = &self.provider_id else { return f.write_str(&self.reason) };
        // Anyone may have written the message, so what it says is shortened and control characters are escaped.
        let shown: String = provider_id.chars().take(SHOWN_CHARACTERS).flat_map(char::escape_debug).collect();
        write!(f, "key of provider \"{shown}\": {}", self.reason)
    }
}

/// Why none of the wrapped data keys of a message opened: the source of an error of kind
/// [`ErrorKind::NoDataKeyUnwrapped`].
///
/// # Examples
/// ```
/// use strongroom::ErrorKind;
/// use strongroom::envelope::UnwrapFailures;
/// use strongroom::message::EncryptedDataKey;
///
/// let mut failures = UnwrapFailures::default();
/// failures.push(&EncryptedDataKey::new("my-vault", *b"key 1", *b"wrapped"), "the vault is sealed");
/// let error = failures.into_error();
/// assert_eq!(error.kind(), ErrorKind::NoDataKeyUnwrapped);
/// assert!(error.to_string().ends_with("key of provider \"my-vault\": the vault is sealed"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnwrapFailures(Vec<UnwrapFailure>);

impl UnwrapFailures {
    /// Adds why one did not open.
    pub fn push(&mut self, data_key: &EncryptedDataKey, reason: impl Into<String>) {
        self.0.push(UnwrapFailure { provider_id: Some(data_key.provider_id().to_owned()), reason: reason.into() });
    }

    /// Adds why a keyring among several failed: all the reasons that it gave, each with its name before it.
    pub(super) fn push_error(&mut self, keyring: &str, error: &Error) {
        match Self::of(error) {
            Some(failures) => self.0.extend(failures.0.iter().map(|failure| UnwrapFailure {
                provider_id: failure.provider_id.clone(),
                reason: format!("{keyring}: {}", failure.reason),
            })),
            None => self.push_other(keyring, &error.to_string()),
        }
    }

    /// Adds a failure of a keyring that concerns no single wrapped data key.
    pub(super) fn push_other(&mut self, keyring: &str, reason: &str) {
        self.0.push(UnwrapFailure { provider_id: None, reason: format!("{keyring}: {reason}") });
    }

    /// The failures that an error reports, if it is of that kind.
    pub(in crate::envelope) fn of(error: &Error) -> Option<&Self> {
        std::error::Error::source(error).and_then(|source| source.downcast_ref())
    }

    /// All of them, in the order of their attempts.
    pub fn iter(&self) -> impl Iterator<Item = &UnwrapFailure> {
        self.0.iter()
    }

    /// The error that reports all of them.
    pub fn into_error(self) -> Error {
        Error::new(ErrorKind::NoDataKeyUnwrapped, self.to_string()).with_source(self)
    }
}

impl fmt::Display for UnwrapFailures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no data key of the message could be unwrapped")?;
        for (index, failure) in self.0.iter().enumerate() {
            write!(f, "{} {failure}", if index == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

impl std::error::Error for UnwrapFailures {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_is_reported_in_order() {
        let mut failures = UnwrapFailures::default();
        failures.push(&EncryptedDataKey::new("a", [], []), "one");
        failures.push(&EncryptedDataKey::new("b", [], []), "two");
        let expected =
            "no data key of the message could be unwrapped: key of provider \"a\": one; key of provider \"b\": two";
        assert_eq!(failures.to_string(), expected);
        assert_eq!(failures.iter().map(UnwrapFailure::reason).collect::<Vec<_>>(), ["one", "two"]);
    }

    #[test]
    fn what_a_message_says_cannot_forge_the_text() {
        let mut failures = UnwrapFailures::default();
        failures.push(&EncryptedDataKey::new(format!("x\n\u{1b}[31m{}", "y".repeat(1000)), [], []), "no");
        let text = failures.to_string();
        assert!(!text.contains(['\n', '\u{1b}']) && text.len() < 200, "{text}");
    }
}
