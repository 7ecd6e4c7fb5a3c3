//! RSA with AWS-LC, which blinds every private operation.

use std::sync::OnceLock;

use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512, OaepAlgorithm,
    OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey,
};
use aws_lc_rs::signature::{
    KeyPair, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair, RsaParameters,
};

use crate::algorithm::SigningAlgorithm;
use crate::crypto::key_encoding::{self, PrivateParts};
use crate::crypto::key_pair::{check_input, check_plaintext};
use crate::crypto::{CryptoError, KeyPairKind, KeyPairs, PrivateKey, PublicKey, RsaOaep, SecureRandom, SignatureInput};
use crate::secret::SecretBytes;

/// The library's names of a signature algorithm in its different roles.
struct LibraryAlgorithm {
    signing: &'static dyn RsaEncoding,
    verification: &'static RsaParameters,
    digest: &'static digest::Algorithm,
}

fn library_algorithm(algorithm: SigningAlgorithm) -> Result<LibraryAlgorithm, CryptoError> {
    let (signing, verification, digest): (&dyn RsaEncoding, _, _) = match algorithm {
        SigningAlgorithm::RsassaPkcs1V15Sha256 => (&RSA_PKCS1_SHA256, &RSA_PKCS1_2048_8192_SHA256, &SHA256),
        SigningAlgorithm::RsassaPkcs1V15Sha384 => (&RSA_PKCS1_SHA384, &RSA_PKCS1_2048_8192_SHA384, &SHA384),
        SigningAlgorithm::RsassaPkcs1V15Sha512 => (&RSA_PKCS1_SHA512, &RSA_PKCS1_2048_8192_SHA512, &SHA512),
        SigningAlgorithm::RsassaPssSha256 => (&RSA_PSS_SHA256, &RSA_PSS_2048_8192_SHA256, &SHA256),
        SigningAlgorithm::RsassaPssSha384 => (&RSA_PSS_SHA384, &RSA_PSS_2048_8192_SHA384, &SHA384),
        SigningAlgorithm::RsassaPssSha512 => (&RSA_PSS_SHA512, &RSA_PSS_2048_8192_SHA512, &SHA512),
        _ => return Err(CryptoError::UnsuitableKey),
    };
    Ok(LibraryAlgorithm { signing, verification, digest })
}

const fn library_oaep(oaep: RsaOaep) -> &'static OaepAlgorithm {
    match oaep {
        RsaOaep::Sha1 => &OAEP_SHA1_MGF1SHA1,
        RsaOaep::Sha256 => &OAEP_SHA256_MGF1SHA256,
        RsaOaep::Sha384 => &OAEP_SHA384_MGF1SHA384,
        RsaOaep::Sha512 => &OAEP_SHA512_MGF1SHA512,
    }
}

pub(super) fn generate(kind: KeyPairKind, second: &'static dyn KeyPairs) -> Result<Box<dyn PrivateKey>, CryptoError> {
    let size = match kind {
        KeyPairKind::Rsa2048 => KeySize::Rsa2048,
        KeyPairKind::Rsa3072 => KeySize::Rsa3072,
        KeyPairKind::Rsa4096 => KeySize::Rsa4096,
        _ => return Err(CryptoError::UnsuitableKey),
    };
    let key = PrivateDecryptingKey::generate(size).map_err(|_| CryptoError::RandomFailed)?;
    let der: Pkcs8V1Der<'_> = key.as_der().map_err(|_| CryptoError::InvalidPrivateKey)?;
    private_key(kind, key_encoding::parse_private(kind, der.as_ref())?, second)
}

pub(super) fn private_key(
    kind: KeyPairKind,
    parts: PrivateParts,
    second: &'static dyn KeyPairs,
) -> Result<Box<dyn PrivateKey>, CryptoError> {
    let invalid = |_| CryptoError::InvalidPrivateKey;
    let pkcs1 = parts.secret;
    let pkcs8 = key_encoding::write_private(kind, pkcs1.expose_secret(), &[])?;
    let signing = RsaKeyPair::from_pkcs8(pkcs8.expose_secret()).map_err(|_| CryptoError::InvalidPrivateKey)?;
    let decrypting =
        PrivateDecryptingKey::from_pkcs8(pkcs8.expose_secret()).map_err(|_| CryptoError::InvalidPrivateKey)?;
    let decrypting = OaepPrivateDecryptingKey::new(decrypting).map_err(invalid)?;
    Ok(Box::new(Private { kind, signing, decrypting, pkcs1, second, elsewhere: OnceLock::new() }))
}

pub(super) fn public_key(kind: KeyPairKind, content: &[u8]) -> Result<Box<dyn PublicKey>, CryptoError> {
    // Reject a key now that any of the parameters would reject later.
    ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, content).map_err(|_| CryptoError::InvalidPublicKey)?;
    let spki = key_encoding::write_public(kind, content)?;
    let key = PublicEncryptingKey::from_der(&spki).map_err(|_| CryptoError::InvalidPublicKey)?;
    let encrypting = OaepPublicEncryptingKey::new(key).map_err(|_| CryptoError::InvalidPublicKey)?;
    Ok(Box::new(Public { kind, encrypting, content: content.to_vec(), spki }))
}

