//! The text of passphrases and the bytes from which keys are derived.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_public_assigned;

use crate::secret::SecretBytes;

/// A passphrase in each of the two forms from which keys have been derived.
pub(crate) struct Passphrase {
    typed: SecretBytes,
    /// `None` if the passphrase is used exactly as typed.
    prepared: Option<Result<SecretBytes, UnsuitablePassphrase>>,
}

impl Passphrase {
    /// Creates a passphrase for sealing and opening.
    ///
    /// # Errors
    /// - The reason why the text is not suitable; see [`prepare`].
    pub(crate) fn new(text: &str) -> Result<Self, UnsuitablePassphrase> {
        let prepared = prepare(text)?;
        Ok(Self { typed: SecretBytes::copy_from_slice(text.as_bytes()), prepared: Some(Ok(prepared)) })
    }

    /// Creates a passphrase for opening only. An unsuitable passphrase still opens data that was
    /// sealed before passphrases were normalized.
    pub(crate) fn to_open(text: &str) -> Self {
        Self { typed: SecretBytes::copy_from_slice(text.as_bytes()), prepared: Some(prepare(text)) }
    }

    /// Creates a passphrase that is used exactly as typed.
    ///
    /// # Errors
    /// - [`UnsuitablePassphrase::Empty`] if the text is empty.
    pub(crate) fn unnormalized(text: &str) -> Result<Self, UnsuitablePassphrase> {
        if text.is_empty() {
            return Err(UnsuitablePassphrase::Empty);
        }
        Ok(Self { typed: SecretBytes::copy_from_slice(text.as_bytes()), prepared: None })
    }

    /// Returns the bytes as typed.
    pub(super) const fn typed(&self) -> &SecretBytes {
        &self.typed
    }

    /// Returns the normalized bytes, or `None` if the passphrase is used exactly as typed.
    pub(super) fn prepared(&self) -> Option<Result<&SecretBytes, UnsuitablePassphrase>> {
        self.prepared.as_ref().map(|prepared| prepared.as_ref().map_err(|reason| *reason))
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// The reason why a text cannot be used as a passphrase.
///
/// The error never contains the character, because it is part of the secret.
///
/// # Examples
/// ```
/// use strongroom::seal::{RootKey, UnsuitablePassphrase};
///
/// let empty = RootKey::from_passphrase("").unwrap_err();
/// assert_eq!(empty.downcast_ref(), Some(&UnsuitablePassphrase::Empty));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnsuitablePassphrase {
    /// The text is empty.
    #[error("the passphrase is empty")]
    Empty,
    /// A control character (General_Category `Cc`).
    #[error(
        "the passphrase contains a control character, such as a tab or the line ending of the file that it was \
         read from: remove it"
    )]
    ControlCharacter,
    /// A character that is not displayed (Default_Ignorable_Code_Point).
    #[error(
        "the passphrase contains an invisible character, such as a zero-width space, a joiner, a byte order mark or a \
         variation selector: remove it"
    )]
    InvisibleCharacter,
    /// An unassigned or private-use character. A later version of Unicode might normalize it
    /// differently, and the passphrase would then no longer open anything.
    #[error("the passphrase contains an unassigned or private-use character: replace it")]
    UnassignedCharacter,
}

/// Maps and normalizes a passphrase with the OpaqueString profile of RFC 8265, section 4.2. Every
/// space becomes U+0020, and the text is converted to Normalization Form C. Case and width are
/// preserved.
///
/// Rejects characters that cannot be typed again reliably, or whose normalization may still change.
/// The profile also rejects some visible characters depending on their neighbors. Those are
/// accepted, because rejecting them protects nothing here.
fn prepare(text: &str) -> Result<SecretBytes, UnsuitablePassphrase> {
    if text.is_empty() {
        return Err(UnsuitablePassphrase::Empty);
    }
    text.chars().try_for_each(check)?;
    let characters = || text.chars().map(|character| if is_space(character) { ' ' } else { character }).nfc();
    // Allocate the final size up front: a growing vector would leave fragments of the passphrase in
    // memory.
    let mut prepared = SecretBytes::zeroed(characters().map(char::len_utf8).sum());
    let mut rest = prepared.expose_secret_mut();
    for character in characters() {
        let (front, behind) = rest.split_at_mut(character.len_utf8());
        character.encode_utf8(front);
        rest = behind;
    }
    Ok(prepared)
}

