//! The encoding that S3 applies to metadata with characters outside ASCII.
//!
//! S3 reads each byte of a header as a character of ISO 8859-1 and returns the result as encoded
//! words (RFC 2047). Clients send UTF-8, so the value is then encoded twice. Both steps are reversed
//! here, as in the client for Java.

use std::borrow::Cow;

use base64ct::{Base64, Encoding};

/// Decodes a value that consists of encoded words. Returns other values unchanged, because a value
/// of this format is encoded as a whole or not at all.
///
/// Returns `None` if an encoded word is malformed.
pub(super) fn decode(value: &str) -> Option<Cow<'_, str>> {
    if !value.starts_with("=?") {
        return Some(Cow::Borrowed(value));
    }
    let mut bytes = Vec::with_capacity(value.len());
    for word in value.split_ascii_whitespace() {
        let mut rest = word;
        while !rest.is_empty() {
            rest = decode_word(rest, &mut bytes)?;
        }
    }
    let once = String::from_utf8(bytes).ok()?;
    Some(Cow::Owned(undo_second_encoding(&once).unwrap_or(once)))
}

/// Appends the UTF-8 bytes of the first encoded word, and returns the text after it. The bytes of a
/// character may be spread over two words.
fn decode_word<'a>(text: &'a str, output: &mut Vec<u8>) -> Option<&'a str> {
    let (charset, rest) = text.strip_prefix("=?")?.split_once('?')?;
    let (encoding, rest) = rest.split_once('?')?;
    let (content, rest) = rest.split_once("?=")?;
    let bytes = match encoding {
        "B" | "b" => Base64::decode_vec(content).ok()?,
        "Q" | "q" => decode_quoted(content.as_bytes())?,
        _ => return None,
    };
    if charset.eq_ignore_ascii_case("UTF-8") || charset.eq_ignore_ascii_case("US-ASCII") {
        output.extend_from_slice(&bytes);
    } else if charset.eq_ignore_ascii_case("ISO-8859-1") {
        let text: String = bytes.into_iter().map(char::from).collect();
        output.extend_from_slice(text.as_bytes());
    } else {
        return None;
    }
    Some(rest)
}

/// Decodes the encoding Q (RFC 2047, section 4.2).
fn decode_quoted(content: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(content.len());
    let mut rest = content;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'_' => bytes.push(b' '),
            b'=' => {
                let (digits, after) = rest.split_first_chunk::<2>()?;
                let mut byte = [0];
                base16ct::mixed::decode(digits, &mut byte).ok()?;
                bytes.push(byte[0]);
                rest = after;
            }
            byte => bytes.push(byte),
        }
    }
    Some(bytes)
}

/// Reads the characters as bytes of UTF-8. Returns `None` if they are not, so were encoded once.
fn undo_second_encoding(text: &str) -> Option<String> {
    let bytes = text.chars().map(|character| u8::try_from(character).ok()).collect::<Option<Vec<u8>>>()?;
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(value: &str) -> Option<String> {
        decode(value).map(Cow::into_owned)
    }

    #[test]
    fn ascii_and_unencoded_values_are_unchanged() {
        for value in ["", "{}", r#"{"a":"=?UTF-8?Q?x?="}"#, r#"{"a":"é"}"#] {
            assert_eq!(decoded(value).as_deref(), Some(value));
        }
    }

    /// The example of the S3 user guide, "Working with object metadata": the client sent the UTF-8
    /// of `ÄMÄZÕÑ S3`.
    #[test]
    fn example_of_the_s3_documentation_is_decoded_twice() {
        let value = "=?UTF-8?B?w4PChE3Dg8KEWsODwpXDg8KRIFMz?=";
        assert_eq!(decoded(value).as_deref(), Some("ÄMÄZÕÑ S3"));
    }

    #[test]
    fn quoted_words_are_decoded_across_their_boundaries() {
        assert_eq!(decoded("=?UTF-8?Q?=C3=83=C2?= =?utf-8?q?=A9_x?=").as_deref(), Some("é x"));
        assert_eq!(decoded("=?UTF-8?Q?=C3=A9?=").as_deref(), Some("é"), "encoded once");
        assert_eq!(decoded("=?ISO-8859-1?Q?=E9?=").as_deref(), Some("é"));
        assert_eq!(decoded("=?UTF-8?Q?=E6=97=A5?=").as_deref(), Some("日"), "not a byte");
    }

    #[test]
    fn malformed_words_are_rejected() {
        for value in [
            "=?",
            "=?UTF-8?Q?=C",
            "=?UTF-8?Q?=C?=",
            "=?UTF-8?X?a?=",
            "=?UTF-8?B?a?=",
            "=?KOI8-R?Q?a?=",
            "=?UTF-8?Q?a?=b",
            "=?UTF-8?Q?=FF?=",
        ] {
            assert_eq!(decoded(value), None, "{value}");
        }
    }
}
