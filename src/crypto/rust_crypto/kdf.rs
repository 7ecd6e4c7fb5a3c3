//! HKDF with `hkdf`.

use hkdf::Hkdf;
use hkdf::hmac::EagerHash;
use sha2::{Sha224, Sha256, Sha384, Sha512};
use zeroize::Zeroize;

use crate::crypto::kdf::check_key;
use crate::crypto::{CryptoError, DigestAlgorithm, Kdf, PseudoRandomKey};

#[derive(Debug)]
pub(super) struct RustCryptoKdf;

impl Kdf for RustCryptoKdf {
    fn library(&self) -> &'static str {
        "hkdf"
    }

    fn extract(&self, algorithm: DigestAlgorithm, salt: &[u8], input: &[u8]) -> Box<dyn PseudoRandomKey> {
        match algorithm {
            DigestAlgorithm::Sha224 => extract::<Sha224>(salt, input),
            DigestAlgorithm::Sha256 => extract::<Sha256>(salt, input),
            DigestAlgorithm::Sha384 => extract::<Sha384>(salt, input),
            DigestAlgorithm::Sha512 => extract::<Sha512>(salt, input),
        }
    }

    fn bind(&self, algorithm: DigestAlgorithm, key: &[u8]) -> Result<Box<dyn PseudoRandomKey>, CryptoError> {
        check_key(algorithm, key)?;
        match algorithm {
            DigestAlgorithm::Sha224 => bind::<Sha224>(key),
            DigestAlgorithm::Sha256 => bind::<Sha256>(key),
            DigestAlgorithm::Sha384 => bind::<Sha384>(key),
            DigestAlgorithm::Sha512 => bind::<Sha512>(key),
        }
    }
}

fn extract<D: EagerHash + 'static>(salt: &[u8], input: &[u8]) -> Box<dyn PseudoRandomKey>
where
    Prepared<D>: PseudoRandomKey,
{
    let (mut key, prepared) = Hkdf::<D>::extract(Some(salt), input);
    key.as_mut_slice().zeroize();
    Box::new(Prepared(prepared))
}

fn bind<D: EagerHash + 'static>(key: &[u8]) -> Result<Box<dyn PseudoRandomKey>, CryptoError>
where
    Prepared<D>: PseudoRandomKey,
{
    let invalid = CryptoError::InvalidLength { what: "HKDF pseudo-random key", length: key.len() };
    Ok(Box::new(Prepared(Hkdf::<D>::from_prk(key).map_err(|_| invalid)?)))
}

/// The HMAC states after the padded key, so that an expand does not hash the key again. They are
/// wiped when dropped.
struct Prepared<D: EagerHash>(Hkdf<D>);

impl<D: EagerHash> PseudoRandomKey for Prepared<D>
where
    Hkdf<D>: Send + Sync,
{
    fn expand(&self, info: &[&[u8]], output: &mut [u8]) -> Result<(), CryptoError> {
        let length = output.len();
        self.0.expand_multi_info(info, output).map_err(|_| CryptoError::InvalidLength { what: "HKDF output", length })
    }
}