/// The key in the library's two forms, which are wiped when they are dropped, and in its encoded
/// form.
struct Private {
    kind: KeyPairKind,
    signing: RsaKeyPair,
    decrypting: OaepPrivateDecryptingKey,
    pkcs1: SecretBytes,
    /// The key pairs of the other backend.
    second: &'static dyn KeyPairs,
    /// The key in the other backend, created by the first decryption with PKCS#1 v1.5.
    elsewhere: OnceLock<Result<Box<dyn PrivateKey>, CryptoError>>,
}

impl PrivateKey for Private {
    fn kind(&self) -> KeyPairKind {
        self.kind
    }

    fn to_pkcs8(&self) -> Result<SecretBytes, CryptoError> {
        key_encoding::write_private(self.kind, self.pkcs1.expose_secret(), &[])
    }

    fn public_key_der(&self) -> Vec<u8> {
        let content = self.signing.public_key().as_ref();
        key_encoding::write_public(self.kind, content).expect("the numbers of a validated key fit into DER")
    }

    fn sign(&self, algorithm: SigningAlgorithm, input: SignatureInput<'_>) -> Result<Vec<u8>, CryptoError> {
        check_input(self.kind, algorithm, input)?;
        let algorithm = library_algorithm(algorithm)?;
        let mut signature = vec![0; self.signing.public_modulus_len()];
        // Key and digest were checked above, and the library aborts if it lacks randomness. It
        // verifies its result.
        let signed = match input {
            // Hashing and signing in one call is the form that the FIPS module approves.
            SignatureInput::Message(message) => {
                self.signing.sign(algorithm.signing, &SystemRandom::new(), message, &mut signature)
            }
            SignatureInput::Digest(value) => {
                let digest = library_digest(algorithm.digest, value)?;
                self.signing.sign_digest(algorithm.signing, &digest, &mut signature)
            }
            SignatureInput::ExternalMu(_) => return Err(CryptoError::UnsuitableKey),
        };
        signed.map_err(|_| CryptoError::FaultyComputation)?;
        Ok(signature)
    }

    fn decrypt(&self, oaep: RsaOaep, ciphertext: &[u8]) -> Result<SecretBytes, CryptoError> {
        if ciphertext.len() != self.decrypting.key_size_bytes() {
            return Err(CryptoError::NotAuthentic);
        }
        let mut buffer = SecretBytes::zeroed(self.decrypting.min_output_size());
        let opened = self.decrypting.decrypt(library_oaep(oaep), ciphertext, buffer.expose_secret_mut(), None);
        Ok(SecretBytes::copy_from_slice(opened.map_err(|_| CryptoError::NotAuthentic)?))
    }

    fn decrypt_pkcs1_v15_unauthenticated(&self, ciphertext: &[u8]) -> Result<SecretBytes, CryptoError> {
        let elsewhere = self.elsewhere.get_or_init(|| {
            let pkcs8 = self.to_pkcs8()?;
            self.second.private_key(self.kind, pkcs8.expose_secret())
        });
        elsewhere.as_ref().map_err(|error| *error)?.decrypt_pkcs1_v15_unauthenticated(ciphertext)
    }

    fn agree(&self, _peer: &[u8]) -> Result<SecretBytes, CryptoError> {
        Err(CryptoError::UnsuitableKey)
    }
}

struct Public {
    kind: KeyPairKind,
    encrypting: OaepPublicEncryptingKey,
    content: Vec<u8>,
    spki: Vec<u8>,
}

impl PublicKey for Public {
    fn kind(&self) -> KeyPairKind {
        self.kind
    }

    fn to_spki(&self) -> Vec<u8> {
        self.spki.clone()
    }

    fn to_compressed_point(&self) -> Option<Vec<u8>> {
        None
    }

    fn verify(
        &self,
        algorithm: SigningAlgorithm,
        input: SignatureInput<'_>,
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        check_input(self.kind, algorithm, input)?;
        let algorithm = library_algorithm(algorithm)?;
        let key =
            ParsedPublicKey::new(algorithm.verification, &self.content).map_err(|_| CryptoError::InvalidPublicKey)?;
        let verified = match input {
            SignatureInput::Message(message) => key.verify_sig(message, signature),
            SignatureInput::Digest(value) => {
                key.verify_digest_sig(&library_digest(algorithm.digest, value)?, signature)
            }
            SignatureInput::ExternalMu(_) => return Err(CryptoError::UnsuitableKey),
        };
        verified.map_err(|_| CryptoError::InvalidSignature)
    }

    fn encrypt(&self, oaep: RsaOaep, plaintext: &[u8], _random: &dyn SecureRandom) -> Result<Vec<u8>, CryptoError> {
        check_plaintext(self.kind, oaep, plaintext)?;
        let mut ciphertext = vec![0; self.encrypting.ciphertext_size()];
        // The length was checked above, so the only possible failure is the generation of random
        // bytes.
        let sealed = self.encrypting.encrypt(library_oaep(oaep), plaintext, &mut ciphertext, None);
        let length = sealed.map_err(|_| CryptoError::RandomFailed)?.len();
        ciphertext.truncate(length);
        Ok(ciphertext)
    }
}

fn library_digest(algorithm: &'static digest::Algorithm, value: &[u8]) -> Result<digest::Digest, CryptoError> {
    digest::Digest::import_less_safe(value, algorithm)
        .map_err(|_| CryptoError::InvalidLength { what: "hash value", length: value.len() })
}
