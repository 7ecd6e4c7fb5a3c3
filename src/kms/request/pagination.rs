//! Pagination of lists: page requests, limits, and markers for the next page.

use base64ct::{Base64UrlUnpadded, Encoding};

use crate::error::{Error, ErrorKind, Result};

/// A request for one page of a list. To visit all entries, use the iterator of the list instead,
/// which fetches the pages: [`Kms::keys`](crate::Kms::keys), [`Kms::aliases`](crate::Kms::aliases)
/// and the like. Pages are for callers that pass them on, such as a service.
///
/// # Examples
/// ```
/// use strongroom::request::PageRequest;
/// use strongroom::{ErrorKind, Kms};
///
/// let kms = Kms::in_memory()?;
/// for _ in 0..5 {
///     kms.create_key(Default::default())?;
/// }
/// let (mut keys, mut page) = (Vec::new(), PageRequest::default().limit(2));
/// loop {
///     let found = kms.list_keys(page)?;
///     keys.extend(found.entries);
///     let Some(marker) = found.next_marker else { break };
///     page = PageRequest::default().limit(2).marker(marker);
/// }
/// assert_eq!(keys.len(), 5);
/// assert_eq!(kms.keys().count(), 5); // without pages
/// let refused = kms.list_keys(PageRequest::default().marker("2")).unwrap_err();
/// assert_eq!(refused.kind(), ErrorKind::InvalidMarker);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct PageRequest {
    pub(in crate::kms) limit: Option<u32>,
    pub(in crate::kms) marker: Option<String>,
}

impl PageRequest {
    /// Sets the maximum number of entries. Each list operation documents its limit and default.
    #[must_use]
    pub const fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Continues after an earlier page, given its [`Page::next_marker`].
    #[must_use]
    pub fn marker(mut self, marker: impl Into<String>) -> Self {
        self.marker = Some(marker.into());
        self
    }
}

/// A page of a list, which a [`PageRequest`] requests.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// The marker that requests the next page, or `None` if this is the last page.
    pub next_marker: Option<String>,
}

/// The entries of all pages of a list. The first page is fetched when the first entry is requested,
/// and every other page once the entries before it are consumed.
pub(in crate::kms) struct Entries<T, F> {
    fetch: F,
    page: std::vec::IntoIter<T>,
    /// The request for the next page, unless there is none or an error occurred.
    next: Option<PageRequest>,
}

impl<T, F: FnMut(PageRequest) -> Result<Page<T>>> Entries<T, F> {
    /// Creates an iterator over the pages that `fetch` returns.
    pub(in crate::kms) fn new(fetch: F) -> Self {
        Self { fetch, page: Vec::new().into_iter(), next: Some(PageRequest::default()) }
    }
}

