//! Failures of a service, and the condition under which another attempt can succeed.

use std::error::Error as StdError;

use strongroom::envelope::UnwrapFailures;
use strongroom::{Error, ErrorKind};

/// The maximum number of characters of a text of a service that an error repeats.
const SHOWN_CHARACTERS: usize = 400;

/// The condition under which another attempt can succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Retry {
    /// The same call can succeed after a pause. It has already been retried, as often as the
    /// configuration and the deadline allow.
    Later,
    /// The call can succeed after the credentials, a policy, the key, or the configuration changed.
    AfterChange,
    /// The same call always fails.
    Never,
}

/// Returns the failure of a service that caused an error. Returns `None` if another failure did.
///
/// If a message could not be decrypted, each of its data keys can have a failure
/// ([`UnwrapFailures`]). The result is the first of those for which another attempt helps soonest:
/// [`Retry::Later`] precedes [`Retry::AfterChange`], which precedes [`Retry::Never`].
pub fn find_failure<E: StdError + Send + Sync + 'static>(error: &Error, retry: impl Fn(&E) -> Retry) -> Option<&E> {
    let Some(failures) = error.downcast_ref::<UnwrapFailures>() else { return error.downcast_ref() };
    failures.iter().filter_map(|failure| failure.error().downcast_ref::<E>()).min_by_key(|error| retry(error))
}

/// Returns an error of the kind [`KeyUnavailable`](ErrorKind::KeyUnavailable) with the text of an
/// error, which is its cause.
pub fn unavailable(error: Error) -> Error {
    match error.kind() {
        ErrorKind::KeyUnavailable => error,
        _ => Error::new(ErrorKind::KeyUnavailable, error.to_string()).with_source(error),
    }
}

/// Shortens a text from outside to 400 characters, and escapes its control characters.
///
/// # Examples
/// ```
/// assert_eq!(strongroom_upstream::shown("two\nlines"), "two\\nlines");
/// assert_eq!(strongroom_upstream::shown(&"é".repeat(500)), "é".repeat(400));
/// ```
pub fn shown(text: &str) -> String {
    let text: String = text.chars().take(SHOWN_CHARACTERS).collect();
    text.chars()
        .flat_map(|character| match character.is_control() {
            true => character.escape_default().collect::<Vec<_>>(),
            false => vec![character],
        })
        .collect()
}
