//! The stored state of a token key, which locates the key and proves its identity.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::codec::{CodecError, Reader, Writer};
use crate::crypto::KeyPairKind;

/// Length of a new CKA_ID in bytes. It is random, so no two keys share one.
pub const KEY_ID_LENGTH: usize = 32;

/// Maximum length of a CKA_LABEL in bytes.
const MAX_LABEL: usize = 255;

/// Maximum length of a fingerprint in bytes. The public key of RSA_4096 has 550.
const MAX_FINGERPRINT: usize = 1_024;

/// Version of the layout.
const VERSION: u8 = 1;

/// Kind of a key in a token.
///
/// # Examples
/// ```
/// use strongroom::crypto::KeyPairKind;
/// use strongroom::provider::pkcs11::TokenKeyKind;
///
/// let kind = TokenKeyKind::Signing(KeyPairKind::EccP256);
/// assert_eq!((kind.key_pair(), kind.to_string().as_str()), (Some(KeyPairKind::EccP256), "EccP256 for signing"));
/// assert_eq!(TokenKeyKind::Aes256.key_pair(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TokenKeyKind {
    /// AES-256 for AES-GCM.
    Aes256,
    /// AES-256 that only wraps other keys (RFC 3394).
    WrappingAes256,
    /// A private key that signs.
    Signing(KeyPairKind),
    /// A private RSA key that decrypts.
    Decryption(KeyPairKind),
}

impl TokenKeyKind {
    const fn code(self) -> [u8; 2] {
        match self {
            Self::Aes256 => [1, 0],
            Self::WrappingAes256 => [2, 0],
            Self::Signing(kind) => [3, pair_code(kind)],
            Self::Decryption(kind) => [4, pair_code(kind)],
        }
    }

    fn of_code(code: [u8; 2]) -> Option<Self> {
        let pair = || KeyPairKind::ALL.into_iter().find(|kind| pair_code(*kind) == code[1]);
        match code[0] {
            1 if code[1] == 0 => Some(Self::Aes256),
            2 if code[1] == 0 => Some(Self::WrappingAes256),
            3 => pair().map(Self::Signing),
            4 => pair().map(Self::Decryption),
            _ => None,
        }
    }

    /// Returns the kind of key pair, or `None` for a secret key.
    pub const fn key_pair(self) -> Option<KeyPairKind> {
        match self {
            Self::Aes256 | Self::WrappingAes256 => None,
            Self::Signing(kind) | Self::Decryption(kind) => Some(kind),
        }
    }
}

impl fmt::Display for TokenKeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aes256 => f.write_str("AES-256"),
            Self::WrappingAes256 => f.write_str("AES-256 for wrapping"),
            Self::Signing(kind) => write!(f, "{kind:?} for signing"),
            Self::Decryption(kind) => write!(f, "{kind:?} for decryption"),
        }
    }
}

const fn pair_code(kind: KeyPairKind) -> u8 {
    match kind {
        KeyPairKind::Rsa2048 => 1,
        KeyPairKind::Rsa3072 => 2,
        KeyPairKind::Rsa4096 => 3,
        KeyPairKind::EccP256 => 4,
        KeyPairKind::EccP384 => 5,
        KeyPairKind::EccP521 => 6,
        KeyPairKind::EccSecp256k1 => 7,
        KeyPairKind::Ed25519 => 8,
        KeyPairKind::MlDsa44 => 9,
        KeyPairKind::MlDsa65 => 10,
        KeyPairKind::MlDsa87 => 11,
        KeyPairKind::MlKem512 => 12,
        KeyPairKind::MlKem768 => 13,
        KeyPairKind::MlKem1024 => 14,
    }
}

/// Identifies a key by something that only this key can produce or decrypt.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Fingerprint {
    /// A ciphertext that was created once and is only ever decrypted.
    Canary(Vec<u8>),
    /// The public key (SubjectPublicKeyInfo in DER), which verifies the key's signatures and
    /// encrypts for it.
    PublicKey(Vec<u8>),
    /// The key alone cannot prove its identity. A wrapping key is identified by the keys that it
    /// unwraps.
    None,
}

