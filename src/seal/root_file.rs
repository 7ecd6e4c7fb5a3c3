//! Root keys stored in files.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use super::holder;
use super::root_key::{self, RootKey, SECRET_LENGTH};
use crate::crypto::CryptoBackend;
use crate::error::{Error, ErrorKind, Result};
use crate::private_file::{self, Exposure, TrustedUsers};
use crate::secret::SecretBytes;

/// The maximum size of a key file: 64 digits with plenty of surrounding whitespace.
const MAX_FILE: usize = 256;

/// The accepted forms of a root key in a file, as listed in error messages.
const FORMS: &str = "in binary, as 64 hexadecimal digits, or as 44 characters of Base64";

impl RootKey {
    /// Reads the root key from a file that contains 32 raw bytes, 64 hexadecimal digits, or Base64.
    ///
    /// Only root and the user of the process may be able to read or replace the file. Every
    /// directory and symbolic link on its path is checked. For a secret that a container runtime
    /// mounts for a group, use [`RootKey::from_file_trusting`].
    ///
    /// A file of 32 printable characters is treated as text rather than as 32 random bytes. The
    /// text could encode 16 bytes in hexadecimal or 24 in Base64, for example.
    ///
    /// # Errors
    /// - [`Io`](ErrorKind::Io) if the file cannot be read.
    /// - [`Validation`](ErrorKind::Validation) if the path is not a file, if other users can read,
    ///   write, or replace it, or if its content is not a root key. A file of 32 printable
    ///   characters is also rejected; [`RootKey::from_file_as_bytes`] accepts it.
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

    /// Reads the root key from a file like [`RootKey::from_file`], but allows trusted users to read
    /// it. Use this for a secret that is mounted into a container through links that change when
    /// the secret is updated.
    ///
    /// # Errors
    /// - The errors of [`RootKey::from_file`]. Trusted users do not count as other users.
    ///
    /// # Examples
    /// A secret that Kubernetes mounts with mode 0440:
    /// ```
    /// # #[cfg(unix)] {
    /// use std::os::unix::fs::PermissionsExt;
    ///
    /// use strongroom::TrustedUsers;
    /// use strongroom::seal::RootKey;
    ///
    /// let directory = tempfile::tempdir()?;
    /// let path = directory.path().join("root.key");
    /// RootKey::generate_file(&path)?;
    /// std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o440))?;
    /// assert!(RootKey::from_file(&path).is_err());
    /// assert!(RootKey::from_file_trusting(&path, TrustedUsers::Group).is_ok());
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_file_trusting(path: impl AsRef<Path>, trusted: TrustedUsers) -> Result<Self> {
        let (content, source) = open(path.as_ref(), trusted)?;
        if content.len() != SECRET_LENGTH {
            return Ok(Self::secret(root_key::decode(&content, &source, FORMS)?));
        }
        if is_printable(content.expose_secret()) {
            let text = format!(
                "{source} contains 32 printable characters, which are text, not 32 random bytes (32 hexadecimal \
                 digits encode 16 bytes, 32 characters of Base64 encode 24): create the file with \
                 RootKey::generate_file or `openssl rand -hex 32`; if a store was created with this file, open it \
                 with RootKey::from_file_as_bytes and move its root key"
            );
            return Err(root_key::invalid(text));
        }
        Ok(Self::secret(content))
    }

