//! Algorithm names of JOSE.

use crate::algorithm::{EncryptionAlgorithm, SigningAlgorithm};
use crate::crypto::KeyPairKind;
use crate::text::string_enum;

string_enum! {
    /// The `alg` of a token or of a key: the algorithms of a KMS that JOSE has names for (RFC 7518,
    /// sections 3.1 and 4.1). Ed25519ph has none.
    pub enum JoseAlgorithm as "JOSE algorithm" {
        /// RSASSA-PKCS1-v1_5 with SHA-256.
        Rs256 => "RS256",
        /// RSASSA-PKCS1-v1_5 with SHA-384.
        Rs384 => "RS384",
        /// RSASSA-PKCS1-v1_5 with SHA-512.
        Rs512 => "RS512",
        /// RSASSA-PSS with SHA-256.
        Ps256 => "PS256",
        /// RSASSA-PSS with SHA-384.
        Ps384 => "PS384",
        /// RSASSA-PSS with SHA-512.
        Ps512 => "PS512",
        /// ECDSA over P-256 with SHA-256.
        Es256 => "ES256",
        /// ECDSA over P-384 with SHA-384.
        Es384 => "ES384",
        /// ECDSA over P-521 with SHA-512.
        Es512 => "ES512",
        /// ECDSA over secp256k1 with SHA-256 (RFC 8812, section 3.2).
        Es256K => "ES256K",
        /// Ed25519, by the name of RFC 8037, section 3.1, which does not specify the curve. Most
        /// libraries know this name only.
        EdDsa => "EdDSA",
        /// Ed25519, by the name of RFC 9864, section 2.2, which replaces `EdDSA`.
        Ed25519 => "Ed25519",
        /// RSA-OAEP with SHA-1.
        RsaOaep => "RSA-OAEP",
        /// RSA-OAEP with SHA-256.
        RsaOaep256 => "RSA-OAEP-256",
    }
}

string_enum! {
    /// The intended use of a public key (RFC 7517, section 4.2).
    pub enum JwkUse as "use of a JSON Web Key" {
        /// Verification of signatures.
        Signature => "sig",
        /// Encryption, or agreement on a key for it.
        Encryption => "enc",
    }
}

