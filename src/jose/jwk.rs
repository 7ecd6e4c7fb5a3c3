//! JSON Web Keys.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::Serialize;

use super::{JoseAlgorithm, JwkUse};
use crate::crypto::{CryptoError, DigestAlgorithm, FASTEST, KeyPairFamily, KeyPairKind, PublicNumbers, public_numbers};
use crate::error::{Error, ErrorKind, Result};

/// A public key as a JSON Web Key (RFC 7517). Serializes with serde, and displays as JSON.
///
/// | key | `kty` | `crv` | parameters | source |
/// |---|---|---|---|---|
/// | RSA | `RSA` | | `n`, `e` | RFC 7518, section 6.3.1 |
/// | P-256, P-384, P-521 | `EC` | `P-256`, `P-384`, `P-521` | `x`, `y` | RFC 7518, section 6.2.1 |
/// | secp256k1 | `EC` | `secp256k1` | `x`, `y` | RFC 8812, section 3.1 |
/// | Ed25519 | `OKP` | `Ed25519` | `x` | RFC 8037, section 2 |
///
/// The `kid` is the key's thumbprint (RFC 7638) unless you specify another. It depends on the public
/// key only, so it stays the same for an exported or imported key, and for every alias.
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::jose::{JoseAlgorithm, JwkUse};
/// use strongroom::key::{KeySpec, KeyUsage};
/// use strongroom::request::CreateKeyRequest;
///
/// let kms = Kms::in_memory()?;
/// let request = CreateKeyRequest::default().spec(KeySpec::EccNistEdwards25519).usage(KeyUsage::SignVerify);
/// let key = kms.create_key(request)?.key_id();
/// let jwk = kms.get_public_key(key)?.to_jwk()?.with_algorithm(JoseAlgorithm::EdDsa)?;
/// assert_eq!((jwk.key_type(), jwk.curve()), ("OKP", Some("Ed25519")));
/// assert_eq!(jwk.kid(), jwk.thumbprint());
/// assert!(jwk.to_string().starts_with(r#"{"kty":"OKP","crv":"Ed25519","x":""#));
/// assert_eq!(jwk.key_use(), Some(JwkUse::Signature));
/// assert_eq!(jwk.clone().with_kid("2026").with_use(JwkUse::Signature).kid(), "2026");
/// assert!(jwk.with_algorithm(JoseAlgorithm::Es256).is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Jwk {
    #[serde(flatten)]
    parameters: Parameters,
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    key_use: Option<JwkUse>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alg: Option<JoseAlgorithm>,
    kid: String,
    #[serde(skip)]
    kind: KeyPairKind,
}

