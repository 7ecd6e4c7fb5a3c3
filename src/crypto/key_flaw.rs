//! Reasons why a key is rejected.

use pkcs8::ObjectIdentifier;

use super::KeyPairKind;
use super::rsa_numbers::RsaFlaw;

/// The flaw of a key, as the end of a sentence. Of the key itself, the text contains only sizes and
/// public numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Flaw {
    /// The input is not PKCS#8 or `SubjectPublicKeyInfo`. Its actual form is determined only for
    /// error messages.
    #[error("it is not DER of this structure")]
    OtherForm,
    #[error("it is longer than any such key")]
    TooLong,
    #[error("it is a key for {}", algorithm_name(.0))]
    OtherAlgorithm(ObjectIdentifier),
    #[error("it is a key on the curve {}", curve_name(.0))]
    OtherCurve(ObjectIdentifier),
    #[error(
        "its curve is specified by explicit parameters: use a named curve instead (`openssl ec -param_enc \
         named_curve`)"
    )]
    CurveByParameters,
    #[error("its curve is missing")]
    MissingCurve,
    #[error("the NULL that RFC 3279 requires as parameters of `rsaEncryption` is missing")]
    MissingNull,
    #[error("its algorithm identifier has parameters, which must be absent")]
    UnexpectedParameters,
    #[error("its content is not an `RSAPrivateKey` (RFC 8017)")]
    NotRsaPrivateKey,
    #[error("its content is not an `RSAPublicKey` (RFC 8017)")]
    NotRsaPublicKey,
    #[error("its content is not an `ECPrivateKey` (RFC 5915)")]
    NotEcPrivateKey,
    #[error("its modulus has {bits} bits")]
    ModulusBits { bits: usize },
    #[error("its modulus is even")]
    EvenModulus,
    #[error("its public exponent is {0}, but must be at least 65537")]
    SmallExponent(u64),
    #[error("its public exponent is even")]
    EvenExponent,
    #[error("its public exponent is greater than 2^33")]
    LargeExponent,
    /// The secret numbers of an RSA key are invalid.
    #[error(transparent)]
    Rsa(#[from] RsaFlaw),
    #[error("its private key has {found} bytes, but must have {wanted}")]
    ScalarLength { found: usize, wanted: usize },
    #[error("it contains two different public keys")]
    TwoPublicKeys,
    #[error("it contains a public key, which is not allowed for this kind of private key: use version 1 of PKCS#8")]
    UnexpectedPublicKey,
    #[error("its public key does not match its private key")]
    OtherPublicKey,
    #[error("its numbers are inconsistent or are not those of a valid key")]
    Numbers,
    #[error("its secret number is zero or exceeds the order of the curve")]
    ScalarRange,
    #[error("the OCTET STRING around the private key that RFC 8410, section 7, requires is missing")]
    BareSeed,
    #[error("it contains the 32 bytes of the private key followed by those of the public key: keep only the first 32")]
    SeedAndPublicKey,
    #[error("its private key is not an OCTET STRING (RFC 8410, section 7)")]
    NotSeed,
    #[error(
        "it contains only the expanded key, from which the seed cannot be computed: export it with its seed, as \
         RFC 9881 and RFC 9935 recommend"
    )]
    WithoutSeed,
    #[error("the tag [0] around the seed that section 6 of RFC 9881 and RFC 9935 requires is missing")]
    UntaggedSeed,
    #[error("its private key is neither a seed nor a seed with the expanded key (RFC 9881 and RFC 9935, section 6)")]
    NotSeedOrBoth,
    #[error("its expanded key does not match its seed")]
    OtherExpandedKey,
    #[error("its public key has {found} bytes, but must have {wanted}")]
    PublicLength { found: usize, wanted: usize },
    #[error("its public key contains numbers that are not reduced (FIPS 203, section 7.2)")]
    NotReduced,
    #[error("its point has {found} bytes or is neither compressed nor uncompressed")]
    PointForm { found: usize },
    #[error("its point is not on the curve or is not allowed")]
    Point,
    #[error("the length of its public key is not a multiple of 8 bits")]
    BitString,
}