impl<T, F: FnMut(PageRequest) -> Result<Page<T>>> Iterator for Entries<T, F> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        loop {
            if let Some(entry) = self.page.next() {
                return Some(Ok(entry));
            }
            match (self.fetch)(self.next.take()?) {
                Ok(page) => {
                    self.next = page.next_marker.map(|marker| PageRequest::default().marker(marker));
                    self.page = page.entries.into_iter();
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// The maximum and default page sizes of an operation.
#[derive(Clone, Copy)]
pub(in crate::kms) struct PageLimits {
    pub(in crate::kms) most: u32,
    pub(in crate::kms) default: u32,
}

impl PageLimits {
    /// Rejects a request for a page whose limit or marker no page can have.
    pub(in crate::kms) fn valid(self, page: &PageRequest) -> Result<()> {
        self.check(page)?;
        if page.marker.as_ref().is_some_and(|marker| !(1..=MAX_MARKER_LENGTH).contains(&marker.chars().count())) {
            let text = format!("a marker must have 1 to {MAX_MARKER_LENGTH} characters");
            return Err(Error::new(ErrorKind::Validation, text));
        }
        Ok(())
    }

    pub(in crate::kms) fn check(self, page: &PageRequest) -> Result<usize> {
        let limit = page.limit.unwrap_or(self.default);
        if !(1..=self.most).contains(&limit) {
            let text = format!("the page limit must be 1 to {}, not {limit}", self.most);
            return Err(Error::new(ErrorKind::Validation, text));
        }
        usize::try_from(limit).map_err(|_| Error::new(ErrorKind::Validation, "the page limit is too large"))
    }
}

/// The prefix of every marker. It contains a version in case the format ever changes.
const MARKER_PREFIX: &str = "m2.";

/// Maximum length of a marker in characters, as in AWS KMS.
const MAX_MARKER_LENGTH: usize = 1_024;

/// Truncates the entries to the limit. If entries were removed, the marker names the last remaining
/// one.
pub(in crate::kms) fn cut<T>(mut entries: Vec<T>, limit: usize, name: impl Fn(&T) -> &[u8]) -> Page<T> {
    let more = entries.len() > limit;
    entries.truncate(limit);
    let next_marker = entries.last().filter(|_| more).map(|entry| marker(name(entry)));
    Page { entries, next_marker }
}

/// Paginates a short in-memory list that is in ascending order of name.
pub(in crate::kms) fn page_of<T>(
    entries: impl Iterator<Item = T>,
    page: &PageRequest,
    limits: PageLimits,
    name: impl Fn(&T) -> &[u8],
) -> Result<Page<T>> {
    let limit = limits.check(page)?;
    let after = page.marker.as_deref().map(name_in).transpose()?;
    let rest = entries.filter(|entry| after.as_deref().is_none_or(|after| name(entry) > after));
    Ok(cut(rest.take(limit + 1).collect(), limit, name))
}

fn marker(name: &[u8]) -> String {
    // The marker fits for every name; a tag's name may have 512 bytes.
    [MARKER_PREFIX, &Base64UrlUnpadded::encode_string(name)].concat()
}

/// Returns the name that a marker contains.
pub(in crate::kms) fn name_in(marker: &str) -> Result<Vec<u8>> {
    let name = marker.strip_prefix(MARKER_PREFIX).filter(|_| marker.len() <= MAX_MARKER_LENGTH).ok_or_else(bad)?;
    Base64UrlUnpadded::decode_vec(name).ok().filter(|name| !name.is_empty()).ok_or_else(bad)
}

pub(in crate::kms) fn bad() -> Error {
    Error::new(ErrorKind::InvalidMarker, "the marker was not returned by an earlier page of this list")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_leads_to_the_next_entries() -> Result<()> {
        let limits = PageLimits { most: 10, default: 2 };
        let names = ["a", "b", "c"];
        let list = |page: &PageRequest| page_of(names.into_iter(), page, limits, |name| name.as_bytes());
        let first = list(&PageRequest::default())?;
        assert_eq!(first.entries, ["a", "b"]);
        let marker = first.next_marker.ok_or_else(bad)?;
        let rest = list(&PageRequest::default().marker(marker))?;
        assert_eq!((rest.entries, rest.next_marker), (vec!["c"], None));
        Ok(())
    }

    #[test]
    fn all_entries_are_returned_lazily_until_the_first_error() {
        let mut fetched = Vec::new();
        let limits = PageLimits { most: 10, default: 2 };
        let mut entries = Entries::new(|page: PageRequest| {
            fetched.push(page.marker.clone());
            match fetched.len() {
                3 => Err(Error::new(ErrorKind::Store, "gone")),
                _ => page_of(["a", "b", "c", "d", "e"].into_iter(), &page, limits, |name| name.as_bytes()),
            }
        });
        let first: Vec<_> = entries.by_ref().take(2).map(Result::ok).collect();
        assert_eq!(first, [Some("a"), Some("b")]);
        let rest: Vec<_> = entries.by_ref().map(|entry| entry.map_err(|error| error.kind())).collect();
        assert_eq!(rest, [Ok("c"), Ok("d"), Err(ErrorKind::Store)]);
        assert!(entries.next().is_none());
        assert_eq!(fetched, [None, Some(marker(b"b")), Some(marker(b"d"))]);

        let mut calls = 0;
        let empty = Entries::new(|page: PageRequest| {
            calls += 1;
            page_of(std::iter::empty::<&str>(), &page, limits, |name| name.as_bytes())
        });
        assert_eq!(empty.count(), 0);
        assert_eq!(calls, 1);
    }

    #[test]
    fn foreign_markers_are_refused() {
        for marker in ["", "m2.", "m2.0", "m2.+/", "m1.00", "m2.é0", "61", &format!("m2.{}", "A".repeat(1_024))] {
            assert_eq!(name_in(marker).map_err(|error| error.kind()), Err(ErrorKind::InvalidMarker), "{marker}");
        }
        assert_eq!(name_in("m2.AP8").ok(), Some(vec![0, 255]));
    }

    #[test]
    fn limits_outside_the_range_are_refused() {
        let limits = PageLimits { most: 10, default: 2 };
        for limit in [0, 11, u32::MAX] {
            assert!(limits.check(&PageRequest::default().limit(limit)).is_err());
        }
        assert_eq!(limits.check(&PageRequest::default().limit(10)).ok(), Some(10));
    }
}
