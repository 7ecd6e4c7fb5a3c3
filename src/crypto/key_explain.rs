//! Explanations for rejected keys. They are computed only for error messages.

use pkcs8::der::asn1::{AnyRef, BitStringRef, ContextSpecific, OctetStringRef};
use pkcs8::der::{self, Decode, Reader, SliceReader, TagNumber};
use pkcs8::{AlgorithmIdentifierRef, PrivateKeyInfoRef, SubjectPublicKeyInfoRef};

use super::encoded_text::{is_pem, text_form};
use super::key_encoding::{PrivateParts, parse_private, parse_public, read_private, read_public, write_private};
use super::key_flaw::Flaw;
use super::{CryptoError, KeyPairFamily, KeyPairKind, KeyPairs};

/// The tag of a public key in PKCS#8 (RFC 5958, section 2).
const PUBLIC_KEY: TagNumber = TagNumber(1);

/// The command that converts other forms of private keys to PKCS#8.
const TO_PKCS8: &str = "convert it with `openssl pkcs8 -topk8 -nocrypt -inform DER -outform DER`";

/// Describes a rejected private key, as the end of a sentence. The text contains forms, sizes,
/// identifiers, and public numbers, and never anything secret.
pub(crate) fn explain_private(pairs: &dyn KeyPairs, kinds: &[KeyPairKind], bytes: &[u8]) -> String {
    let nearest = kinds.iter().map(|kind| (*kind, read_private(*kind, bytes).map(drop)));
    match nearest.max_by_key(|(_, read)| read.as_ref().map_or_else(|flaw| flaw.depth(), |()| u8::MAX)) {
        Some((kind, Ok(()))) => match pairs.private_key(kind, bytes) {
            Err(rejected @ CryptoError::Rejected { .. }) => rejected.to_string(),
            Ok(_) | Err(_) => numbers(pairs, kind, bytes).to_string(),
        },
        Some((_, Err(Flaw::OtherForm))) | None => other_private_form(bytes),
        Some((_, Err(flaw))) => flaw.to_string(),
    }
}

/// Describes a rejected public key; see [`explain_private`].
pub(crate) fn explain_public(kinds: &[KeyPairKind], bytes: &[u8]) -> String {
    let nearest = kinds.iter().map(|kind| read_public(*kind, bytes).map(drop));
    match nearest.max_by_key(|read| read.as_ref().map_or_else(|flaw| flaw.depth(), |()| u8::MAX)) {
        // After parsing, all that the backends can reject in an RSA key is its modulus.
        Some(Ok(())) if kinds.iter().any(|kind| kind.modulus_bits().is_some()) => Flaw::Numbers.to_string(),
        Some(Ok(())) if kinds.iter().any(|kind| kind.family() == KeyPairFamily::MlKem) => Flaw::NotReduced.to_string(),
        Some(Ok(())) => Flaw::Point.to_string(),
        Some(Err(Flaw::OtherForm)) | None => other_public_form(bytes),
        Some(Err(flaw)) => flaw.to_string(),
    }
}

/// Returns the flaw of a correctly encoded key: the embedded public key, or the numbers themselves.
fn numbers(pairs: &dyn KeyPairs, kind: KeyPairKind, bytes: &[u8]) -> Flaw {
    let without_public_key = || {
        let parts = parse_private(kind, bytes)?;
        parts.public.as_ref().ok_or(CryptoError::InvalidPublicKey)?;
        let pkcs8 = write_private(kind, parts.secret.expose_secret(), &[])?;
        pairs.private_key(kind, pkcs8.expose_secret()).map(drop)
    };
    match kind.family() {
        KeyPairFamily::Rsa => Flaw::Numbers,
        KeyPairFamily::MlDsa | KeyPairFamily::MlKem if is_other_expanded_key(pairs, kind, bytes) => {
            Flaw::OtherExpandedKey
        }
        _ if without_public_key().is_ok() => Flaw::OtherPublicKey,
        _ => Flaw::ScalarRange,
    }
}

/// Returns `true` if the public key matches the seed or is absent, so that the expanded key is what
/// does not.
fn is_other_expanded_key(pairs: &dyn KeyPairs, kind: KeyPairKind, bytes: &[u8]) -> bool {
    let own_public_key = |parts: &PrivateParts| {
        let pkcs8 = write_private(kind, parts.secret.expose_secret(), &[])?;
        parse_public(kind, &pairs.private_key(kind, pkcs8.expose_secret())?.public_key_der())
    };
    parse_private(kind, bytes).is_ok_and(|parts| {
        parts.public.as_ref().is_none_or(|public| own_public_key(&parts).is_ok_and(|own| own == *public))
    })
}

