//! Tokens of pages, and page sizes.

use base64ct::{Base64UrlUnpadded, Encoding};

use super::error::ParameterError;
use crate::error::{Error, ErrorKind, Result};

/// The prefix of every token. It contains a version in case the format ever changes.
const PREFIX: &str = "p1.";
/// Maximum length of a token in characters.
const MAX_LENGTH: usize = 2_048;

/// Returns the token that continues after a position.
pub(super) fn token_after(position: &[u8]) -> String {
    [PREFIX, &Base64UrlUnpadded::encode_string(position)].concat()
}

/// Returns the position that a token contains.
pub(super) fn position_in(token: &str) -> Result<Vec<u8>> {
    let encoded = token.strip_prefix(PREFIX).filter(|_| token.len() <= MAX_LENGTH);
    let position = encoded.and_then(|encoded| Base64UrlUnpadded::decode_vec(encoded).ok());
    Ok(position.ok_or(ParameterError::InvalidNextToken)?)
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
        assert_eq!(position_in(&token_after(b"/a/b\xFF"))?, b"/a/b\xFF");
        for token in ["", "p1", "p1.+", "p1.A", "m2.AAAA", &format!("p1.{}", "A".repeat(2_048))] {
            assert_eq!(position_in(token).map_err(|error| error.kind()), Err(ErrorKind::InvalidMarker), "{token:.9}");
        }
        assert_eq!(page_size(None, 10, 50)?, 10);
        assert!(page_size(Some(50), 10, 50).is_ok() && page_size(Some(0), 10, 50).is_err());
        assert!(page_size(Some(51), 10, 50).is_err());
        Ok(())
    }
}
