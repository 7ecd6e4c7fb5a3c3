//! Authenticated encryption with a separate derived key for every message and a commitment to that
//! key.
//!
//! The key is derived from 24 bytes of salt, the bytes before the message, and the context, so the
//! number of messages does not wear out the key. AES-GCM alone lets one ciphertext decrypt under
//! many keys. A commitment to the derived key therefore precedes the ciphertext and is compared
//! before anything is decrypted.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::crypto::{
    AeadAlgorithm, CryptoBackend, CryptoError, DigestAlgorithm, NONCE_LENGTH, PseudoRandomKey, TAG_LENGTH,
};
use crate::secret::SecretBytes;

/// Length in bytes of the salt that is drawn for each message. Random salts repeat after about 2^96
/// messages.
pub const SALT_LENGTH: usize = 24;

/// Length in bytes of the commitment to key, label, prefix, salt, and context.
pub const COMMITMENT_LENGTH: usize = 32;

/// Number of bytes by which a body exceeds its plaintext: salt, commitment, and tag.
pub const OVERHEAD: usize = SALT_LENGTH + COMMITMENT_LENGTH + TAG_LENGTH;

/// Each derived key is used only once, so the nonce can be constant.
const NONCE: [u8; NONCE_LENGTH] = [0; NONCE_LENGTH];

/// Length in bytes of a derived AES-256 key.
const KEY_LENGTH: usize = 32;

/// A 32-byte key that seals messages with a commitment to it and opens them.
///
/// ```text
/// body = salt (24) ‖ commitment (32) ‖ ciphertext ‖ tag (16)
/// (k ‖ commitment) = HKDF-Expand-SHA-256(material, label ‖ SHA-256(prefix ‖ salt ‖ context), 64 bytes)
/// ciphertext ‖ tag = AES-256-GCM(k, nonce = 12 zero bytes, no associated data)
/// ```
///
/// `label` separates the uses of the construction. All labels used with one key differ, and no
/// label is a prefix of another that is 32 bytes longer. `prefix` contains the bytes that the
/// caller writes before the body. It has the same length for all messages of a label, so two
/// different triples of prefix, salt, and context never encode to the same bytes.
///
/// # Examples
/// ```
/// use strongroom::crypto::{CryptoBackend, CryptoError};
/// use strongroom::seal::{CommittingKey, OVERHEAD};
///
/// let key = CommittingKey::new(&CryptoBackend::default(), &[7; 32])?;
/// let mut body = Vec::new();
/// key.seal(b"example v1", b"header", b"context", b"secret", &mut body)?;
/// assert_eq!(body.len(), b"secret".len() + OVERHEAD);
/// assert_eq!(key.open(b"example v1", b"header", b"context", &body)?.expose_secret(), b"secret");
/// let refused = key.open(b"example v1", b"header", b"another", &body);
/// assert_eq!(refused, Err(CryptoError::NotAuthentic));
/// # Ok::<(), CryptoError>(())
/// ```
pub struct CommittingKey {
    material: Box<dyn PseudoRandomKey>,
    backend: CryptoBackend,
}

impl CommittingKey {
    /// Creates a key from uniformly random bytes.
    ///
    /// # Errors
    /// - [`CryptoError::InvalidLength`] if `material` is not 32 bytes long.
    pub fn new(backend: &CryptoBackend, material: &[u8]) -> Result<Self, CryptoError> {
        Ok(Self { material: backend.kdf().bind(DigestAlgorithm::Sha256, material)?, backend: *backend })
    }

