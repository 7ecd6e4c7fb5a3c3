//! Expansion of the seeds of ML-KEM, for a backend that accepts only expanded keys.

use super::ml_kem::Private;
use crate::crypto::key_encoding::PrivateParts;
use crate::crypto::{CryptoError, KeyPairKind};
use crate::secret::SecretBytes;

/// A key in the encodings of FIPS 203.
pub(in crate::crypto) struct Expanded {
    pub(in crate::crypto) decapsulation_key: SecretBytes,
    pub(in crate::crypto) encapsulation_key: Vec<u8>,
}

/// Expands a seed. Checks that the public key and the expanded key belong to it, if they are
/// present.
pub(in crate::crypto) fn expand_ml_kem(kind: KeyPairKind, parts: &PrivateParts) -> Result<Expanded, CryptoError> {
    let key = Private::of_parts(kind, parts)?;
    Ok(Expanded { decapsulation_key: key.expanded(), encapsulation_key: key.public() })
}
