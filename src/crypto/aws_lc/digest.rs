//! SHA-2 with AWS-LC.

use aws_lc_rs::digest::{self, Context, SHA224, SHA256, SHA384, SHA512};

use crate::crypto::{Digest, DigestAlgorithm, DigestValue, Hasher};

#[derive(Debug)]
pub(in crate::crypto) struct AwsLcDigest {
    pub(in crate::crypto) library: &'static str,
}

impl Digest for AwsLcDigest {
    fn library(&self) -> &'static str {
        self.library
    }

    fn hasher(&self, algorithm: DigestAlgorithm) -> Box<dyn Hasher> {
        Box::new(Running(Context::new(library_algorithm(algorithm))))
    }

    fn digest(&self, algorithm: DigestAlgorithm, parts: &[&[u8]]) -> DigestValue {
        let algorithm = library_algorithm(algorithm);
        // The one-shot call for a single buffer does not allocate a context.
        if let [whole] = parts {
            return DigestValue::from_slice(digest::digest(algorithm, whole).as_ref());
        }
        let mut context = Context::new(algorithm);
        for part in parts {
            context.update(part);
        }
        DigestValue::from_slice(context.finish().as_ref())
    }
}

fn library_algorithm(algorithm: DigestAlgorithm) -> &'static digest::Algorithm {
    match algorithm {
        DigestAlgorithm::Sha224 => &SHA224,
        DigestAlgorithm::Sha256 => &SHA256,
        DigestAlgorithm::Sha384 => &SHA384,
        DigestAlgorithm::Sha512 => &SHA512,
    }
}

struct Running(Context);

impl Hasher for Running {
    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(self: Box<Self>) -> DigestValue {
        DigestValue::from_slice(self.0.finish().as_ref())
    }
}