    /// Encrypts `plaintext` under a fresh salt and appends the body to `out`.
    ///
    /// # Errors
    /// - [`CryptoError::RandomFailed`] if random bytes are unavailable. Nothing is appended in that
    ///   case.
    pub fn seal(
        &self,
        label: &[u8],
        prefix: &[u8],
        context: &[u8],
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CryptoError> {
        let mut salt = [0; SALT_LENGTH];
        self.backend.random().fill(&mut salt)?;
        self.seal_with_salt(label, prefix, context, &salt, plaintext, out)
    }

    /// Encrypts under a salt that the caller drew together with other random bytes. A salt must
    /// never repeat: two messages with the same salt, prefix, and context would be encrypted with
    /// the same key and nonce.
    ///
    /// # Errors
    /// - [`CryptoError::InvalidLength`] if the plaintext exceeds the limits of GCM. Nothing is
    ///   appended in that case.
    pub(crate) fn seal_with_salt(
        &self,
        label: &[u8],
        prefix: &[u8],
        context: &[u8],
        salt: &[u8; SALT_LENGTH],
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CryptoError> {
        let derived = self.derive(label, prefix, salt, context)?;
        let key = self.backend.aead().bind(AeadAlgorithm::Aes256Gcm, derived.key())?;
        let start = out.len();
        out.reserve(OVERHEAD + plaintext.len());
        out.extend_from_slice(salt);
        out.extend_from_slice(derived.commitment());
        let ciphertext = out.len();
        out.resize(ciphertext + plaintext.len(), 0);
        match key.seal(&NONCE, &[], plaintext, &mut out[ciphertext..]) {
            Ok(tag) => out.extend_from_slice(&tag),
            Err(error) => {
                out.truncate(start);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Decrypts a body that was sealed with the same label, prefix, and context.
    ///
    /// # Errors
    /// - [`CryptoError::NotAuthentic`] if the body is malformed or any input differs.
    pub fn open(&self, label: &[u8], prefix: &[u8], context: &[u8], body: &[u8]) -> Result<SecretBytes, CryptoError> {
        let body = Body::parse(body).ok_or(CryptoError::NotAuthentic)?;
        let derived = self.derive(label, prefix, body.salt, context)?;
        if !bool::from(words(derived.commitment()).ct_eq(&words(body.commitment))) {
            return Err(CryptoError::NotAuthentic);
        }
        let key = self.backend.aead().bind(AeadAlgorithm::Aes256Gcm, derived.key())?;
        let mut plaintext = SecretBytes::zeroed(body.ciphertext.len());
        key.open(&NONCE, &[], body.ciphertext, body.tag, plaintext.expose_secret_mut())
            .map_err(|_| CryptoError::NotAuthentic)?;
        Ok(plaintext)
    }

    fn derive(&self, label: &[u8], prefix: &[u8], salt: &[u8], context: &[u8]) -> Result<Derived, CryptoError> {
        let bound = self.backend.digest().digest(DigestAlgorithm::Sha256, &[prefix, salt, context]);
        let mut derived = Derived(Zeroizing::default());
        self.material.expand(&[label, bound.as_ref()], derived.0.as_flattened_mut())?;
        Ok(derived)
    }
}

impl fmt::Debug for CommittingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CommittingKey(..)")
    }
}

/// The key of one message and the commitment to it. Both are wiped when dropped.
struct Derived(Zeroizing<[[u8; COMMITMENT_LENGTH]; 2]>);

const _: () = assert!(KEY_LENGTH == COMMITMENT_LENGTH);

impl Derived {
    fn key(&self) -> &[u8; KEY_LENGTH] {
        &self.0[0]
    }

    fn commitment(&self) -> &[u8; COMMITMENT_LENGTH] {
        &self.0[1]
    }
}

/// Splits a commitment into words. A constant-time comparison costs time per element, so fewer
/// elements compare faster.
fn words(commitment: &[u8; COMMITMENT_LENGTH]) -> [u64; COMMITMENT_LENGTH / 8] {
    let mut words = [0; COMMITMENT_LENGTH / 8];
    let (chunks, _) = commitment.as_chunks();
    for (word, chunk) in words.iter_mut().zip(chunks) {
        *word = u64::from_ne_bytes(*chunk);
    }
    words
}

/// The fields of a body.
struct Body<'a> {
    salt: &'a [u8; SALT_LENGTH],
    commitment: &'a [u8; COMMITMENT_LENGTH],
    ciphertext: &'a [u8],
    tag: &'a [u8; TAG_LENGTH],
}

impl<'a> Body<'a> {
    fn parse(body: &'a [u8]) -> Option<Self> {
        let (salt, rest) = body.split_first_chunk()?;
        let (commitment, rest) = rest.split_first_chunk()?;
        let (ciphertext, tag) = rest.split_last_chunk()?;
        Some(Self { salt, commitment, ciphertext, tag })
    }
}
