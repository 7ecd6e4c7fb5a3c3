//! Names of keys, mounts, and namespaces. They become parts of a path, so their characters are checked.

use strongroom::{Error, ErrorKind, Result};

/// The longest name of a key, and the longest path of a mount or a namespace.
const MAX_LENGTH: usize = 200;

/// Checks the name of a key: letters, digits, `_`, and within it also `-` and `.`, as Vault requires.
pub(crate) fn check_key(name: &str) -> Result<()> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = name.as_bytes();
    let is_valid = bytes.len() <= MAX_LENGTH
        && bytes.iter().all(|&byte| is_word(byte) || matches!(byte, b'-' | b'.'))
        && bytes.first().is_some_and(|&byte| is_word(byte))
        && bytes.last().is_some_and(|&byte| is_word(byte));
    if is_valid {
        return Ok(());
    }
    let text = "the name of a key in Vault must have 1 to 200 letters, digits, and `_`, and `-` and `.` between them";
    Err(Error::new(ErrorKind::Validation, text))
}

/// Checks the path of a mount or a namespace, and returns it without slashes at its ends.
pub(crate) fn check_path(path: &str, what: &str) -> Result<String> {
    let path = path.trim_matches('/');
    let is_part = |part: &str| {
        let is_known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        !part.is_empty() && part != "." && part != ".." && part.bytes().all(is_known)
    };
    if path.len() <= MAX_LENGTH && path.split('/').all(is_part) {
        return Ok(path.to_owned());
    }
    let text = format!("the {what} must consist of letters, digits, `_`, `-`, and `.`, separated by slashes");
    Err(Error::new(ErrorKind::Validation, text))
}

/// Checks a token, which becomes a header of requests.
pub(crate) fn check_token(token: &str) -> Result<()> {
    if token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    let text = "the token contains characters that no token of Vault has, such as a line break at its end";
    Err(Error::new(ErrorKind::Validation, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_keys_are_those_of_vault() {
        for name in ["a", "_", "orders", "orders-2026.11", "A_b-c.d_9"] {
            assert!(check_key(name).is_ok(), "{name}");
        }
        let long = "a".repeat(201);
        for name in ["", "-a", "a-", ".", "a/b", "a b", "ä", "a?b", "a%2fb", "..", long.as_str()] {
            assert_eq!(check_key(name).unwrap_err().kind(), ErrorKind::Validation, "{name}");
        }
    }

    #[test]
    fn paths_lose_their_outer_slashes() {
        assert_eq!(check_path("/teams/billing/transit/", "mount").unwrap(), "teams/billing/transit");
        for path in ["", "/", "a//b", "a/../b", "a/./b", "a b", "a?b", "a#b"] {
            assert_eq!(check_path(path, "mount").unwrap_err().kind(), ErrorKind::Validation, "{path}");
        }
    }

    #[test]
    fn a_token_is_one_line() {
        assert!(check_token("hvs.CAESIJ").is_ok() && check_token("").is_ok());
        let error = check_token("hvs.CAESIJ\n").unwrap_err();
        assert!(!error.to_string().contains("CAESIJ"), "{error}");
    }
}