    /// Reads the root key from a file of 32 bytes, which are used as they are even if all of them
    /// are printable.
    ///
    /// Use this only for stores that already use such a file. Each printable character is worth at
    /// most 6.6 bits, each hexadecimal digit 4. Move the stores to another root key with
    /// [`Kms::move_root_key`](crate::Kms::move_root_key).
    ///
    /// # Errors
    /// - [`Io`](ErrorKind::Io) if the file cannot be read.
    /// - [`Validation`](ErrorKind::Validation) if the path is not a file, if users other than its
    ///   owner can read or write it, or if its length is not 32 bytes.
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
            return Err(root_key::invalid(format!("{source} must have 32 bytes, not {}", content.len())));
        }
        Ok(Self::secret(content))
    }

    /// Generates a root key and writes it to a new file as 64 hexadecimal digits that only the
    /// owner can read. The file is durable when this function returns. Back it up in another
    /// location: without the root key, the store is lost.
    ///
    /// # Errors
    /// - [`AlreadyExists`](ErrorKind::AlreadyExists) if the file already exists.
    /// - [`Validation`](ErrorKind::Validation) if other users could replace it.
    /// - [`Io`](ErrorKind::Io) if it cannot be written. No file is left behind.
    /// - [`Internal`](ErrorKind::Internal) if random bytes are unavailable.
    ///
    /// # Examples
    /// ```
    /// use strongroom::ErrorKind;
    /// use strongroom::seal::RootKey;
    ///
    /// let directory = tempfile::tempdir()?;
    /// let path = directory.path().join("root.key");
    /// RootKey::generate_file(&path)?;
    /// assert_eq!(std::fs::read_to_string(&path)?.trim().len(), 64);
    /// assert_eq!(RootKey::generate_file(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn generate_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let source = format!("the root key file {}", path.display());
        let secret = holder::draw(&CryptoBackend::default())?;
        let text = digits(&secret);
        let made = |error| failed(&source, "cannot be created", error);
        private_file::check_reachable(path).map_err(|exposure| match exposure {
            Exposure::Unknown { source: error, .. } => made(error),
            exposure => refused(&source, exposure),
        })?;
        let mut file = private_file::create_new(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Error::new(
                ErrorKind::AlreadyExists,
                format!("{source} already exists; it was not changed: open it with RootKey::from_file"),
            ),
            _ => made(error),
        })?;
        let written = file
            .write_all(text.expose_secret())
            .and_then(|()| file.sync_all())
            .and_then(|()| private_file::sync_name(path));
        written.map_err(|error| {
            // The incomplete file contains no root key and would block the next attempt.
            fs::remove_file(path).ok();
            failed(&source, "cannot be written", error)
        })?;
        Ok(Self::secret(secret))
    }
}

/// Opens and reads a file that only its owner and trusted users can read. Also returns a
/// description of the file for error messages.
fn open(path: &Path, trusted: TrustedUsers) -> Result<(SecretBytes, String)> {
    let source = format!("the root key file {}", path.display());
    // Check before opening, because opening a pipe would block until a writer opens it.
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => missing(&source, error),
        _ => failed(&source, "cannot be opened", error),
    })?;
    if !metadata.is_file() {
        return Err(root_key::invalid(format!("{source} is not a file")));
    }
    private_file::check_secret(path, trusted).map_err(|exposure| refused(&source, exposure))?;
    let mut file = File::open(path).map_err(|error| failed(&source, "cannot be opened", error))?;
    let content = read(&mut file).map_err(|error| failed(&source, "cannot be read", error))?;
    if content.is_empty() {
        let text =
            format!("{source} is empty: restore a copy if a store was created with it, otherwise remove the file");
        return Err(root_key::invalid(text));
    }
    Ok((content, source))
}

/// Returns `true` for text. The chance that 32 random bytes are all printable is 1 in 2^46.
fn is_printable(content: &[u8]) -> bool {
    content.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
}

/// Returns the secret as it is written to a file: two hexadecimal digits per byte and a line
/// ending.
fn digits(secret: &SecretBytes) -> SecretBytes {
    let mut text = SecretBytes::zeroed(2 * SECRET_LENGTH + 1);
    let (digits, end) = text.expose_secret_mut().split_at_mut(2 * SECRET_LENGTH);
    base16ct::lower::encode(secret.expose_secret(), digits).expect("the buffer has two digits for each byte");
    end.fill(b'\n');
    text
}

/// Reads at most one byte more than the maximum file size.
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

/// Returns the error for a file that does not exist: at the first start, or because a secret is not
/// mounted.
fn missing(source: &str, error: io::Error) -> Error {
    let text = format!(
        "{source} does not exist: check that it is mounted, or create it for a new store with RootKey::generate_file"
    );
    Error::new(ErrorKind::Io, text).with_source(error)
}

fn failed(source: &str, what: &str, error: io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("{source} {what}: {error}")).with_source(error)
}
