//! Reasons why none of the wrapped data keys of a message could be unwrapped.

use std::fmt;

use crate::error::{Error, ErrorKind};
use crate::message::EncryptedDataKey;

/// The maximum number of characters from a message's key names that an error repeats.
const SHOWN_CHARACTERS: usize = 64;

/// The reason why one wrapped data key could not be unwrapped, or why a keyring could not try any.
///
/// # Examples
/// ```
/// use strongroom::envelope::{KmsKeyring, UnwrapFailures};
/// use strongroom::{EncryptionContext, Envelope, ErrorKind, Kms};
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?.key_id();
/// let envelope = Envelope::new(KmsKeyring::new(&kms, key)?);
/// let message = envelope.encrypt(b"two pots of tea", &EncryptionContext::new())?;
/// kms.disable_key(key)?;
///
/// let error = envelope.decrypt(&message, &EncryptionContext::new()).unwrap_err();
/// let failures: &UnwrapFailures = error.downcast_ref().expect("the reasons");
/// let failure = failures.iter().next().expect("one for the only wrapped data key");
/// assert_eq!((failure.provider_id(), failure.kind()), (Some("aws-kms"), ErrorKind::Disabled));
/// assert!(failure.reason().contains("disabled"));
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct UnwrapFailure {
    provider_id: Option<String>,
    reason: String,
    error: Error,
}

impl UnwrapFailure {
    /// Returns the provider ID of the wrapped data key, as specified in the message. Returns `None`
    /// if a keyring failed before it tried one.
    pub fn provider_id(&self) -> Option<&str> {
        self.provider_id.as_deref()
    }

    /// Returns a human-readable description.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Returns the kind of failure, for example:
    ///
    /// - [`AccessDenied`](ErrorKind::AccessDenied), [`Disabled`](ErrorKind::Disabled), or
    ///   [`NotFound`](ErrorKind::NotFound),
    /// - [`InvalidState`](ErrorKind::InvalidState) for a pending deletion,
    /// - [`InvalidCiphertext`](ErrorKind::InvalidCiphertext) if the wrapped data key was altered or
    ///   bound to another context,
    /// - [`IncorrectKey`](ErrorKind::IncorrectKey) if the keyring does not have its key.
    ///
    /// This is the kind of [`error`](Self::error), or of the outage that caused it. A key in an
    /// unreachable custom key store is in an invalid state, as in AWS KMS, and is reported as
    /// [`KeyUnavailable`](ErrorKind::KeyUnavailable) here.
    pub fn kind(&self) -> ErrorKind {
        decisive_kind(&self.error)
    }

    /// Returns the error of the keyring or the KMS.
    pub const fn error(&self) -> &Error {
        &self.error
    }

    fn of_keyring(keyring: &str, provider_id: Option<String>, reason: &str, error: Error) -> Self {
        Self { provider_id, reason: format!("{keyring}: {reason}"), error }
    }
}

impl fmt::Display for UnwrapFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(provider_id) = &self.provider_id else { return f.write_str(&self.reason) };
        write!(f, "key of provider \"{}\": {}", shown(provider_id), self.reason)
    }
}

impl std::error::Error for UnwrapFailure {
    /// The cause of [`error`](UnwrapFailure::error), whose text is part of this failure's text.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// The reasons why none of the wrapped data keys of a message could be unwrapped. They are the
/// source of an error of kind [`ErrorKind::NoDataKeyUnwrapped`], or of the kind of an outage among
/// them. Retrieve them with [`Error::downcast_ref`].
///
/// # Examples
/// ```
/// use strongroom::envelope::UnwrapFailures;
/// use strongroom::message::EncryptedDataKey;
/// use strongroom::{Error, ErrorKind};
///
/// let data_key = EncryptedDataKey::new("my-vault", *b"key 1", *b"wrapped");
/// let mut failures = UnwrapFailures::default();
/// failures.push(&data_key, Error::new(ErrorKind::Disabled, "key 1 is disabled"));
/// let error = failures.clone().into_error();
/// assert_eq!(error.kind(), ErrorKind::NoDataKeyUnwrapped);
/// assert!(error.to_string().ends_with("key of provider \"my-vault\": key 1 is disabled"));
/// assert_eq!(error.downcast_ref().map(UnwrapFailures::kind), Some(ErrorKind::Disabled));
///
/// // An outage keeps its kind: another attempt may succeed.
/// failures.push(&data_key, Error::new(ErrorKind::KeyUnavailable, "the vault does not answer"));
/// assert_eq!(failures.iter().count(), 2);
/// assert_eq!(failures.into_error().kind(), ErrorKind::KeyUnavailable);
/// ```
#[derive(Clone, Debug, Default)]
pub struct UnwrapFailures(Vec<UnwrapFailure>);

impl UnwrapFailures {
    /// Adds the reason why a wrapped data key could not be unwrapped. Programs act on the kind of
    /// the error.
    pub fn push(&mut self, data_key: &EncryptedDataKey, error: impl Into<Error>) {
        let error = error.into();
        let provider_id = Some(data_key.provider_id().to_owned());
        self.0.push(UnwrapFailure { provider_id, reason: error.to_string(), error });
    }

