//! The texts that Vault returns for ciphertexts, signatures, and MACs: `vault:v1:` and Base64, where 1 is
//! the version of the key.

use base64ct::{Base64, Encoding};

/// A ciphertext, a signature, or a MAC, and the version of the key in Vault that created it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Versioned {
    /// At least 1.
    pub(crate) version: u32,
    pub(crate) bytes: Vec<u8>,
}

impl Versioned {
    /// Parses a text of Vault.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (version, bytes) = text.strip_prefix("vault:v")?.split_once(':')?;
        let has_digits = version.bytes().all(|byte| byte.is_ascii_digit());
        let version = version.parse().ok().filter(|&version: &u32| has_digits && version > 0)?;
        Some(Self { version, bytes: Base64::decode_vec(bytes).ok()? })
    }

    /// Returns the text for Vault.
    pub(crate) fn to_text(&self) -> String {
        format!("vault:v{}:{}", self.version, Base64::encode_string(&self.bytes))
    }

    /// Parses the form for storage: 4 bytes of version, big-endian, and the bytes.
    ///
    /// A flipped bit in it always changes the version or the bytes. In the text of Vault, it may not:
    /// version 0 means version 1 there.
    pub(crate) fn from_stored(stored: &[u8]) -> Option<Self> {
        let (version, bytes) = stored.split_first_chunk()?;
        let version = Some(u32::from_be_bytes(*version)).filter(|&version| version > 0)?;
        (!bytes.is_empty()).then(|| Self { version, bytes: bytes.to_vec() })
    }

    /// Returns the form for storage.
    pub(crate) fn to_stored(&self) -> Vec<u8> {
        [&self.version.to_be_bytes(), &self.bytes[..]].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_stored_forms_agree() {
        let parsed = Versioned::parse("vault:v12:AAEC").unwrap();
        assert_eq!(parsed, Versioned { version: 12, bytes: vec![0, 1, 2] });
        assert_eq!(parsed.to_text(), "vault:v12:AAEC");
        assert_eq!(parsed.to_stored(), [0, 0, 0, 12, 0, 1, 2]);
        assert_eq!(Versioned::from_stored(&parsed.to_stored()), Some(parsed));
    }

    #[test]
    fn other_texts_are_rejected() {
        let texts = [
            "",
            "vault:v1",
            "vault:v0:AAEC",
            "vault:v+1:AAEC",
            "vault:v1:AAE",
            "vault:v1:AA=C",
            "vault:v1:A-_C",
            "vault:v4294967296:AAEC",
            "bao:v1:AAEC",
            "vault:v1:AAEC\n",
        ];
        for text in texts {
            assert_eq!(Versioned::parse(text), None, "{text}");
        }
        for stored in [&[][..], &[0, 0, 0, 1], &[0, 0, 0, 0, 7], &[1, 2, 3]] {
            assert_eq!(Versioned::from_stored(stored), None, "{stored:?}");
        }
    }
}
