//! Text forms of types and names: macros that implement their traits, and sanitization of external
//! text for error messages.

use crate::error::{Error, ErrorKind};

/// Implements the text conversion traits for a type with `parse` and `Display`.
macro_rules! impl_str_serde {
    ($($name:ident),+ $(,)?) => {$(
        impl std::str::FromStr for $name {
            type Err = $crate::error::Error;

            fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
                Self::parse(text)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    )+};
}

/// Declares an enum whose variants have wire names. Generates `as_str`, `parse`, `ALL`, `Display`,
/// `FromStr`, and serde support from one list.
macro_rules! string_enum {
    (
        $(#[$doc:meta])*
        pub enum $name:ident as $what:literal {
            $($(#[$variant_doc:meta])* $variant:ident => $wire:literal,)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// All values, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Returns the wire name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $wire,)+ }
            }

            /// Parses a case-sensitive wire name.
            ///
            /// # Errors
            /// - [`Validation`](crate::ErrorKind::Validation) if the text is not a known name.
            pub fn parse(text: &str) -> $crate::error::Result<Self> {
                match text {
                    $($wire => Ok(Self::$variant),)+
                    _ => Err($crate::text::unknown_name($what, text, &[$($wire,)+])),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        $crate::text::impl_str_serde!($name);
    };
}

pub(crate) use {impl_str_serde, string_enum};

/// Returns the error for a name that is not in a fixed set.
pub(crate) fn unknown_name(what: &str, text: &str, known: &[&str]) -> Error {
    let message = format!("'{}' is not a valid {what}: expected one of {}", sanitize_for_error(text), known.join(", "));
    Error::new(ErrorKind::Validation, message)
}

/// Sanitizes external text for an error message: escapes control characters and truncates the text
/// to the length of the longest identifier.
pub(crate) fn sanitize_for_error(text: &str) -> String {
    const MOST: usize = 320;
    let mut shown: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}
