//! The types of members, with their bounds.

use super::pattern::Pattern;

/// The type of a member.
#[derive(Debug)]
pub(super) enum Shape {
    /// A string, with its length in characters.
    Text {
        min: usize,
        max: usize,
        pattern: Option<Pattern>,
        /// No error text may contain the value.
        sensitive: bool,
    },
    /// A string that is one of these.
    Enum(&'static [&'static str]),
    /// Bytes in base64, with their number.
    Blob {
        min: usize,
        max: usize,
        sensitive: bool,
    },
    Integer {
        min: i128,
        max: i128,
    },
    Boolean,
    Timestamp,
    /// An object whose members are strings, without bounds.
    StringMap,
    /// An array, with the number of its elements. Without bounds, `max` is `usize::MAX`.
    List {
        min: usize,
        max: usize,
        element: &'static Shape,
    },
    /// An object with these members.
    Structure(&'static [Field]),
}

impl Shape {
    /// Returns `true` if the model marks the type as sensitive.
    pub(super) const fn is_sensitive(&self) -> bool {
        matches!(self, Self::Text { sensitive: true, .. } | Self::Blob { sensitive: true, .. })
    }
}

/// A member of a structure.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) required: bool,
    pub(super) shape: Shape,
}

/// A string of `min` to `max` characters.
pub(super) const fn text(min: usize, max: usize) -> Shape {
    Shape::Text { min, max, pattern: None, sensitive: false }
}

/// A string of `min` to `max` characters that matches a pattern.
pub(super) const fn text_like(min: usize, max: usize, pattern: Pattern) -> Shape {
    Shape::Text { min, max, pattern: Some(pattern), sensitive: false }
}

/// A string that no error text may contain.
pub(super) const fn secret_text(min: usize, max: usize, pattern: Option<Pattern>) -> Shape {
    Shape::Text { min, max, pattern, sensitive: true }
}

/// A blob of `min` to `max` bytes.
pub(super) const fn blob(min: usize, max: usize) -> Shape {
    Shape::Blob { min, max, sensitive: false }
}

/// A blob that the model marks as sensitive. No error text contains the value of any blob.
pub(super) const fn secret_blob(min: usize, max: usize) -> Shape {
    Shape::Blob { min, max, sensitive: true }
}

/// An integer from `min` to `max`.
pub(super) const fn integer(min: i128, max: i128) -> Shape {
    Shape::Integer { min, max }
}

/// A list of any length.
pub(super) const fn list(element: &'static Shape) -> Shape {
    bounded_list(0, usize::MAX, element)
}

/// A list of `min` to `max` elements.
pub(super) const fn bounded_list(min: usize, max: usize, element: &'static Shape) -> Shape {
    Shape::List { min, max, element }
}

/// A member that must be present.
pub(super) const fn required(name: &'static str, shape: Shape) -> Field {
    Field { name, required: true, shape }
}

/// A member that may be absent.
pub(super) const fn optional(name: &'static str, shape: Shape) -> Field {
    Field { name, required: false, shape }
}
