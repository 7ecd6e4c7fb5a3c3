//! Encryption of the content of an object, of all versions.
//!
//! | version | key | IV | associated data |
//! |---|---|---|---|
//! | 1 | data key, AES-256-CBC | 16 random bytes | - |
//! | 2 | data key, AES-256-GCM | 12 random bytes | none |
//! | 3 | derived key, AES-256-GCM | 12 times `01` | `00 73` |
//!
//! Version 3 derives with HKDF-SHA-512, from the data key with the message ID as salt: 32 bytes with
//! the info `00 73 ‖ "DERIVEKEY"`, and the 28 bytes of the commitment with `00 73 ‖ "COMMITKEY"` (S3
//! encryption client specification, key derivation). In versions 2 and 3, the object is the
//! ciphertext, followed by the tag.

use aes_gcm::aes::Aes256;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::error::ObjectError;
use crate::crypto::{AeadAlgorithm, CryptoBackend, CryptoError, DigestAlgorithm, NONCE_LENGTH, TAG_LENGTH};
use crate::error::Result;
use crate::secret::SecretBytes;

/// The length of a data key in bytes.
pub(super) const DATA_KEY_LENGTH: usize = 32;

/// The length of a message ID in bytes.
pub(super) const MESSAGE_ID_LENGTH: usize = 28;

/// The length of a commitment in bytes.
pub(super) const COMMITMENT_LENGTH: usize = 28;

/// The length of an IV of AES-CBC in bytes.
pub(super) const CBC_IV_LENGTH: usize = 16;

/// The maximum length of the plaintext of one object in bytes: 64 GiB minus 32 bytes (NIST SP
/// 800-38D, section 5.2.1.1).
///
/// # Examples
/// ```
/// assert_eq!(strongroom::s3_encryption::MAX_OBJECT_BYTES, 64 * 1024 * 1024 * 1024 - 32);
/// ```
pub const MAX_OBJECT_BYTES: u64 = (1 << 36) - 32;

/// The identifier of the algorithm suite of version 3.
const SUITE: [u8; 2] = [0x00, 0x73];

/// The IV of version 3, whose keys encrypt only one object.
const COMMITTED_IV: [u8; NONCE_LENGTH] = [1; NONCE_LENGTH];

/// The parameters of an encrypted content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Cbc { iv: [u8; CBC_IV_LENGTH] },
    Gcm { iv: [u8; NONCE_LENGTH] },
    Committed(CommittedContent),
}

/// The parameters of version 3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CommittedContent {
    pub(super) message_id: [u8; MESSAGE_ID_LENGTH],
    pub(super) commitment: [u8; COMMITMENT_LENGTH],
}

impl Content {
    /// Draws the parameters of a content without commitment.
    pub(super) fn gcm(backend: &CryptoBackend) -> Result<Self> {
        let mut iv = [0; NONCE_LENGTH];
        backend.random().fill(&mut iv)?;
        Ok(Self::Gcm { iv })
    }

    /// Draws the parameters of a content that commits to its data key.
    pub(super) fn committed(backend: &CryptoBackend, data_key: &SecretBytes) -> Result<Self> {
        let mut message_id = [0; MESSAGE_ID_LENGTH];
        backend.random().fill(&mut message_id)?;
        let commitment = derive(backend, data_key, &message_id)?.commitment;
        Ok(Self::Committed(CommittedContent { message_id, commitment }))
    }

