//! A lenient PEM parser: the lax grammar of RFC 7468, section 3.
//!
//! Accepts text around the blocks (such as the attributes that `openssl pkcs12` prints), other
//! blocks, header lines, indentation, any line endings, and lines of any length, as section 2
//! recommends. `pem-rfc7468` supports only the strict grammar.

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

use crate::secret::SecretBytes;

/// The beginning of a block, followed by its label.
pub(super) const BEGIN: &[u8] = b"-----BEGIN ";

const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// The maximum length of a label.
const MAX_LABEL: usize = 64;

/// One block: its label and the text between its boundaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block<'a> {
    pub(super) label: &'a str,
    body: &'a [u8],
}

/// Returns the blocks of a text in order, up to the first incomplete one, which is returned as
/// `None`.
pub(super) fn blocks(text: &[u8]) -> impl Iterator<Item = Option<Block<'_>>> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let (_, after) = split(rest?, BEGIN)?;
        let block = block(after);
        rest = block.map(|(_, after)| after);
        Some(block.map(|(block, _)| block))
    })
}

fn block(text: &[u8]) -> Option<(Block<'_>, &[u8])> {
    let (label, text) = label(text)?;
    let (body, text) = split(text, END)?;
    let (end, text) = self::label(text)?;
    (label == end).then_some((Block { label, body }, text))
}

/// Parses the label after a boundary's first dashes. Returns the label and the text after the last
/// dashes.
fn label(text: &[u8]) -> Option<(&str, &[u8])> {
    let (label, text) = split(text, DASHES)?;
    let is_label = label.len() <= MAX_LABEL && label.iter().all(|byte| (b' '..=b'~').contains(byte));
    Some((std::str::from_utf8(label).ok().filter(|_| is_label)?, text))
}

fn split<'a>(text: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.windows(separator.len()).position(|window| window == separator)?;
    Some((&text[..at], &text[at + separator.len()..]))
}

impl Block<'_> {
    /// Returns `true` if the header lines mark the block as encrypted (RFC 1421, section 4.6.1.1).
    pub(super) fn is_encrypted(&self) -> bool {
        let headers = &self.body[..self.body.len() - self.content().len()];
        split(headers, b"ENCRYPTED").is_some()
    }

    /// Returns the text after the header lines. Base64 contains no colons, so the last colon
    /// belongs to the last header line.
    fn content(&self) -> &[u8] {
        let Some(colon) = self.body.iter().rposition(|byte| *byte == b':') else { return self.body };
        let behind = &self.body[colon..];
        let end = behind.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(behind.len());
        &behind[end..]
    }

    /// Decodes the block. Returns `None` if it is not Base64.
    pub(super) fn decode(&self) -> Option<SecretBytes> {
        let content = self.content();
        let mut digits = Zeroizing::new(Vec::with_capacity(content.len()));
        digits.extend(content.iter().filter(|byte| !byte.is_ascii_whitespace() && **byte != 0x0b));
        let mut decoded = SecretBytes::zeroed(digits.len() / 4 * 3);
        let length = Base64::decode(digits.as_slice(), decoded.expose_secret_mut()).ok()?.len();
        Some(SecretBytes::copy_from_slice(&decoded.expose_secret()[..length])).filter(|decoded| !decoded.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(text: &str) -> Vec<Option<(String, Option<Vec<u8>>)>> {
        let decode =
            |block: Block<'_>| (block.label.to_owned(), block.decode().map(|bytes| bytes.expose_secret().to_vec()));
        blocks(text.as_bytes()).map(|block| block.map(decode)).collect()
    }

    #[test]
    fn one_content_is_read_however_it_is_written() {
        let expected = vec![Some(("KEY".to_owned(), Some((0..60).collect::<Vec<u8>>())))];
        let digits = Base64::encode_string(&(0..60).collect::<Vec<u8>>());
        let lines = |width: usize, end: &str| {
            let lines: Vec<&str> =
                digits.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
            lines.join(end)
        };
        let whole = |body: &str| format!("-----BEGIN KEY-----\n{body}\n-----END KEY-----\n");
        let texts = [
            whole(&lines(64, "\n")),
            whole(&lines(76, "\n")),
            whole(&lines(1_000, "")),
            whole(&lines(5, "\n")),
            whole(&lines(64, "\r\n")).replace('\n', "\r\n"),
            whole(&lines(64, "\n")).replace('\n', "\r"),
            whole(&lines(64, " \n\t ")),
            whole(&format!("\n\n{}\n\n", lines(64, "\n\n"))),
            whole(&lines(64, "\n")).trim_end().to_owned(),
            whole(&lines(64, "\n")).replace('\n', " "),
            format!("\u{feff}{}", whole(&lines(64, "\n"))),
            format!("Bag Attributes\n    friendlyName: a: b\nKey Attributes: <No Attributes>\n{}bye\n", whole(&digits)),
            whole(&format!("Name: value\nOther: value\n\n{digits}")),
            format!("  {}", whole(&lines(64, "\n")).replace('\n', "\n  ")),
        ];
        for text in texts {
            assert_eq!(decoded(&text), expected, "{text}");
        }
    }

    #[test]
    fn blocks_come_in_order_up_to_the_first_that_is_not_whole() {
        let text = "-----BEGIN A-----\nAAAA\n-----END A-----\ntext\n-----BEGIN B C-----\nAQID\n-----END B C-----\n";
        let [a, b] = [("A".to_owned(), Some(vec![0; 3])), ("B C".to_owned(), Some(vec![1, 2, 3]))].map(Some);
        assert_eq!(decoded(text), [a.clone(), b.clone()]);
        for end in text.find("-----BEGIN B").expect("there") + 11..text.len() - 1 {
            assert_eq!(decoded(&text[..end]), [a.clone(), None], "{end}");
        }
        assert_eq!(decoded("-----BEGIN A-----\nAAAA\n-----END B-----\n"), [None]);
        for text in ["", "text", "-----BEGIN"] {
            assert!(decoded(text).is_empty(), "{text}");
        }
        for body in ["", "AAA", "AA*A", "AA=A", "AAAA=", "AA AA \u{e4}"] {
            let text = format!("-----BEGIN A-----\n{body}\n-----END A-----\n");
            assert_eq!(decoded(&text), [Some(("A".to_owned(), None))], "{body}");
        }
    }

    #[test]
    fn header_lines_tell_of_encryption() {
        let block = |headers: &str| {
            let text = format!("-----BEGIN A-----\n{headers}AAAA\n-----END A-----\n");
            blocks(text.as_bytes()).next().flatten().map(|block| (block.is_encrypted(), block.decode().is_some()))
        };
        assert_eq!(block(""), Some((false, true)));
        assert_eq!(block("Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n"), Some((true, true)));
        assert_eq!(block("Comment: x\n\n"), Some((false, true)));
    }

    proptest! {
        #[test]
        fn reading_is_total(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0..80_usize, value: u8) {
            blocks(&bytes).flatten().for_each(|block| drop((block.decode(), block.is_encrypted())));
            let mut text = b"-----BEGIN A-----\nX: y\n\nAAAA\n-----END A-----\n-----BEGIN A-----\nAAAA\n-----END A----".to_vec();
            text[at % 80] = value;
            blocks(&text).flatten().for_each(|block| drop((block.decode(), block.is_encrypted())));
        }
    }
}
