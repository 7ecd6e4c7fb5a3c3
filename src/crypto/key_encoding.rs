//! Encoding and strict decoding of keys in DER: PKCS#8 for private keys and `SubjectPublicKeyInfo`
//! for public keys. The output is identical to that of OpenSSL.
//!
//! Both backends use this module, so they accept the same keys.

use pkcs8::der::asn1::{AnyRef, BitStringRef, OctetStringRef};
use pkcs8::der::{Decode, Encode};
use pkcs8::{AlgorithmIdentifierRef, ObjectIdentifier, PrivateKeyInfoRef, SubjectPublicKeyInfoRef};
use sec1::EcPrivateKey;
use zeroize::Zeroizing;

use super::key_flaw::Flaw;
use super::{CryptoError, KeyPairFamily, KeyPairKind, lattice_encoding, rsa_numbers};
use crate::secret::SecretBytes;

/// `rsaEncryption` (RFC 8017, appendix C).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// `id-ecPublicKey` (RFC 5480, section 2.1.1).
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// `id-Ed25519` (RFC 8410, section 3).
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const SECP256K1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.10");
/// `id-ml-dsa-44` and the next (RFC 9881, section 2).
const ML_DSA_44: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.17");
const ML_DSA_65: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.18");
const ML_DSA_87: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.19");
/// `id-alg-ml-kem-512` and the next (RFC 9935, section 3).
const ML_KEM_512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.4.1");
const ML_KEM_768: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.4.2");
const ML_KEM_1024: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.4.3");

/// The maximum length of an encoded key. An ML-DSA-87 private key with its expanded key and public
/// key has about 7,600 bytes.
const MAX_KEY: usize = 8_192;
/// The largest accepted public exponent. Both libraries require it to be below 2^33.
const MAX_EXPONENT: u64 = (1 << 33) - 1;

/// The secret part of a private key, and its public key if present.
pub(super) struct PrivateParts {
    /// `RSAPrivateKey` in DER, the scalar of a curve, or a seed.
    pub(super) secret: SecretBytes,
    /// The expanded key of ML-DSA or ML-KEM, if it is present beside the seed.
    pub(super) expanded: Option<SecretBytes>,
    /// The embedded public key, if any: a point, or the bytes of a key that has no other form.
    pub(super) public: Option<Vec<u8>>,
}

/// Returns the algorithm and parameters of a kind.
fn identifier(kind: KeyPairKind) -> (ObjectIdentifier, Option<ObjectIdentifier>) {
    match kind {
        KeyPairKind::Rsa2048 | KeyPairKind::Rsa3072 | KeyPairKind::Rsa4096 => (RSA, None),
        KeyPairKind::EccP256 => (EC, Some(P256)),
        KeyPairKind::EccP384 => (EC, Some(P384)),
        KeyPairKind::EccP521 => (EC, Some(P521)),
        KeyPairKind::EccSecp256k1 => (EC, Some(SECP256K1)),
        KeyPairKind::Ed25519 => (ED25519, None),
        KeyPairKind::MlDsa44 => (ML_DSA_44, None),
        KeyPairKind::MlDsa65 => (ML_DSA_65, None),
        KeyPairKind::MlDsa87 => (ML_DSA_87, None),
        KeyPairKind::MlKem512 => (ML_KEM_512, None),
        KeyPairKind::MlKem768 => (ML_KEM_768, None),
        KeyPairKind::MlKem1024 => (ML_KEM_1024, None),
    }
}

fn check_identifier(kind: KeyPairKind, found: &AlgorithmIdentifierRef<'_>) -> Result<(), Flaw> {
    let (algorithm, curve) = identifier(kind);
    if found.oid != algorithm {
        return Err(Flaw::OtherAlgorithm(found.oid));
    }
    match (curve, found.parameters) {
        (Some(curve), Some(parameters)) => match parameters.decode_as::<ObjectIdentifier>() {
            Ok(named) if named == curve => Ok(()),
            Ok(named) => Err(Flaw::OtherCurve(named)),
            Err(_) => Err(Flaw::CurveByParameters),
        },
        (Some(_), None) => Err(Flaw::MissingCurve),
        (None, Some(parameters)) if algorithm == RSA && parameters == AnyRef::NULL => Ok(()),
        (None, None) if algorithm == RSA => Err(Flaw::MissingNull),
        (None, None) => Ok(()),
        (None, Some(_)) => Err(Flaw::UnexpectedParameters),
    }
}

