//! Tags: key-value pairs that an account attaches to its keys.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};

/// The maximum number of tags of a key.
const MAX_TAGS: usize = 50;
/// The maximum length of a tag key, in characters.
const MAX_KEY: usize = 128;
/// The maximum length of a tag value, in characters.
const MAX_VALUE: usize = 256;
/// The case-insensitive prefix of tags that only the service itself creates.
const RESERVED_PREFIX: &str = "aws:";

/// A tag: a key of 1 to 128 characters and a value of up to 256 characters.
///
/// # Examples
/// ```
/// use strongroom::ErrorKind;
/// use strongroom::key::Tag;
///
/// assert_eq!(Tag::new("team", "payments")?.value(), "payments");
/// assert_eq!(Tag::new("aws:team", "payments").unwrap_err().kind(), ErrorKind::Tag);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Tag {
    #[serde(rename = "TagKey")]
    key: String,
    #[serde(rename = "TagValue")]
    value: String,
}

impl Tag {
    /// Creates a tag.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the key is empty, or the key or value is too
    ///   long.
    /// - [`Tag`](ErrorKind::Tag) if the key begins with `aws:`.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Result<Self> {
        let (key, value) = (key.into(), value.into());
        check_tag_key(&key)?;
        if is_longer(&value, MAX_VALUE) {
            let message = format!("a tag value must have at most {MAX_VALUE} characters");
            return Err(Error::new(ErrorKind::Validation, message));
        }
        let start = key.as_bytes().get(..RESERVED_PREFIX.len());
        if start.is_some_and(|start| start.eq_ignore_ascii_case(RESERVED_PREFIX.as_bytes())) {
            return Err(Error::new(ErrorKind::Tag, "Tags beginning with aws: are reserved"));
        }
        Ok(Self { key, value })
    }

    /// Returns the key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the value.
    pub fn value(&self) -> &str {
        &self.value
    }
}

/// Rejects a request with more tags than a key can have.
pub(crate) fn check_tag_count(count: usize) -> Result<()> {
    if count <= MAX_TAGS { Ok(()) } else { Err(too_many()) }
}

/// Rejects a tag key that no tag can have.
pub(crate) fn check_tag_key(key: &str) -> Result<()> {
    if !key.is_empty() && !is_longer(key, MAX_KEY) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Validation, format!("a tag key must have 1 to {MAX_KEY} characters")))
}

fn too_many() -> Error {
    Error::new(ErrorKind::Tag, "Too many tags")
}

fn is_longer(text: &str, most: usize) -> bool {
    text.chars().nth(most).is_some()
}

/// The tags of a key, at most 50, ordered by tag key.
///
/// # Examples
/// ```
/// use strongroom::key::{Tag, TagSet};
///
/// let mut tags = TagSet::new();
/// assert!(tags.is_empty());
/// tags.put([Tag::new("team", "payments")?, Tag::new("stage", "test")?])?;
/// tags.put([Tag::new("stage", "live")?])?; // replaces the value
/// assert_eq!((tags.len(), tags.get("stage")), (2, Some("live")));
/// tags.remove(["stage", "missing"]);
/// assert!(tags.iter().eq([("team", "payments")]));
/// // A request cannot contain a tag key twice.
/// assert!(TagSet::from_tags([Tag::new("team", "a")?, Tag::new("team", "b")?]).is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TagSet(BTreeMap<String, String>);

impl TagSet {
    /// Creates an empty set.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Creates a set from the tags of a request.
    ///
    /// # Errors
    /// - The errors of [`TagSet::put`].
    pub fn from_tags(tags: impl IntoIterator<Item = Tag>) -> Result<Self> {
        let mut set = Self::new();
        set.put(tags)?;
        Ok(set)
    }

