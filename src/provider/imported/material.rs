//! What imported material must be.

use pkcs8::der::asn1::{AnyRef, OctetStringRef};
use pkcs8::der::{self, Decode};
use pkcs8::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};

use crate::crypto::{CryptoBackend, KeyPairKind, PrivateKey, SignatureInput};
use crate::error::{Error, ErrorKind, Result};
use crate::key::KeySpec;
use crate::provider::{GeneratedMaterial, key_pair_kind};
use crate::secret::SecretBytes;

/// Bytes of AES-256 key material.
const SYMMETRIC_LENGTH: usize = 32;

/// Checks material as it was unwrapped, and returns what is kept of it.
///
/// Of a key pair that is the private key as this crate writes it, whatever PKCS#8 it came in, so that the same key is
/// known again; the public key is computed, and one that came along must be the same.
///
/// # Errors
/// [`IncorrectKeyMaterial`](ErrorKind::IncorrectKeyMaterial), with what the material looks like. Only who could wrap it
/// gets here, and so learns nothing new.
pub(in crate::provider) fn check(
    backend: &CryptoBackend,
    spec: KeySpec,
    material: &SecretBytes,
) -> Result<GeneratedMaterial> {
    let bytes = material.expose_secret();
    match key_pair_kind(spec) {
        Some(kind) => {
            let key = backend.key_pairs().private_key(kind, bytes).map_err(|error| {
                let text = format!("the key material is no private key of {spec} in PKCS#8: {}", looks_like(bytes));
                incorrect(text).with_source(error)
            })?;
            self_test(backend, kind, &*key)?;
            Ok(GeneratedMaterial::key_pair(key.to_pkcs8()?, key.public_key_der()))
        }
        None => {
            let fits = match spec.mac_key_lengths() {
                Some(lengths) => lengths.contains(&bytes.len()),
                None => bytes.len() == SYMMETRIC_LENGTH,
            };
            if !fits {
                return Err(incorrect(wrong_length(spec, bytes)));
            }
            Ok(GeneratedMaterial::secret(SecretBytes::copy_of(bytes)))
        }
    }
}

/// A key whose halves do not belong together would sign, or decrypt, for nobody.
fn self_test(backend: &CryptoBackend, kind: KeyPairKind, key: &dyn PrivateKey) -> Result<()> {
    let message = SignatureInput::Message(b"strongroom import self-test");
    let passes = || {
        let public = backend.key_pairs().public_key(kind, &key.public_key_der())?;
        let algorithm = kind.signing_algorithms()[0];
        public.verify(algorithm, message, &key.sign(algorithm, message)?)
    };
    passes().map_err(|error| incorrect("the halves of the key pair do not belong together".into()).with_source(error))
}

fn incorrect(text: String) -> Error {
    Error::new(ErrorKind::IncorrectKeyMaterial, text)
}

fn wrong_length(spec: KeySpec, bytes: &[u8]) -> String {
    let wanted = match spec.mac_key_lengths() {
        Some(lengths) => format!("{} to {}", lengths.start(), lengths.end()),
        None => SYMMETRIC_LENGTH.to_string(),
    };
    let mut text = format!("the key material of {spec} must have {wanted} bytes, not {}", bytes.len());
    if bytes.len() >= 2 * SYMMETRIC_LENGTH && bytes.trim_ascii().iter().all(u8::is_ascii_hexdigit) {
        text.push_str(": these are hexadecimal digits, not the bytes they stand for");
    } else if bytes.is_ascii() && bytes.ends_with(b"\n") {
        text.push_str(": this is text with a line end, perhaps Base64");
    } else if bytes.starts_with(b"-----BEGIN") {
        text.push_str(": this is PEM");
    }
    text
}

/// What people wrap in the place of PKCS#8.
fn looks_like(bytes: &[u8]) -> &'static str {
    if bytes.trim_ascii_start().starts_with(b"-----BEGIN") {
        "this is PEM, convert it to DER"
    } else if pkcs1::RsaPrivateKeyRef::from_der(bytes).is_ok() {
        "this is PKCS#1, convert it with `openssl pkcs8 -topk8 -nocrypt -outform DER`"
    } else if sec1::EcPrivateKey::from_der(bytes).is_ok() {
        "this is SEC 1, convert it with `openssl pkcs8 -topk8 -nocrypt -outform DER`"
    } else if SubjectPublicKeyInfoRef::from_der(bytes).is_ok() {
        "this is a public key"
    } else if is_encrypted(bytes) {
        "this is encrypted PKCS#8, decrypt it before wrapping"
    } else if pkcs8::PrivateKeyInfoRef::try_from(bytes).is_ok() {
        "this is a key of another kind or size, by its curve's parameters instead of its name, or one that does not hold"
    } else if bytes.ends_with(b"\n") {
        // After the forms above: the last octet of a whole one may happen to be a line end.
        "it ends with a line end"
    } else {
        "it must be unencrypted, in DER, with nothing behind it"
    }
}

/// Whether this has the form of `EncryptedPrivateKeyInfo` (RFC 5958, section 3).
fn is_encrypted(bytes: &[u8]) -> bool {
    let parse = |any: AnyRef<'_>| {
        any.sequence(|reader| -> der::Result<()> {
            AlgorithmIdentifierRef::decode(reader)?;
            <&OctetStringRef>::decode(reader).map(drop)
        })
    };
    AnyRef::from_der(bytes).and_then(parse).is_ok()
}
