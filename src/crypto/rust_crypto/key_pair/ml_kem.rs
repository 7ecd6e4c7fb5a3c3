//! ML-KEM with `ml-kem`.

use ml_kem::{
    B32, Decapsulate, DecapsulationKey512, DecapsulationKey768, DecapsulationKey1024, EncapsulationKey512,
    EncapsulationKey768, EncapsulationKey1024, KeyExport, Seed, SharedKey,
};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::algorithm::SigningAlgorithm;
use crate::crypto::key_encoding::{self, PrivateParts};
use crate::crypto::key_pair::{check_encapsulation, check_input};
use crate::crypto::{
    CryptoError, Encapsulated, KeyPairKind, PrivateKey, PublicKey, RsaOaep, SecureRandom, SignatureInput,
};
use crate::secret::SecretBytes;

pub(super) fn generate(kind: KeyPairKind, random: &dyn SecureRandom) -> Result<Box<dyn PrivateKey>, CryptoError> {
    let mut seed = Zeroizing::new(Seed::default());
    random.fill(seed.as_mut_slice())?;
    Ok(Box::new(Private::new(kind, &seed)?))
}

pub(super) fn private_key(kind: KeyPairKind, parts: &PrivateParts) -> Result<Box<dyn PrivateKey>, CryptoError> {
    Ok(Box::new(Private::of_parts(kind, parts)?))
}

pub(super) fn public_key(kind: KeyPairKind, bytes: &[u8]) -> Result<Box<dyn PublicKey>, CryptoError> {
    Ok(Box::new(Public::new(kind, bytes)?))
}

/// Evaluates an expression with the key of any parameter set.
macro_rules! with_key {
    ($keys:expr, $key:ident => $value:expr) => {
        match $keys {
            Self::MlKem512($key) => $value,
            Self::MlKem768($key) => $value,
            Self::MlKem1024($key) => $value,
        }
    };
}

fn shared(key: SharedKey) -> SecretBytes {
    SecretBytes::copy_from_slice(Zeroizing::new(key).as_slice())
}

/// The seed and the expanded key, which the library wipes when they are dropped.
pub(super) enum Private {
    MlKem512(DecapsulationKey512),
    MlKem768(DecapsulationKey768),
    MlKem1024(DecapsulationKey1024),
}

impl Private {
    fn new(kind: KeyPairKind, seed: &Seed) -> Result<Self, CryptoError> {
        match kind {
            KeyPairKind::MlKem512 => Ok(Self::MlKem512(DecapsulationKey512::from_seed(*seed))),
            KeyPairKind::MlKem768 => Ok(Self::MlKem768(DecapsulationKey768::from_seed(*seed))),
            KeyPairKind::MlKem1024 => Ok(Self::MlKem1024(DecapsulationKey1024::from_seed(*seed))),
            _ => Err(CryptoError::UnsuitableKey),
        }
    }

    /// Checks that the public key and the expanded key belong to the seed, if they are present.
    pub(super) fn of_parts(kind: KeyPairKind, parts: &PrivateParts) -> Result<Self, CryptoError> {
        let seed = parts.secret.expose_secret().try_into().map_err(|_| CryptoError::InvalidPrivateKey)?;
        let key = Self::new(kind, seed)?;
        let is_own =
            |expanded: &SecretBytes| bool::from(key.expanded().expose_secret().ct_eq(expanded.expose_secret()));
        let matches = parts.public.as_ref().is_none_or(|public| key.public() == *public)
            && parts.expanded.as_ref().is_none_or(is_own);
        if matches { Ok(key) } else { Err(CryptoError::InvalidPrivateKey) }
    }

    /// Returns the encapsulation key in the encoding of FIPS 203.
    pub(super) fn public(&self) -> Vec<u8> {
        with_key!(self, key => key.encapsulation_key().to_bytes().to_vec())
    }

    /// Returns the decapsulation key in the encoding of FIPS 203.
    pub(super) fn expanded(&self) -> SecretBytes {
        #[expect(deprecated, reason = "AWS-LC accepts no other form, and other software stores it beside the seed")]
        fn encoded<K: ml_kem::ExpandedKeyEncoding>(key: &K) -> SecretBytes {
            SecretBytes::copy_from_slice(Zeroizing::new(key.to_expanded_bytes()).as_slice())
        }
        with_key!(self, key => encoded(key))
    }
}

impl PrivateKey for Private {
    fn kind(&self) -> KeyPairKind {
        match self {
            Self::MlKem512(_) => KeyPairKind::MlKem512,
            Self::MlKem768(_) => KeyPairKind::MlKem768,
            Self::MlKem1024(_) => KeyPairKind::MlKem1024,
        }
    }

