//! Tokens of pages, and page sizes.

use base64ct::{Base64UrlUnpadded, Encoding};

use super::error::ParameterError;
use crate::error::{Error, ErrorKind, Result};
use crate::key::ParameterOperation;
use crate::kms::ParameterCall;

/// The prefix of every token. It contains a version in case the format ever changes.
const PREFIX: &str = "p1.";
/// Maximum length of a token in characters.
const MAX_LENGTH: usize = 2_048;

/// A digest of the list whose pages a token continues: its operation, its path or name, and its filters.
#[derive(Clone, Copy)]
pub(super) struct Query([u8; Self::LENGTH]);

impl Query {
    const LENGTH: usize = 8;

    /// Creates the query of a call from everything that decides which entries the list has.
    pub(super) fn new(call: &ParameterCall<'_>, operation: ParameterOperation, texts: &[&str]) -> Self {
        let digest = call.digest(&[&[operation.as_str()], texts].concat());
        let mut start = [0; Self::LENGTH];
        start.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
        Self(start)
    }

    /// Returns the token that continues after a position.
    pub(super) fn token_after(self, position: &[u8]) -> String {
        [PREFIX, &Base64UrlUnpadded::encode_string(&[&self.0, position].concat())].concat()
    }

    /// Returns the position that a token contains. The token of another list is refused.
    pub(super) fn position_in(self, token: &str) -> Result<Vec<u8>> {
        let encoded = token.strip_prefix(PREFIX).filter(|_| token.len() <= MAX_LENGTH);
        let content = encoded.and_then(|encoded| Base64UrlUnpadded::decode_vec(encoded).ok());
        let position = content.as_ref().and_then(|content| content.strip_prefix(&self.0));
        Ok(position.map(<[u8]>::to_vec).ok_or(ParameterError::InvalidNextToken)?)
    }
}

/// Returns the number of entries of a page.
pub(super) fn page_size(requested: Option<u32>, default: u32, most: u32) -> Result<usize> {
    let size = requested.unwrap_or(default);
    if !(1..=most).contains(&size) {
        let text = format!("the maximum number of results must be 1 to {most}, not {size}");
        return Err(Error::new(ErrorKind::Validation, text));
    }
    usize::try_from(size).map_err(|_| Error::new(ErrorKind::Validation, "the maximum number of results is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_contains_its_position_and_others_are_refused() -> Result<()> {
        let (query, other) = (Query([1; 8]), Query([2; 8]));
        assert_eq!(query.position_in(&query.token_after(b"/a/b\xFF"))?, b"/a/b\xFF");
        assert!(query.position_in(&other.token_after(b"/a/b\xFF")).is_err());
        for token in ["", "p1", "p1.+", "p1.A", "m2.AAAA", &format!("p1.{}", "A".repeat(2_048))] {
            let refused = query.position_in(token).map_err(|error| error.kind());
            assert_eq!(refused, Err(ErrorKind::InvalidMarker), "{token:.9}");
        }
        assert_eq!(page_size(None, 10, 50)?, 10);
        assert!(page_size(Some(50), 10, 50).is_ok() && page_size(Some(0), 10, 50).is_err());
        assert!(page_size(Some(51), 10, 50).is_err());
        Ok(())
    }
}
