//! Buffers for a whole object.

use std::fmt;
use std::io::{self, BufRead, Cursor, Read};

use zeroize::Zeroizing;

use super::error::ObjectError;
use crate::crypto::TAG_LENGTH;
use crate::error::{Error, ErrorKind, Result};

/// The first size of a buffer in bytes.
const FIRST_CAPACITY: usize = 64 << 10;

/// Reads an object of at most `limit` bytes. A buffer that becomes too small is wiped.
pub(super) fn read_to_end(mut source: impl Read, limit: u64) -> Result<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new(Vec::with_capacity(FIRST_CAPACITY));
    loop {
        if buffer.len() == buffer.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(buffer.capacity().saturating_mul(2)));
            larger.extend_from_slice(&buffer);
            buffer = larger;
        }
        let free = u64::try_from(buffer.capacity() - buffer.len()).unwrap_or(u64::MAX);
        let read = source.by_ref().take(free).read_to_end(&mut buffer).map_err(cannot_read)?;
        check_length(buffer.len(), limit)?;
        if read == 0 {
            return Ok(buffer);
        }
    }
}

/// Rejects an object that is longer than `limit`.
pub(super) fn check_length(length: usize, limit: u64) -> Result<(), ObjectError> {
    match u64::try_from(length).is_ok_and(|length| length <= limit) {
        true => Ok(()),
        false => Err(ObjectError::TooLong { what: "content", limit }),
    }
}

/// Returns the maximum length of an object whose plaintext has at most `limit` bytes.
pub(super) fn with_tag(limit: u64) -> u64 {
    limit.saturating_add(u64::try_from(TAG_LENGTH).unwrap_or(u64::MAX))
}

/// Converts the error of a source. If it uses this crate, too, its kind is kept.
fn cannot_read(error: io::Error) -> Error {
    let kind = Error::from_io(&error).map_or(ErrorKind::Io, Error::kind);
    Error::new(kind, format!("cannot read the object: {error}")).with_source(error)
}

/// The plaintext of an object that has been authenticated completely. It is wiped when dropped.
///
/// # Examples
/// ```
/// use std::io::{BufRead, Read};
///
/// use strongroom::s3_encryption::{ObjectCipher, ObjectMetadata, WrappingKey};
/// use strongroom::{EncryptionContext, SecretBytes};
///
/// let none = EncryptionContext::new();
/// let cipher = ObjectCipher::new(WrappingKey::aes(SecretBytes::zeroed(32))?); // take a random key
/// let object = cipher.encrypt(b"one\ntwo\n", &none)?;
/// let metadata = ObjectMetadata::from_pairs(object.metadata())?;
///
/// let mut reader = cipher.reader(object.body(), &metadata, &none)?;
/// assert_eq!((reader.len(), reader.is_empty()), (8, false));
/// let mut line = String::new();
/// reader.read_line(&mut line)?;
/// assert_eq!(line, "one\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ObjectReader(Cursor<Zeroizing<Vec<u8>>>);

impl ObjectReader {
    pub(super) fn new(plaintext: Vec<u8>) -> Self {
        Self(Cursor::new(Zeroizing::new(plaintext)))
    }

    /// Returns the length of the whole plaintext in bytes.
    pub fn len(&self) -> usize {
        self.0.get_ref().len()
    }

    /// Returns `true` if the plaintext has no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.get_ref().is_empty()
    }

    fn rest(&self) -> &[u8] {
        let start = usize::try_from(self.0.position()).unwrap_or(usize::MAX);
        self.0.get_ref().get(start..).unwrap_or_default()
    }
}

impl Read for ObjectReader {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        let read = self.rest().read(output)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for ObjectReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.rest())
    }

    fn consume(&mut self, amount: usize) {
        let amount = u64::try_from(amount).unwrap_or(u64::MAX);
        self.0.set_position(self.0.position().saturating_add(amount));
    }
}

impl fmt::Debug for ObjectReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectReader({} bytes)", self.len())
    }
}
