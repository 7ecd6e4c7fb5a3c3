//! Creation of access keys.

use std::time::Duration;

use base64ct::{Base64, Encoding};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use strongroom::Kms;
use strongroom::identity::Principal;
use zeroize::Zeroizing;

use super::file::{CredentialsFile, Entry};
use super::sealing;
use crate::error::{Error, Result};

/// The length of a secret: 30 random bytes, which are 40 characters in base64, as in AWS.
const SECRET_BYTES: u32 = 30;
/// The length of a session token, in random bytes.
const TOKEN_BYTES: u32 = 48;
/// The number of random characters of an access key ID.
const ID_BYTES: u32 = 16;
/// The alphabet of access key IDs (RFC 4648, section 6).
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Options for [`issue`].
#[derive(Clone, Debug, Default)]
pub struct IssueOptions {
    session_token: bool,
    lifetime: Option<Duration>,
}

impl IssueOptions {
    /// Creates a session token as well, which every request must contain.
    #[must_use]
    pub const fn with_session_token(mut self) -> Self {
        self.session_token = true;
        self
    }

    /// Sets the time after which the access key is refused.
    #[must_use]
    pub const fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }
}

/// A new access key, the only time that its secret is known.
pub struct Issued {
    access_key_id: String,
    secret: Zeroizing<String>,
    session_token: Option<Zeroizing<String>>,
}

impl Issued {
    /// Returns the access key ID.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// Returns a profile in the format of the file `~/.aws/credentials`. **It contains the secret.**
    pub fn expose_profile(&self, name: &str) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(512));
        let mut push = |parts: &[&str]| parts.iter().for_each(|part| text.push_str(part));
        push(&["[", name, "]\naws_access_key_id = ", &self.access_key_id]);
        push(&["\naws_secret_access_key = ", &self.secret, "\n"]);
        if let Some(token) = &self.session_token {
            push(&["aws_session_token = ", token, "\n"]);
        }
        text
    }

    /// Returns the secret.
    pub fn expose_secret(&self) -> &str {
        &self.secret
    }

    /// Returns the session token.
    pub fn expose_session_token(&self) -> Option<&str> {
        self.session_token.as_ref().map(|token| token.as_str())
    }
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// Creates an access key for a principal and adds it to the file. Requires the handle of the
/// authority.
///
/// # Errors
/// - If the principal is not one that the KMS knows, the KMS fails, or the file cannot be written.
pub fn issue(kms: &Kms, file: &CredentialsFile, principal: &Principal, options: &IssueOptions) -> Result<Issued> {
    kms.as_principal(principal.clone())?;
    let secret = random_text(kms, SECRET_BYTES)?;
    let session_token = if options.session_token { Some(random_text(kms, TOKEN_BYTES)?) } else { None };
    let now = Timestamp::from_second(Timestamp::now().as_second())
        .map_err(|error| Error::new("the clock is out of range").with_source(error))?;
    let expires = match options.lifetime {
        Some(lifetime) => Some(
            now.checked_add(lifetime)
                .map_err(|error| Error::new("the lifetime of the access key is too long").with_source(error))?,
        ),
        None => None,
    };
    let hash = |token: &Zeroizing<String>| base16ct::lower::encode_string(&Sha256::digest(token.as_bytes()));
    let mut entry = Entry {
        access_key_id: random_id(kms, if options.session_token { "ASIA" } else { "AKIA" })?,
        principal: principal.to_string(),
        created: now.to_string(),
        expires: expires.map(|time| time.to_string()),
        session_token_sha256: session_token.as_ref().map(hash),
        encrypted_secret: String::new(),
    };
    entry.encrypted_secret = sealing::seal(kms, &entry, &secret)?;
    let access_key_id = entry.access_key_id.clone();
    file.add(entry)?;
    Ok(Issued { access_key_id, secret, session_token })
}

fn random_text(kms: &Kms, bytes: u32) -> Result<Zeroizing<String>> {
    let random = random_bytes(kms, bytes)?;
    Ok(Zeroizing::new(Base64::encode_string(random.expose_secret())))
}

/// Returns a prefix and 16 characters of base32, like an access key ID of AWS.
fn random_id(kms: &Kms, prefix: &str) -> Result<String> {
    let random = random_bytes(kms, ID_BYTES)?;
    let characters = random.expose_secret().iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    Ok(prefix.chars().chain(characters).collect())
}

fn random_bytes(kms: &Kms, bytes: u32) -> Result<strongroom::SecretBytes> {
    Ok(kms.generate_random(bytes)?)
}
