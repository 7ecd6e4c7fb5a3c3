//! Public keys as SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7), built from the attributes of
//! objects.

use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::Session;
use pkcs8::SubjectPublicKeyInfoRef;
use pkcs8::der::asn1::{AnyRef, BitStringRef, OctetStringRef, UintRef};
use pkcs8::der::{Decode, Encode};
use pkcs8::{AlgorithmIdentifierRef, ObjectIdentifier};

use crate::crypto::{CryptoBackend, KeyPairKind};
use crate::provider::pkcs11::error::{ErrorClass, TokenError};

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// Returns the curve of a key pair kind as the value of CKA_EC_PARAMS: its object identifier in
/// DER.
pub(in crate::provider::pkcs11) fn ec_parameters(kind: KeyPairKind) -> Option<Vec<u8>> {
    let curve = match kind {
        KeyPairKind::EccP256 => "1.2.840.10045.3.1.7",
        KeyPairKind::EccP384 => "1.3.132.0.34",
        KeyPairKind::EccP521 => "1.3.132.0.35",
        KeyPairKind::EccSecp256k1 => "1.3.132.0.10",
        _ => return None,
    };
    ObjectIdentifier::new(curve).ok()?.to_der().ok()
}

/// Returns `true` if an RSA ciphertext represents a number below the modulus, as required by RFC
/// 8017, section 5.1.2. NSS reports a general failure for other numbers, which looks like a fault
/// of the token. The ciphertext must be as long as the modulus.
pub(in crate::provider::pkcs11) fn is_below_modulus(ciphertext: &[u8], public_key: &[u8]) -> bool {
    let key = SubjectPublicKeyInfoRef::from_der(public_key).ok().and_then(|info| info.subject_public_key.as_bytes());
    let key = key.and_then(|key| pkcs1::RsaPublicKeyRef::from_der(key).ok());
    key.is_some_and(|key| ciphertext < key.modulus.as_bytes())
}

/// Reads the public key of an object: a public key, or, for RSA, the private key that contains the
/// same numbers.
pub(in crate::provider::pkcs11) fn read(
    session: &Session,
    object: ObjectHandle,
    kind: KeyPairKind,
    backend: &CryptoBackend,
) -> Result<Vec<u8>, TokenError> {
    let malformed = || TokenError::new(ErrorClass::Fatal, format!("the token has no {kind:?} public key"));
    match kind.modulus_bits() {
        Some(_) => {
            let wanted = [AttributeType::Modulus, AttributeType::PublicExponent];
            let mut found = (None, None);
            for attribute in session.get_attributes(object, &wanted)? {
                match attribute {
                    Attribute::Modulus(bytes) => found.0 = Some(bytes),
                    Attribute::PublicExponent(bytes) => found.1 = Some(bytes),
                    _ => {}
                }
            }
            let (Some(modulus), Some(exponent)) = found else { return Err(malformed()) };
            let spki = rsa_spki(&modulus, &exponent).ok_or_else(malformed)?;
            Ok(backend.key_pairs().public_key(kind, &spki).map_err(|_| malformed())?.to_spki())
        }
        None => {
            let attributes = session.get_attributes(object, &[AttributeType::EcPoint])?;
            let Some(Attribute::EcPoint(point)) = attributes.into_iter().next() else { return Err(malformed()) };
            // The point should be wrapped in an OCTET STRING, which some tokens omit.
            let point = match <&OctetStringRef>::from_der(&point) {
                Ok(wrapped) => wrapped.as_bytes().to_vec(),
                Err(_) => point,
            };
            Ok(backend.key_pairs().public_key_of_point(kind, &point).map_err(|_| malformed())?.to_spki())
        }
    }
}

fn rsa_spki(modulus: &[u8], exponent: &[u8]) -> Option<Vec<u8>> {
    let key =
        pkcs1::RsaPublicKey { modulus: UintRef::new(modulus).ok()?, public_exponent: UintRef::new(exponent).ok()? };
    let key = key.to_der().ok()?;
    let spki = SubjectPublicKeyInfoRef {
        algorithm: AlgorithmIdentifierRef { oid: RSA_ENCRYPTION, parameters: Some(AnyRef::NULL) },
        subject_public_key: BitStringRef::from_bytes(&key).ok()?,
    };
    spki.to_der().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_below_the_modulus_is_a_ciphertext() {
        let modulus = [0xC1; 256];
        let spki = rsa_spki(&modulus, &[1, 0, 1]).expect("a public key");
        let (mut below, mut above) = (modulus, modulus);
        below[255] -= 1;
        above[255] += 1;
        for (number, is_below) in
            [([0; 256], true), (below, true), (modulus, false), (above, false), ([0xFF; 256], false)]
        {
            assert_eq!(is_below_modulus(&number, &spki), is_below, "{:x}", number[255]);
        }
        assert!(!is_below_modulus(&below, &spki[1..]), "no public key");
    }
}