fn other_private_form(bytes: &[u8]) -> String {
    if is_pem(bytes) {
        return "this is PEM: convert it with `openssl pkcs8 -topk8 -nocrypt -outform DER`".to_owned();
    }
    if let Some(form) = text_form(bytes) {
        return form.to_owned();
    }
    let (first, rest) = first_value(bytes);
    if !rest.is_empty() && PrivateKeyInfoRef::try_from(first).is_ok() {
        return followed_by(rest);
    }
    if pkcs1::RsaPrivateKeyRef::from_der(first).is_ok() {
        format!("this is PKCS#1 (RSAPrivateKey): {TO_PKCS8}")
    } else if sec1::EcPrivateKey::from_der(first).is_ok() {
        format!("this is SEC 1 (ECPrivateKey): {TO_PKCS8}")
    } else if is_public(first) {
        "this is a public key, but the private key is required".to_owned()
    } else if is_encrypted(first) {
        "this is encrypted PKCS#8: decrypt it with `openssl pkcs8 -topk8 -nocrypt -inform DER -outform DER`".to_owned()
    } else if is_certificate(first) {
        "this is a certificate or a certificate request, but the private key is required".to_owned()
    } else if let Some(reason) = other_version(first) {
        reason.to_owned()
    } else if first.is_empty() && matches!(bytes.len(), 32 | 48 | 64 | 66) {
        "this may be the bare secret number or seed, which must be encoded as PKCS#8".to_owned()
    } else if bytes.ends_with(b"\n") {
        // Check this after the forms above, because the last octet of a complete key may happen to
        // be a line ending.
        "it ends with a line ending".to_owned()
    } else {
        "it must be unencrypted DER without trailing bytes".to_owned()
    }
}

fn other_public_form(bytes: &[u8]) -> String {
    if let Some(form) = text_form(bytes) {
        return form.to_owned();
    }
    let (first, rest) = first_value(bytes);
    let text = if !rest.is_empty() && is_public(first) {
        return followed_by(rest);
    } else if is_private(first) {
        "this is a private key, but the public key is required: extract it with `openssl pkey -pubout`"
    } else if is_encrypted(first) {
        "this is an encrypted private key, but the public key is required"
    } else if is_certificate(first) {
        "this is a certificate or a certificate request: extract its public key with `openssl x509 -pubkey -noout`"
    } else if pkcs1::RsaPublicKeyRef::from_der(first).is_ok() {
        "this is PKCS#1 (RSAPublicKey): convert it with `openssl rsa -RSAPublicKey_in -pubout`"
    } else if first.is_empty() && matches!(bytes.first(), Some(0x02..=0x04)) {
        "this may be a bare point, which must be encoded as SubjectPublicKeyInfo"
    } else {
        "it must be DER without trailing bytes"
    };
    text.to_owned()
}

/// Splits the bytes after their first DER value.
fn first_value(bytes: &[u8]) -> (&[u8], &[u8]) {
    let length = SliceReader::new(bytes).and_then(|mut reader| {
        AnyRef::decode(&mut reader)?;
        usize::try_from(reader.position())
    });
    match length {
        Ok(length) if bytes.first() == Some(&0x30) => bytes.split_at(length),
        _ => (&[], bytes),
    }
}

fn followed_by(rest: &[u8]) -> String {
    match rest.trim_ascii().is_empty() {
        true => "it ends with a line ending or other whitespace, which must be removed".to_owned(),
        false => format!("it is followed by {} trailing bytes", rest.len()),
    }
}

fn is_public(der: &[u8]) -> bool {
    SubjectPublicKeyInfoRef::from_der(der).is_ok()
}

fn is_private(der: &[u8]) -> bool {
    PrivateKeyInfoRef::from_der(der).is_ok()
        || pkcs1::RsaPrivateKeyRef::from_der(der).is_ok()
        || sec1::EcPrivateKey::from_der(der).is_ok()
}

/// Returns `true` if the bytes have the form of `EncryptedPrivateKeyInfo` (RFC 5958, section 3).
fn is_encrypted(der: &[u8]) -> bool {
    sequence(der, |reader| {
        AlgorithmIdentifierRef::decode(reader)?;
        <&OctetStringRef>::decode(reader).map(drop)
    })
}

/// Returns `true` if the bytes have the form of a signed structure: a certificate (RFC 5280,
/// section 4.1) or a certificate signing request.
fn is_certificate(der: &[u8]) -> bool {
    sequence(der, |reader| {
        AnyRef::decode(reader)?;
        AlgorithmIdentifierRef::decode(reader)?;
        BitStringRef::decode(reader).map(drop)
    })
}

/// Describes PKCS#8 whose public key is not in the place that RFC 5958 specifies.
fn other_version(der: &[u8]) -> Option<&'static str> {
    let head = |reader: &mut SliceReader<'_>| -> der::Result<u8> {
        let version = u8::decode(reader)?;
        AlgorithmIdentifierRef::decode(reader)?;
        <&OctetStringRef>::decode(reader)?;
        Ok(version)
    };
    let is_explicit = sequence(der, |reader| {
        head(reader)?;
        ContextSpecific::<BitStringRef<'_>>::decode_explicit(reader, PUBLIC_KEY)?;
        Ok(())
    });
    if is_explicit {
        return Some(
            "its public key has an explicit tag, as in Ed25519 keys written by ring before 0.17, but RFC 5958 \
             requires an implicit tag: omit the public key and use version 1 of PKCS#8",
        );
    }
    let is_implicit = sequence(der, |reader| {
        head(reader)?;
        ContextSpecific::<BitStringRef<'_>>::decode_implicit(reader, PUBLIC_KEY)?;
        Ok(())
    });
    is_implicit
        .then_some("its version number and the presence of a public key contradict each other (RFC 5958, section 2)")
}

fn sequence<'a>(der: &'a [u8], parse: impl FnOnce(&mut SliceReader<'a>) -> der::Result<()>) -> bool {
    AnyRef::from_der(der).and_then(|any| any.sequence(parse)).is_ok()
}