/// The stored state of a token key: its CKA_ID and CKA_LABEL, its kind, and a fingerprint that
/// identifies it. It contains no secret, and is valid for every token that holds the same key.
///
/// # Examples
/// ```no_run
/// use strongroom::provider::pkcs11::{NewKey, Token, TokenError, TokenKeyHandle, TokenKeyKind};
///
/// /// Generates a key, and returns the bytes to store in a database.
/// fn new_key(token: &Token, id: &[u8]) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
///     let handle = token.generate_key(&NewKey::new(id, "payments 2026", TokenKeyKind::Aes256))?;
///     assert_eq!((handle.id(), handle.label(), handle.kind()), (id, "payments 2026", TokenKeyKind::Aes256));
///     Ok(handle.to_bytes()?)
/// }
///
/// /// Encrypts under a stored key. The token proves that it is the same key.
/// fn encrypt(token: &Token, stored: &[u8], plaintext: &[u8]) -> Option<Result<Vec<u8>, TokenError>> {
///     Some(token.encrypt(&TokenKeyHandle::from_bytes(stored)?, b"", plaintext))
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct TokenKeyHandle(Arc<Inner>);

#[derive(PartialEq, Eq)]
struct Inner {
    id: Vec<u8>,
    label: String,
    kind: TokenKeyKind,
    fingerprint: Fingerprint,
}

impl TokenKeyHandle {
    pub(super) fn new(id: &[u8], label: &str, kind: TokenKeyKind, fingerprint: Fingerprint) -> Self {
        Self(Arc::new(Inner { id: id.to_vec(), label: label.to_owned(), kind, fingerprint }))
    }

    /// Returns the CKA_ID.
    pub fn id(&self) -> &[u8] {
        &self.0.id
    }

    /// Returns the CKA_LABEL, a human-readable name.
    pub fn label(&self) -> &str {
        &self.0.label
    }

    /// Returns the kind of the key.
    pub fn kind(&self) -> TokenKeyKind {
        self.0.kind
    }

    /// Returns the public key of a key pair, a SubjectPublicKeyInfo in DER.
    pub fn public_key(&self) -> Option<&[u8]> {
        match &self.0.fingerprint {
            Fingerprint::PublicKey(spki) => Some(spki),
            Fingerprint::Canary(_) | Fingerprint::None => None,
        }
    }

    pub(super) fn fingerprint(&self) -> &Fingerprint {
        &self.0.fingerprint
    }

    /// Serializes it: `u8 version = 1 | u8 kind | u8 key pair | u16 length, CKA_ID | u16 length, label | u8 fingerprint |
    /// u16 length, its bytes`, big-endian.
    ///
    /// # Errors
    /// - [`CodecError::TooLong`] if a part exceeds 65,535 bytes. This never happens for a handle
    ///   created by this crate.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CodecError> {
        let mut writer = Writer::with_capacity(160);
        writer.u8(VERSION).bytes(&self.0.kind.code());
        writer.prefixed_u16(&self.0.id, "key id")?;
        writer.prefixed_u16(self.0.label.as_bytes(), "label")?;
        let (code, bytes): (u8, &[u8]) = match &self.0.fingerprint {
            Fingerprint::None => (0, &[]),
            Fingerprint::Canary(canary) => (1, canary),
            Fingerprint::PublicKey(spki) => (2, spki),
        };
        writer.u8(code).prefixed_u16(bytes, "fingerprint")?;
        Ok(writer.into_bytes())
    }

    /// Parses the output of [`TokenKeyHandle::to_bytes`]. Returns `None` for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if reader.u8("version").ok()? != VERSION {
            return None;
        }
        let kind = TokenKeyKind::of_code(reader.array("kind").ok()?)?;
        let id = reader.prefixed_u16("key id").ok()?;
        let label = std::str::from_utf8(reader.prefixed_u16("label").ok()?).ok()?;
        let code = reader.u8("fingerprint").ok()?;
        let fingerprint = reader.prefixed_u16("fingerprint").ok()?;
        reader.finish().ok()?;
        let fitting = match kind {
            TokenKeyKind::Aes256 => 1,
            TokenKeyKind::WrappingAes256 => 0,
            TokenKeyKind::Signing(_) | TokenKeyKind::Decryption(_) => 2,
        };
        if code != fitting || fingerprint.len() > MAX_FINGERPRINT || !(1..=KEY_ID_LENGTH).contains(&id.len()) {
            return None;
        }
        let fingerprint = match code {
            1 => Fingerprint::Canary(fingerprint.to_vec()),
            2 => Fingerprint::PublicKey(fingerprint.to_vec()),
            _ if fingerprint.is_empty() => Fingerprint::None,
            _ => return None,
        };
        (label.len() <= MAX_LABEL).then(|| Self::new(id, label, kind, fingerprint))
    }
}

