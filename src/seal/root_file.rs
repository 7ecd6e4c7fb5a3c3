//! A root key in a file.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use super::holder;
use super::root_key::{self, RootKey, SECRET_LENGTH};
use crate::crypto::CryptoBackend;
use crate::error::{Error, ErrorKind, Result};
use crate::private_file::{self, Exposure, TrustedUsers};
use crate::secret::SecretBytes;

/// The longest file that is read: 64 digits with much white space around them.
const MAX_FILE: usize = 256;

/// The forms of a root key in a file, as a refusal names them.
const FORMS: &str = "as they are, as 64 hexadecimal digits or as 44 characters of Base64";

impl RootKey {
    /// Reads the root key from a file: 32 bytes as they are, as 64 hexadecimal digits, or as Base64.
    ///
    /// Only the user of the process and root may be able to read or replace the file: every directory and symbolic link on its
    /// path is checked. A secret that a container runtime mounts for a group is read by [`RootKey::from_file_trusting`].
    ///
    /// 32 printable characters are text rather than 32 random bytes: 16 bytes in hexadecimal digits, for example, or 24 in
    /// Base64.
    ///
    /// # Errors
    /// - [`Io`](ErrorKind::Io) if the file cannot be read.
    /// - [`Validation`](ErrorKind::Validation) if it is not a file, if other users may read, write or replace it, or if it
    ///   contains something else; also for 32 printable characters, which [`RootKey::from_file_as_bytes`] accepts.
    ///
    /// # Examples
    /// ```
    /// use strongroom::seal::RootKey;
    ///
    /// let directory = tempfile::tempdir()?;
    /// let path = directory.path().join("root.key");
    /// RootKey::generate_file(&path)?;
    /// RootKey::from_file(&path)?;
    /// assert!(RootKey::generate_file(&path).is_err(), "a root key is never overwritten");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        Self::from_file_trusting(path, TrustedUsers::Owner)
    }

    /// Reads the root key from a file as [`RootKey::from_file`] does, although other users may be able to read it: for a secret
    /// that is mounted into a container, with links that change when it is updated.
    ///
    /// # Errors
    /// Those of [`RootKey::from_file`]; users that are trusted do not count as others.
    pub fn from_file_trusting(path: impl AsRef<Path>, trusted: TrustedUsers) -> Result<Self> {
        let (content, source) = open(path.as_ref(), trusted)?;
        if content.len() != SECRET_LENGTH {
            return Ok(Self::secret(root_key::decode(&content, &source, FORMS)?));
        }
        if is_printable(content.expose_secret()) {
            let text = format!(
                "{source} contains 32 printable characters, which are text and not 32 random bytes (32 hexadecimal digits are 16 \
                 bytes, 32 characters of Base64 are 24): use a file of RootKey::generate_file or `openssl rand -hex 32`; if a \
                 store was made with this one, open it with RootKey::from_file_as_bytes and move its root key"
            );
            return Err(root_key::invalid(text));
        }
        Ok(Self::secret(content))
    }

    /// Reads the root key from a file of 32 bytes, which are used as they are even if they are printable characters.
    ///
    /// For stores that already have such a file: each character is worth at most 6.6 bits, hexadecimal digits 4. Move them to
    /// another root key with [`Kms::move_root_key`](crate::Kms::move_root_key).
    ///
    /// # Errors
    /// - [`Io`](ErrorKind::Io) if the file cannot be read.
    /// - [`Validation`](ErrorKind::Validation) if it is none, if others than its owner may read or write it, or if it has
    ///   not 32 bytes.
    ///
    /// # Examples
    /// ```
    /// use strongroom::seal::RootKey;
    ///
    /// let directory = tempfile::tempdir()?;
    /// let path = directory.path().join("root.key");
    /// RootKey::generate_file(&path)?; // which is there for its owner alone
    /// std::fs::write(&path, "00112233445566778899aabbccddeeff")?;
    /// assert!(RootKey::from_file(&path).is_err());
    /// RootKey::from_file_as_bytes(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_file_as_bytes(path: impl AsRef<Path>) -> Result<Self> {
        let (content, source) = open(path.as_ref(), TrustedUsers::Owner)?;
        if content.len() != SECRET_LENGTH {
            return Err(root_key::invalid(format!("{source} has {} bytes, and not 32", content.len())));
        }
        Ok(Self::secret(content))
    }

    /// Draws a root key and keeps it in a new file, as 64 hexadecimal digits that only the owner may read. It is on the
    /// disk when this returns. Make a copy elsewhere: without it, the store is lost.
    ///
    /// # Errors
    /// - [`AlreadyExists`](ErrorKind::AlreadyExists) if there is such a file
    /// - [`Validation`](ErrorKind::Validation) if other users could replace it
    /// - [`Io`](ErrorKind::Io) if it cannot be written; nothing is left behind
    /// - [`Internal`](ErrorKind::Internal) if there is no randomness
    pub fn generate_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let source = format!("the root key file {}", path.display());
        let secret = holder::draw(&CryptoBackend::default())?;
        let text = digits(&secret);
        let made = |error| failed(&source, "cannot be made", error);
        private_file::check_reachable(path).map_err(|exposure| match exposure {
            Exposure::Unknown { source: error, .. } => made(error),
            exposure => refused(&source, exposure),
        })?;
        let mut file = private_file::create_new(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                Error::new(ErrorKind::AlreadyExists, format!("{source} exists already; it was left as it is"))
            }
            _ => made(error),
        })?;
        let written = file
            .write_all(text.expose_secret())
            .and_then(|()| file.sync_all())
            .and_then(|()| private_file::sync_name(path));
        written.map_err(|error| {
            // What is there is no root key, and would be in the way of the next one.
            fs::remove_file(path).ok();
            failed(&source, "cannot be written", error)
        })?;
        Ok(Self::secret(secret))
    }
}

