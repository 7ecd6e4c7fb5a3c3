//! Software keys: generation, serialization and use of each kind.
//!
//! Symmetric and HMAC keys are stored as raw bytes, and private keys as PKCS#8 (RFC 5958) in DER.

use super::{
    Agreement, Cipher, CipherScheme, Decapsulation, Decryption, GeneratedMaterial, MacGeneration, OpenedKey, Signing,
};
use crate::algorithm::{EncryptionAlgorithm, MacAlgorithm, SigningAlgorithm};
use crate::crypto::{CryptoBackend, DigestAlgorithm, KeyPairKind, MacKey, PrivateKey, RsaOaep, SignatureInput};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeySpec, KeyUsage};
use crate::seal::{CommittingKey, SALT_LENGTH};
use crate::secret::SecretBytes;

/// Domain of the derived keys of ciphertext blobs.
const BLOB_LABEL: &[u8] = b"strongroom blob v1";

/// Length of AES-256 key material in bytes.
const SYMMETRIC_LENGTH: usize = 32;

/// The software implementation of a spec.
enum Kind {
    Symmetric,
    KeyPair(KeyPairKind),
    Hmac(MacAlgorithm),
}

const fn kind(spec: KeySpec) -> Kind {
    match spec {
        KeySpec::SymmetricDefault => Kind::Symmetric,
        KeySpec::Rsa2048 => Kind::KeyPair(KeyPairKind::Rsa2048),
        KeySpec::Rsa3072 => Kind::KeyPair(KeyPairKind::Rsa3072),
        KeySpec::Rsa4096 => Kind::KeyPair(KeyPairKind::Rsa4096),
        KeySpec::EccNistP256 => Kind::KeyPair(KeyPairKind::EccP256),
        KeySpec::EccNistP384 => Kind::KeyPair(KeyPairKind::EccP384),
        KeySpec::EccNistP521 => Kind::KeyPair(KeyPairKind::EccP521),
        KeySpec::EccSecgP256k1 => Kind::KeyPair(KeyPairKind::EccSecp256k1),
        KeySpec::EccNistEdwards25519 => Kind::KeyPair(KeyPairKind::Ed25519),
        KeySpec::MlDsa44 => Kind::KeyPair(KeyPairKind::MlDsa44),
        KeySpec::MlDsa65 => Kind::KeyPair(KeyPairKind::MlDsa65),
        KeySpec::MlDsa87 => Kind::KeyPair(KeyPairKind::MlDsa87),
        KeySpec::MlKem512 => Kind::KeyPair(KeyPairKind::MlKem512),
        KeySpec::MlKem768 => Kind::KeyPair(KeyPairKind::MlKem768),
        KeySpec::MlKem1024 => Kind::KeyPair(KeyPairKind::MlKem1024),
        KeySpec::Hmac224 => Kind::Hmac(MacAlgorithm::HmacSha224),
        KeySpec::Hmac256 => Kind::Hmac(MacAlgorithm::HmacSha256),
        KeySpec::Hmac384 => Kind::Hmac(MacAlgorithm::HmacSha384),
        KeySpec::Hmac512 => Kind::Hmac(MacAlgorithm::HmacSha512),
    }
}

/// Returns the kind of the key pairs of a spec, or `None` for secret keys.
pub(crate) const fn key_pair_kind(spec: KeySpec) -> Option<KeyPairKind> {
    match kind(spec) {
        Kind::KeyPair(kind) => Some(kind),
        Kind::Symmetric | Kind::Hmac(_) => None,
    }
}

/// Returns the RSA-OAEP parameters of an algorithm, or `None` for an algorithm of symmetric keys.
pub(crate) const fn oaep(algorithm: EncryptionAlgorithm) -> Option<RsaOaep> {
    match algorithm {
        EncryptionAlgorithm::SymmetricDefault => None,
        EncryptionAlgorithm::RsaesOaepSha1 => Some(RsaOaep::Sha1),
        EncryptionAlgorithm::RsaesOaepSha256 => Some(RsaOaep::Sha256),
    }
}

/// Generates material.
pub(super) fn generate(backend: &CryptoBackend, spec: KeySpec, usage: KeyUsage) -> Result<GeneratedMaterial> {
    check(spec, usage)?;
    match kind(spec) {
        Kind::Symmetric => random(backend, SYMMETRIC_LENGTH),
        Kind::Hmac(algorithm) => random(backend, algorithm.tag_length()),
        Kind::KeyPair(kind) => {
            let key = backend.key_pairs().generate(kind, backend.random())?;
            Ok(GeneratedMaterial::key_pair(key.to_pkcs8()?, key.public_key_der()))
        }
    }
}

fn random(backend: &CryptoBackend, length: usize) -> Result<GeneratedMaterial> {
    let mut material = SecretBytes::zeroed(length);
    backend.random().fill(material.expose_secret_mut())?;
    Ok(GeneratedMaterial::secret(material))
}