/// Parses a private key, except for the checks that need curve arithmetic.
pub(super) fn parse_private(kind: KeyPairKind, der: &[u8]) -> Result<PrivateParts, CryptoError> {
    read_private(kind, der).map_err(|_| CryptoError::InvalidPrivateKey)
}

/// Parses a private key like [`parse_private`], but returns the reason for a rejection.
pub(super) fn read_private(kind: KeyPairKind, der: &[u8]) -> Result<PrivateParts, Flaw> {
    if der.len() > MAX_KEY {
        return Err(Flaw::TooLong);
    }
    let info = PrivateKeyInfoRef::from_der(der).map_err(|_| Flaw::OtherForm)?;
    check_identifier(kind, &info.algorithm)?;
    let content = info.private_key.as_bytes();
    let outer = info.public_key.map(|bits| bits.as_bytes().ok_or(Flaw::BitString)).transpose()?;
    let mut expanded = None;
    let (secret, inner) = match (kind.scalar_length(), kind.lattice_lengths()) {
        (Some(length), _) if kind == KeyPairKind::Ed25519 => (seed(content, length)?, None),
        (Some(length), _) => scalar(kind, content, length)?,
        (None, Some(lengths)) => {
            let found = lattice_encoding::read(content, lengths)?;
            expanded = found.expanded.map(SecretBytes::copy_from_slice);
            (found.seed, None)
        }
        (None, None) => {
            check_rsa_private(kind, content)?;
            (content, None)
        }
    };
    // A public key can appear in two places: in PKCS#8 version 2, and inside `ECPrivateKey`.
    let public = match (outer, inner) {
        (Some(outer), Some(inner)) if outer != inner => return Err(Flaw::TwoPublicKeys),
        (Some(_), _) if kind.modulus_bits().is_some() => return Err(Flaw::UnexpectedPublicKey),
        (outer, inner) => outer.or(inner).map(<[u8]>::to_vec),
    };
    Ok(PrivateParts { secret: SecretBytes::copy_from_slice(secret), expanded, public })
}

/// Parses a `CurvePrivateKey` (RFC 8410, section 7).
fn seed(content: &[u8], length: usize) -> Result<&[u8], Flaw> {
    let seed = match <&OctetStringRef>::from_der(content) {
        Ok(seed) => seed.as_bytes(),
        Err(_) if content.len() == length => return Err(Flaw::BareSeed),
        Err(_) if content.len() == 2 * length => return Err(Flaw::SeedAndPublicKey),
        Err(_) => return Err(Flaw::NotSeed),
    };
    match seed.len() {
        found if found == length => Ok(seed),
        found if found == 2 * length => Err(Flaw::SeedAndPublicKey),
        found => Err(Flaw::ScalarLength { found, wanted: length }),
    }
}

/// Parses an `ECPrivateKey` (RFC 5915). The scalar must have the byte length of the curve's order.
fn scalar(kind: KeyPairKind, content: &[u8], length: usize) -> Result<(&[u8], Option<&[u8]>), Flaw> {
    let key = EcPrivateKey::from_der(content).map_err(|_| Flaw::NotEcPrivateKey)?;
    match key.parameters.map(sec1::EcParameters::named_curve) {
        Some(curve) if curve != identifier(kind).1 => {
            return Err(curve.map_or(Flaw::CurveByParameters, Flaw::OtherCurve));
        }
        Some(_) | None => {}
    }
    if key.private_key.len() != length {
        return Err(Flaw::ScalarLength { found: key.private_key.len(), wanted: length });
    }
    Ok((key.private_key, key.public_key))
}