    fn to_pkcs8(&self) -> Result<SecretBytes, CryptoError> {
        let seed = Zeroizing::new(with_key!(self, key => key.to_seed()).ok_or(CryptoError::InvalidPrivateKey)?);
        key_encoding::write_private(self.kind(), seed.as_slice(), &[])
    }

    fn public_key_der(&self) -> Vec<u8> {
        key_encoding::write_public(self.kind(), &self.public()).expect("a key of ML-KEM is short enough for DER")
    }

    fn sign(&self, algorithm: SigningAlgorithm, input: SignatureInput<'_>) -> Result<Vec<u8>, CryptoError> {
        check_input(self.kind(), algorithm, input)?;
        Err(CryptoError::UnsuitableKey)
    }

    fn decrypt(&self, _oaep: RsaOaep, _ciphertext: &[u8]) -> Result<SecretBytes, CryptoError> {
        Err(CryptoError::UnsuitableKey)
    }

    fn decrypt_pkcs1_v15_unauthenticated(&self, _ciphertext: &[u8]) -> Result<SecretBytes, CryptoError> {
        Err(CryptoError::UnsuitableKey)
    }

    fn agree(&self, _peer: &[u8]) -> Result<SecretBytes, CryptoError> {
        Err(CryptoError::UnsuitableKey)
    }

    fn decapsulate(&self, ciphertext: &[u8]) -> Result<SecretBytes, CryptoError> {
        check_encapsulation(self.kind(), ciphertext)?;
        let opened = with_key!(self, key => key.decapsulate_slice(ciphertext));
        opened.map(shared).map_err(|_| CryptoError::InvalidLength { what: "ciphertext", length: ciphertext.len() })
    }
}

enum Public {
    MlKem512(EncapsulationKey512),
    MlKem768(EncapsulationKey768),
    MlKem1024(EncapsulationKey1024),
}

impl Public {
    /// The library checks that the numbers are reduced (FIPS 203, section 7.2). Both backends parse
    /// public keys here.
    fn new(kind: KeyPairKind, bytes: &[u8]) -> Result<Self, CryptoError> {
        let invalid = CryptoError::InvalidPublicKey;
        let key = match kind {
            KeyPairKind::MlKem512 => {
                EncapsulationKey512::new(bytes.try_into().map_err(|_| invalid)?).map(Self::MlKem512)
            }
            KeyPairKind::MlKem768 => {
                EncapsulationKey768::new(bytes.try_into().map_err(|_| invalid)?).map(Self::MlKem768)
            }
            KeyPairKind::MlKem1024 => {
                EncapsulationKey1024::new(bytes.try_into().map_err(|_| invalid)?).map(Self::MlKem1024)
            }
            _ => return Err(CryptoError::UnsuitableKey),
        };
        key.map_err(|_| invalid)
    }
}

impl PublicKey for Public {
    fn kind(&self) -> KeyPairKind {
        match self {
            Self::MlKem512(_) => KeyPairKind::MlKem512,
            Self::MlKem768(_) => KeyPairKind::MlKem768,
            Self::MlKem1024(_) => KeyPairKind::MlKem1024,
        }
    }

    fn to_spki(&self) -> Vec<u8> {
        let bytes = with_key!(self, key => key.to_bytes().to_vec());
        key_encoding::write_public(self.kind(), &bytes).expect("a key of ML-KEM is short enough for DER")
    }

    fn to_compressed_point(&self) -> Option<Vec<u8>> {
        None
    }

    fn verify(&self, algorithm: SigningAlgorithm, input: SignatureInput<'_>, _: &[u8]) -> Result<(), CryptoError> {
        check_input(self.kind(), algorithm, input)?;
        Err(CryptoError::UnsuitableKey)
    }

    fn encrypt(&self, _oaep: RsaOaep, _plaintext: &[u8], _random: &dyn SecureRandom) -> Result<Vec<u8>, CryptoError> {
        Err(CryptoError::UnsuitableKey)
    }

    fn encapsulate(&self, random: &dyn SecureRandom) -> Result<Encapsulated, CryptoError> {
        let mut drawn = Zeroizing::new(B32::default());
        random.fill(drawn.as_mut_slice())?;
        let (ciphertext, key) = with_key!(self, key => {
            let (ciphertext, key) = key.encapsulate_deterministic(&drawn);
            (ciphertext.to_vec(), key)
        });
        Ok(Encapsulated { shared_secret: shared(key), ciphertext })
    }
}
