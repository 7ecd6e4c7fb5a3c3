//! SHA-2 with `sha2`.

use sha2::{Sha224, Sha256, Sha384, Sha512};

use crate::crypto::{Digest, DigestAlgorithm, DigestValue, Hasher};

#[derive(Debug)]
pub(super) struct RustCryptoDigest;

impl Digest for RustCryptoDigest {
    fn library(&self) -> &'static str {
        "sha2"
    }

    fn hasher(&self, algorithm: DigestAlgorithm) -> Box<dyn Hasher> {
        match algorithm {
            DigestAlgorithm::Sha224 => Box::new(Running(<Sha224 as sha2::Digest>::new())),
            DigestAlgorithm::Sha256 => Box::new(Running(<Sha256 as sha2::Digest>::new())),
            DigestAlgorithm::Sha384 => Box::new(Running(<Sha384 as sha2::Digest>::new())),
            DigestAlgorithm::Sha512 => Box::new(Running(<Sha512 as sha2::Digest>::new())),
        }
    }

    fn digest(&self, algorithm: DigestAlgorithm, parts: &[&[u8]]) -> DigestValue {
        match algorithm {
            DigestAlgorithm::Sha224 => hash::<Sha224>(parts),
            DigestAlgorithm::Sha256 => hash::<Sha256>(parts),
            DigestAlgorithm::Sha384 => hash::<Sha384>(parts),
            DigestAlgorithm::Sha512 => hash::<Sha512>(parts),
        }
    }
}

fn hash<D: sha2::Digest>(parts: &[&[u8]]) -> DigestValue {
    let mut digest = D::new();
    for part in parts {
        digest.update(part);
    }
    DigestValue::from_slice(&digest.finalize())
}

struct Running<D>(D);

impl<D: sha2::Digest + Send + Sync> Hasher for Running<D> {
    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(self: Box<Self>) -> DigestValue {
        DigestValue::from_slice(&self.0.finalize())
    }
}
