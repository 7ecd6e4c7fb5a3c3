//! Signatures and RSA decryption in a token. Messages are hashed in software, as not every token
//! can hash. The token receives the digest in the form that its mechanism accepts.

use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use pkcs8::der::Encode;
use pkcs8::der::asn1::UintRef;

use super::RequiredMechanism;
use crate::algorithm::SigningAlgorithm;
use crate::crypto::{CryptoBackend, DigestAlgorithm, RsaOaep, SignatureInput};
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::secret::SecretBytes;

/// Prefix of a digest in a PKCS#1 v1.5 signature (RFC 8017, section 9.2, note 1).
const SHA256_PREFIX: &[u8] =
    &[0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];
const SHA384_PREFIX: &[u8] =
    &[0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0x04, 0x30];
const SHA512_PREFIX: &[u8] =
    &[0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00, 0x04, 0x40];

/// The signature scheme that a token uses for an algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Pkcs1(&'static [u8]),
    Pss(MechanismType, PkcsMgfType),
    Ecdsa,
}

/// Returns the hash function and scheme of an algorithm, or `None` if no token is asked to support
/// it.
fn scheme(algorithm: SigningAlgorithm) -> Option<(DigestAlgorithm, Scheme)> {
    use DigestAlgorithm::{Sha256, Sha384, Sha512};
    Some(match algorithm {
        SigningAlgorithm::RsassaPkcs1V15Sha256 => (Sha256, Scheme::Pkcs1(SHA256_PREFIX)),
        SigningAlgorithm::RsassaPkcs1V15Sha384 => (Sha384, Scheme::Pkcs1(SHA384_PREFIX)),
        SigningAlgorithm::RsassaPkcs1V15Sha512 => (Sha512, Scheme::Pkcs1(SHA512_PREFIX)),
        SigningAlgorithm::RsassaPssSha256 => (Sha256, Scheme::Pss(MechanismType::SHA256, PkcsMgfType::MGF1_SHA256)),
        SigningAlgorithm::RsassaPssSha384 => (Sha384, Scheme::Pss(MechanismType::SHA384, PkcsMgfType::MGF1_SHA384)),
        SigningAlgorithm::RsassaPssSha512 => (Sha512, Scheme::Pss(MechanismType::SHA512, PkcsMgfType::MGF1_SHA512)),
        SigningAlgorithm::EcdsaSha256 => (Sha256, Scheme::Ecdsa),
        SigningAlgorithm::EcdsaSha384 => (Sha384, Scheme::Ecdsa),
        SigningAlgorithm::EcdsaSha512 => (Sha512, Scheme::Ecdsa),
        SigningAlgorithm::Ed25519Sha512 | SigningAlgorithm::Ed25519PhSha512 | SigningAlgorithm::MlDsaShake256 => {
            return None;
        }
    })
}

/// Returns the mechanism that an algorithm requires. If no token is asked to support the algorithm,
/// the error names the mechanism.
pub(in crate::provider::pkcs11) fn needed(algorithm: SigningAlgorithm) -> Result<RequiredMechanism, TokenError> {
    match scheme(algorithm) {
        Some((_, Scheme::Pkcs1(_))) => Ok(RequiredMechanism::Pkcs1),
        Some((_, Scheme::Pss(..))) => Ok(RequiredMechanism::Pss),
        Some((_, Scheme::Ecdsa)) => Ok(RequiredMechanism::Ecdsa),
        None if algorithm == SigningAlgorithm::MlDsaShake256 => Err(no_ml_dsa()),
        None => Err(TokenError::lacks(
            "CKM_EDDSA",
            format!("{algorithm} requires the variants of CKM_EDDSA, which are not supported"),
        )),
    }
}

fn no_ml_dsa() -> TokenError {
    TokenError::lacks("CKM_ML_DSA", "ML-DSA keys are never created in tokens")
}

/// Returns the digest to sign.
pub(in crate::provider::pkcs11) fn digest(
    backend: &CryptoBackend,
    algorithm: SigningAlgorithm,
    input: SignatureInput<'_>,
) -> Result<Vec<u8>, TokenError> {
    let (hash, _) =
        scheme(algorithm).ok_or_else(|| TokenError::lacks("CKM_EDDSA", "Ed25519 keys are never created in tokens"))?;
    match input {
        SignatureInput::Message(message) => Ok(backend.digest().digest(hash, &[message]).as_ref().to_vec()),
        SignatureInput::ExternalMu(_) => Err(no_ml_dsa()),
        SignatureInput::Digest(digest) if digest.len() == hash.output_length() => Ok(digest.to_vec()),
        SignatureInput::Digest(digest) => {
            let text = format!("a digest for {algorithm} cannot have {} bytes", digest.len());
            Err(TokenError::new(ErrorClass::BadInput, text))
        }
    }
}