    /// Returns the failure of a keyring that failed before it tried a wrapped data key.
    pub(super) fn before_any(error: Error) -> Self {
        Self(vec![UnwrapFailure { provider_id: None, reason: error.to_string(), error }])
    }

    /// Adds all reasons that one of several keyrings returned, each prefixed with the name of the
    /// keyring.
    pub(super) fn push_error(&mut self, keyring: &str, error: &Error) {
        match Self::of(error) {
            Some(failures) => self.0.extend(failures.0.iter().map(|failure| {
                let (provider_id, error) = (failure.provider_id.clone(), failure.error.clone());
                UnwrapFailure::of_keyring(keyring, provider_id, &failure.reason, error)
            })),
            None => self.0.push(UnwrapFailure::of_keyring(keyring, None, &error.to_string(), error.clone())),
        }
    }

    /// Returns the failures that an error contains, if any.
    pub(super) fn of(error: &Error) -> Option<&Self> {
        error.cause().and_then(|cause| cause.downcast_ref())
    }

    /// Returns all failures, in the order of the attempts.
    pub fn iter(&self) -> impl Iterator<Item = &UnwrapFailure> {
        self.0.iter()
    }

    /// Returns the kind of the decisive failure, in this order of precedence:
    ///
    /// 1. an outage ([`KeyUnavailable`](ErrorKind::KeyUnavailable), [`Store`](ErrorKind::Store), [`Audit`](ErrorKind::Audit),
    ///    [`Conflict`](ErrorKind::Conflict), [`Io`](ErrorKind::Io)) or a fault ([`Integrity`](ErrorKind::Integrity),
    ///    [`RootKey`](ErrorKind::RootKey), [`Internal`](ErrorKind::Internal)), which are independent of the message,
    /// 2. [`AccessDenied`](ErrorKind::AccessDenied): other callers may read the message,
    /// 3. [`Disabled`](ErrorKind::Disabled), then [`InvalidState`](ErrorKind::InvalidState): an operator may restore the key,
    /// 4. any other kind, for example [`NotFound`](ErrorKind::NotFound),
    /// 5. [`InvalidCiphertext`](ErrorKind::InvalidCiphertext): a key exists but did not unwrap its
    ///    data key,
    /// 6. [`IncorrectKey`](ErrorKind::IncorrectKey): the keyring has none of the keys.
    ///
    /// Among equals, the first failure is decisive. The wrapped data keys of a message are not
    /// authenticated, so a sender can influence the result. Do not use it as a verdict on the
    /// message.
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::UnwrapFailures;
    /// use strongroom::message::EncryptedDataKey;
    /// use strongroom::{Error, ErrorKind};
    ///
    /// let data_key = EncryptedDataKey::new("my-vault", *b"key 1", *b"wrapped");
    /// let mut failures = UnwrapFailures::default();
    /// failures.push(&data_key, Error::new(ErrorKind::IncorrectKey, "key 1 is not one of these keys"));
    /// failures.push(&data_key, Error::new(ErrorKind::AccessDenied, "the caller may not use key 2"));
    /// assert_eq!(failures.kind(), ErrorKind::AccessDenied);
    /// ```
    pub fn kind(&self) -> ErrorKind {
        let kinds = self.0.iter().map(UnwrapFailure::kind);
        kinds.min_by_key(|kind| rank(*kind)).unwrap_or(ErrorKind::NoDataKeyUnwrapped)
    }

    /// Converts the failures into an error of kind [`ErrorKind::NoDataKeyUnwrapped`], or of the kind of an outage or fault among
    /// them.
    pub fn into_error(self) -> Error {
        let kind = Some(self.kind()).filter(|kind| rank(*kind) == 0).unwrap_or(ErrorKind::NoDataKeyUnwrapped);
        Error::new(kind, self.to_string()).with_source(self)
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

/// Returns the decisive error of two attempts to unwrap the same data key.
pub(super) fn more_decisive(earlier: Option<Error>, later: Error) -> Error {
    match earlier {
        Some(earlier) if rank(decisive_kind(&earlier)) <= rank(decisive_kind(&later)) => earlier,
        _ => later,
    }
}

/// Returns the kind of an error, or of the first outage or fault that caused it.
fn decisive_kind(error: &Error) -> ErrorKind {
    let causes = std::iter::successors(Some(error), |error| error.cause().and_then(|cause| cause.downcast_ref()));
    causes.map(Error::kind).find(|kind| rank(*kind) == 0).unwrap_or(error.kind())
}

/// Returns the precedence of a kind, lowest first. Zero is independent of the message.
const fn rank(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::KeyUnavailable
        | ErrorKind::Store
        | ErrorKind::Audit
        | ErrorKind::Conflict
        | ErrorKind::Io
        | ErrorKind::Integrity
        | ErrorKind::RootKey
        | ErrorKind::Internal => 0,
        ErrorKind::AccessDenied => 1,
        ErrorKind::Disabled => 2,
        ErrorKind::InvalidState => 3,
        ErrorKind::InvalidCiphertext => 5,
        ErrorKind::IncorrectKey => 6,
        _ => 4,
    }
}

/// Shortens untrusted text from a message and escapes control characters.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARACTERS).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    fn data_key(provider_id: &str) -> EncryptedDataKey {
        EncryptedDataKey::new(provider_id, [], [])
    }