impl Flaw {
    /// Returns how far a key was parsed before it was rejected. The error reports the flaw for the
    /// kind that got furthest.
    pub(super) const fn depth(self) -> u8 {
        match self {
            Self::OtherForm | Self::TooLong => 0,
            Self::OtherAlgorithm(_) => 1,
            Self::OtherCurve(_) | Self::ModulusBits { .. } => 2,
            _ => 3,
        }
    }
}

/// Returns the name of a kind for messages.
pub(super) const fn kind_name(kind: KeyPairKind) -> &'static str {
    match kind {
        KeyPairKind::Rsa2048 => "RSA-2048",
        KeyPairKind::Rsa3072 => "RSA-3072",
        KeyPairKind::Rsa4096 => "RSA-4096",
        KeyPairKind::EccP256 => "P-256",
        KeyPairKind::EccP384 => "P-384",
        KeyPairKind::EccP521 => "P-521",
        KeyPairKind::EccSecp256k1 => "secp256k1",
        KeyPairKind::Ed25519 => "Ed25519",
        KeyPairKind::MlDsa44 => "ML-DSA-44",
        KeyPairKind::MlDsa65 => "ML-DSA-65",
        KeyPairKind::MlDsa87 => "ML-DSA-87",
        KeyPairKind::MlKem512 => "ML-KEM-512",
        KeyPairKind::MlKem768 => "ML-KEM-768",
        KeyPairKind::MlKem1024 => "ML-KEM-1024",
    }
}

/// Returns the name of a key algorithm from its identifier.
fn algorithm_name(found: &ObjectIdentifier) -> String {
    let name = match found.to_string().as_str() {
        "1.2.840.113549.1.1.1" => "RSA",
        "1.2.840.113549.1.1.7" => "RSAES-OAEP only (id-RSAES-OAEP): use the identifier rsaEncryption",
        "1.2.840.113549.1.1.10" => "RSASSA-PSS only (id-RSASSA-PSS): use the identifier rsaEncryption",
        "1.2.840.10045.2.1" => "an elliptic curve",
        "1.3.132.1.12" => "ECDH only (id-ecDH)",
        "1.3.101.110" => "X25519",
        "1.3.101.111" => "X448",
        "1.3.101.112" => "Ed25519",
        "1.3.101.113" => "Ed448",
        "1.3.6.1.4.1.11591.15.1" => "Ed25519 with an identifier that predates RFC 8410: use 1.3.101.112",
        "1.2.840.10040.4.1" => "DSA",
        "1.2.840.113549.1.3.1" => "Diffie-Hellman",
        "2.16.840.1.101.3.4.3.17" => "ML-DSA-44",
        "2.16.840.1.101.3.4.3.18" => "ML-DSA-65",
        "2.16.840.1.101.3.4.3.19" => "ML-DSA-87",
        "2.16.840.1.101.3.4.3.32" | "2.16.840.1.101.3.4.3.33" | "2.16.840.1.101.3.4.3.34" => "HashML-DSA",
        "2.16.840.1.101.3.4.4.1" => "ML-KEM-512",
        "2.16.840.1.101.3.4.4.2" => "ML-KEM-768",
        "2.16.840.1.101.3.4.4.3" => "ML-KEM-1024",
        other => return format!("the algorithm {other}"),
    };
    name.to_owned()
}

fn curve_name(found: &ObjectIdentifier) -> String {
    let name = match found.to_string().as_str() {
        "1.2.840.10045.3.1.1" => "P-192",
        "1.3.132.0.33" => "P-224",
        "1.2.840.10045.3.1.7" => "P-256",
        "1.3.132.0.34" => "P-384",
        "1.3.132.0.35" => "P-521",
        "1.3.132.0.10" => "secp256k1",
        "1.3.36.3.3.2.8.1.1.7" => "brainpoolP256r1",
        "1.3.36.3.3.2.8.1.1.11" => "brainpoolP384r1",
        "1.3.36.3.3.2.8.1.1.13" => "brainpoolP512r1",
        "1.2.156.10197.1.301" => "SM2",
        other => return other.to_owned(),
    };
    name.to_owned()
}
