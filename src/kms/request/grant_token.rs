//! Grant tokens: they name a grant, and prove that this KMS has named it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use subtle::ConstantTimeEq;

use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;
use crate::key::KeyId;
use crate::policy::GrantId;

const VERSION: u8 = 1;
/// Bytes of the nonce, which makes every token another one.
pub(in crate::kms) const NONCE: usize = 16;
/// `u8 version ‖ 12 account ‖ 16 key id ‖ 32 grant id ‖ 16 nonce`, and then the 32 bytes of the code.
const COVERED: usize = 1 + 12 + 16 + 32 + NONCE;
const CODE: usize = 32;
const LENGTH: usize = COVERED + CODE;

/// What [`Kms::create_grant`](crate::Kms::create_grant) gives out beside the id of a grant; another one each time.
///
/// A grant is in force when the call that made it returns, so that no token is needed to use it at once. Tokens are taken
/// where AWS KMS takes them, and one that this `Kms` did not make is refused.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct GrantToken(Arc<str>);

impl GrantToken {
    /// Takes the text of a token. Whether it is one shows when it is used.
    ///
    /// # Errors
    /// [`InvalidGrantToken`](ErrorKind::InvalidGrantToken) if it is none at first sight.
    pub fn parse(text: &str) -> Result<Self> {
        decode(text)?;
        Ok(Self(text.into()))
    }

    /// The text: hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Writes a token; `code` makes the code of what is before it.
    pub(in crate::kms) fn seal(grant: NamedGrant, nonce: &[u8; NONCE], code: impl FnOnce(&[u8]) -> [u8; CODE]) -> Self {
        let NamedGrant { account, key_id, id } = grant;
        let parts = [&[VERSION][..], account.as_bytes(), key_id.as_bytes(), id.as_bytes(), nonce];
        let covered = parts.concat();
        let code = code(&covered);
        Self(base16ct::lower::encode_string(&[&covered[..], &code].concat()).into())
    }

    /// Reads a token whose code is the one that `code` makes.
    ///
    /// # Errors
    /// [`InvalidGrantToken`](ErrorKind::InvalidGrantToken) for any other.
    pub(in crate::kms) fn open(&self, code: impl FnOnce(&[u8]) -> [u8; CODE]) -> Result<NamedGrant> {
        let bytes = decode(&self.0)?;
        let (covered, given) = bytes.split_at(COVERED);
        if !bool::from(code(covered).ct_eq(given)) {
            return Err(invalid());
        }
        let account = std::str::from_utf8(&covered[1..13]).ok().and_then(|digits| AccountId::parse(digits).ok());
        Ok(NamedGrant {
            account: account.ok_or_else(invalid)?,
            key_id: KeyId::from_bytes(covered[13..29].try_into().map_err(|_| invalid())?),
            id: GrantId::from_bytes(covered[29..61].try_into().map_err(|_| invalid())?),
        })
    }
}

impl FromStr for GrantToken {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

/// A token never stands in a log.
impl fmt::Debug for GrantToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GrantToken(..)")
    }
}

/// The grant that a token names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kms) struct NamedGrant {
    pub(in crate::kms) account: AccountId,
    pub(in crate::kms) key_id: KeyId,
    pub(in crate::kms) id: GrantId,
}

fn decode(text: &str) -> Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    match base16ct::lower::decode(text, &mut bytes) {
        Ok(decoded) if decoded.len() == LENGTH && decoded[0] == VERSION => Ok(bytes),
        _ => Err(invalid()),
    }
}

fn invalid() -> Error {
    Error::new(ErrorKind::InvalidGrantToken, "the grant token is malformed, or this KMS did not make it")
}
