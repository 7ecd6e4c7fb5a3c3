//! HMAC with `hmac`.

use hmac::digest::KeyInit;
use hmac::{EagerHash, Hmac};
use sha2::{Sha224, Sha256, Sha384, Sha512};

use crate::crypto::{DigestAlgorithm, Mac, MacKey, MacTag};

#[derive(Debug)]
pub(super) struct RustCryptoMac;

impl Mac for RustCryptoMac {
    fn library(&self) -> &'static str {
        "hmac"
    }

    fn bind(&self, algorithm: DigestAlgorithm, key: &[u8]) -> Box<dyn MacKey> {
        match algorithm {
            DigestAlgorithm::Sha224 => bind::<Sha224>(key),
            DigestAlgorithm::Sha256 => bind::<Sha256>(key),
            DigestAlgorithm::Sha384 => bind::<Sha384>(key),
            DigestAlgorithm::Sha512 => bind::<Sha512>(key),
        }
    }
}

fn bind<D>(key: &[u8]) -> Box<dyn MacKey>
where
    D: EagerHash + 'static,
    Hmac<D>: hmac::Mac + KeyInit + Clone + Send + Sync,
{
    let hmac =
        <Hmac<D> as KeyInit>::new_from_slice(key).expect("HMAC supports keys of any length (RFC 2104, section 2)");
    Box::new(Prepared(hmac))
}

/// Both hash states after the padded key. Every MAC starts from them, so that the key is not hashed
/// again.
struct Prepared<M>(M);

impl<M: hmac::Mac + Clone + Send + Sync> MacKey for Prepared<M> {
    fn authenticate(&self, parts: &[&[u8]]) -> MacTag {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        MacTag::copy_from_slice(&mac.finalize().into_bytes())
    }
}