impl JoseAlgorithm {
    /// Returns the name of a signing algorithm for keys of a kind. Returns `None` if the key does not
    /// have the algorithm, for Ed25519ph, and for Ed25519, which has two names.
    ///
    /// # Examples
    /// ```
    /// use strongroom::algorithm::SigningAlgorithm;
    /// use strongroom::crypto::KeyPairKind;
    /// use strongroom::jose::JoseAlgorithm;
    ///
    /// let algorithm = JoseAlgorithm::of(KeyPairKind::EccP384, SigningAlgorithm::EcdsaSha384);
    /// assert_eq!(algorithm, Some(JoseAlgorithm::Es384));
    /// assert_eq!(JoseAlgorithm::of(KeyPairKind::EccP384, SigningAlgorithm::EcdsaSha256), None);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn of(kind: KeyPairKind, algorithm: SigningAlgorithm) -> Option<Self> {
        Self::only(|name| name.supports(kind) && name.signing_algorithm() == Some(algorithm))
    }

    /// Returns the name that meets a condition. Returns `None` if there is none, or several.
    pub(super) fn only(condition: impl Fn(Self) -> bool) -> Option<Self> {
        let mut names = Self::ALL.iter().copied().filter(|name| condition(*name));
        names.next().filter(|_| names.next().is_none())
    }

    /// Returns the signing algorithm of a KMS key, or `None` for encryption.
    ///
    /// # Examples
    /// ```
    /// use strongroom::algorithm::SigningAlgorithm;
    /// use strongroom::jose::JoseAlgorithm;
    ///
    /// assert_eq!(JoseAlgorithm::Ps256.signing_algorithm(), Some(SigningAlgorithm::RsassaPssSha256));
    /// assert_eq!(JoseAlgorithm::parse("ES256")?.signing_algorithm(), Some(SigningAlgorithm::EcdsaSha256));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub const fn signing_algorithm(self) -> Option<SigningAlgorithm> {
        Some(match self {
            Self::Rs256 => SigningAlgorithm::RsassaPkcs1V15Sha256,
            Self::Rs384 => SigningAlgorithm::RsassaPkcs1V15Sha384,
            Self::Rs512 => SigningAlgorithm::RsassaPkcs1V15Sha512,
            Self::Ps256 => SigningAlgorithm::RsassaPssSha256,
            Self::Ps384 => SigningAlgorithm::RsassaPssSha384,
            Self::Ps512 => SigningAlgorithm::RsassaPssSha512,
            Self::Es256 | Self::Es256K => SigningAlgorithm::EcdsaSha256,
            Self::Es384 => SigningAlgorithm::EcdsaSha384,
            Self::Es512 => SigningAlgorithm::EcdsaSha512,
            Self::EdDsa | Self::Ed25519 => SigningAlgorithm::Ed25519Sha512,
            Self::RsaOaep | Self::RsaOaep256 => return None,
        })
    }

    /// Returns the encryption algorithm of a KMS key, or `None` for signatures.
    ///
    /// # Examples
    /// ```
    /// use strongroom::algorithm::EncryptionAlgorithm;
    /// use strongroom::jose::JoseAlgorithm;
    ///
    /// let encryption = JoseAlgorithm::RsaOaep256.encryption_algorithm();
    /// assert_eq!(encryption, Some(EncryptionAlgorithm::RsaesOaepSha256));
    /// assert_eq!(JoseAlgorithm::Es256.encryption_algorithm(), None);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub const fn encryption_algorithm(self) -> Option<EncryptionAlgorithm> {
        match self {
            Self::RsaOaep => Some(EncryptionAlgorithm::RsaesOaepSha1),
            Self::RsaOaep256 => Some(EncryptionAlgorithm::RsaesOaepSha256),
            _ => None,
        }
    }

    /// Returns the use of keys with this algorithm.
    ///
    /// # Examples
    /// ```
    /// use strongroom::jose::{JoseAlgorithm, JwkUse};
    ///
    /// assert_eq!(JoseAlgorithm::Es256.key_use(), JwkUse::Signature);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub const fn key_use(self) -> JwkUse {
        match self.encryption_algorithm() {
            Some(_) => JwkUse::Encryption,
            None => JwkUse::Signature,
        }
    }

    /// Returns `true` if keys of a kind have this algorithm.
    ///
    /// # Examples
    /// ```
    /// use strongroom::crypto::KeyPairKind;
    /// use strongroom::jose::JoseAlgorithm;
    ///
    /// assert!(JoseAlgorithm::Ps256.supports(KeyPairKind::Rsa2048));
    /// assert!(!JoseAlgorithm::Ps256.supports(KeyPairKind::EccP256));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub const fn supports(self, kind: KeyPairKind) -> bool {
        match kind {
            KeyPairKind::Rsa2048 | KeyPairKind::Rsa3072 | KeyPairKind::Rsa4096 => matches!(
                self,
                Self::Rs256
                    | Self::Rs384
                    | Self::Rs512
                    | Self::Ps256
                    | Self::Ps384
                    | Self::Ps512
                    | Self::RsaOaep
                    | Self::RsaOaep256
            ),
            KeyPairKind::EccP256 => matches!(self, Self::Es256),
            KeyPairKind::EccP384 => matches!(self, Self::Es384),
            KeyPairKind::EccP521 => matches!(self, Self::Es512),
            KeyPairKind::EccSecp256k1 => matches!(self, Self::Es256K),
            KeyPairKind::Ed25519 => matches!(self, Self::EdDsa | Self::Ed25519),
            KeyPairKind::MlDsa44 | KeyPairKind::MlDsa65 | KeyPairKind::MlDsa87 => false,
            KeyPairKind::MlKem512 | KeyPairKind::MlKem768 | KeyPairKind::MlKem1024 => false,
        }
    }
}