/// Hashes only the id, which is random. Equality compares all fields.
impl Hash for TokenKeyHandle {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

impl fmt::Debug for TokenKeyHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKeyHandle({self})")
    }
}

impl fmt::Display for TokenKeyHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} key '{}' with id {}", self.0.kind, self.0.label, id_text(&self.0.id))
    }
}

/// Formats a CKA_ID for display.
pub(super) fn id_text(id: &[u8]) -> String {
    base16ct::lower::encode_string(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind of key, with a fingerprint that fits it.
    fn kinds() -> impl Iterator<Item = (TokenKeyKind, Fingerprint)> {
        let secret = [
            (TokenKeyKind::Aes256, Fingerprint::Canary(vec![1; 60])),
            (TokenKeyKind::WrappingAes256, Fingerprint::None),
        ];
        let of_pairs = |of: fn(KeyPairKind) -> TokenKeyKind| {
            KeyPairKind::ALL.into_iter().map(move |pair| (of(pair), Fingerprint::PublicKey(vec![2; 90])))
        };
        secret.into_iter().chain(of_pairs(TokenKeyKind::Signing)).chain(of_pairs(TokenKeyKind::Decryption))
    }

    fn read_back(id: &[u8], label: &str, kind: TokenKeyKind, fingerprint: &Fingerprint) -> bool {
        let handle = TokenKeyHandle::new(id, label, kind, fingerprint.clone());
        let read = TokenKeyHandle::from_bytes(&handle.to_bytes().expect("it is short enough"));
        assert!(read.as_ref().is_none_or(|read| *read == handle));
        read.is_some()
    }

    #[test]
    fn a_reference_to_every_kind_of_key_is_read_back() {
        let mut codes = Vec::new();
        for (kind, fingerprint) in kinds() {
            assert!(read_back(&[1; 32], "a key", kind, &fingerprint), "{kind}");
            for (other, wrong) in kinds() {
                let fits = std::mem::discriminant(&wrong) == std::mem::discriminant(&fingerprint);
                assert_eq!(read_back(&[1; 32], "a key", kind, &wrong), fits, "{kind} with the fingerprint of {other}");
            }
            let handle = TokenKeyHandle::new(&[1; 32], "a key", kind, fingerprint.clone());
            let public_key = matches!(fingerprint, Fingerprint::PublicKey(_)).then_some(&[2; 90][..]);
            assert_eq!((handle.public_key(), handle.kind(), handle.label()), (public_key, kind, "a key"));
            assert_eq!(TokenKeyKind::of_code(kind.code()), Some(kind));
            codes.push(kind.code());
        }
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                let known = codes.contains(&[first, second]);
                assert_eq!(TokenKeyKind::of_code([first, second]).is_some(), known, "{first} {second}");
            }
        }
    }

    #[test]
    fn every_part_of_a_reference_has_a_longest_length() {
        let canary = |length| Fingerprint::Canary(vec![1; length]);
        let aes = |id: usize, label: usize, fingerprint: usize| {
            read_back(&vec![1; id], &"x".repeat(label), TokenKeyKind::Aes256, &canary(fingerprint))
        };
        for (id, label, fingerprint) in [(1, 0, 0), (32, 255, 1_024)] {
            assert!(aes(id, label, fingerprint), "{id} {label} {fingerprint}");
        }
        for (id, label, fingerprint) in [(0, 0, 0), (33, 0, 0), (1, 256, 0), (1, 0, 1_025)] {
            assert!(!aes(id, label, fingerprint), "{id} {label} {fingerprint}");
        }
        // A wrapping key has no fingerprint.
        let handle = TokenKeyHandle::new(&[1; 32], "", TokenKeyKind::WrappingAes256, Fingerprint::None);
        let mut bytes = handle.to_bytes().expect("it is short enough");
        let length = bytes.len();
        bytes[length - 1] = 1;
        bytes.push(0);
        assert_eq!(TokenKeyHandle::from_bytes(&bytes), None);
    }
}