/// The parameters that identify a key, in base64url without padding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kty")]
enum Parameters {
    #[serde(rename = "RSA")]
    Rsa { n: String, e: String },
    #[serde(rename = "EC")]
    Ec { crv: &'static str, x: String, y: String },
    #[serde(rename = "OKP")]
    Okp { crv: &'static str, x: String },
}

impl Jwk {
    /// Creates a JWK from a public key, a `SubjectPublicKeyInfo` in DER (RFC 5280, section
    /// 4.1.2.7), such as that of a data key pair. It has no `use`, and an `alg` for ECDSA only.
    ///
    /// # Errors
    /// - [`CryptoError::InvalidPublicKey`] if the key is malformed or of another kind.
    ///
    /// # Examples
    /// ```
    /// use strongroom::crypto::{CryptoBackend, CryptoError, KeyPairKind};
    /// use strongroom::jose::Jwk;
    ///
    /// let backend = CryptoBackend::default();
    /// let pair = backend.key_pairs().generate(KeyPairKind::EccSecp256k1, backend.random())?;
    /// let jwk = Jwk::from_public_key(KeyPairKind::EccSecp256k1, &pair.public_key_der())?;
    /// assert_eq!(jwk.curve(), Some("secp256k1"));
    /// # Ok::<(), CryptoError>(())
    /// ```
    pub fn from_public_key(kind: KeyPairKind, public_key: &[u8]) -> std::result::Result<Self, CryptoError> {
        // The backend checks the key, and returns it with an uncompressed point.
        let checked = FASTEST.key_pairs().public_key(kind, public_key)?.to_spki();
        let encode = |bytes: Vec<u8>| Base64UrlUnpadded::encode_string(&bytes);
        let parameters = match public_numbers(kind, &checked)? {
            PublicNumbers::Rsa { modulus, exponent } => Parameters::Rsa { n: encode(modulus), e: encode(exponent) },
            PublicNumbers::Point { x, y } => Parameters::Ec { crv: curve(kind), x: encode(x), y: encode(y) },
            PublicNumbers::Ed25519(x) => Parameters::Okp { crv: curve(kind), x: encode(x) },
            PublicNumbers::Lattice => return Err(CryptoError::UnsuitableKey),
        };
        let kid = parameters.thumbprint();
        Ok(Self { parameters, key_use: None, alg: JoseAlgorithm::only(|name| name.supports(kind)), kid, kind })
    }

    /// Returns `true` if keys of a kind can be JSON Web Keys.
    pub(crate) const fn supports(kind: KeyPairKind) -> bool {
        !matches!(kind.family(), KeyPairFamily::MlDsa | KeyPairFamily::MlKem)
    }

    /// Sets the `use`, and removes an `alg` that contradicts it.
    #[must_use]
    pub fn with_use(mut self, key_use: JwkUse) -> Self {
        self.key_use = Some(key_use);
        self.alg = self.alg.filter(|alg| alg.key_use() == key_use);
        self
    }

    /// Sets the `alg`. Verifiers reject tokens with another one. An RSA key has several possible
    /// algorithms, and the algorithm of an Ed25519 key has two names.
    ///
    /// # Errors
    /// - [`InvalidKeyUsage`](ErrorKind::InvalidKeyUsage) if the key does not have the algorithm, or
    ///   its `use` contradicts it.
    pub fn with_algorithm(mut self, algorithm: JoseAlgorithm) -> Result<Self> {
        if !algorithm.supports(self.kind) || self.key_use.is_some_and(|key_use| key_use != algorithm.key_use()) {
            let key_use = self.key_use.map_or(String::new(), |key_use| format!(" for use '{key_use}'"));
            let curve = self.curve().map_or(String::new(), |curve| format!(" {curve}"));
            let text = format!("algorithm {algorithm} is incompatible with an {}{curve} key{key_use}", self.key_type());
            return Err(Error::new(ErrorKind::InvalidKeyUsage, text));
        }
        self.alg = Some(algorithm);
        Ok(self)
    }

    /// Sets the `kid`, by which a verifier finds the key of a token.
    #[must_use]
    pub fn with_kid(mut self, kid: impl Into<String>) -> Self {
        self.kid = kid.into();
        self
    }

    /// Returns the `kid`.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Returns the `kty`: `RSA`, `EC`, or `OKP`.
    pub const fn key_type(&self) -> &'static str {
        match self.parameters {
            Parameters::Rsa { .. } => "RSA",
            Parameters::Ec { .. } => "EC",
            Parameters::Okp { .. } => "OKP",
        }
    }

    /// Returns the `crv`, for keys on curves.
    pub const fn curve(&self) -> Option<&'static str> {
        match self.parameters {
            Parameters::Rsa { .. } => None,
            Parameters::Ec { crv, .. } | Parameters::Okp { crv, .. } => Some(crv),
        }
    }

    /// Returns the `alg`.
    pub const fn algorithm(&self) -> Option<JoseAlgorithm> {
        self.alg
    }

    /// Returns the `use`.
    pub const fn key_use(&self) -> Option<JwkUse> {
        self.key_use
    }

    /// Returns the SHA-256 thumbprint of the key (RFC 7638) in base64url without padding: 43
    /// characters.
    pub fn thumbprint(&self) -> String {
        self.parameters.thumbprint()
    }
}

