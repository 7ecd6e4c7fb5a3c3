//! Detection of text in place of binary keys and ciphertexts.

/// The minimum number of characters reported as hexadecimal or Base64. Shorter input may look like
/// text by chance.
const MIN_TEXT: usize = 16;

/// Returns a description of the text that the bytes represent, as the end of a sentence. Returns
/// `None` if they look like binary data.
///
/// 16 random bytes are mistaken for text with probability 2^-32; longer random input practically
/// never is.
pub(crate) fn text_form(bytes: &[u8]) -> Option<&'static str> {
    let is_utf_16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii();
    if is_pem(bytes) {
        Some("this is PEM: convert it to DER")
    } else if is_utf_16 && bytes.iter().skip(2).filter(|byte| **byte == 0).count() >= bytes.len() / 3 {
        Some("this is UTF-16 text, as written by PowerShell: write the bytes without conversion")
    } else if text.len() < MIN_TEXT {
        None
    } else if text.iter().all(u8::is_ascii_hexdigit) {
        Some("these are hexadecimal digits: decode them to bytes")
    } else if is_base64(text) {
        Some("this is Base64: decode it to bytes")
    } else {
        None
    }
}

/// Returns `true` if the bytes contain a PEM block.
pub(crate) fn is_pem(bytes: &[u8]) -> bool {
    bytes.windows(super::pem::BEGIN.len()).any(|window| window == super::pem::BEGIN)
}

/// Returns `true` for Base64 in either alphabet (RFC 4648, sections 4 and 5), on any number of
/// lines.
fn is_base64(text: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte) || byte.is_ascii_whitespace();
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    padding <= 2 && text[..text.len() - padding].iter().all(is_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_told_apart_from_bytes() {
        let cases: [(&[u8], Option<&str>); 12] = [
            (b"00112233445566778899aabbccddeeff", Some("hexadecimal")),
            (b"  00112233445566778899AABBCCDDEEFF\r\n", Some("hexadecimal")),
            (b"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=", Some("Base64")),
            (b"BwcHBwcHBwcHBwcHBwcH\nBwcHBwcHBwcHBwcHBwcHBwc=\n", Some("Base64")),
            (b"BwcHBwcHBwcHBwcHBwcH_-cHBwcHBwcHBwcHBwcHBwc", Some("Base64")),
            (b"text\n-----BEGIN PRIVATE KEY-----\n", Some("PEM")),
            (b"\xff\xfea\0b\0c\0d\0e\0f\0", Some("UTF-16")),
            (b"0011223344", None),
            (b"", None),
            (b"correct horse, battery staple", None),
            (&[0x30; 8], None),
            (&[0x80; 64], None),
        ];
        for (bytes, expected) in cases {
            let found = text_form(bytes);
            assert_eq!(found.is_some(), expected.is_some(), "{bytes:?}: {found:?}");
            assert!(found.zip(expected).is_none_or(|(found, expected)| found.contains(expected)), "{found:?}");
        }
    }
}
