//! Hybrid key encapsulation mechanisms.

use std::fmt;

/// A hybrid key encapsulation mechanism (KEM): an elliptic curve and ML-KEM (FIPS 203), combined so that
/// the secret is safe as long as one of the two is.
///
/// | | security | private key | public key | wrapped data key of 32 bytes |
/// |---|---|---|---|---|
/// | [`X25519MlKem768`](Self::X25519MlKem768) | that of AES-192 | 32 | 1,216 | 1,171 |
/// | [`P384MlKem1024`](Self::P384MlKem1024) | that of AES-256 | 32 | 1,665 | 1,716 |
///
/// Keys have the forms of the drafts: a private key is a seed, and a public key is that of ML-KEM
/// followed by that of the curve.
///
/// # Examples
/// ```
/// use strongroom::crypto::RUST_CRYPTO;
/// use strongroom::envelope::HybridKem;
///
/// for kem in HybridKem::ALL {
///     let private = kem.generate(&RUST_CRYPTO)?;
///     assert_eq!((private.len(), kem.public_key(&private)?.len()), (32, kem.public_key_length()));
/// }
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HybridKem {
    /// X25519 and ML-KEM-768, combined as X-Wing (draft-connolly-cfrg-xwing-kem-10), in HPKE with
    /// HKDF-SHA-256 and AES-256-GCM.
    X25519MlKem768,
    /// P-384 and ML-KEM-1024, combined as MLKEM1024-P384 (draft-irtf-cfrg-concrete-hybrid-kems-03), in
    /// HPKE with HKDF-SHA-384 and AES-256-GCM.
    P384MlKem1024,
}

impl HybridKem {
    /// All mechanisms.
    pub const ALL: [Self; 2] = [Self::X25519MlKem768, Self::P384MlKem1024];

    /// Returns the number of the mechanism in HPKE (draft-ietf-hpke-pq-04, table 3).
    pub const fn hpke_id(self) -> u16 {
        match self {
            Self::X25519MlKem768 => 0x647a,
            Self::P384MlKem1024 => 0x0051,
        }
    }

    /// Returns the length of a public key in bytes: 1,216 or 1,665.
    pub const fn public_key_length(self) -> usize {
        match self {
            Self::X25519MlKem768 => 1_184 + 32,
            Self::P384MlKem1024 => 1_568 + 97,
        }
    }

    /// Returns the length of an encapsulated key in bytes: 1,120 or 1,665.
    pub const fn encapsulated_key_length(self) -> usize {
        match self {
            Self::X25519MlKem768 => 1_088 + 32,
            Self::P384MlKem1024 => 1_568 + 97,
        }
    }
}

impl fmt::Display for HybridKem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X25519MlKem768 => "X25519 and ML-KEM-768",
            Self::P384MlKem1024 => "P-384 and ML-KEM-1024",
        })
    }
}