    fn failures(kinds: &[ErrorKind]) -> UnwrapFailures {
        let mut failures = UnwrapFailures::default();
        kinds.iter().for_each(|kind| failures.push(&data_key("a"), Error::new(*kind, format!("{kind:?}"))));
        failures
    }

    #[test]
    fn every_failure_is_reported_in_order() {
        let mut failures = UnwrapFailures::default();
        failures.push(&data_key("a"), Error::new(ErrorKind::IncorrectKey, "one"));
        failures.push(&data_key("b"), Error::new(ErrorKind::InvalidCiphertext, "two"));
        let expected =
            "no data key of the message could be unwrapped: key of provider \"a\": one; key of provider \"b\": two";
        assert_eq!(failures.to_string(), expected);
        assert_eq!(failures.iter().map(UnwrapFailure::reason).collect::<Vec<_>>(), ["one", "two"]);
    }

    #[test]
    fn what_a_message_says_cannot_forge_the_text() {
        let mut failures = UnwrapFailures::default();
        let error = Error::new(ErrorKind::IncorrectKey, "no");
        failures.push(&data_key(&format!("x\n\u{1b}[31m{}", "y".repeat(1000))), error);
        let text = failures.to_string();
        assert!(!text.contains(['\n', '\u{1b}']) && text.len() < 200, "{text}");
    }

    #[test]
    fn the_failure_that_decides_does_so_wherever_it_stands() {
        use ErrorKind::{
            AccessDenied, Audit, Conflict, Disabled, IncorrectKey, Integrity, Internal, InvalidCiphertext,
            InvalidState, Io, KeyUnavailable, NoDataKeyUnwrapped, NotFound, RootKey, Store,
        };
        let order = [AccessDenied, Disabled, InvalidState, NotFound, InvalidCiphertext, IncorrectKey];
        for (index, first) in order.iter().enumerate() {
            for second in &order[index..] {
                for failures in [failures(&[*first, *second]), failures(&[*second, *first])] {
                    assert_eq!(failures.kind(), *first, "{failures}");
                    assert_eq!(failures.into_error().kind(), NoDataKeyUnwrapped);
                }
            }
        }
        for outage in [Audit, Store, KeyUnavailable, Conflict, Io, Integrity, RootKey, Internal] {
            for other in order {
                for failures in [failures(&[outage, other]), failures(&[other, outage])] {
                    assert_eq!((failures.kind(), failures.clone().into_error().kind()), (outage, outage));
                }
            }
            assert_eq!(failures(&[outage, KeyUnavailable]).into_error().kind(), outage, "the first of two outages");
        }
        assert_eq!(UnwrapFailures::default().into_error().kind(), NoDataKeyUnwrapped);
    }

    #[test]
    fn an_outage_behind_an_invalid_state_is_told_from_one_that_somebody_chose() {
        let outage = Error::new(ErrorKind::KeyUnavailable, "no HSM responds");
        let error = Error::new(ErrorKind::InvalidState, "cannot be used: no HSM responds").with_source(outage);
        assert_eq!(more_decisive(Some(Error::new(ErrorKind::AccessDenied, "")), error.clone()).kind(), error.kind());
        let mut failures = failures(&[ErrorKind::InvalidState]);
        failures.push(&data_key("b"), error);
        let kinds: Vec<_> = failures.iter().map(UnwrapFailure::kind).collect();
        assert_eq!(kinds, [ErrorKind::InvalidState, ErrorKind::KeyUnavailable]);
        assert_eq!(failures.into_error().kind(), ErrorKind::KeyUnavailable);
    }

    #[test]
    fn the_cause_of_a_failure_goes_through_several_keyrings() {
        let mut inner = UnwrapFailures::default();
        let cause = std::io::Error::other("the line is cut");
        inner.push(&data_key("a"), Error::new(ErrorKind::Io, "no answer").with_source(cause));
        let mut outer = UnwrapFailures::default();
        outer.push_error("keyring 1", &inner.into_error());
        let failure = outer.iter().next().unwrap();
        assert_eq!(failure.to_string(), "key of provider \"a\": keyring 1: no answer");
        assert_eq!(failure.source().map(ToString::to_string).as_deref(), Some("the line is cut"));
        assert!(failure.error().downcast_ref::<std::io::Error>().is_some());
        assert_eq!(outer.into_error().kind(), ErrorKind::Io);
    }
}
