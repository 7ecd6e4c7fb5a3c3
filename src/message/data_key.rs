//! Encrypted data keys: the header entries from which a keyring recovers the data key.

use std::fmt;

use super::error::MessageError;
use super::limits::Limits;
use crate::codec::{CodecError, Reader, Writer};

/// A data key wrapped by one keyring, with the information needed to unwrap it.
///
/// On the wire: `u16 length ‖ provider id` (UTF-8), `u16 length ‖ provider information`, `u16 length ‖ ciphertext`.
///
/// # Examples
/// ```
/// use strongroom::envelope::{KMS_PROVIDER_ID, KmsKeyring};
/// use strongroom::key::KeyArn;
/// use strongroom::{EncryptionContext, Envelope, Kms, message};
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?;
/// let encrypted = Envelope::new(KmsKeyring::new(&kms, key.key_id())?).encrypt(b"text", &EncryptionContext::new())?;
///
/// let header = message::inspect(&encrypted)?;
/// let data_key = &header.data_keys()[0];
/// assert_eq!(data_key.provider_id(), KMS_PROVIDER_ID);
/// assert_eq!(data_key.provider_info(), key.arn().to_string().as_bytes());
/// assert_eq!(data_key.ciphertext().len(), 32 + 94);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EncryptedDataKey {
    provider_id: String,
    provider_info: Vec<u8>,
    ciphertext: Vec<u8>,
}

impl EncryptedDataKey {
    /// Creates an entry from its parts. Each part may have up to 65,535 bytes, which is checked
    /// when the message is written.
    ///
    /// # Examples
    /// ```
    /// use strongroom::message::EncryptedDataKey;
    ///
    /// let data_key = EncryptedDataKey::new("my-vault", *b"key 1", vec![0; 48]);
    /// assert_eq!((data_key.provider_id(), data_key.provider_info()), ("my-vault", &b"key 1"[..]));
    /// assert_eq!(data_key.ciphertext().len(), 48);
    /// ```
    pub fn new(
        provider_id: impl Into<String>,
        provider_info: impl Into<Vec<u8>>,
        ciphertext: impl Into<Vec<u8>>,
    ) -> Self {
        Self { provider_id: provider_id.into(), provider_info: provider_info.into(), ciphertext: ciphertext.into() }
    }

    /// Returns the kind of keyring that wrapped the data key: `aws-kms`, or the namespace of a raw
    /// key.
    pub fn provider_id(&self) -> &str {
        &self.provider_id
    }

    /// Returns the identifier of the wrapping key in the provider's own form: a key ARN, or the
    /// name of a raw key and further data.
    pub fn provider_info(&self) -> &[u8] {
        &self.provider_info
    }

    /// Returns the wrapped data key.
    pub fn ciphertext(&self) -> &[u8] {
        &self.ciphertext
    }

    /// Parses the entry at a position, counted from 1.
    pub(super) fn read(reader: &mut Reader<'_>, index: u16) -> Result<Self, MessageError> {
        let provider_id = reader.prefixed_u16("encrypted data key provider id").map_err(MessageError::cut_off)?;
        let provider_id = str::from_utf8(provider_id).map_err(|_| MessageError::InvalidDataKey { index })?;
        let provider_info = reader.prefixed_u16("encrypted data key provider info").map_err(MessageError::cut_off)?;
        let ciphertext = reader.prefixed_u16("encrypted data key ciphertext").map_err(MessageError::cut_off)?;
        Ok(Self::new(provider_id, provider_info, ciphertext))
    }

    fn write(&self, writer: &mut Writer) -> Result<(), CodecError> {
        writer
            .prefixed_u16(self.provider_id.as_bytes(), "encrypted data key provider id")?
            .prefixed_u16(&self.provider_info, "encrypted data key provider info")?
            .prefixed_u16(&self.ciphertext, "encrypted data key ciphertext")?;
        Ok(())
    }

    fn encoded_length(&self) -> usize {
        6 + self.provider_id.len() + self.provider_info.len() + self.ciphertext.len()
    }
}

impl fmt::Debug for EncryptedDataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptedDataKey")
            .field("provider_id", &self.provider_id)
            .field("provider_info", &format_args!("{}", self.provider_info.escape_ascii()))
            .field("ciphertext", &format_args!("{} bytes", self.ciphertext.len()))
            .finish()
    }
}

