//! Grant tokens. A token names a grant and proves that this KMS issued the token.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use subtle::ConstantTimeEq;

use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;
use crate::key::KeyId;
use crate::policy::GrantId;

/// Maximum number of grant tokens per call.
const MAX_GRANT_TOKENS: usize = 10;

const VERSION: u8 = 1;
/// Length of the nonce in bytes. The nonce makes every token unique.
pub(in crate::kms) const NONCE: usize = 16;
/// `u8 version ‖ 12 account ‖ 16 key id ‖ 32 grant id ‖ 16 nonce`, followed by the 32 bytes of the
/// MAC.
const COVERED: usize = 1 + 12 + 16 + 32 + NONCE;
const CODE: usize = 32;
const LENGTH: usize = COVERED + CODE;

/// A token returned by [`Kms::create_grant`](crate::Kms::create_grant) alongside the grant ID. Each
/// call returns a different token.
///
/// A grant takes effect before the call that creates it returns, so you can use it immediately
/// without a token. strongroom accepts tokens wherever AWS KMS does, and rejects tokens that this
/// `Kms` did not create.
///
/// # Examples
/// ```
/// use strongroom::identity::{AccountId, Principal};
/// use strongroom::key::Operation;
/// use strongroom::policy::GrantTerms;
/// use strongroom::request::{CreateGrantRequest, DecryptRequest, EncryptRequest, GrantToken};
/// use strongroom::{ErrorKind, Kms};
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?.key_id();
/// let blob = kms.encrypt(EncryptRequest::new(key, b"data"))?.ciphertext_blob;
/// let worker = Principal::role(AccountId::default(), "worker")?;
/// let terms = GrantTerms::new(worker.clone(), [Operation::Decrypt])?;
/// let sent = kms.create_grant(CreateGrantRequest::new(key, terms))?.grant_token.as_str().to_owned();
///
/// let received = [GrantToken::parse(&sent)?];
/// let request = DecryptRequest::new(&blob).grant_tokens(&received);
/// assert!(kms.as_principal(worker)?.decrypt(request.clone()).is_ok());
/// let refused = Kms::in_memory()?.decrypt(request).unwrap_err(); // not the KMS that issued the token
/// assert_eq!(refused.kind(), ErrorKind::AccessDenied);
/// assert_eq!(GrantToken::parse("token").unwrap_err().kind(), ErrorKind::InvalidGrantToken);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct GrantToken(Arc<str>);

impl GrantToken {
    /// Parses the text of a token. The token is authenticated only when it is used.
    ///
    /// # Errors
    /// - [`InvalidGrantToken`](ErrorKind::InvalidGrantToken) if the text does not have the form of
    ///   a token.
    pub fn parse(text: &str) -> Result<Self> {
        decode(text)?;
        Ok(Self(text.into()))
    }

    /// Returns the token as hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Creates a token; `code` computes the MAC of the bytes that precede it.
    pub(in crate::kms) fn seal(grant: NamedGrant, nonce: &[u8; NONCE], code: impl FnOnce(&[u8]) -> [u8; CODE]) -> Self {
        let NamedGrant { account, key_id, id } = grant;
        let parts = [&[VERSION][..], account.as_bytes(), key_id.as_bytes(), id.as_bytes(), nonce];
        let covered = parts.concat();
        let code = code(&covered);
        Self(base16ct::lower::encode_string(&[&covered[..], &code].concat()).into())
    }

    /// Reads a token whose MAC equals the one that `code` computes.
    ///
    /// # Errors
    /// - [`InvalidGrantToken`](ErrorKind::InvalidGrantToken) for any other token.
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

/// Omits the token so that it never appears in a log.
impl fmt::Debug for GrantToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GrantToken(..)")
    }
}

/// Rejects more tokens than allowed.
pub(in crate::kms) fn check_token_count(tokens: &[GrantToken]) -> Result<()> {
    if tokens.len() <= MAX_GRANT_TOKENS {
        return Ok(());
    }
    let text = format!("a request can have at most {MAX_GRANT_TOKENS} grant tokens, not {}", tokens.len());
    Err(Error::new(ErrorKind::Validation, text))
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
    Error::new(ErrorKind::InvalidGrantToken, "the grant token is malformed or was not issued by this KMS")
}
