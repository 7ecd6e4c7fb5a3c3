//! Normalization of text before it is indexed.

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// Steps that make equal what a search should find: `Alice@Example.com ` and `alice@example.com`.
///
/// The default is none. Each step is a decision about the meaning of the data, and changing it later
/// changes the index of every row. The steps run in this order, whatever the order of the calls:
/// Unicode Normalization Form C, trimming, lower case, and Form C again.
///
/// Lower case follows the Unicode Standard without a language, so the German `ß` and `ss` differ. A
/// character that a later version of Unicode assigns may then get a lower case.
///
/// # Examples
/// ```
/// use strongroom::columns::Normalization;
///
/// let email = Normalization::new().trim().lower_case();
/// assert_eq!(*email.apply(" Alice@Example.com\n"), "alice@example.com");
/// assert_eq!(*Normalization::new().apply(" as it is "), " as it is ");
/// // A composed and a decomposed é are two texts without the form.
/// let name = Normalization::new().form_c();
/// assert_eq!(name.apply("Ren\u{E9}"), name.apply("Rene\u{301}"));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Normalization {
    form_c: bool,
    trim: bool,
    lower_case: bool,
}

impl Normalization {
    /// Creates a normalization that changes nothing.
    pub const fn new() -> Self {
        Self { form_c: false, trim: false, lower_case: false }
    }

    /// Converts text into Unicode Normalization Form C (Unicode Standard Annex #15).
    #[must_use]
    pub const fn form_c(mut self) -> Self {
        self.form_c = true;
        self
    }

    /// Removes white space from both ends.
    #[must_use]
    pub const fn trim(mut self) -> Self {
        self.trim = true;
        self
    }

    /// Converts text to lower case.
    #[must_use]
    pub const fn lower_case(mut self) -> Self {
        self.lower_case = true;
        self
    }

    /// Returns the normalized text, which is wiped when dropped.
    pub fn apply(&self, text: &str) -> Zeroizing<String> {
        let mut text = Zeroizing::new(text.to_owned());
        let form_c = |text: &str| Zeroizing::new(text.nfc().collect::<String>());
        if self.form_c {
            text = form_c(&text);
        }
        if self.trim {
            text = Zeroizing::new(text.trim().to_owned());
        }
        if self.lower_case {
            text = Zeroizing::new(text.to_lowercase());
            if self.form_c {
                text = form_c(&text);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn normalizing_twice_changes_nothing(text in "\\PC{0,12}", steps in any::<[bool; 3]>()) {
            let [form_c, trim, lower_case] = steps;
            let steps = Normalization { form_c, trim, lower_case };
            let once = steps.apply(&text);
            prop_assert_eq!(steps.apply(&once), once);
        }
    }
}
