//! What the keyrings over raw key pairs share: names, and keys as people have them.

use pkcs8::SecretDocument;
use pkcs8::der::Document;

use super::failures::shown;
use crate::crypto::{CryptoBackend, KeyPairKind, PrivateKey, PublicKey};
use crate::error::{Error, ErrorKind, Result};
use crate::message::EncryptedDataKey;
use crate::secret::SecretBytes;

/// Start of the provider ids that belong to AWS KMS keyrings.
const RESERVED_NAMESPACE: &str = "aws-kms";

/// What PEM begins with.
const PEM_START: &[u8] = b"-----BEGIN";

/// The most bytes of a key that are read; an RSA-4096 private key in PEM has about 3,300.
const MAX_KEY: usize = 16_384;

/// Refuses a namespace and a name that cannot stand in a message, with so many bytes behind the name.
pub(super) fn check_name(namespace: String, name: Vec<u8>, behind: usize) -> Result<(String, Vec<u8>)> {
    let most = usize::from(u16::MAX);
    if namespace.is_empty() || namespace.len() > most || namespace.starts_with(RESERVED_NAMESPACE) {
        let text = format!("a key namespace has 1 to {most} bytes and does not begin with {RESERVED_NAMESPACE}");
        return Err(Error::new(ErrorKind::Validation, text));
    }
    if name.len() > most - behind {
        let text = format!("a key name of {} bytes is too long: at most {}", name.len(), most - behind);
        return Err(Error::new(ErrorKind::Validation, text));
    }
    Ok((namespace, name))
}

/// Why a wrapped data key is not of the key with a namespace and a name. `named` is the name in the message, if the keyring
/// can read one there.
pub(super) fn not_of(namespace: &str, name: &[u8], data_key: &EncryptedDataKey, named: Option<&[u8]>) -> Error {
    let text = match named {
        _ if data_key.provider_id() != namespace => {
            format!("it was wrapped in another namespace: this keyring has \"{}\"", shown(namespace))
        }
        Some(named) if named != name => {
            let names = [named, name].map(|name| shown(&String::from_utf8_lossy(name)));
            format!("it was wrapped with the key named \"{}\", and this keyring has \"{}\"", names[0], names[1])
        }
        _ => "it has the name of this keyring's key, but was not wrapped by a keyring of this kind".to_owned(),
    };
    Error::new(ErrorKind::IncorrectKey, text)
}

/// The key is the right one by its name, and the wrapped data key does not open.
pub(super) fn refused(text: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidCiphertext, text)
}

/// Reads a private key of one of the kinds: PKCS#8 in DER or PEM.
pub(super) fn private_key(backend: &CryptoBackend, kinds: &[KeyPairKind], key: &[u8]) -> Result<Box<dyn PrivateKey>> {
    let refused =
        || invalid("the private key must be unencrypted PKCS#8, in DER or PEM, of a kind that the keyring takes");
    let der = match pem(key) {
        None => SecretBytes::copy_of(key),
        Some(text) => {
            let (label, document) = SecretDocument::from_pem(text.ok_or_else(refused)?).map_err(|_| refused())?;
            if label != "PRIVATE KEY" {
                return Err(refused());
            }
            SecretBytes::copy_of(document.as_bytes())
        }
    };
    let parse = |kind: &KeyPairKind| backend.key_pairs().private_key(*kind, der.expose_secret()).ok();
    kinds.iter().find_map(parse).ok_or_else(refused)
}

/// Reads a public key of one of the kinds: `SubjectPublicKeyInfo` in DER or PEM.
pub(super) fn public_key(backend: &CryptoBackend, kinds: &[KeyPairKind], key: &[u8]) -> Result<Box<dyn PublicKey>> {
    let refused =
        || invalid("the public key must be SubjectPublicKeyInfo, in DER or PEM, of a kind that the keyring takes");
    let der = match pem(key) {
        None => key.to_vec(),
        Some(text) => {
            let (label, document) = Document::from_pem(text.ok_or_else(refused)?).map_err(|_| refused())?;
            if label != "PUBLIC KEY" {
                return Err(refused());
            }
            document.as_bytes().to_vec()
        }
    };
    let parse = |kind: &KeyPairKind| backend.key_pairs().public_key(*kind, &der).ok();
    kinds.iter().find_map(parse).ok_or_else(refused)
}

/// The text of PEM, if it is that; and if it is text, and not too long.
fn pem(key: &[u8]) -> Option<Option<&str>> {
    key.trim_ascii_start().starts_with(PEM_START).then(|| {
        Some(key).filter(|key| key.len() <= MAX_KEY).and_then(|key| std::str::from_utf8(key.trim_ascii_start()).ok())
    })
}

fn invalid(text: &'static str) -> Error {
    Error::new(ErrorKind::Validation, text)
}