    /// Adds the tags of a request, replacing the values of existing tags.
    ///
    /// # Errors
    /// - [`Tag`](ErrorKind::Tag) if two tags of the request have the same key, or there would be
    ///   more than 50 tags. The set does not change.
    pub fn put(&mut self, tags: impl IntoIterator<Item = Tag>) -> Result<()> {
        let mut request = BTreeMap::new();
        for Tag { key, value } in tags {
            if request.insert(key, value).is_some() {
                return Err(Error::new(ErrorKind::Tag, "Duplicate tag keys"));
            }
        }
        let added = request.keys().filter(|key| !self.0.contains_key(*key)).count();
        if self.0.len() + added > MAX_TAGS {
            return Err(too_many());
        }
        self.0.append(&mut request);
        Ok(())
    }

    /// Removes tags. Keys that do not exist are ignored.
    pub fn remove<K: AsRef<str>>(&mut self, keys: impl IntoIterator<Item = K>) {
        for key in keys {
            self.0.remove(key.as_ref());
        }
    }

    /// Returns the value of a tag.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Returns all tags as (key, value) pairs, in ascending order of keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Returns the number of tags.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns `true` if there are no tags.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbered(range: std::ops::Range<usize>) -> Vec<Tag> {
        range.map(|number| Tag::new(format!("tag{number}"), "").unwrap()).collect()
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        let fits =
            |key: usize, value: usize| Tag::new("é".repeat(key), "é".repeat(value)).map_err(|error| error.kind());
        assert!(fits(1, 0).is_ok() && fits(128, 256).is_ok());
        for (key, value) in [(0, 0), (129, 0), (1, 257)] {
            assert_eq!(fits(key, value), Err(ErrorKind::Validation), "{key} {value}");
        }
    }

    #[test]
    fn tags_of_the_service_are_reserved() {
        for key in ["aws:", "aws:team", "AWS:team", "Aws:é"] {
            let error = Tag::new(key, "").unwrap_err();
            let text = "Tags beginning with aws: are reserved".to_owned();
            assert_eq!((error.kind(), error.to_string()), (ErrorKind::Tag, text));
        }
        assert!(Tag::new("aws", "").is_ok() && Tag::new("my-aws:team", "").is_ok() && Tag::new("éé", "").is_ok());
    }

    #[test]
    fn a_request_cannot_name_a_key_twice() -> Result<()> {
        let mut set = TagSet::from_tags([Tag::new("a", "1")?])?;
        let error = set.put([Tag::new("b", "1")?, Tag::new("b", "1")?]).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Tag, "Duplicate tag keys"));
        assert_eq!((set.len(), set.get("b")), (1, None));
        set.put([Tag::new("a", "2")?])?;
        assert_eq!((set.len(), set.get("a")), (1, Some("2")));
        Ok(())
    }

    #[test]
    fn a_key_has_at_most_50_tags() -> Result<()> {
        let mut set = TagSet::from_tags(numbered(0..50))?;
        let error = set.put(numbered(50..51)).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Tag, "Too many tags"));
        set.put(numbered(0..50))?;
        set.remove(["tag0", "absent"]);
        set.put(numbered(50..51))?;
        assert_eq!(set.len(), 50);
        assert!(TagSet::from_tags(numbered(0..51)).is_err());
        Ok(())
    }

    #[test]
    fn a_tag_has_the_members_of_the_service() -> Result<(), Box<dyn std::error::Error>> {
        assert_eq!(serde_json::to_string(&Tag::new("team", "x")?)?, r#"{"TagKey":"team","TagValue":"x"}"#);
        Ok(())
    }

    proptest! {
        #[test]
        fn making_a_tag_is_total(key in "\\PC{0,140}", value in "\\PC{0,260}") {
            if let Ok(tag) = Tag::new(&key, &value) {
                prop_assert_eq!((tag.key(), tag.value()), (key.as_str(), value.as_str()));
            }
        }

        #[test]
        fn a_set_is_sorted_and_what_was_put_last_counts(pairs in prop::collection::vec(("[a-d]", "[x-z]"), 0..20)) {
            let mut set = TagSet::new();
            let mut expected = BTreeMap::new();
            for (key, value) in &pairs {
                set.put([Tag::new(key, value)?])?;
                expected.insert(key.as_str(), value.as_str());
            }
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), expected.into_iter().collect::<Vec<_>>());
        }
    }
}
