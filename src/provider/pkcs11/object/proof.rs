//! Proofs that a handle refers to a given key, and the fingerprints that they require.

use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;

use super::public_key;
use super::template::NewKey;
use crate::algorithm::SigningAlgorithm;
use crate::crypto::{CryptoBackend, KeyPairKind, PublicKey, RsaOaep, SignatureInput};
use crate::provider::pkcs11::config::IvMode;
use crate::provider::pkcs11::connection::SessionContext;
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::mechanism::{gcm, signing};
use crate::provider::pkcs11::reference::{Fingerprint, TokenKeyHandle, TokenKeyKind};

/// Plaintext of a canary, and its associated data.
const CANARY: &[u8; 32] = b"strongroom: a key that I know...";
const CANARY_DATA: &[u8] = b"strongroom canary v1";

/// Proves that a handle refers to the key: it decrypts the key's canary, or creates a signature
/// that the key's public key verifies.
pub(in crate::provider::pkcs11) fn prove(
    session: &Session,
    handle: ObjectHandle,
    key: &TokenKeyHandle,
    backend: &CryptoBackend,
) -> Result<(), TokenError> {
    let proved = match (key.fingerprint(), key.kind()) {
        (Fingerprint::Canary(canary), _) => {
            gcm::decrypt(session, handle, CANARY_DATA, canary)?.expose_secret() == CANARY
        }
        (Fingerprint::PublicKey(spki), TokenKeyKind::Signing(pair)) => {
            let algorithm = proof_algorithm(pair)?;
            let input = SignatureInput::Message(CANARY);
            let signature = signing::sign(session, handle, algorithm, &signing::digest(backend, algorithm, input)?)?;
            software_key(pair, spki, backend)?.verify(algorithm, input, &signature).is_ok()
        }
        (Fingerprint::PublicKey(spki), TokenKeyKind::Decryption(pair)) => {
            // Every token supports SHA-1, which is sufficient for a value that is not secret.
            let encrypted = software_key(pair, spki, backend)?.encrypt(RsaOaep::Sha1, CANARY, backend.random());
            let encrypted = encrypted.map_err(|error| TokenError::new(ErrorClass::Fatal, error.to_string()))?;
            signing::decrypt_oaep(session, handle, RsaOaep::Sha1, &encrypted)?.expose_secret() == CANARY
        }
        (Fingerprint::PublicKey(_) | Fingerprint::None, _) => true,
    };
    if proved {
        return Ok(());
    }
    Err(TokenError::new(ErrorClass::KeyMissing, format!("another key has the id of {key}")))
}

/// Checks that an object with the id of a key is a different, working key. If it is not, the token
/// has a problem.
pub(super) fn works(
    context: SessionContext<'_>,
    handle: ObjectHandle,
    key: &TokenKeyHandle,
    backend: &CryptoBackend,
) -> Result<(), TokenError> {
    let session = context.connection.open_session()?;
    let session = session.session();
    let other = match (key.kind().key_pair(), key.public_key()) {
        (Some(pair), Some(known)) => public_key::read(session, handle, pair, backend)? != known,
        _ => {
            let mode = context.connection.iv_mode.get().copied().unwrap_or(IvMode::Caller);
            let sealed = gcm::encrypt(session, handle, mode, backend, CANARY_DATA, CANARY)?;
            gcm::decrypt(session, handle, CANARY_DATA, &sealed)?.expose_secret() == CANARY
        }
    };
    if other { Ok(()) } else { Err(TokenError::new(ErrorClass::TokenLost, "the fingerprint matches")) }
}

/// Creates the reference of an existing object, with a new canary for a secret key.
pub(in crate::provider::pkcs11) fn reference(
    session: &Session,
    handle: ObjectHandle,
    new: &NewKey,
    public: Option<&[u8]>,
    iv_mode: IvMode,
    backend: &CryptoBackend,
) -> Result<TokenKeyHandle, TokenError> {
    let fingerprint = match (new.kind, public) {
        (TokenKeyKind::Aes256, _) => {
            Fingerprint::Canary(gcm::encrypt(session, handle, iv_mode, backend, CANARY_DATA, CANARY)?)
        }
        (_, Some(public)) => Fingerprint::PublicKey(public.to_vec()),
        (_, None) => Fingerprint::None,
    };
    Ok(TokenKeyHandle::new(&new.id, &new.label, new.kind, fingerprint))
}

/// Returns the algorithm with which a signing key proves its identity.
fn proof_algorithm(pair: KeyPairKind) -> Result<SigningAlgorithm, TokenError> {
    match pair {
        KeyPairKind::Rsa2048 | KeyPairKind::Rsa3072 | KeyPairKind::Rsa4096 => {
            Ok(SigningAlgorithm::RsassaPkcs1V15Sha256)
        }
        KeyPairKind::EccP256 | KeyPairKind::EccSecp256k1 => Ok(SigningAlgorithm::EcdsaSha256),
        KeyPairKind::EccP384 => Ok(SigningAlgorithm::EcdsaSha384),
        KeyPairKind::EccP521 => Ok(SigningAlgorithm::EcdsaSha512),
        KeyPairKind::Ed25519 => Err(TokenError::lacks("CKM_EDDSA", "Ed25519 keys are never created in tokens")),
        KeyPairKind::MlDsa44 | KeyPairKind::MlDsa65 | KeyPairKind::MlDsa87 => {
            Err(TokenError::lacks("CKM_ML_DSA", "ML-DSA keys are never created in tokens"))
        }
        KeyPairKind::MlKem512 | KeyPairKind::MlKem768 | KeyPairKind::MlKem1024 => {
            Err(TokenError::lacks("CKM_ML_KEM", "ML-KEM keys are never created in tokens"))
        }
    }
}

fn software_key(pair: KeyPairKind, spki: &[u8], backend: &CryptoBackend) -> Result<Box<dyn PublicKey>, TokenError> {
    let key = backend.key_pairs().public_key(pair, spki);
    key.map_err(|error| TokenError::new(ErrorClass::Fatal, format!("cannot read the stored public key: {error}")))
}
