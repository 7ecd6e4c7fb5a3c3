//! Conversion of signatures between DER and the fixed-length format of IEEE P1363.

use super::{CryptoError, KeyPairKind};

impl KeyPairKind {
    /// Returns the length in bytes of a signature in
    /// [`SignatureFormat::P1363`](crate::algorithm::SignatureFormat): for ECDSA, twice the length of
    /// the curve's order (64, 96, or 132); for RSA, the length of the modulus; for Ed25519, 64; for
    /// ML-DSA, 2420, 3309, or 4627. ML-KEM keys do not sign, and their length is 0.
    pub const fn p1363_signature_length(self) -> usize {
        match self {
            Self::Rsa2048 => 256,
            Self::Rsa3072 => 384,
            Self::Rsa4096 => 512,
            Self::EccP256 | Self::EccSecp256k1 | Self::Ed25519 => 64,
            Self::EccP384 => 96,
            Self::EccP521 => 132,
            Self::MlDsa44 => 2_420,
            Self::MlDsa65 => 3_309,
            Self::MlDsa87 => 4_627,
            Self::MlKem512 | Self::MlKem768 | Self::MlKem1024 => 0,
        }
    }

    /// Converts a signature of [`PrivateKey::sign`](super::PrivateKey::sign) to
    /// [`SignatureFormat::P1363`](crate::algorithm::SignatureFormat): ECDSA from DER to `r | s`.
    /// Signatures of other kinds already have that format and are returned unchanged.
    ///
    /// # Errors
    /// - [`CryptoError::InvalidSignature`] if the input is not strict DER, has trailing data, or
    ///   contains a number that is zero or not below the order of the curve. For other kinds, if it
    ///   has another length, and always for ML-KEM.
    ///
    /// # Examples
    /// ```
    /// use strongroom::algorithm::SigningAlgorithm::EcdsaSha384;
    /// use strongroom::crypto::{CryptoBackend, CryptoError, KeyPairKind, SignatureInput};
    ///
    /// let (backend, kind) = (CryptoBackend::default(), KeyPairKind::EccP384);
    /// let key = backend.key_pairs().generate(kind, backend.random())?;
    /// let der = key.sign(EcdsaSha384, SignatureInput::Message(b"a message"))?;
    /// let fixed = kind.signature_to_p1363(&der)?;
    /// assert_eq!(fixed.len(), 96);
    /// assert_eq!(kind.signature_from_p1363(&fixed)?, der);
    /// assert_eq!(kind.signature_from_p1363(&fixed[1..]), Err(CryptoError::InvalidSignature));
    /// # Ok::<(), CryptoError>(())
    /// ```
    pub fn signature_to_p1363(self, signature: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let converted = match self {
            Self::EccP256 => p256::ecdsa::Signature::from_der(signature).map(|parsed| parsed.to_bytes().to_vec()),
            Self::EccP384 => p384::ecdsa::Signature::from_der(signature).map(|parsed| parsed.to_bytes().to_vec()),
            Self::EccP521 => p521::ecdsa::Signature::from_der(signature).map(|parsed| parsed.to_bytes().to_vec()),
            Self::EccSecp256k1 => k256::ecdsa::Signature::from_der(signature).map(|parsed| parsed.to_bytes().to_vec()),
            _ => return self.fixed(signature),
        };
        converted.map_err(|_| CryptoError::InvalidSignature)
    }

    /// Converts a signature from [`SignatureFormat::P1363`](crate::algorithm::SignatureFormat) to
    /// the format that [`PublicKey::verify`](super::PublicKey::verify) accepts: ECDSA from `r | s`
    /// to DER. Signatures of other kinds are returned unchanged.
    ///
    /// # Errors
    /// - [`CryptoError::InvalidSignature`] if the signature does not have
    ///   [`KeyPairKind::p1363_signature_length`], or a number of ECDSA is zero or not below the order
    ///   of the curve.
    pub fn signature_from_p1363(self, signature: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let converted = match self {
            Self::EccP256 => p256::ecdsa::Signature::from_slice(signature).map(|parsed| parsed.to_der().to_bytes()),
            Self::EccP384 => p384::ecdsa::Signature::from_slice(signature).map(|parsed| parsed.to_der().to_bytes()),
            Self::EccP521 => p521::ecdsa::Signature::from_slice(signature).map(|parsed| parsed.to_der().to_bytes()),
            Self::EccSecp256k1 => {
                k256::ecdsa::Signature::from_slice(signature).map(|parsed| parsed.to_der().to_bytes())
            }
            _ => return self.fixed(signature),
        };
        converted.map(<[u8]>::into_vec).map_err(|_| CryptoError::InvalidSignature)
    }

