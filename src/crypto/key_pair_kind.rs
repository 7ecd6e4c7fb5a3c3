//! The kinds of key pairs, and facts about each.

use crate::algorithm::SigningAlgorithm;

/// The kind of a key pair.
///
/// # Examples
/// ```
/// use strongroom::algorithm::SigningAlgorithm;
/// use strongroom::crypto::KeyPairKind;
///
/// assert_eq!(KeyPairKind::EccP384.signing_algorithms(), [SigningAlgorithm::EcdsaSha384]);
/// assert_eq!(KeyPairKind::Rsa3072.modulus_bits(), Some(3_072));
/// assert!(KeyPairKind::EccP384.supports_key_agreement() && !KeyPairKind::Ed25519.supports_key_agreement());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum KeyPairKind {
    /// RSA with a modulus of 2048 bits (RFC 8017).
    Rsa2048,
    /// RSA with a modulus of 3072 bits.
    Rsa3072,
    /// RSA with a modulus of 4096 bits.
    Rsa4096,
    /// The curve P-256 (SP 800-186, section 3.2.1.3).
    EccP256,
    /// The curve P-384.
    EccP384,
    /// The curve P-521.
    EccP521,
    /// The curve secp256k1 (SEC 2, section 2.4.1).
    EccSecp256k1,
    /// The curve edwards25519 for Ed25519 and Ed25519ph (RFC 8032).
    Ed25519,
    /// ML-DSA-44 (FIPS 204, section 4).
    MlDsa44,
    /// ML-DSA-65.
    MlDsa65,
    /// ML-DSA-87.
    MlDsa87,
    /// ML-KEM-512 (FIPS 203, section 8).
    MlKem512,
    /// ML-KEM-768.
    MlKem768,
    /// ML-KEM-1024.
    MlKem1024,
}

/// The families of key pairs, whose keys are encoded alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyPairFamily {
    Rsa,
    /// Curves in Weierstrass form.
    Elliptic,
    Ed25519,
    MlDsa,
    MlKem,
}

impl KeyPairKind {
    /// All kinds.
    pub const ALL: [Self; 14] = [
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
        Self::EccP256,
        Self::EccP384,
        Self::EccP521,
        Self::EccSecp256k1,
        Self::Ed25519,
        Self::MlDsa44,
        Self::MlDsa65,
        Self::MlDsa87,
        Self::MlKem512,
        Self::MlKem768,
        Self::MlKem1024,
    ];

    /// Returns the family of the kind.
    pub(crate) const fn family(self) -> KeyPairFamily {
        match self {
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => KeyPairFamily::Rsa,
            Self::EccP256 | Self::EccP384 | Self::EccP521 | Self::EccSecp256k1 => KeyPairFamily::Elliptic,
            Self::Ed25519 => KeyPairFamily::Ed25519,
            Self::MlDsa44 | Self::MlDsa65 | Self::MlDsa87 => KeyPairFamily::MlDsa,
            Self::MlKem512 | Self::MlKem768 | Self::MlKem1024 => KeyPairFamily::MlKem,
        }
    }

    /// Returns the signing algorithms that a key pair of this kind supports.
    pub const fn signing_algorithms(self) -> &'static [SigningAlgorithm] {
        match self {
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => &[
                SigningAlgorithm::RsassaPkcs1V15Sha256,
                SigningAlgorithm::RsassaPkcs1V15Sha384,
                SigningAlgorithm::RsassaPkcs1V15Sha512,
                SigningAlgorithm::RsassaPssSha256,
                SigningAlgorithm::RsassaPssSha384,
                SigningAlgorithm::RsassaPssSha512,
            ],
            Self::EccP256 | Self::EccSecp256k1 => &[SigningAlgorithm::EcdsaSha256],
            Self::EccP384 => &[SigningAlgorithm::EcdsaSha384],
            Self::EccP521 => &[SigningAlgorithm::EcdsaSha512],
            Self::Ed25519 => &[SigningAlgorithm::Ed25519Sha512, SigningAlgorithm::Ed25519PhSha512],
            Self::MlDsa44 | Self::MlDsa65 | Self::MlDsa87 => &[SigningAlgorithm::MlDsaShake256],
            Self::MlKem512 | Self::MlKem768 | Self::MlKem1024 => &[],
        }
    }

    /// Returns the length in bytes of a ciphertext that encapsulates a shared secret, for ML-KEM
    /// (FIPS 203, table 3).
    ///
    /// # Examples
    /// ```
    /// use strongroom::crypto::KeyPairKind;
    ///
    /// assert_eq!(KeyPairKind::MlKem768.encapsulation_length(), Some(1_088));
    /// assert_eq!(KeyPairKind::MlDsa65.encapsulation_length(), None);
    /// ```
    pub const fn encapsulation_length(self) -> Option<usize> {
        match self {
            Self::MlKem512 => Some(768),
            Self::MlKem768 => Some(1_088),
            Self::MlKem1024 => Some(1_568),
            _ => None,
        }
    }

    /// Returns the lengths in bytes of the seed, the expanded private key, and the public key, for
    /// ML-DSA (FIPS 204, table 2) and ML-KEM (FIPS 203, table 3).
    pub(super) const fn lattice_lengths(self) -> Option<LatticeLengths> {
        let (seed, expanded, public) = match self {
            Self::MlDsa44 => (32, 2_560, 1_312),
            Self::MlDsa65 => (32, 4_032, 1_952),
            Self::MlDsa87 => (32, 4_896, 2_592),
            Self::MlKem512 => (64, 1_632, 800),
            Self::MlKem768 => (64, 2_400, 1_184),
            Self::MlKem1024 => (64, 3_168, 1_568),
            _ => return None,
        };
        Some(LatticeLengths { seed, expanded, public })
    }

    /// Returns `true` if a key pair of this kind supports key agreement: P-256, P-384, and P-521
    /// do.
    pub const fn supports_key_agreement(self) -> bool {
        matches!(self, Self::EccP256 | Self::EccP384 | Self::EccP521)
    }

    /// Returns the number of bits of the modulus, for RSA.
    pub const fn modulus_bits(self) -> Option<usize> {
        match self {
            Self::Rsa2048 => Some(2_048),
            Self::Rsa3072 => Some(3_072),
            Self::Rsa4096 => Some(4_096),
            _ => None,
        }
    }

    /// Returns the number of bytes of a coordinate and of a secret scalar for elliptic curves, or
    /// of a seed for Ed25519.
    pub(super) const fn scalar_length(self) -> Option<usize> {
        match self {
            Self::EccP256 | Self::EccSecp256k1 | Self::Ed25519 => Some(32),
            Self::EccP384 => Some(48),
            Self::EccP521 => Some(66),
            _ => None,
        }
    }

    /// Returns a mask of the bits of a scalar's first byte that can be set. The order of P-521 has
    /// 521 bits in 66 bytes.
    pub(super) const fn top_bits(self) -> u8 {
        if matches!(self, Self::EccP521) { 0x01 } else { 0xff }
    }
}

/// Lengths in bytes of the parts of a key of ML-DSA or ML-KEM.
#[derive(Clone, Copy, Debug)]
pub(super) struct LatticeLengths {
    pub(super) seed: usize,
    pub(super) expanded: usize,
    pub(super) public: usize,
}