fn check(character: char) -> Result<(), UnsuitablePassphrase> {
    match character {
        _ if character.is_control() => Err(UnsuitablePassphrase::ControlCharacter),
        _ if is_invisible(character) => Err(UnsuitablePassphrase::InvisibleCharacter),
        _ if !is_public_assigned(character) => Err(UnsuitablePassphrase::UnassignedCharacter),
        _ => Ok(()),
    }
}

/// Returns `true` for General_Category `Zs`.
const fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

/// Returns `true` for Default_Ignorable_Code_Point, as listed in `DerivedCoreProperties.txt`.
const fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fff8}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prepared(text: &str) -> Result<String, UnsuitablePassphrase> {
        prepare(text).map(|bytes| String::from_utf8_lossy(bytes.expose_secret()).into_owned())
    }

    /// The examples of RFC 8265, section 4.3, and different spellings of the same text.
    #[test]
    fn spellings_of_one_text_are_one_passphrase() {
        let same = [
            ("correct horse battery staple", "correct horse battery staple"),
            ("Correct Horse Battery Staple", "Correct Horse Battery Staple"),
            ("\u{3c0}\u{df}\u{e5}", "\u{3c0}\u{df}\u{e5}"),
            ("Jack of \u{2666}s", "Jack of \u{2666}s"),
            ("foo\u{1680}bar", "foo bar"),
            ("a\u{a0}b\u{2003}c\u{202f}d\u{205f}e\u{3000}f\u{2000}g", "a b c d e f g"),
            ("gru\u{308}n", "gr\u{fc}n"),
            ("\u{212b}", "\u{c5}"),
            ("\u{1112}\u{1161}\u{11ab}", "\u{d55c}"),
            // Combining marks in a different order.
            ("q\u{307}\u{323}", "q\u{323}\u{307}"),
            // Case, width, and ligatures are preserved.
            ("\u{ff21}\u{fb01}", "\u{ff21}\u{fb01}"),
        ];
        for (typed, expected) in same {
            assert_eq!(prepared(typed).as_deref(), Ok(expected), "{typed:?}");
        }
    }

    #[test]
    fn what_cannot_be_typed_again_is_refused() {
        let refused = [
            ("", UnsuitablePassphrase::Empty),
            ("words\n", UnsuitablePassphrase::ControlCharacter),
            ("my cat is a \u{9}by", UnsuitablePassphrase::ControlCharacter),
            ("\u{0}", UnsuitablePassphrase::ControlCharacter),
            ("a\u{85}", UnsuitablePassphrase::ControlCharacter),
            ("\u{feff}words", UnsuitablePassphrase::InvisibleCharacter),
            ("wo\u{200b}rds", UnsuitablePassphrase::InvisibleCharacter),
            ("\u{2764}\u{fe0f}", UnsuitablePassphrase::InvisibleCharacter),
            ("\u{e000}", UnsuitablePassphrase::UnassignedCharacter),
            ("\u{378}", UnsuitablePassphrase::UnassignedCharacter),
            ("\u{ffff}", UnsuitablePassphrase::UnassignedCharacter),
            ("\u{10ffff}", UnsuitablePassphrase::UnassignedCharacter),
        ];
        for (typed, reason) in refused {
            assert_eq!(prepared(typed), Err(reason), "{typed:?}");
        }
        assert!(prepared(" ").is_ok());
    }

    #[test]
    fn debug_shows_nothing() {
        let shown = format!("{:?}", Passphrase::new("words").expect("suitable"));
        assert_eq!(shown, "Passphrase(..)");
    }

    proptest! {
        /// Printable ASCII, which covers most passphrases, is unchanged by normalization, so older
        /// sealed data opens in either form.
        #[test]
        fn printable_ascii_stays_as_it_is(text in "[ -~]{1,40}") {
            prop_assert_eq!(prepared(&text), Ok(text));
        }

        #[test]
        fn preparing_is_total_and_changes_nothing_the_second_time(text in "\\PC{1,40}") {
            if let Ok(once) = prepared(&text) {
                prop_assert_eq!(prepared(&once), Ok(once.clone()));
                let decomposed: String = text.nfd().collect();
                prop_assert_eq!(prepared(&decomposed), Ok(once));
            }
        }
    }
}