/// Checks that the modulus has exactly the bits of the kind, that the exponent is odd and at least
/// 65537, and that the secret numbers match them.
fn check_rsa_private(kind: KeyPairKind, content: &[u8]) -> Result<(), Flaw> {
    let key = pkcs1::RsaPrivateKeyRef::from_der(content).map_err(|_| Flaw::NotRsaPrivateKey)?;
    check_rsa_numbers(kind, key.modulus.as_bytes(), key.public_exponent.as_bytes())?;
    let bits = kind.modulus_bits().and_then(|bits| u32::try_from(bits).ok()).ok_or(Flaw::Numbers)?;
    Ok(rsa_numbers::check(bits, &key)?)
}

fn check_rsa_numbers(kind: KeyPairKind, modulus: &[u8], exponent: &[u8]) -> Result<(), Flaw> {
    let exponent = exponent.iter().try_fold(0_u64, |value, byte| Some(value.checked_mul(256)? + u64::from(*byte)));
    // In the DER that the library returns, the first byte of the modulus is not zero, so its top
    // bit determines the exact size.
    let bits =
        modulus.first().map(|first| modulus.len() * 8 - usize::from(u8::try_from(first.leading_zeros()).unwrap_or(8)));
    if bits != kind.modulus_bits() {
        return Err(Flaw::ModulusBits { bits: bits.unwrap_or_default() });
    }
    if modulus.last().is_none_or(|last| last % 2 == 0) {
        return Err(Flaw::EvenModulus);
    }
    match exponent {
        None => Err(Flaw::LargeExponent),
        Some(exponent) if exponent > MAX_EXPONENT => Err(Flaw::LargeExponent),
        Some(exponent) if exponent < 65_537 => Err(Flaw::SmallExponent(exponent)),
        Some(exponent) if exponent % 2 == 0 => Err(Flaw::EvenExponent),
        Some(_) => Ok(()),
    }
}

/// Parses a public key: `RSAPublicKey` in DER, a point, or the bytes of a key that has no other
/// form.
pub(super) fn parse_public(kind: KeyPairKind, der: &[u8]) -> Result<Vec<u8>, CryptoError> {
    read_public(kind, der).map_err(|_| CryptoError::InvalidPublicKey)
}

/// Parses a public key like [`parse_public`], but returns the reason for a rejection.
pub(super) fn read_public(kind: KeyPairKind, der: &[u8]) -> Result<Vec<u8>, Flaw> {
    if der.len() > MAX_KEY {
        return Err(Flaw::TooLong);
    }
    let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| Flaw::OtherForm)?;
    check_identifier(kind, &info.algorithm)?;
    let content = info.subject_public_key.as_bytes().ok_or(Flaw::BitString)?;
    match (kind.scalar_length(), kind.lattice_lengths()) {
        (Some(length), _) if kind == KeyPairKind::Ed25519 && content.len() == length => {}
        (Some(length), _) if kind != KeyPairKind::Ed25519 && is_point(content, length) => {}
        (Some(_), _) => return Err(Flaw::PointForm { found: content.len() }),
        (None, Some(lengths)) if content.len() == lengths.public => {}
        (None, Some(lengths)) => return Err(Flaw::PublicLength { found: content.len(), wanted: lengths.public }),
        (None, None) => {
            let key = pkcs1::RsaPublicKeyRef::from_der(content).map_err(|_| Flaw::NotRsaPublicKey)?;
            check_rsa_numbers(kind, key.modulus.as_bytes(), key.public_exponent.as_bytes())?;
        }
    }
    Ok(content.to_vec())
}

/// The numbers of a public key, big-endian.
pub(crate) enum PublicNumbers {
    /// RSA, without leading zeros.
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    /// A point, with coordinates as long as the prime of the curve.
    Point { x: Vec<u8>, y: Vec<u8> },
    /// The 32 bytes of RFC 8032, section 5.1.5.
    Ed25519(Vec<u8>),
    /// A key of ML-DSA or ML-KEM, which has no numbers of its own.
    Lattice,
}

