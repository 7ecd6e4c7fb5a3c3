//! Text forms of types and names: macros for their traits, and text from outside made fit for an error.

use crate::error::{Error, ErrorKind};

/// Gives a type with `parse` and `Display` the traits by which text comes in and goes out.
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

/// Declares an enum whose variants have names on the wire: `as_str`, `parse`, `ALL`, `Display`, `FromStr` and serde all
/// come from the one list.
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
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $wire,)+ }
            }

            /// Reads the name on the wire; case matters.
            ///
            /// # Errors
            /// Of kind [`Validation`](crate::ErrorKind::Validation) for any other text.
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

/// The error for a name that is none of a fixed set.
pub(crate) fn unknown_name(what: &str, text: &str, known: &[&str]) -> Error {
    let message = format!("'{}' is no {what}: it must be one of {}", sanitize_for_error(text), known.join(", "));
    Error::new(ErrorKind::Validation, message)
}

/// Text from outside, made fit for an error message: control characters escaped, and not longer than any identifier.
pub(crate) fn sanitize_for_error(text: &str) -> String {
    const MOST: usize = 320;
    let mut shown: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}