/// Opens stored material for use.
pub(super) fn open(backend: &CryptoBackend, spec: KeySpec, usage: KeyUsage, stored: &SecretBytes) -> Result<OpenedKey> {
    check(spec, usage)?;
    match kind(spec) {
        Kind::Symmetric => {
            let key = CommittingKey::new(backend, stored.expose_secret())?;
            Ok(OpenedKey::Cipher(Box::new(SoftwareCipher { key, backend: *backend })))
        }
        Kind::Hmac(algorithm) => {
            if !spec.mac_key_lengths().is_some_and(|lengths| lengths.contains(&stored.len())) {
                return Err(foreign(spec));
            }
            let key = backend.mac().bind(digest_algorithm(algorithm), stored.expose_secret());
            Ok(OpenedKey::Mac(Box::new(SoftwareMac(key))))
        }
        Kind::KeyPair(kind) => {
            let key = backend.key_pairs().private_key(kind, stored.expose_secret());
            let key = SoftwarePrivateKey(key.map_err(|error| foreign(spec).with_source(error))?);
            match usage {
                KeyUsage::EncryptDecrypt => Ok(OpenedKey::Decryption(Box::new(key))),
                KeyUsage::SignVerify => Ok(OpenedKey::Signing(Box::new(key))),
                KeyUsage::KeyAgreement => Ok(OpenedKey::Agreement(Box::new(key))),
                KeyUsage::EncapsulateDecapsulate => Ok(OpenedKey::Decapsulation(Box::new(key))),
                KeyUsage::GenerateVerifyMac => Err(unsupported(spec, usage)),
            }
        }
    }
}

fn check(spec: KeySpec, usage: KeyUsage) -> Result<()> {
    if spec.usages().contains(&usage) { Ok(()) } else { Err(unsupported(spec, usage)) }
}

fn unsupported(spec: KeySpec, usage: KeyUsage) -> Error {
    Error::new(ErrorKind::UnsupportedOperation, format!("{spec} keys for {usage} are not supported in software"))
}

fn foreign(spec: KeySpec) -> Error {
    Error::new(ErrorKind::Internal, format!("the stored material does not belong to a {spec} key"))
}

const fn digest_algorithm(algorithm: MacAlgorithm) -> DigestAlgorithm {
    match algorithm {
        MacAlgorithm::HmacSha224 => DigestAlgorithm::Sha224,
        MacAlgorithm::HmacSha256 => DigestAlgorithm::Sha256,
        MacAlgorithm::HmacSha384 => DigestAlgorithm::Sha384,
        MacAlgorithm::HmacSha512 => DigestAlgorithm::Sha512,
    }
}

struct SoftwareCipher {
    key: CommittingKey,
    backend: CryptoBackend,
}

impl Cipher for SoftwareCipher {
    fn scheme(&self) -> CipherScheme {
        CipherScheme::Committing
    }

    fn seal(&self, header: &[u8], context: &[u8], plaintext: &[u8], output: &mut Vec<u8>) -> Result<()> {
        Ok(self.key.seal(BLOB_LABEL, header, context, plaintext, output)?)
    }

    fn open(&self, header: &[u8], context: &[u8], body: &[u8]) -> Result<SecretBytes> {
        Ok(self.key.open(BLOB_LABEL, header, context, body)?)
    }

    fn generate(&self, header: &[u8], context: &[u8], length: usize, output: &mut Vec<u8>) -> Result<SecretBytes> {
        // The data key and the salt come from a single request, as a second request to the
        // operating system would double the cost.
        let mut drawn = SecretBytes::zeroed(SALT_LENGTH + length);
        self.backend.random().fill(drawn.expose_secret_mut())?;
        let (salt, data_key) = drawn
            .expose_secret()
            .split_first_chunk()
            .ok_or_else(|| Error::new(ErrorKind::Internal, "the buffer of randomness is shorter than a salt"))?;
        self.key.seal_with_salt(BLOB_LABEL, header, context, salt, data_key, output)?;
        Ok(SecretBytes::copy_from_slice(data_key))
    }
}

struct SoftwareMac(Box<dyn MacKey>);

impl MacGeneration for SoftwareMac {
    fn authenticate(&self, message: &[u8]) -> Result<Vec<u8>> {
        Ok(self.0.authenticate(&[message]).expose_secret().to_vec())
    }
}

/// A private key. Its permitted use is determined when it is opened.
struct SoftwarePrivateKey(Box<dyn PrivateKey>);

impl Decryption for SoftwarePrivateKey {
    fn decrypt(&self, algorithm: EncryptionAlgorithm, ciphertext: &[u8]) -> Result<SecretBytes> {
        let oaep = oaep(algorithm).ok_or_else(|| {
            let text = format!("an asymmetric key cannot decrypt with {algorithm}");
            Error::new(ErrorKind::Internal, text)
        })?;
        Ok(self.0.decrypt(oaep, ciphertext)?)
    }
}

impl Signing for SoftwarePrivateKey {
    fn sign(&self, algorithm: SigningAlgorithm, input: SignatureInput<'_>) -> Result<Vec<u8>> {
        Ok(self.0.sign(algorithm, input)?)
    }
}

impl Agreement for SoftwarePrivateKey {
    fn agree(&self, public_key: &[u8]) -> Result<SecretBytes> {
        Ok(self.0.agree(public_key)?)
    }
}

impl Decapsulation for SoftwarePrivateKey {
    fn decapsulate(&self, ciphertext: &[u8]) -> Result<SecretBytes> {
        Ok(self.0.decapsulate(ciphertext)?)
    }
}