/// Returns the numbers of a public key in `SubjectPublicKeyInfo`. Points must be uncompressed.
pub(crate) fn public_numbers(kind: KeyPairKind, spki: &[u8]) -> Result<PublicNumbers, CryptoError> {
    let invalid = CryptoError::InvalidPublicKey;
    let content = parse_public(kind, spki)?;
    match (kind.family(), kind.scalar_length()) {
        (KeyPairFamily::Ed25519, _) => Ok(PublicNumbers::Ed25519(content)),
        (KeyPairFamily::MlDsa | KeyPairFamily::MlKem, _) => Ok(PublicNumbers::Lattice),
        (KeyPairFamily::Elliptic | KeyPairFamily::Rsa, Some(length)) => {
            let coordinates = content.strip_prefix(&[0x04]).filter(|rest| rest.len() == 2 * length).ok_or(invalid)?;
            let (x, y) = coordinates.split_at(length);
            Ok(PublicNumbers::Point { x: x.to_vec(), y: y.to_vec() })
        }
        (KeyPairFamily::Elliptic | KeyPairFamily::Rsa, None) => {
            let key = pkcs1::RsaPublicKeyRef::from_der(&content).map_err(|_| invalid)?;
            let [modulus, exponent] = [key.modulus, key.public_exponent].map(|number| number.as_bytes().to_vec());
            Ok(PublicNumbers::Rsa { modulus, exponent })
        }
    }
}

/// Returns `true` if the bytes have the form of a compressed or uncompressed point. Libraries also
/// accept other forms: the point at infinity, hybrid points, and compact points.
pub(super) fn is_point(bytes: &[u8], coordinate: usize) -> bool {
    match bytes.first() {
        Some(0x02 | 0x03) => bytes.len() == 1 + coordinate,
        Some(0x04) => bytes.len() == 1 + 2 * coordinate,
        _ => false,
    }
}

fn algorithm_of<'a>(kind: KeyPairKind, curve: &'a Option<ObjectIdentifier>) -> AlgorithmIdentifierRef<'a> {
    let oid = identifier(kind).0;
    let parameters = match curve {
        Some(curve) => Some(AnyRef::from(curve)),
        None if oid == RSA => Some(AnyRef::NULL),
        None => None,
    };
    AlgorithmIdentifierRef { oid, parameters }
}

/// Encodes a private key. `public` is the uncompressed point of a curve key. It is omitted if
/// empty.
pub(super) fn write_private(kind: KeyPairKind, secret: &[u8], public: &[u8]) -> Result<SecretBytes, CryptoError> {
    write_private_der(kind, secret, public).ok_or(CryptoError::InvalidPrivateKey)
}

fn write_private_der(kind: KeyPairKind, secret: &[u8], public: &[u8]) -> Option<SecretBytes> {
    let content = match kind.family() {
        KeyPairFamily::Ed25519 => Zeroizing::new(OctetStringRef::new(secret).ok()?.to_der().ok()?),
        KeyPairFamily::MlDsa | KeyPairFamily::MlKem => lattice_encoding::write(secret)?,
        KeyPairFamily::Elliptic => {
            let key = EcPrivateKey {
                private_key: secret,
                parameters: None,
                public_key: (!public.is_empty()).then_some(public),
            };
            Zeroizing::new(key.to_der().ok()?)
        }
        KeyPairFamily::Rsa => Zeroizing::new(secret.to_vec()),
    };
    let curve = identifier(kind).1;
    let info = PrivateKeyInfoRef::new(algorithm_of(kind, &curve), OctetStringRef::new(&content).ok()?);
    Some(SecretBytes::from_vec(info.to_der().ok()?))
}

/// Encodes a public key. `content` has the form that [`parse_public`] returns.
pub(super) fn write_public(kind: KeyPairKind, content: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let curve = identifier(kind).1;
    let subject_public_key = BitStringRef::from_bytes(content).map_err(|_| CryptoError::InvalidPublicKey)?;
    let info = SubjectPublicKeyInfoRef { algorithm: algorithm_of(kind, &curve), subject_public_key };
    info.to_der().map_err(|_| CryptoError::InvalidPublicKey)
}
