//! Envelope encryption: encrypts data of any size under keys that are stored elsewhere, in the
//! message format of the AWS Encryption SDK.
//!
//! An [`Envelope`](crate::Envelope) generates a new data key for each message, wraps it with a
//! [`Keyring`], and stores the wrapped forms in the message. Any of the wrapping keys can decrypt
//! it.
//!
//! | you have | use |
//! |---|---|
//! | bytes in memory | [`Envelope::encrypt`](crate::Envelope::encrypt) and [`Envelope::decrypt`](crate::Envelope::decrypt); the `_into` forms save an allocation |
//! | a file, a socket, or more than fits in memory | [`Envelope::writer`](crate::Envelope::writer) and [`Envelope::reader`](crate::Envelope::reader) |
//! | an asynchronous program | `Envelope::async_writer` and `Envelope::async_reader`, with the feature `tokio` |
//! | your own input and output, such as an event loop | [`Envelope::encryptor`](crate::Envelope::encryptor) and [`Envelope::decryptor`](crate::Envelope::decryptor) |
//! | messages of several megabytes, and idle cores | [`EnvelopeBuilder::threads`] |
//! | a part of a message in a file | [`Envelope::random_access_reader`](crate::Envelope::random_access_reader), which verifies that part only |
//! | a message to move to other keys | [`Envelope::re_encrypt`](crate::Envelope::re_encrypt) |
//! | a message but no key | [`message::inspect`](crate::message::inspect) |
//!
//! An envelope obtains data keys through a [`MaterialsManager`]. With [`CachingMaterialsManager`],
//! one data key is used for many messages.
//!
//! The encryption context is bound to the message, which contains it in plaintext. When decrypting,
//! supply the pairs that you expect. Every pair that you supply must be present; the message may
//! contain others.
//!
//! The page [envelopes](crate::manual::envelopes) of the manual compares the keyrings and explains
//! errors. [Message format](crate::manual::message_format) describes the bytes.
//!
//! # Examples
//! ```
//! use strongroom::envelope::{KmsKeyring, MultiKeyring, RawAesKeyring};
//! use strongroom::{EncryptionContext, Envelope, Kms};
//!
//! let kms = Kms::in_memory()?;
//! let daily = KmsKeyring::new(&kms, kms.create_key(Default::default())?.key_id())?;
//! let safe = RawAesKeyring::new("safe", "paper copy", kms.generate_random(32)?)?;
//! let envelope = Envelope::new(MultiKeyring::new(daily).with_child(safe));
//!
//! let context = EncryptionContext::from([("file", "report.pdf")]);
//! let message = envelope.encrypt(b"any number of bytes", &context)?;
//! assert_eq!(envelope.decrypt(&message, &context)?, b"any number of bytes");
//! # Ok::<(), strongroom::Error>(())
//! ```

mod branch_keys;
mod config;
mod keyring;
mod materials;
pub(crate) mod operations;
mod policy;
mod start;
mod stream;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

pub use branch_keys::{
    BeaconKey, BranchKey, BranchKeyItem, BranchKeyStore, BranchKeyVersion, BranchKeyWrapper, KmsBranchKeyWrapper,
    MAX_BRANCH_KEY_ID,
};
#[cfg(feature = "columns")]
pub(crate) use keyring::KeyChoice;
pub use keyring::{
    DefaultMaterialsManager, HierarchicalKeyring, KMS_PROVIDER_ID, KeyAgreement, KeyAgreementKeyring, Keyring,
    KmsContextKeyring, KmsKeyring, MultiKeyring, RawAesKeyring, RawEcdhKeyring, RawRsaKeyring, UnwrapFailure,
    UnwrapFailures,
};
#[cfg(feature = "hybrid")]
pub use keyring::{HybridKem, RawHybridKeyring};
pub use materials::{
    CacheStatistics, CachingMaterialsManager, CachingMaterialsManagerBuilder, DEFAULT_CACHE_CAPACITY,
    DEFAULT_MAX_MESSAGES, DataKeyCache, DecryptionMaterials, EncryptionMaterials, IntoMaterialsManager, MAX_MESSAGES,
    MaterialsManager, RequiredContextManager,
};
#[cfg(feature = "columns")]
pub(crate) use materials::{CachedKey, Entrance, Terms};
pub use operations::{Decrypted, EnvelopeBuilder};
pub use policy::{CommitmentPolicy, SignaturePolicy};
#[cfg(feature = "tokio")]
pub use stream::{AsyncEnvelopeReader, AsyncEnvelopeWriter};
pub use stream::{EnvelopeDecryptor, EnvelopeEncryptor, EnvelopeReader, EnvelopeWriter, RandomAccessReader};
