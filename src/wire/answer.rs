//! The answer of an operation: a tree with the member names of AWS, which does not depend on the
//! encoding.

use std::borrow::Cow;
use std::fmt;

use crate::clock::Timestamp;
use crate::kms::Page;
use crate::secret::SecretBytes;

/// A structure of an answer, whose members are in the order in which they are written.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) members: Vec<(&'static str, Item)>,
}

/// A value in an answer.
pub(super) enum Item {
    Bool(bool),
    Integer(u64),
    Time(Timestamp),
    Text(Cow<'static, str>),
    Blob(Vec<u8>),
    Secret(SecretBytes),
    List(Vec<Item>),
    Structure(Answer),
    /// A map of the model, whose keys come from a request.
    Map(Vec<(String, String)>),
}

impl Answer {
    /// Creates a structure without members.
    pub(super) const fn new() -> Self {
        Self { members: Vec::new() }
    }

    /// Adds a member.
    #[must_use]
    pub(super) fn with(mut self, name: &'static str, item: impl Into<Item>) -> Self {
        self.members.push((name, item.into()));
        self
    }

    /// Adds a member that may be absent.
    #[must_use]
    pub(super) fn with_some(self, name: &'static str, item: Option<impl Into<Item>>) -> Self {
        match item {
            Some(item) => self.with(name, item),
            None => self,
        }
    }

    /// Adds a list of names, unless it is empty.
    #[must_use]
    pub(super) fn with_names<T: fmt::Display>(self, name: &'static str, names: &[T]) -> Self {
        self.with_some(name, (!names.is_empty()).then(|| texts(names)))
    }

    /// Creates the answer of an operation that returns lists in pages.
    pub(super) fn page<T>(name: &'static str, page: Page<T>, item: impl Fn(T) -> Item) -> Self {
        let is_truncated = page.next_marker.is_some();
        Self::new()
            .with(name, Item::List(page.entries.into_iter().map(item).collect()))
            .with_some("NextMarker", page.next_marker)
            .with("Truncated", is_truncated)
    }

    /// Returns the members.
    pub(super) fn members(&self) -> &[(&'static str, Item)] {
        &self.members
    }
}

/// Returns the text of a value.
pub(super) fn text(value: impl fmt::Display) -> Item {
    Item::Text(value.to_string().into())
}

/// Returns a list of texts.
pub(super) fn texts<T: fmt::Display>(values: &[T]) -> Item {
    Item::List(values.iter().map(text).collect())
}

macro_rules! items {
    ($($source:ty => $variant:ident,)+) => {$(
        impl From<$source> for Item {
            fn from(value: $source) -> Self {
                Self::$variant(value.into())
            }
        }
    )+};
}

items! {
    bool => Bool,
    u32 => Integer,
    Timestamp => Time,
    &'static str => Text,
    String => Text,
    Vec<u8> => Blob,
    SecretBytes => Secret,
    Answer => Structure,
}
