//! The operations of the transit engine.

use base64ct::{Base64, Encoding};
use strongroom::{Error, ErrorKind, Result, SecretBytes};

use crate::ciphertext::Versioned;
use crate::client::Session;
use crate::error::{VaultError, VaultFailure};
use crate::request::{
    Authenticate, Authenticated, Configure, Create, Decrypt, Decrypted, Encrypt, Encrypted, KeyDescription, Request,
    Sign, Signed,
};

/// The types of key that authenticate associated data.
const AEAD_TYPES: [&str; 4] = ["aes128-gcm96", "aes256-gcm96", "chacha20-poly1305", "xchacha20-poly1305"];

/// A signature of a digest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signature<'a> {
    pub(crate) digest: &'a [u8],
    /// The name of the hash function in Vault, such as `sha2-256`.
    pub(crate) hash_algorithm: &'a str,
    /// The padding of an RSA key: `pss` or `pkcs1v15`.
    pub(crate) padding: Option<&'a str>,
}

impl Session<'_> {
    /// Encrypts a few bytes with a version of a key, or with the latest one.
    pub(crate) fn encrypt(
        &self,
        key: &str,
        version: Option<u32>,
        plaintext: &SecretBytes,
        associated_data: &[u8],
    ) -> Result<Versioned> {
        let plaintext = Base64::encode_string(plaintext.expose_secret());
        let associated_data = Base64::encode_string(associated_data);
        let body = Encrypt { plaintext: &plaintext, associated_data: &associated_data, key_version: version };
        let request = Request::write(self.path(&format!("encrypt/{key}")), &body);
        drop(SecretBytes::from_vec(plaintext.into_bytes()));
        let answer: Encrypted = self.ask("encrypt", key, request?)?;
        self.versioned("encrypt", key, &answer.ciphertext, version)
    }

    /// Decrypts a ciphertext.
    pub(crate) fn decrypt(&self, key: &str, ciphertext: &Versioned, associated_data: &[u8]) -> Result<SecretBytes> {
        let (text, associated_data) = (ciphertext.to_text(), Base64::encode_string(associated_data));
        let body = Decrypt { ciphertext: &text, associated_data: &associated_data };
        let request = Request::write(self.path(&format!("decrypt/{key}")), &body)?;
        let answer: Decrypted = self.ask("decrypt", key, request).map_err(|error| {
            let found = error.downcast_ref::<VaultError>();
            match found.filter(|error| error.failure() == VaultFailure::KeyVersion) {
                Some(found) if self.is_trimmed(key, ciphertext.version) => {
                    found.clone().with_failure(VaultFailure::VersionTrimmed).into()
                }
                _ => error,
            }
        })?;
        let plaintext = SecretBytes::from_vec(answer.plaintext.into_bytes());
        let text = std::str::from_utf8(plaintext.expose_secret()).ok();
        let plaintext = text.and_then(|text| Base64::decode_vec(text).ok()).map(SecretBytes::from_vec);
        plaintext.ok_or_else(|| self.incomplete("decrypt", key, "the plaintext is not Base64"))
    }

    /// Returns `true` if the version was deleted forever. Without the permission to read the key, this is
    /// unknown.
    fn is_trimmed(&self, key: &str, version: u32) -> bool {
        self.describe(key).is_ok_and(|described| version < described.min_available_version)
    }

    pub(crate) fn describe(&self, key: &str) -> Result<KeyDescription> {
        self.ask("read", key, Request::read(self.path(&format!("keys/{key}"))))
    }

    /// Creates a key that cannot be exported. Does nothing if it exists.
    pub(crate) fn create(&self, key: &str, key_type: &str, key_size: Option<u16>) -> Result<()> {
        let body = Create { key_type, key_size, exportable: false, allow_plaintext_backup: false };
        self.tell("create", key, Request::write(self.path(&format!("keys/{key}")), &body)?)
    }

    pub(crate) fn allow_deletion(&self, key: &str) -> Result<()> {
        let body = Configure { deletion_allowed: true };
        self.tell("config", key, Request::write(self.path(&format!("keys/{key}/config")), &body)?)
    }

    /// Deletes a key, with all of its versions.
    pub(crate) fn delete(&self, key: &str) -> Result<()> {
        self.tell("delete", key, Request::delete(self.path(&format!("keys/{key}"))))
    }

    pub(crate) fn sign(&self, key: &str, version: u32, signature: Signature<'_>) -> Result<Vec<u8>> {
        let input = Base64::encode_string(signature.digest);
        let body = Sign {
            input: &input,
            prehashed: true,
            hash_algorithm: signature.hash_algorithm,
            signature_algorithm: signature.padding,
            // The default of Vault is as much salt as fits, which AWS KMS does not accept.
            salt_length: "hash",
            marshaling_algorithm: "asn1",
            key_version: version,
        };
        let request = Request::write(self.path(&format!("sign/{key}")), &body)?;
        let answer: Signed = self.ask("sign", key, request)?;
        Ok(self.versioned("sign", key, &answer.signature, Some(version))?.bytes)
    }

    pub(crate) fn authenticate(&self, key: &str, version: u32, algorithm: &str, message: &[u8]) -> Result<Vec<u8>> {
        let input = Base64::encode_string(message);
        let body = Authenticate { input: &input, algorithm, key_version: version };
        let request = Request::write(self.path(&format!("hmac/{key}")), &body)?;
        let answer: Authenticated = self.ask("hmac", key, request)?;
        Ok(self.versioned("hmac", key, &answer.hmac, Some(version))?.bytes)
    }

    /// Requires that the key exists, and that its type authenticates associated data. Encrypting with a token
    /// that has too many permissions would create a missing key.
    pub(crate) fn require_aead(&self, key: &str) -> Result<()> {
        let described = self.describe(key)?;
        let reason = match AEAD_TYPES.contains(&described.key_type.as_str()) {
            true if !described.derived => return Ok(()),
            true => "derives keys",
            false => "cannot authenticate associated data",
        };
        let (path, key_type) = (self.vault.path_of(key), described.key_type);
        let text = format!("{path} has the type {key_type} and {reason}: create a key of the type aes256-gcm96");
        Err(Error::new(ErrorKind::InvalidKeyUsage, text))
    }

    /// Requires that this Vault authenticates associated data: one before version 1.13 ignores it.
    pub(crate) fn require_associated_data(&self, key: &str, ciphertext: &Versioned) -> Result<()> {
        match self.decrypt(key, ciphertext, b"") {
            Ok(_) => {
                let text = "this Vault ignores associated data, so nothing can be bound to it: upgrade to Vault 1.13";
                Err(Error::new(ErrorKind::UnsupportedOperation, text))
            }
            Err(error) if error.kind() == ErrorKind::InvalidCiphertext => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Parses a text of Vault, of the expected version.
    fn versioned(&self, operation: &'static str, key: &str, text: &str, expected: Option<u32>) -> Result<Versioned> {
        let parsed = Versioned::parse(text).filter(|parsed| !parsed.bytes.is_empty());
        let parsed = parsed.ok_or_else(|| self.incomplete(operation, key, "it does not begin with vault:v"))?;
        match expected {
            Some(expected) if parsed.version != expected => {
                Err(self.incomplete(operation, key, "Vault used another version of the key"))
            }
            _ => Ok(parsed),
        }
    }
}
