//! Keys of every spec and usage.

use std::sync::LazyLock;

use pkcs8::SubjectPublicKeyInfoRef;
use shake::{ExtendableOutput, Shake256, Update, XofReader};
use strongroom::algorithm::SigningAlgorithm;
use strongroom::crypto::{CryptoBackend, DigestAlgorithm};
use strongroom::key::{KeyId, KeySpec, KeyUsage};
use strongroom::request::CreateKeyRequest;
use strongroom::{Kms, Result};

use crate::support::backend;

/// A key of every spec and usage. Tests must not change them.
pub(crate) struct Keys {
    pub(crate) kms: Kms,
    pub(crate) all: Vec<(KeySpec, KeyUsage, KeyId)>,
}

impl Keys {
    fn make() -> Result<Self> {
        let kms = Kms::in_memory()?;
        let mut all = Vec::new();
        for &spec in KeySpec::ALL.iter().filter(|spec| backend::allows(**spec)) {
            for &usage in spec.usages() {
                all.push((spec, usage, make(&kms, spec, usage)?));
            }
        }
        Ok(Self { kms, all })
    }

    pub(crate) fn of(&self, spec: KeySpec, usage: KeyUsage) -> KeyId {
        let found = self.all.iter().find(|key| (key.0, key.1) == (spec, usage));
        found.unwrap_or_else(|| panic!("there is no {spec} key for {usage}")).2
    }

    pub(crate) fn for_usage(&self, usage: KeyUsage) -> impl Iterator<Item = (KeySpec, KeyId)> {
        self.all.iter().filter(move |key| key.1 == usage).map(|key| (key.0, key.2))
    }
}

/// Created once, because RSA keys take a long time to generate.
pub(crate) static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys::make().expect("keys of every kind can be created"));

pub(crate) fn make(kms: &Kms, spec: KeySpec, usage: KeyUsage) -> Result<KeyId> {
    Ok(kms.create_key(CreateKeyRequest::default().spec(spec).usage(usage))?.key_id())
}

/// Returns the digest that an algorithm signs.
pub(crate) fn digest(algorithm: SigningAlgorithm, message: &[u8]) -> Vec<u8> {
    let hash = match algorithm.digest_length() {
        32 => DigestAlgorithm::Sha256,
        48 => DigestAlgorithm::Sha384,
        _ => DigestAlgorithm::Sha512,
    };
    CryptoBackend::default().digest().digest(hash, &[message]).as_ref().to_vec()
}

/// Returns the message representative that ML-DSA signs, for the empty context (FIPS 204, algorithm
/// 7, line 6).
pub(crate) fn representative(public_key: &[u8], message: &[u8]) -> Vec<u8> {
    let hash = |parts: &[&[u8]]| {
        let (mut shake, mut value) = (Shake256::default(), vec![0; 64]);
        parts.iter().for_each(|part| shake.update(part));
        shake.finalize_xof().read(&mut value);
        value
    };
    let info = SubjectPublicKeyInfoRef::try_from(public_key).expect("a public key");
    hash(&[&hash(&[info.subject_public_key.raw_bytes()]), &[0, 0], message])
}
