//! The file of credentials.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom::Kms;
use strongroom::identity::Principal;
use strongroom::seal::{LockedFile, PrivateFile};

use super::access_key::{AccessKey, AccessKeys};
use super::sealing;
use crate::error::{Error, Result};

/// The version of the format.
const VERSION: u32 = 1;
/// The maximum number of access keys. Loading decrypts the secret of each of them.
const MAX_ENTRIES: usize = 10_000;
/// The maximum size of the file.
const MAX_BYTES: usize = 16 << 20;

/// A file of credentials. The module describes its format.
#[derive(Clone, Debug)]
pub struct CredentialsFile {
    file: PrivateFile,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    credentials: Vec<Entry>,
}

/// An access key in the file. Its secret is encrypted.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    pub(super) access_key_id: String,
    pub(super) principal: String,
    pub(super) created: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expires: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) session_token_sha256: Option<String>,
    pub(super) encrypted_secret: String,
}

impl Entry {
    /// Returns the access key ID.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// Returns the ARN of the principal.
    pub fn principal(&self) -> &str {
        &self.principal
    }

    /// Returns the time of creation (RFC 3339).
    pub fn created(&self) -> &str {
        &self.created
    }

    /// Returns the time from which the access key is refused (RFC 3339).
    pub fn expires(&self) -> Option<&str> {
        self.expires.as_deref()
    }

    /// Returns `true` if requests need a session token.
    pub const fn has_session_token(&self) -> bool {
        self.session_token_sha256.is_some()
    }

    /// Decrypts the secret, which authenticates all other members.
    fn open(&self, kms: &Kms) -> Result<AccessKey> {
        let principal = Principal::parse(&self.principal)?;
        let secret = sealing::open(kms, self)?;
        let expires = self.expires.as_deref().map(parse_time).transpose()?;
        let token_hash = self.session_token_sha256.as_deref().map(parse_hash).transpose()?;
        let handle = kms.as_principal(principal)?;
        Ok(AccessKey::new(self.access_key_id.clone(), secret, handle).token_hash(token_hash).expires(expires))
    }
}

fn parse_time(text: &str) -> Result<SystemTime> {
    let malformed = |error: jiff::Error| Error::new("malformed time").with_source(error);
    text.parse::<Timestamp>().and_then(SystemTime::try_from).map_err(malformed)
}

fn parse_hash(text: &str) -> Result<[u8; 32]> {
    let mut hash = [0; 32];
    let decoded = base16ct::lower::decode(text, &mut hash);
    match decoded.map(<[u8]>::len) {
        Ok(32) => Ok(hash),
        Ok(_) | Err(_) => Err(Error::new("malformed hash of a session token: it must be 64 hexadecimal digits")),
    }
}

impl CredentialsFile {
    /// Refers to the file at this path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { file: PrivateFile::new(path) }
    }

    /// Returns the path.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Returns the entries. A missing file has none.
    ///
    /// # Errors
    /// - If the file cannot be read, is exposed to other users, or is malformed.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        let malformed = || format!("cannot read the credentials in {}", self.path().display());
        let content = match self.file.read(MAX_BYTES) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            content => content.map_err(|error| Error::new(malformed()).with_source(error))?,
        };
        let document: Document =
            serde_json::from_slice(&content).map_err(|error| Error::new(malformed()).with_source(error))?;
        if document.version != VERSION {
            let text = format!("{}: version {} is unknown; update the server", malformed(), document.version);
            return Err(Error::new(text));
        }
        check_entries(&document.credentials).map_err(|error| Error::new(malformed()).with_source(error))?;
        Ok(document.credentials)
    }

    /// Reads the file and decrypts all secrets. Fails if a single entry is invalid.
    ///
    /// # Errors
    /// - The errors of [`CredentialsFile::entries`].
    /// - If an entry was altered, or the KMS key of the file cannot be used.
    pub fn load(&self, kms: &Kms) -> Result<AccessKeys> {
        let open = |entry: &Entry| {
            entry.open(kms).map_err(|error| {
                let text = format!("cannot use the access key {} in {}", entry.access_key_id, self.path().display());
                Error::new(text).with_source(error)
            })
        };
        self.entries()?.iter().map(open).collect()
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// - The errors of [`CredentialsFile::entries`].
    /// - If the file is full, or cannot be written.
    pub fn add(&self, entry: Entry) -> Result<()> {
        let locked = self.lock()?;
        let mut entries = self.entries()?;
        entries.push(entry);
        check_entries(&entries)?;
        self.write(&locked, entries)
    }

    /// Deletes an entry. Returns `false` if it does not exist.
    ///
    /// # Errors
    /// - The errors of [`CredentialsFile::entries`].
    /// - If the file cannot be written.
    pub fn delete(&self, access_key_id: &str) -> Result<bool> {
        let locked = self.lock()?;
        let mut entries = self.entries()?;
        let before = entries.len();
        entries.retain(|entry| entry.access_key_id != access_key_id);
        if entries.len() == before {
            return Ok(false);
        }
        self.write(&locked, entries)?;
        Ok(true)
    }

    /// Deletes all entries.
    ///
    /// # Errors
    /// - If the file cannot be written.
    pub fn clear(&self) -> Result<()> {
        self.write(&self.lock()?, Vec::new())
    }

    fn lock(&self) -> Result<LockedFile<'_>> {
        let cannot = |error| Error::new(format!("cannot change {}", self.path().display())).with_source(error);
        self.file.lock().map_err(cannot)
    }

    fn write(&self, locked: &LockedFile<'_>, credentials: Vec<Entry>) -> Result<()> {
        let document = Document { version: VERSION, credentials };
        let mut content = serde_json::to_vec_pretty(&document)
            .map_err(|error| Error::new("cannot encode the credentials").with_source(error))?;
        content.push(b'\n');
        let cannot = |error| Error::new(format!("cannot write {}", self.path().display())).with_source(error);
        locked.replace(&content).map_err(cannot)
    }
}

fn check_entries(entries: &[Entry]) -> Result<()> {
    if entries.len() > MAX_ENTRIES {
        return Err(Error::new(format!("there are more than {MAX_ENTRIES} access keys")));
    }
    let mut ids: Vec<&str> = entries.iter().map(Entry::access_key_id).collect();
    ids.sort_unstable();
    match ids.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Error::new(format!("the access key {} appears twice", pair[0]))),
        None => Ok(()),
    }
}
