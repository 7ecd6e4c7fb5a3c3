//! The key of an attached volume.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use subtle::ConstantTimeEq;

use super::error::VolumeError;
use crate::error::{Error, ErrorKind, Result};
use crate::private_file;
use crate::secret::SecretBytes;

/// The length of a volume key in bytes: two AES-256 keys.
pub(super) const VOLUME_KEY_BYTES: u32 = 64;

/// The key of an attached volume: two AES-256 keys for XTS. It is wiped when dropped.
///
/// [`VolumeKeys::attach`](super::VolumeKeys::attach) returns it. `cryptsetup` accepts the same
/// bytes as a key file and as a volume key.
///
/// # Examples
/// ```
/// use strongroom::SecretBytes;
/// use strongroom::volumes::{VolumeError, VolumeKey};
///
/// let key = VolumeKey::from_secret(SecretBytes::from_vec((0..64).collect()))?;
/// let mut pipe = Vec::new(); // the standard input of `cryptsetup --key-file -`
/// key.write_to(&mut pipe)?;
/// assert_eq!(pipe, key.expose_secret());
/// assert_eq!(format!("{key:?}"), "VolumeKey(SecretBytes(64 bytes))");
///
/// let equal = VolumeKey::from_secret(SecretBytes::copy_from_slice(&[7; 64]));
/// assert_eq!(equal.unwrap_err(), VolumeError::EqualKeys);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Debug)]
pub struct VolumeKey(SecretBytes);

impl VolumeKey {
    /// Accepts the 64 bytes of a key: first the key of the data, then the key of the tweaks.
    ///
    /// Equal keys would let an attacker who chooses plaintext find the tweaks, so that FIPS 140
    /// (implementation guidance C.I, earlier A.9) requires this check.
    ///
    /// # Errors
    /// - [`VolumeError::KeyLength`] if there are not 64 bytes.
    /// - [`VolumeError::EqualKeys`] if both halves are equal.
    pub fn from_secret(secret: SecretBytes) -> Result<Self, VolumeError> {
        let bytes = secret.expose_secret();
        let (data, tweak) = bytes.split_at(bytes.len() / 2);
        if u32::try_from(bytes.len()) != Ok(VOLUME_KEY_BYTES) {
            return Err(VolumeError::KeyLength { length: bytes.len() });
        }
        if data.ct_eq(tweak).into() {
            return Err(VolumeError::EqualKeys);
        }
        Ok(Self(secret))
    }

    /// Returns the 64 bytes. The caller is responsible for every copy of them.
    pub fn expose_secret(&self) -> &[u8] {
        self.0.expose_secret()
    }

    /// Writes the 64 bytes, for example to the standard input of `cryptsetup --key-file -`.
    ///
    /// # Errors
    /// - [`Io`](ErrorKind::Io) if the writer fails.
    pub fn write_to(&self, mut output: impl Write) -> Result<()> {
        let written = output.write_all(self.expose_secret()).and_then(|()| output.flush());
        written.map_err(|error| Error::new(ErrorKind::Io, "cannot write the volume key").with_source(error))
    }

    /// Writes the 64 bytes to a new file that only its owner can read, for `cryptsetup --key-file`
    /// and `--volume-key-file`.
    ///
    /// Prefer a pipe. If the command needs a file, create it in memory (`/dev/shm` or `/run`),
    /// because a deleted file may remain on a disk.
    ///
    /// # Errors
    /// - [`Io`](ErrorKind::Io) if the file exists or cannot be written. A file that was written in
    ///   part is deleted.
    ///
    /// # Examples
    /// ```
    /// use strongroom::SecretBytes;
    /// use strongroom::volumes::VolumeKey;
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("volume.key");
    /// let key = VolumeKey::from_secret(SecretBytes::from_vec((0..64).collect()))?;
    /// key.write_key_file(&path)?;
    /// assert_eq!(std::fs::read(&path)?, key.expose_secret());
    /// assert!(key.write_key_file(&path).is_err()); // it never overwrites a file
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write_key_file(&self, path: impl AsRef<Path>) -> Result<()> {
        write_new(path.as_ref(), |file| self.write_to(file))
    }
}

/// Creates a private file, and deletes it if it cannot be written.
fn write_new(path: &Path, write: impl FnOnce(&File) -> Result<()>) -> Result<()> {
    let file = private_file::create_new(path).map_err(|error| {
        let text = format!("cannot create the key file {}", path.display());
        Error::new(ErrorKind::Io, text).with_source(error)
    })?;
    write(&file).inspect_err(|_| {
        // Ignored because the first failure is the one to report.
        let _ = fs::remove_file(path);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_files_that_cannot_be_written_are_deleted() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("volume.key");
        let failing = |mut file: &File| -> Result<()> {
            let written = file.write_all(b"half of a key");
            assert!(written.is_ok());
            Err(Error::new(ErrorKind::Io, "the disk is full"))
        };
        assert_eq!(write_new(&path, failing).unwrap_err().to_string(), "the disk is full");
        assert!(!path.exists());

        // An existing file of somebody else stays.
        fs::write(&path, "other")?;
        assert!(write_new(&path, |_| Ok(())).is_err());
        assert_eq!(fs::read(&path)?, b"other");
        Ok(())
    }
}