    /// Encrypts a plaintext. Returns the ciphertext and the tag.
    pub(super) fn seal(&self, backend: &CryptoBackend, data_key: &SecretBytes, plaintext: &[u8]) -> Result<Vec<u8>> {
        let (iv, associated_data, derived) = match self {
            Self::Cbc { .. } => return Err(ObjectError::Unauthenticated.into()),
            Self::Gcm { iv } => (iv, &[][..], None),
            Self::Committed(content) => {
                let derived = derive(backend, data_key, &content.message_id)?;
                (&COMMITTED_IV, &SUITE[..], Some(derived.key))
            }
        };
        let key = derived.as_ref().unwrap_or(data_key);
        let key = backend.aead().bind(AeadAlgorithm::Aes256Gcm, key.expose_secret())?;
        // The last bytes are replaced by the tag.
        let mut body = vec![0; plaintext.len().saturating_add(TAG_LENGTH)];
        let (ciphertext, tag) = body.split_at_mut(plaintext.len());
        tag.copy_from_slice(&key.seal(iv, associated_data, plaintext, ciphertext)?);
        Ok(body)
    }

    /// Decrypts an object. Its commitment is compared before anything is decrypted.
    pub(super) fn open(&self, backend: &CryptoBackend, data_key: &SecretBytes, body: &[u8]) -> Result<Vec<u8>> {
        match self {
            Self::Cbc { iv } => {
                backend.check_allowed("AES-CBC")?;
                Ok(open_cbc(data_key, iv, body)?)
            }
            Self::Gcm { iv } => open_gcm(backend, data_key, iv, &[], body),
            Self::Committed(content) => {
                let derived = derive(backend, data_key, &content.message_id)?;
                if !bool::from(derived.commitment.ct_eq(&content.commitment)) {
                    return Err(ObjectError::NotAuthentic.into());
                }
                open_gcm(backend, &derived.key, &COMMITTED_IV, &SUITE, body)
            }
        }
    }
}

/// The key of a content of version 3, and its commitment.
struct Derived {
    key: SecretBytes,
    commitment: [u8; COMMITMENT_LENGTH],
}

fn derive(backend: &CryptoBackend, data_key: &SecretBytes, message_id: &[u8; MESSAGE_ID_LENGTH]) -> Result<Derived> {
    let pseudorandom = backend.kdf().extract(DigestAlgorithm::Sha512, message_id, data_key.expose_secret());
    let mut derived = Derived { key: SecretBytes::zeroed(DATA_KEY_LENGTH), commitment: [0; COMMITMENT_LENGTH] };
    pseudorandom.expand(&[&SUITE, b"DERIVEKEY"], derived.key.expose_secret_mut())?;
    pseudorandom.expand(&[&SUITE, b"COMMITKEY"], &mut derived.commitment)?;
    Ok(derived)
}

fn open_gcm(
    backend: &CryptoBackend,
    key: &SecretBytes,
    iv: &[u8; NONCE_LENGTH],
    associated_data: &[u8],
    body: &[u8],
) -> Result<Vec<u8>> {
    let (ciphertext, tag) = body.split_last_chunk::<TAG_LENGTH>().ok_or(ObjectError::NotAuthentic)?;
    let key = backend.aead().bind(AeadAlgorithm::Aes256Gcm, key.expose_secret())?;
    let mut plaintext = vec![0; ciphertext.len()];
    match key.open(iv, associated_data, ciphertext, tag, &mut plaintext) {
        Ok(()) => Ok(plaintext),
        Err(CryptoError::NotAuthentic) => Err(ObjectError::NotAuthentic.into()),
        Err(other) => Err(other.into()),
    }
}

/// Decrypts AES-CBC. All failures are the same error: an attacker who can tell wrong padding from
/// other failures can decrypt the object.
fn open_cbc(data_key: &SecretBytes, iv: &[u8; CBC_IV_LENGTH], body: &[u8]) -> Result<Vec<u8>, ObjectError> {
    let cipher = cbc::Decryptor::<Aes256>::new_from_slices(data_key.expose_secret(), iv)
        .map_err(|_| ObjectError::NotAuthentic)?;
    let mut buffer = Zeroizing::new(body.to_vec());
    let length = cipher.decrypt_padded::<Pkcs7>(&mut buffer).map_err(|_| ObjectError::NotAuthentic)?.len();
    buffer.truncate(length);
    Ok(std::mem::take(&mut *buffer))
}
