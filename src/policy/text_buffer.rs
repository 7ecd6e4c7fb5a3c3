//! Stack-allocated text, so that policy decisions do not allocate.

use std::fmt;

/// The capacity for the longest name of a principal, service, key, or alias: an ARN with a path of
/// 512 characters.
const CAPACITY: usize = 640;

/// A short text on the stack.
pub(super) struct TextBuffer {
    bytes: [u8; CAPACITY],
    length: usize,
}

impl TextBuffer {
    /// Formats a value with its `Display` implementation.
    pub(super) fn of(value: impl fmt::Display) -> Self {
        let mut buffer = Self { bytes: [0; CAPACITY], length: 0 };
        // Longer text would be truncated, but no name in this crate is that long, as the test below
        // verifies.
        let _ = fmt::Write::write_fmt(&mut buffer, format_args!("{value}"));
        buffer
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

impl fmt::Write for TextBuffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        let room = self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{AccountId, Locality, Principal};
    use crate::key::{AliasArn, AliasName};

    #[test]
    fn the_longest_names_fit() -> crate::error::Result<()> {
        let account = AccountId::default();
        let path: Vec<String> = vec!["a".repeat(63); 8];
        let user = Principal::user(account, &path.join("/"))?;
        assert_eq!(TextBuffer::of(&user).as_str(), user.to_string());
        assert!(user.to_string().len() > 530);
        let locality = Locality::new(&"p".repeat(31), &"r".repeat(31))?;
        let session = Principal::assumed_role(account, &path.join("/"), &"s".repeat(64))?;
        for principal in [user, session.assumed().unwrap_or_else(|| session.clone()), session] {
            let principal = principal.with_partition_of(&locality);
            assert_eq!(TextBuffer::of(&principal).as_str(), principal.to_string());
        }
        let alias = AliasArn::new(locality, account, AliasName::parse(&format!("alias/{}", "x".repeat(250)))?);
        assert_eq!(TextBuffer::of(&alias).as_str(), alias.to_string());
        Ok(())
    }
}