/// Opens a file that only its owner and trusted users may read, and reads it. Returns how to name it, too.
fn open(path: &Path, trusted: TrustedUsers) -> Result<(SecretBytes, String)> {
    let source = format!("the root key file {}", path.display());
    // Before it is opened: opening a pipe would wait for somebody to write.
    if !fs::metadata(path).map_err(|error| failed(&source, "cannot be opened", error))?.is_file() {
        return Err(root_key::invalid(format!("{source} is not a file")));
    }
    private_file::check_secret(path, trusted).map_err(|exposure| refused(&source, exposure))?;
    let mut file = File::open(path).map_err(|error| failed(&source, "cannot be opened", error))?;
    let content = read(&mut file).map_err(|error| failed(&source, "cannot be read", error))?;
    if content.is_empty() {
        let text =
            format!("{source} is empty: bring a copy back if a store was made with it, and remove it if none was");
        return Err(root_key::invalid(text));
    }
    Ok((content, source))
}

/// Text, and not random bytes: of those, 32 are all printable once in 2^46 times.
fn is_printable(content: &[u8]) -> bool {
    content.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
}

/// A secret as it stands in a file: two digits for each byte, and the end of the line.
fn digits(secret: &SecretBytes) -> SecretBytes {
    let mut text = SecretBytes::zeroed(2 * SECRET_LENGTH + 1);
    let (digits, end) = text.expose_secret_mut().split_at_mut(2 * SECRET_LENGTH);
    base16ct::lower::encode(secret.expose_secret(), digits).expect("two digits for each byte");
    end.fill(b'\n');
    text
}

/// Reads at most one byte more than a file may have.
fn read(file: &mut File) -> io::Result<SecretBytes> {
    let mut content = SecretBytes::zeroed(MAX_FILE + 1);
    let buffer = content.expose_secret_mut();
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..])? {
            0 => break,
            count => length += count,
        }
    }
    Ok(SecretBytes::copy_from_slice(&content.expose_secret()[..length]))
}

fn refused(source: &str, exposure: Exposure) -> Error {
    match exposure {
        Exposure::Unknown { source: error, .. } => failed(source, "cannot be opened", error),
        exposure => root_key::invalid(format!("{source} is not safe: {exposure}")),
    }
}

fn failed(source: &str, what: &str, error: io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("{source} {what}: {error}")).with_source(error)
}
