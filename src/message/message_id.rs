//! The random identifier of a message.

use std::fmt;

use super::suite::MessageVersion;

const MAX_LENGTH: usize = 32;

/// The identifier of a message: 16 random bytes in version 1, 32 in version 2. It is not secret.
///
/// The identifier is the salt of the content key derivation and is bound to every frame, so that
/// frames of different messages cannot be mixed.
///
/// # Examples
/// ```
/// use strongroom::envelope::RawAesKeyring;
/// use strongroom::{EncryptionContext, Envelope, SecretBytes, message};
///
/// let envelope = Envelope::new(RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?);
/// let header = message::inspect(&envelope.encrypt(b"text", &EncryptionContext::new())?)?;
/// assert_eq!(header.message_id().as_ref().len(), 32);
/// assert_eq!(header.message_id().to_string().len(), 64); // in hexadecimal, for logs
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageId {
    bytes: [u8; MAX_LENGTH],
    length: usize,
}

impl MessageId {
    /// Creates an id whose bytes are initially zero and are set by `fill`.
    pub(crate) fn try_fill<E>(
        version: MessageVersion,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut id = Self { bytes: [0; MAX_LENGTH], length: version.message_id_length() };
        fill(&mut id.bytes[..id.length])?;
        Ok(id)
    }
}

impl AsRef<[u8]> for MessageId {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_decides_the_length() -> Result<(), std::convert::Infallible> {
        for (version, length) in [(MessageVersion::V1, 16), (MessageVersion::V2, 32)] {
            let id = MessageId::try_fill(version, |bytes| {
                bytes.fill(0xA5);
                Ok::<_, std::convert::Infallible>(())
            })?;
            assert_eq!(id.as_ref(), vec![0xA5; length]);
            assert_eq!(id.to_string(), "a5".repeat(length));
        }
        Ok(())
    }
}