impl Parameters {
    /// Hashes the members that RFC 7638, section 3.2, requires, in lexicographic order. The values
    /// need no escapes.
    fn thumbprint(&self) -> String {
        let members = match self {
            Self::Rsa { n, e } => format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
            Self::Ec { crv, x, y } => format!(r#"{{"crv":"{crv}","kty":"EC","x":"{x}","y":"{y}"}}"#),
            Self::Okp { crv, x } => format!(r#"{{"crv":"{crv}","kty":"OKP","x":"{x}"}}"#),
        };
        let digest = FASTEST.digest().digest(DigestAlgorithm::Sha256, &[members.as_bytes()]);
        Base64UrlUnpadded::encode_string(digest.as_ref())
    }
}

impl fmt::Display for Jwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

/// Returns the `crv` of a kind; empty for kinds without a curve.
const fn curve(kind: KeyPairKind) -> &'static str {
    match kind {
        KeyPairKind::EccP256 => "P-256",
        KeyPairKind::EccP384 => "P-384",
        KeyPairKind::EccP521 => "P-521",
        KeyPairKind::EccSecp256k1 => "secp256k1",
        KeyPairKind::Ed25519 => "Ed25519",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use pkcs8::EncodePublicKey;
    use rsa::BoxedUint;

    use super::*;

    fn decode(text: &str) -> Vec<u8> {
        Base64UrlUnpadded::decode_vec(text).expect("base64url")
    }

    #[test]
    fn the_example_of_rfc_7638_has_its_thumbprint() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRX\
                 jBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSq\
                 zs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHa\
                 Q-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let modulus = BoxedUint::from_be_slice_vartime(&decode(n));
        let key = rsa::PublicKey::new(modulus, BoxedUint::from(65_537_u64)).expect("a key");
        let der = key.to_public_key_der().expect("DER");
        let jwk = Jwk::from_public_key(KeyPairKind::Rsa2048, der.as_bytes()).expect("a JWK");
        assert_eq!(jwk.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        assert_eq!(jwk.parameters, Parameters::Rsa { n: n.to_owned(), e: "AQAB".to_owned() });
        let jwk = jwk.with_kid("2011-04-29").with_algorithm(JoseAlgorithm::Rs256).expect("an RSA algorithm");
        assert_eq!(
            jwk.to_string(),
            format!(r#"{{"kty":"RSA","n":"{n}","e":"AQAB","alg":"RS256","kid":"2011-04-29"}}"#)
        );
        assert_eq!(jwk.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn the_example_of_rfc_8037_has_its_thumbprint() {
        if crate::crypto::default_lacks("the_example_of_rfc_8037_has_its_thumbprint", &["Ed25519"]) {
            return;
        }
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let header = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        let der = [&header[..], &decode(x)].concat();
        let jwk = Jwk::from_public_key(KeyPairKind::Ed25519, &der).expect("a JWK");
        assert_eq!(jwk.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert_eq!(jwk.to_string(), format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}","kid":"{}"}}"#, jwk.kid()));
    }

    #[test]
    fn compressed_points_and_leading_zeros_of_coordinates_are_written_in_full() {
        if crate::crypto::default_lacks(
            "compressed_points_and_leading_zeros_of_coordinates_are_written_in_full",
            &["secp256k1"],
        ) {
            return;
        }
        let backend = FASTEST;
        for kind in [KeyPairKind::EccP256, KeyPairKind::EccP521, KeyPairKind::EccSecp256k1] {
            let mut short = 0;
            // One coordinate in 256 starts with a zero, so this many keys include one for certain.
            for _ in 0..5_000 {
                let pair = backend.key_pairs().generate(kind, backend.random()).expect("a key pair");
                let jwk = Jwk::from_public_key(kind, &pair.public_key_der()).expect("a JWK");
                let Parameters::Ec { x, y, .. } = &jwk.parameters else { panic!("a key on a curve") };
                let coordinates = [decode(x), decode(y)];
                short += coordinates.iter().filter(|coordinate| coordinate[0] == 0).count();
                let length = kind.p1363_signature_length() / 2;
                assert!(coordinates.iter().all(|coordinate| coordinate.len() == length), "{kind:?}");
                let point = [&[0x04][..], &coordinates[0], &coordinates[1]].concat();
                let public = backend.key_pairs().public_key_of_point(kind, &point).expect("the same point");
                assert_eq!(public.to_spki(), pair.public_key_der());
                if short > 0 {
                    break;
                }
            }
            assert!(short > 0, "{kind:?}: no coordinate started with a zero");
        }
    }

    #[test]
    fn the_algorithm_must_be_one_of_the_key_and_of_its_use() {
        if crate::crypto::default_lacks("the_algorithm_must_be_one_of_the_key_and_of_its_use", &["secp256k1"]) {
            return;
        }
        for kind in KeyPairKind::ALL.into_iter().filter(|kind| kind.modulus_bits().is_none_or(|bits| bits == 2_048)) {
            let pair = FASTEST.key_pairs().generate(kind, FASTEST.random()).expect("a key pair");
            let jwk = Jwk::from_public_key(kind, &pair.public_key_der());
            if !Jwk::supports(kind) {
                assert_eq!(jwk.err(), Some(CryptoError::UnsuitableKey));
                continue;
            }
            let jwk = jwk.expect("a JWK");
            for &algorithm in JoseAlgorithm::ALL {
                let signing = algorithm.signing_algorithm();
                let by_curve = match (jwk.curve(), algorithm) {
                    (Some("secp256k1"), JoseAlgorithm::Es256) | (Some("P-256"), JoseAlgorithm::Es256K) => false,
                    (None, _) if algorithm.encryption_algorithm().is_some() => true,
                    _ => signing.is_some_and(|signing| kind.signing_algorithms().contains(&signing)),
                };
                assert_eq!(jwk.clone().with_algorithm(algorithm).is_ok(), by_curve, "{kind:?} {algorithm}");
                let contradicted = match algorithm.key_use() {
                    JwkUse::Signature => JwkUse::Encryption,
                    JwkUse::Encryption => JwkUse::Signature,
                };
                let refused = jwk.clone().with_use(contradicted).with_algorithm(algorithm).expect_err("another use");
                assert_eq!(refused.kind(), ErrorKind::InvalidKeyUsage);
                if by_curve {
                    let set = jwk.clone().with_algorithm(algorithm).expect("checked above");
                    assert_eq!(set.clone().with_use(contradicted).algorithm(), None);
                    assert_eq!(set.with_use(algorithm.key_use()).algorithm(), Some(algorithm));
                }
            }
            assert_eq!(jwk.algorithm().is_some(), jwk.key_type() == "EC", "{kind:?}");
            let spki = pair.public_key_der();
            for malformed in [&spki[1..], &spki[..spki.len() - 1], &[]] {
                assert_eq!(Jwk::from_public_key(kind, malformed), Err(CryptoError::InvalidPublicKey));
            }
        }
    }
}
