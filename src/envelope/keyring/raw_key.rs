//! Shared code of the keyrings with raw keys: names, and parsing of keys.

use super::failures::shown;
use crate::crypto::{self, CryptoBackend, KeyPairKind, PrivateKey, PublicKey};
use crate::error::{Error, ErrorKind, Result};
use crate::message::EncryptedDataKey;

/// The prefix of provider IDs that are reserved for AWS KMS keyrings.
const RESERVED_NAMESPACE: &str = "aws-kms";

/// Rejects a namespace and a name that do not fit into a message. `behind` is the number of bytes
/// that follow the name.
pub(super) fn check_name(namespace: String, name: Vec<u8>, behind: usize) -> Result<(String, Vec<u8>)> {
    let most = usize::from(u16::MAX);
    if namespace.is_empty() || namespace.len() > most || namespace.starts_with(RESERVED_NAMESPACE) {
        let text = format!("a key namespace must have 1 to {most} bytes and must not begin with {RESERVED_NAMESPACE}");
        return Err(Error::new(ErrorKind::Validation, text));
    }
    if name.len() > most - behind {
        let text = format!("a key name of {} bytes is too long: at most {} are allowed", name.len(), most - behind);
        return Err(Error::new(ErrorKind::Validation, text));
    }
    Ok((namespace, name))
}

/// Returns the reason why a wrapped data key does not belong to the key with a namespace and a
/// name. `named` is the name in the message, if the keyring can parse it.
pub(super) fn not_of(namespace: &str, name: &[u8], data_key: &EncryptedDataKey, named: Option<&[u8]>) -> Error {
    let text = match named {
        _ if data_key.provider_id() != namespace => {
            format!("it was wrapped in another namespace, not \"{}\"", shown(namespace))
        }
        Some(named) if named != name => {
            let names = [named, name].map(|name| shown(&String::from_utf8_lossy(name)));
            format!("it was wrapped with the key \"{}\", but this keyring has the key \"{}\"", names[0], names[1])
        }
        _ => "it has the name of this keyring's key but was not wrapped by a keyring of this kind".to_owned(),
    };
    Error::new(ErrorKind::IncorrectKey, text)
}

/// Returns the error for a wrapped data key that has the name of this key but cannot be unwrapped.
pub(super) fn refused(text: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidCiphertext, text)
}

/// Parses a private key of one of the kinds: PKCS#8 in DER or PEM.
pub(super) fn private_key(backend: &CryptoBackend, kinds: &[KeyPairKind], key: &[u8]) -> Result<Box<dyn PrivateKey>> {
    let refused = |reason| Error::new(ErrorKind::Validation, format!("the private key of the keyring {reason}"));
    crypto::read_private_key(backend, kinds, key).map_err(refused)
}

/// Parses a public key of one of the kinds: `SubjectPublicKeyInfo` in DER or PEM.
pub(super) fn public_key(backend: &CryptoBackend, kinds: &[KeyPairKind], key: &[u8]) -> Result<Box<dyn PublicKey>> {
    let refused = |reason| Error::new(ErrorKind::Validation, format!("the public key of the keyring {reason}"));
    crypto::read_public_key(backend, kinds, key).map_err(refused)
}
