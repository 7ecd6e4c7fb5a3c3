//! A KMS with keys, and ciphers of every kind.

use std::sync::LazyLock;

use strongroom::crypto::{CryptoBackend, KeyPairKind, PrivateKey};
use strongroom::envelope::CommitmentPolicy;
use strongroom::key::KeyId;
use strongroom::s3_encryption::{
    EncryptedObject, FormatVersion, ObjectCipher, ObjectCipherBuilder, ObjectError, ObjectMetadata, WrappingKey,
};
use strongroom::{EncryptionContext, Error, Kms, SecretBytes};

pub(crate) type TestResult = Result<(), Box<dyn std::error::Error>>;

/// The metadata of an object.
pub(crate) type Pairs = Vec<(String, String)>;

/// The lengths of plaintexts around the length of a block.
pub(crate) const LENGTHS: [usize; 6] = [0, 1, 15, 16, 17, 1 << 20];

/// The policies under which objects of version 2 and of version 3 are written.
pub(crate) const VERSIONS: [(FormatVersion, CommitmentPolicy); 2] = [
    (FormatVersion::V2, CommitmentPolicy::ForbidEncryptAllowDecrypt),
    (FormatVersion::V3, CommitmentPolicy::RequireEncryptRequireDecrypt),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrap {
    Kms,
    Aes,
    Rsa,
}

impl Wrap {
    pub(crate) const ALL: [Self; 3] = [Self::Kms, Self::Aes, Self::Rsa];
}

/// Two pairs, so that a test can use the wrong one.
pub(crate) static RSA: LazyLock<[SecretBytes; 2]> = LazyLock::new(|| {
    [(); 2].map(|()| {
        let backend = CryptoBackend::default();
        let pair = backend.key_pairs().generate(KeyPairKind::Rsa2048, backend.random());
        pair.and_then(|pair: Box<dyn PrivateKey>| pair.to_pkcs8()).expect("a key pair")
    })
});

/// A KMS with two keys.
pub(crate) struct World {
    pub(crate) kms: Kms,
    pub(crate) keys: [KeyId; 2],
}

impl World {
    pub(crate) fn new() -> Self {
        let kms = Kms::in_memory().expect("a KMS");
        let keys = [(); 2].map(|()| kms.create_key(Default::default()).expect("a key").key_id());
        Self { kms, keys }
    }

    /// Returns a wrapping key: number 0, or number 1, which is another one.
    pub(crate) fn key(&self, wrap: Wrap, number: u8) -> WrappingKey {
        let index = usize::from(number);
        let key = match wrap {
            Wrap::Kms => WrappingKey::kms(&self.kms, self.keys[index]),
            Wrap::Aes => WrappingKey::aes(SecretBytes::copy_from_slice(&[number; 32])),
            Wrap::Rsa => WrappingKey::rsa_private_key(RSA[index].expose_secret()),
        };
        key.expect("a wrapping key")
    }

    pub(crate) fn builder(&self, wrap: Wrap, policy: CommitmentPolicy) -> ObjectCipherBuilder {
        ObjectCipher::builder(self.key(wrap, 0)).commitment_policy(policy)
    }

    pub(crate) fn cipher(&self, wrap: Wrap, policy: CommitmentPolicy) -> ObjectCipher {
        self.builder(wrap, policy).build().expect("a cipher")
    }
}

/// The contexts to test: with a raw key, only the empty one.
pub(crate) fn contexts(wrap: Wrap) -> Vec<EncryptionContext> {
    let mut contexts = vec![EncryptionContext::new()];
    if wrap == Wrap::Kms {
        contexts.push(EncryptionContext::from([("object", "a/b"), ("empty", "")]));
        contexts.push(EncryptionContext::from([("Straße", "日本 \u{1F511}"), ("quote", "\"\\")]));
    }
    contexts
}

/// Returns the context of most tests.
pub(crate) fn context(wrap: Wrap) -> EncryptionContext {
    contexts(wrap).into_iter().nth(1).unwrap_or_default()
}

pub(crate) fn plaintext(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

/// Returns the metadata of an object, with its instruction file.
pub(crate) fn metadata_of(object: &EncryptedObject) -> Result<ObjectMetadata, ObjectError> {
    read(&pairs_of(object), object.instruction_file())
}

/// Parses metadata and an instruction file like a client that fetches the file if it is needed.
pub(crate) fn read(pairs: &[(String, String)], file: Option<&str>) -> Result<ObjectMetadata, ObjectError> {
    let metadata = ObjectMetadata::from_pairs(pairs.iter().map(|(name, value)| (name, value)))?;
    match file {
        Some(file) if metadata.needs_instruction_file() => metadata.with_instruction_file(file.as_bytes()),
        _ => Ok(metadata),
    }
}

pub(crate) fn pairs_of(object: &EncryptedObject) -> Pairs {
    object.metadata().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Returns the reason for a rejection.
pub(crate) fn reason(error: &Error) -> Option<ObjectError> {
    error.downcast_ref().copied()
}
