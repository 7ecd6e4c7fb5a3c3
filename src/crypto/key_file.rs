//! Parsing of keys in DER, or in PEM in any of its variants. All keys from callers are parsed here.

use pkcs8::der::Decode;
use pkcs8::der::asn1::AnyRef;

use super::encoded_text::is_pem;
use super::key_explain::{explain_private, explain_public};
use super::key_flaw::kind_name;
use super::{CryptoBackend, KeyPairKind, PrivateKey, PublicKey, pem};
use crate::secret::SecretBytes;

/// The maximum length of a text: a private key with a certificate chain and the attributes printed
/// by `openssl pkcs12`.
const MAX_TEXT: usize = 65_536;

const PRIVATE: &str = "PRIVATE KEY";
const PUBLIC: &str = "PUBLIC KEY";

/// Parses a private key of one of the kinds, from PKCS#8 in DER or from a text with one such key in
/// PEM.
///
/// # Errors
/// - The reason for a rejection, as the end of a sentence that starts with the purpose of the key.
pub(crate) fn read_private_key(
    backend: &CryptoBackend,
    kinds: &[KeyPairKind],
    key: &[u8],
) -> Result<Box<dyn PrivateKey>, String> {
    let read = |der: &[u8]| {
        let pairs = backend.key_pairs();
        let parse = |kind: &KeyPairKind| pairs.private_key(*kind, der).ok();
        kinds.iter().find_map(parse).ok_or_else(|| explain_private(pairs, kinds, der))
    };
    let found = match is_text(key) {
        false => read(key),
        true => find(key, PRIVATE).and_then(|der| read(der.expose_secret())),
    };
    found.map_err(|found| format!("must be {}, as unencrypted PKCS#8 in DER or PEM: {found}", names(kinds)))
}

/// Parses a public key of one of the kinds, from `SubjectPublicKeyInfo` in DER or from a text with
/// one such key in PEM.
///
/// # Errors
/// - The errors of [`read_private_key`].
pub(crate) fn read_public_key(
    backend: &CryptoBackend,
    kinds: &[KeyPairKind],
    key: &[u8],
) -> Result<Box<dyn PublicKey>, String> {
    let read = |der: &[u8]| {
        let parse = |kind: &KeyPairKind| backend.key_pairs().public_key(*kind, der).ok();
        kinds.iter().find_map(parse).ok_or_else(|| explain_public(kinds, der))
    };
    let found = match is_text(key) {
        false => read(key),
        true => find(key, PUBLIC).and_then(|der| read(der.expose_secret())),
    };
    found.map_err(|found| format!("must be {}, as SubjectPublicKeyInfo in DER or PEM: {found}", names(kinds)))
}

/// Returns `true` for PEM, and `false` for DER that contains such a text.
fn is_text(key: &[u8]) -> bool {
    AnyRef::from_der(key).is_err() && is_pem(key)
}

/// Decodes the only block with a label.
fn find(text: &[u8], wanted: &str) -> Result<SecretBytes, String> {
    if text.len() > MAX_TEXT {
        return Err(format!("the text is longer than {MAX_TEXT} bytes"));
    }
    let blocks: Vec<_> = pem::blocks(text).collect();
    let mut fitting = blocks.iter().flatten().filter(|block| block.label == wanted);
    match (fitting.next(), fitting.next()) {
        (Some(_), Some(_)) => Err("the text contains several such keys, but must contain only one".to_owned()),
        (Some(_), None) if blocks.contains(&None) => {
            Err("another block in the text is truncated and could be a second key: remove it".to_owned())
        }
        (Some(block), None) if block.is_encrypted() => Err(encrypted()),
        (Some(block), None) => {
            block.decode().ok_or_else(|| "the content between its boundaries is not Base64".to_owned())
        }
        (None, _) if blocks.contains(&None) => {
            Err("its last block is truncated, or the labels of its boundaries differ".to_owned())
        }
        (None, _) => {
            let blocks: Vec<_> = blocks.into_iter().flatten().collect();
            // If a text contains a certificate and a private key in another form, the key is the
            // block that was intended.
            let nearest = blocks.iter().find(|block| block.label.ends_with(wanted)).or(blocks.first());
            Err(nearest.map_or_else(|| "it has no complete block".to_owned(), |block| describe(block, wanted)))
        }
    }
}

