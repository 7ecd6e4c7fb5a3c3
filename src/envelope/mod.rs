//! Envelope encryption: data of any size under keys that are kept elsewhere, as messages of the AWS Encryption SDK.
//!
//! An [`Envelope`](crate::Envelope) makes a fresh data key for each message, lets a [`Keyring`] wrap it, and writes the wrapped forms into
//! the message. Whoever holds one of the wrapping keys opens it.
//!
//! | you have | use |
//! |---|---|
//! | bytes in memory | [`Envelope::encrypt`](crate::Envelope::encrypt) and [`Envelope::decrypt`](crate::Envelope::decrypt); the `_into` forms save an allocation |
//! | a file, a socket, more than fits in memory | [`Envelope::writer`](crate::Envelope::writer) and [`Envelope::reader`](crate::Envelope::reader) |
//! | an asynchronous program | `Envelope::async_writer` and `Envelope::async_reader`, with the feature `tokio` |
//! | bytes that come and go by other ways, from an event loop, say | [`Envelope::encryptor`](crate::Envelope::encryptor) and [`Envelope::decryptor`](crate::Envelope::decryptor) |
//! | a message of megabytes and idle cores | [`EnvelopeBuilder::threads`] |
//! | a part of a message in a file | [`Envelope::random_access_reader`](crate::Envelope::random_access_reader), which looks at that part only |
//! | a message that should be under other keys | [`Envelope::re_encrypt`](crate::Envelope::re_encrypt) |
//! | a message and no key | [`message::inspect`](crate::message::inspect) |
//!
//! Between the two stands a [`MaterialsManager`]; with [`CachingMaterialsManager`] one data key serves many messages.
//!
//! The encryption context is bound to the message and stands in it in clear. On decrypt, give what you expect of it:
//! every pair that you give must be there, others may be there too.

mod config;
mod keyring;
mod materials;
pub(crate) mod operations;
mod policy;
mod start;
mod stream;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

pub use keyring::{
    DefaultMaterialsManager, KMS_PROVIDER_ID, Keyring, KmsKeyring, MultiKeyring, RawAesKeyring, RawEcdhKeyring,
    RawRsaKeyring, UnwrapFailure, UnwrapFailures,
};
pub use materials::{
    CacheStatistics, CachingMaterialsManager, CachingMaterialsManagerBuilder, DEFAULT_CACHE_CAPACITY,
    DEFAULT_MAX_MESSAGES, DataKeyCache, DecryptionMaterials, EncryptionMaterials, MAX_MESSAGES, MaterialsManager,
    RequiredContextManager,
};
pub use operations::{Decrypted, EnvelopeBuilder};
pub use policy::{CommitmentPolicy, SignaturePolicy};
#[cfg(feature = "tokio")]
pub use stream::{AsyncEnvelopeReader, AsyncEnvelopeWriter};
pub use stream::{EnvelopeDecryptor, EnvelopeEncryptor, EnvelopeReader, EnvelopeWriter, RandomAccessReader};
