//! The signature at the end of a message, and the public key in its encryption context.

use base64ct::{Base64, Encoding};

use super::error::MessageError;
use super::suite::MessageSignature;
use crate::codec::Reader;
use crate::crypto::{CryptoBackend, CryptoError, Hasher, SignatureAlgorithm, SigningKey, VerifyingKey};

/// The length of the length field before a signature, in bytes.
const LENGTH_FIELD: usize = 2;

const fn algorithm(signature: MessageSignature) -> SignatureAlgorithm {
    match signature {
        MessageSignature::EcdsaP256Sha256 => SignatureAlgorithm::EcdsaP256Sha256,
        MessageSignature::EcdsaP384Sha384 => SignatureAlgorithm::EcdsaP384Sha384,
    }
}

/// Signs a message as it is written.
pub(crate) struct MessageSigner {
    key: Box<dyn SigningKey>,
    hasher: Box<dyn Hasher>,
}

impl MessageSigner {
    /// Generates the key pair for a message.
    pub(crate) fn generate(backend: &CryptoBackend, signature: MessageSignature) -> Result<Self, CryptoError> {
        let algorithm = algorithm(signature);
        let key = backend.signature().generate(algorithm, backend.random())?;
        Ok(Self { key, hasher: backend.digest().hasher(algorithm.digest_algorithm()) })
    }

    /// Returns the public key in the form used in the encryption context: the compressed point in
    /// Base64.
    pub(crate) fn public_key(&self) -> String {
        Base64::encode_string(&self.key.public_key())
    }

    /// Adds the next bytes of the message.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// Returns the length of the footer in bytes, which is constant.
    pub(super) fn footer_length(&self) -> usize {
        LENGTH_FIELD + self.key.algorithm().fixed_signature_length()
    }

    /// Returns the footer: `u16 length ‖ signature`.
    pub(super) fn finish(self) -> Result<Vec<u8>, MessageError> {
        let digest = self.hasher.finish();
        let signature = self.key.sign_digest_to_fixed_length(digest.as_ref())?;
        let length = u16::try_from(signature.len())
            .map_err(|_| CryptoError::InvalidLength { what: "signature", length: signature.len() })?;
        Ok([&length.to_be_bytes(), signature.as_slice()].concat())
    }
}

/// Verifies the signature of a message as it is read.
pub(super) struct MessageVerifier {
    key: Box<dyn VerifyingKey>,
    hasher: Box<dyn Hasher>,
}

impl MessageVerifier {
    /// Creates a verifier from the public key in the encryption context.
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

    /// Adds the next bytes of the message.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// Verifies the signature over all added bytes.
    pub(super) fn finish(self, signature: &[u8]) -> Result<(), MessageError> {
        let digest = self.hasher.finish();
        self.key.verify_digest(digest.as_ref(), signature).map_err(|error| match error {
            CryptoError::InvalidSignature => MessageError::Signature,
            other => MessageError::Backend(other),
        })
    }
}

/// Parses the footer after the end of the body.
pub(super) fn read_footer<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], MessageError> {
    reader.prefixed_u16("signature").map_err(MessageError::cut_off)
}
