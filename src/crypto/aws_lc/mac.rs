//! HMAC with AWS-LC.

use aws_lc_rs::hmac::{Context, HMAC_SHA224, HMAC_SHA256, HMAC_SHA384, HMAC_SHA512, Key};

use crate::crypto::{DigestAlgorithm, Mac, MacKey, MacTag};

#[derive(Debug)]
pub(in crate::crypto) struct AwsLcMac {
    pub(in crate::crypto) library: &'static str,
}

impl Mac for AwsLcMac {
    fn library(&self) -> &'static str {
        self.library
    }

    fn bind(&self, algorithm: DigestAlgorithm, key: &[u8]) -> Box<dyn MacKey> {
        let algorithm = match algorithm {
            DigestAlgorithm::Sha224 => HMAC_SHA224,
            DigestAlgorithm::Sha256 => HMAC_SHA256,
            DigestAlgorithm::Sha384 => HMAC_SHA384,
            DigestAlgorithm::Sha512 => HMAC_SHA512,
        };
        Box::new(Prepared(Key::new(algorithm, key)))
    }
}

/// The hash states after the padded key, which the library wipes when they are dropped.
struct Prepared(Key);

impl MacKey for Prepared {
    fn authenticate(&self, parts: &[&[u8]]) -> MacTag {
        let mut context = Context::with_key(&self.0);
        for part in parts {
            context.update(part);
        }
        MacTag::copy_from_slice(context.sign().as_ref())
    }
}