    /// Checks the length of a signature that has a single format.
    fn fixed(self, signature: &[u8]) -> Result<Vec<u8>, CryptoError> {
        if !signature.is_empty() && signature.len() == self.p1363_signature_length() {
            return Ok(signature.to_vec());
        }
        Err(CryptoError::InvalidSignature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{FASTEST, RUST_CRYPTO, SignatureInput};

    const CURVES: [KeyPairKind; 4] =
        [KeyPairKind::EccP256, KeyPairKind::EccP384, KeyPairKind::EccP521, KeyPairKind::EccSecp256k1];

    /// Returns a `SEQUENCE` of two `INTEGER`s with these contents.
    fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
        let number = |bytes: &[u8]| [&[0x02, u8::try_from(bytes.len()).expect("short")], bytes].concat();
        let content = [number(r), number(s)].concat();
        [&[0x30, u8::try_from(content.len()).expect("short")], &content[..]].concat()
    }

    #[test]
    fn signatures_of_every_kind_survive_both_conversions() -> Result<(), CryptoError> {
        if crate::crypto::default_lacks("signatures_of_every_kind_survive_both_conversions", &["secp256k1"]) {
            return Ok(());
        }
        for (kind, backend) in KeyPairKind::ALL.into_iter().flat_map(|kind| [(kind, FASTEST), (kind, RUST_CRYPTO)]) {
            if matches!(kind, KeyPairKind::Rsa3072 | KeyPairKind::Rsa4096) || kind.signing_algorithms().is_empty() {
                continue; // slow to generate and no different from RSA-2048, or not for signing
            }
            let key = backend.key_pairs().generate(kind, backend.random())?;
            let public = backend.key_pairs().public_key(kind, &key.public_key_der())?;
            let (algorithm, input) = (kind.signing_algorithms()[0], SignatureInput::Message(b"message"));
            // Enough for numbers that are shorter than the order.
            for _ in 0..if CURVES.contains(&kind) { 300 } else { 1 } {
                let signature = key.sign(algorithm, input)?;
                let fixed = kind.signature_to_p1363(&signature)?;
                assert_eq!(fixed.len(), kind.p1363_signature_length());
                let back = kind.signature_from_p1363(&fixed)?;
                assert_eq!(back, signature);
                public.verify(algorithm, input, &back)?;
                if backend.name() == RUST_CRYPTO.name() {
                    break; // it always returns the same signature of a message
                }
            }
        }
        Ok(())
    }

    #[test]
    fn every_other_length_is_refused() {
        for kind in KeyPairKind::ALL {
            let length = kind.p1363_signature_length();
            assert_eq!(kind.signature_from_p1363(&vec![0x01; length]).is_ok(), length > 0, "{kind:?}");
            for wrong in [0, 1, length / 2, length.saturating_sub(1), length + 1, 2 * length] {
                let refused = kind.signature_from_p1363(&vec![0x01; wrong]);
                assert_eq!(refused, Err(CryptoError::InvalidSignature), "{kind:?} {wrong}");
                if !CURVES.contains(&kind) {
                    assert_eq!(kind.signature_to_p1363(&vec![0x01; wrong]), refused, "{kind:?} {wrong}");
                }
            }
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused_in_both_formats() {
        for kind in CURVES {
            let length = kind.p1363_signature_length() / 2;
            // Leading zeros of P-521 keep the number below 2^521.
            let (one, zero, most) = ([vec![0; length - 1], vec![1]].concat(), vec![0; length], vec![0xFF; length]);
            assert!(kind.signature_from_p1363(&[&one[..], &one].concat()).is_ok());
            for (r, s) in [(&zero, &one), (&one, &zero), (&most, &one), (&one, &most)] {
                let refused = kind.signature_from_p1363(&[&r[..], s].concat());
                assert_eq!(refused, Err(CryptoError::InvalidSignature), "{kind:?}");
            }
            let beyond = [&[0x00][..], &most].concat();
            for (r, s) in [(&[0][..], &[1][..]), (&[1], &[0]), (&beyond, &[1]), (&[1], &beyond)] {
                let refused = kind.signature_to_p1363(&der(r, s));
                assert_eq!(refused, Err(CryptoError::InvalidSignature), "{kind:?} {r:?} {s:?}");
            }
        }
    }

    #[test]
    fn anything_but_strict_der_is_refused() {
        for kind in CURVES {
            let valid = der(&[1], &[2]);
            let length = kind.p1363_signature_length();
            let fixed = kind.signature_to_p1363(&valid).expect("two small numbers");
            assert_eq!((fixed.len(), fixed[length / 2 - 1], fixed[length - 1]), (length, 1, 2));
            let long_form = [&[0x30, 0x81, 0x06], &valid[2..]].concat();
            let three = [&[0x30, 0x09], &valid[2..], &[0x02, 0x01, 0x03]].concat();
            let malformed = [
                der(&[0x00, 0x01], &[2]), // a leading zero that is not needed
                der(&[0x81], &[2]),       // negative
                der(&[], &[2]),           // an empty number
                [&valid[..], &[0x00]].concat(),
                long_form,
                three,
                [&[0x31], &valid[1..]].concat(),
                fixed.clone(),
            ];
            for malformed in malformed {
                let refused = kind.signature_to_p1363(&malformed);
                assert_eq!(refused, Err(CryptoError::InvalidSignature), "{kind:?} {malformed:?}");
            }
            for length in 0..valid.len() {
                assert!(kind.signature_to_p1363(&valid[..length]).is_err(), "{kind:?} {length}");
            }
        }
    }
}
