//! The signature at the end of a message, and the public key in its context.

use base64ct::{Base64, Encoding};

use super::error::MessageError;
use super::suite::MessageSignature;
use crate::codec::Reader;
use crate::crypto::{CryptoBackend, CryptoError, Hasher, SignatureAlgorithm, SigningKey, VerifyingKey};

/// Bytes of the length before a signature.
const LENGTH_FIELD: usize = 2;

const fn algorithm(signature: MessageSignature) -> SignatureAlgorithm {
    match signature {
        MessageSignature::EcdsaP256Sha256 => SignatureAlgorithm::EcdsaP256Sha256,
        MessageSignature::EcdsaP384Sha384 => SignatureAlgorithm::EcdsaP384Sha384,
    }
}

/// Signs a message while it is written.
pub(crate) struct MessageSigner {
    key: Box<dyn SigningKey>,
    hasher: Box<dyn Hasher>,
}

impl MessageSigner {
    /// Makes the key pair of one message.
    pub(crate) fn generate(backend: &CryptoBackend, signature: MessageSignature) -> Result<Self, CryptoError> {
        let algorithm = algorithm(signature);
        let key = backend.signature().generate(algorithm, backend.random())?;
        Ok(Self { key, hasher: backend.digest().hasher(algorithm.digest_algorithm()) })
    }

    /// The public key as the context of the message shows it: the compressed point in Base64.
    pub(crate) fn public_key(&self) -> String {
        Base64::encode_string(&self.key.public_key())
    }

    /// Takes in the next bytes of the message.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// Bytes of the footer, which are always the same.
    pub(super) fn footer_length(&self) -> usize {
        LENGTH_FIELD + self.key.algorithm().fixed_signature_length()
    }

    /// The footer: `u16 length ‖ signature`.
    pub(super) fn finish(self) -> Result<Vec<u8>, MessageError> {
        let digest = self.hasher.finish();
        let signature = self.key.sign_digest_to_fixed_length(digest.as_ref())?;
        let length = u16::try_from(signature.len())
            .map_err(|_| CryptoError::InvalidLength { what: "signature", length: signature.len() })?;
        Ok([&length.to_be_bytes(), signature.as_slice()].concat())
    }
}

/// Verifies the signature of a message while it is read.
pub(super) struct MessageVerifier {
    key: Box<dyn VerifyingKey>,
    hasher: Box<dyn Hasher>,
}

impl MessageVerifier {
    /// Takes the public key from the context of the message.
    pub(super) fn new(
        backend: &CryptoBackend,
        signature: MessageSignature,
        public_key: &str,
    ) -> Result<Self, MessageError> {
        let algorithm = algorithm(signature);
        let point = Base64::decode_vec(public_key).map_err(|_| MessageError::InvalidPublicKey)?;
        if point.len() != algorithm.public_key_length() {
            return Err(MessageError::InvalidPublicKey);
        }
        let key = backend.signature().verifying_key(algorithm, &point).map_err(|_| MessageError::InvalidPublicKey)?;
        Ok(Self { key, hasher: backend.digest().hasher(algorithm.digest_algorithm()) })
    }

    /// Takes in the next bytes of the message.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// Verifies the signature over everything that was taken in.
    pub(super) fn finish(self, signature: &[u8]) -> Result<(), MessageError> {
        let digest = self.hasher.finish();
        self.key.verify_digest(digest.as_ref(), signature).map_err(|error| match error {
            CryptoError::InvalidSignature => MessageError::Signature,
            other => MessageError::Backend(other),
        })
    }
}

/// Reads a footer behind the end of the body.
pub(super) fn read_footer<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], MessageError> {
    reader.prefixed_u16("signature").map_err(MessageError::cut_off)
}
