//! Notes as clients see them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::ApiError;

/// The content of a note.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Draft {
    pub(crate) author: String,
    #[serde(default)]
    pub(crate) title: Option<String>,
    pub(crate) body: String,
    #[serde(default)]
    pub(crate) tags: Vec<String>,
}

impl Draft {
    /// Checks the lengths.
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        let title = self.title.iter().map(|title| ("title", title));
        let tags = self.tags.iter().map(|tag| ("tag", tag));
        for (name, text) in [("author", &self.author)].into_iter().chain(title).chain(tags) {
            if text.trim().is_empty() || text.len() > 200 {
                return Err(ApiError::bad_request(format!("the {name} must have 1 to 200 bytes")));
            }
        }
        if self.tags.len() > 32 {
            return Err(ApiError::bad_request("a note has at most 32 tags"));
        }
        Ok(())
    }
}

/// Shows no content.
impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft").field("tags", &self.tags.len()).finish_non_exhaustive()
    }
}

/// A note and its identifier.
#[derive(Debug, Serialize)]
pub(crate) struct Note {
    pub(crate) id: String,
    #[serde(flatten)]
    pub(crate) draft: Draft,
}

/// A page of notes, in the order of their creation.
#[derive(Debug, Serialize)]
pub(crate) struct Page {
    pub(crate) notes: Vec<Note>,
    /// Pass it as `after` for the next page. `null` if there are no more notes.
    pub(crate) next: Option<String>,
}

/// The part of the notes to return.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Paging {
    pub(crate) after: String,
    pub(crate) limit: Option<u8>,
}

/// A search for equal values. It is the body of a request, because paths and queries are logged.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Search {
    pub(crate) author: Option<String>,
    pub(crate) tag: Option<String>,
    pub(crate) after: String,
    pub(crate) limit: Option<u8>,
}

/// The number of notes of a page, at most 100.
pub(crate) fn page_size(limit: Option<u8>) -> Result<i64, ApiError> {
    match limit.unwrap_or(20) {
        limit @ 1..=100 => Ok(limit.into()),
        _ => Err(ApiError::bad_request("the limit must be 1 to 100")),
    }
}