/// Signs a digest. ECDSA signatures are returned in DER.
pub(in crate::provider::pkcs11) fn sign(
    session: &Session,
    key: ObjectHandle,
    algorithm: SigningAlgorithm,
    digest: &[u8],
) -> Result<Vec<u8>, TokenError> {
    let (_, scheme) =
        scheme(algorithm).ok_or_else(|| TokenError::lacks("CKM_EDDSA", "Ed25519 keys are never created in tokens"))?;
    match scheme {
        Scheme::Pkcs1(prefix) => Ok(session.sign(&Mechanism::RsaPkcs, key, &[prefix, digest].concat())?),
        Scheme::Pss(hash_alg, mgf) => {
            let parameters = PkcsPssParams { hash_alg, mgf, s_len: digest.len().try_into()? };
            Ok(session.sign(&Mechanism::RsaPkcsPss(parameters), key, digest)?)
        }
        Scheme::Ecdsa => to_der(&session.sign(&Mechanism::Ecdsa, key, digest)?),
    }
}

/// Converts the concatenation of `r` and `s`, as returned by tokens (PKCS#11 v3.1, section 6.3.1),
/// to `Ecdsa-Sig-Value` (RFC 3279, section 2.2.3).
fn to_der(signature: &[u8]) -> Result<Vec<u8>, TokenError> {
    let malformed = || TokenError::new(ErrorClass::Fatal, "the token returned a malformed ECDSA signature");
    if signature.is_empty() || !signature.len().is_multiple_of(2) {
        return Err(malformed());
    }
    let (r, s) = signature.split_at(signature.len() / 2);
    let numbers: Result<Vec<_>, _> = [r, s].into_iter().map(UintRef::new).collect();
    numbers.and_then(|numbers| numbers.to_der()).map_err(|_| malformed())
}

/// Decrypts an RSA-OAEP ciphertext with an empty label.
pub(in crate::provider::pkcs11) fn decrypt_oaep(
    session: &Session,
    key: ObjectHandle,
    oaep: RsaOaep,
    ciphertext: &[u8],
) -> Result<SecretBytes, TokenError> {
    let (hash, mgf) = match oaep {
        RsaOaep::Sha1 => (MechanismType::SHA1, PkcsMgfType::MGF1_SHA1),
        RsaOaep::Sha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256),
        RsaOaep::Sha384 => (MechanismType::SHA384, PkcsMgfType::MGF1_SHA384),
        RsaOaep::Sha512 => (MechanismType::SHA512, PkcsMgfType::MGF1_SHA512),
    };
    let parameters = PkcsOaepParams::new(hash, mgf, PkcsOaepSource::empty());
    Ok(SecretBytes::from_vec(session.decrypt(&Mechanism::RsaPkcsOaep(parameters), key, ciphertext)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::FASTEST;

    #[test]
    fn a_digest_has_the_length_of_its_algorithm() {
        let classes = |algorithm, length| {
            let given = vec![7; length];
            let digest = digest(&FASTEST, algorithm, SignatureInput::Digest(&given));
            digest.map(|digest| assert_eq!(digest, given)).map_err(|error| error.class())
        };
        for (algorithm, fitting) in [
            (SigningAlgorithm::EcdsaSha256, 32),
            (SigningAlgorithm::EcdsaSha384, 48),
            (SigningAlgorithm::RsassaPssSha512, 64),
            (SigningAlgorithm::RsassaPkcs1V15Sha256, 32),
        ] {
            for length in [0, 20, 31, 32, 33, 48, 64, 65] {
                let expected = if length == fitting { Ok(()) } else { Err(ErrorClass::BadInput) };
                assert_eq!(classes(algorithm, length), expected, "{algorithm} {length}");
            }
        }
    }

    #[test]
    fn an_ecdsa_signature_has_two_halves() {
        assert_eq!(to_der(&[1, 2]).ok().as_deref(), Some(&[0x30, 6, 2, 1, 1, 2, 1, 2][..]));
        assert_eq!(to_der(&[0, 1, 0x80, 0]).ok().as_deref(), Some(&[0x30, 8, 2, 1, 1, 2, 3, 0, 0x80, 0][..]));
        for length in [0, 1, 63, 65, 131] {
            assert_eq!(to_der(&vec![1; length]).map_err(|error| error.class()), Err(ErrorClass::Fatal), "{length}");
        }
    }
}