fn encrypted() -> String {
    "it is encrypted: decrypt it with `openssl pkcs8 -topk8 -nocrypt`".to_owned()
}

/// Describes a block that does not have the expected label.
fn describe(block: &pem::Block<'_>, wanted: &str) -> String {
    let text = match block.label {
        _ if block.is_encrypted() => return encrypted(),
        "ENCRYPTED PRIVATE KEY" => return encrypted(),
        "RSA PRIVATE KEY" if wanted == PRIVATE => {
            "this is PKCS#1 (RSA PRIVATE KEY): convert it with `openssl pkcs8 -topk8 -nocrypt`"
        }
        "EC PRIVATE KEY" if wanted == PRIVATE => {
            "this is SEC 1 (EC PRIVATE KEY): convert it with `openssl pkcs8 -topk8 -nocrypt`"
        }
        "RSA PUBLIC KEY" if wanted == PUBLIC => {
            "this is PKCS#1 (RSA PUBLIC KEY): convert it with `openssl rsa -RSAPublicKey_in -pubout`"
        }
        "OPENSSH PRIVATE KEY" => {
            "this is an OpenSSH private key: convert it with `ssh-keygen -p -m PKCS8`, which overwrites the file"
        }
        label if label.ends_with("PRIVATE KEY") => {
            "this is a private key, but the public key is required: extract it with `openssl pkey -pubout`"
        }
        label if label.ends_with("PUBLIC KEY") => "this is a public key, but the private key is required",
        "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" if wanted == PUBLIC => {
            "this is a certificate: extract its public key with `openssl x509 -pubkey -noout`"
        }
        "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => {
            "this is a certificate, but the private key is required"
        }
        label => return format!("this is '{label}'"),
    };
    text.to_owned()
}

/// Returns the kinds as text: "RSA-2048, RSA-3072 or RSA-4096".
fn names(kinds: &[KeyPairKind]) -> String {
    let names: Vec<&str> = kinds.iter().map(|kind| kind_name(*kind)).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some((last, _)) => (*last).to_owned(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;
    use crate::crypto::FASTEST;

    /// A private key and its public key, in DER.
    static PAIR: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
        let pair = FASTEST.key_pairs().generate(KeyPairKind::EccP256, FASTEST.random()).expect("a key pair");
        [pair.to_pkcs8().expect("a key pair").expose_secret().to_vec(), pair.public_key_der()]
    });

    const KINDS: [KeyPairKind; 2] = [KeyPairKind::EccP384, KeyPairKind::EccP256];

    #[test]
    fn kinds_are_listed_as_people_do() {
        assert_eq!(names(&KINDS), "P-384 or P-256");
        assert_eq!(names(&KeyPairKind::ALL[..3]), "RSA-2048, RSA-3072 or RSA-4096");
        assert_eq!(names(&[KeyPairKind::Ed25519]), "Ed25519");
    }

    #[test]
    fn a_text_is_bounded_and_der_is_no_text() {
        let long =
            [&vec![b' '; MAX_TEXT][..], b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"].concat();
        let refused = read_private_key(&FASTEST, &KINDS, &long).err().expect("too long");
        assert!(refused.contains("longer than 65536 bytes"), "{refused}");
        // An OCTET STRING that contains such a text.
        let der = [&[0x04, 11][..], b"-----BEGIN "].concat();
        assert!(!is_text(&der) && is_text(&der[2..]));
    }

    proptest! {
        #[test]
        fn reading_is_total(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut: prop::sample::Index) {
            for der in PAIR.iter() {
                let mut altered = der.clone();
                for (at, value) in &edits {
                    altered[at.index(der.len())] = *value;
                }
                altered.truncate(cut.index(2 * der.len()));
                let (private, public) =
                    (read_private_key(&FASTEST, &KINDS, &altered), read_public_key(&FASTEST, &KINDS, &altered));
                // Accepted input is always accepted by a backend, and rejected input always has a
                // reason.
                for reason in [private.err(), public.err()].into_iter().flatten() {
                    prop_assert!(reason.starts_with("must be P-384 or P-256, as ") && reason.len() < 400, "{}", reason);
                }
            }
        }
    }
}