/// Parses the number of entries. Rejects zero and numbers over the limit before any entry is
/// parsed.
pub(super) fn read_count(reader: &mut Reader<'_>, limits: &Limits) -> Result<u16, MessageError> {
    let limit = limits.max_encrypted_data_keys();
    match reader.u16("encrypted data key count").map_err(MessageError::cut_off)? {
        0 => Err(MessageError::NoDataKeys),
        count if count > limit => Err(MessageError::TooManyDataKeys { count, limit }),
        count => Ok(count),
    }
}

/// Writes the count and the entries.
pub(super) fn write_all(writer: &mut Writer, data_keys: &[EncryptedDataKey]) -> Result<(), CodecError> {
    let count = u16::try_from(data_keys.len()).map_err(|_| CodecError::TooLong {
        field: "encrypted data key count",
        length: data_keys.len(),
        limit: usize::from(u16::MAX),
    })?;
    writer.u16(count);
    data_keys.iter().try_for_each(|data_key| data_key.write(writer))
}

/// Returns the number of bytes that [`write_all`] appends.
pub(super) fn encoded_length(data_keys: &[EncryptedDataKey]) -> usize {
    2 + data_keys.iter().map(EncryptedDataKey::encoded_length).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<EncryptedDataKey> {
        vec![EncryptedDataKey::new("ns", *b"kn", [1, 2, 3]), EncryptedDataKey::new("é", [], [0xFF])]
    }

    fn written(data_keys: &[EncryptedDataKey]) -> Result<Vec<u8>, CodecError> {
        let mut writer = Writer::default();
        write_all(&mut writer, data_keys)?;
        Ok(writer.into_bytes())
    }

    #[test]
    fn entries_are_read_as_they_were_written() -> Result<(), Box<dyn std::error::Error>> {
        let bytes = written(&sample())?;
        assert_eq!(hex::encode(&bytes), "000200026e7300026b6e00030102030002c3a900000001ff");
        assert_eq!(bytes.len(), encoded_length(&sample()));
        let mut reader = Reader::new(&bytes);
        assert_eq!(read_count(&mut reader, &Limits::default())?, 2);
        assert_eq!(
            [EncryptedDataKey::read(&mut reader, 1)?, EncryptedDataKey::read(&mut reader, 2)?].as_slice(),
            sample()
        );
        reader.finish()?;
        Ok(())
    }

    #[test]
    fn the_count_is_judged_before_any_entry_is_there() {
        let limits = Limits::default().with_max_encrypted_data_keys(2);
        assert_eq!(read_count(&mut Reader::new(&[0, 0]), &limits), Err(MessageError::NoDataKeys));
        let refusal = Err(MessageError::TooManyDataKeys { count: 3, limit: 2 });
        assert_eq!(read_count(&mut Reader::new(&[0, 3]), &limits), refusal);
        assert_eq!(read_count(&mut Reader::new(&[0, 2]), &limits), Ok(2), "the count equals the limit");
    }

    #[test]
    fn a_provider_id_must_be_utf8() {
        let entry = EncryptedDataKey::read(&mut Reader::new(&[0, 1, 0xFF, 0, 0, 0, 0]), 7);
        assert_eq!(entry, Err(MessageError::InvalidDataKey { index: 7 }));
    }

    #[test]
    fn a_cut_entry_tells_what_it_needs() -> Result<(), CodecError> {
        let bytes = written(&sample())?;
        let first_entry = &bytes[2..15];
        for length in 0..first_entry.len() {
            let refusal = EncryptedDataKey::read(&mut Reader::new(&first_entry[..length]), 1).unwrap_err();
            assert!(refusal.bytes_needed().is_some_and(|needed| needed > length && needed <= first_entry.len()));
        }
        Ok(())
    }

    #[test]
    fn an_over_long_part_is_not_written() {
        let data_key = EncryptedDataKey::new("ns", vec![0; 65_536], []);
        assert!(matches!(written(&[data_key]), Err(CodecError::TooLong { length: 65_536, .. })));
    }

    #[test]
    fn debug_shows_no_ciphertext() {
        let text = format!("{:?}", EncryptedDataKey::new("ns", *b"k\x00", [1, 2]));
        assert_eq!(text, r#"EncryptedDataKey { provider_id: "ns", provider_info: k\x00, ciphertext: 2 bytes }"#);
    }
}
