//! What the keyrings over raw key pairs share: names, and keys as people have them.

use super::failures::shown;
use crate::crypto::{self, CryptoBackend, KeyPairKind, PrivateKey, PublicKey};
use crate::error::{Error, ErrorKind, Result};
use crate::message::EncryptedDataKey;

/// Start of the provider ids that belong to AWS KMS keyrings.
const RESERVED_NAMESPACE: &str = "aws-kms";

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
    let refused = |reason| Error::new(ErrorKind::Validation, format!("the private key of the keyring {reason}"));
    crypto::read_private_key(backend, kinds, key).map_err(refused)
}

/// Reads a public key of one of the kinds: `SubjectPublicKeyInfo` in DER or PEM.
pub(super) fn public_key(backend: &CryptoBackend, kinds: &[KeyPairKind], key: &[u8]) -> Result<Box<dyn PublicKey>> {
    let refused = |reason| Error::new(ErrorKind::Validation, format!("the public key of the keyring {reason}"));
    crypto::read_public_key(backend, kinds, key).map_err(refused)
}
