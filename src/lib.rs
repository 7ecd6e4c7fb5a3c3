#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
//! An embeddable KMS and envelope-encryption library: the key model of a cloud KMS and the message
//! format of the AWS Encryption SDK, inside your own process.
//!
//! - [What is in it](#what-is-in-it)
//! - [Encrypt a value](#encrypt-a-value)
//! - [Encrypt a file](#encrypt-a-file)
//! - [Keep the keys](#keep-the-keys)
//! - [When something fails](#when-something-fails)
//! - [Cargo features](#cargo-features)
//! - [Where to read on](#where-to-read-on)
//!
//! # What is in it
//!
//! ```text
//!  your program ──▶ Envelope ──▶ message   the AWS Encryption SDK format: header, wrapped keys, authenticated frames
//!                      │
//!                   Keyring  ──▶ RawAesKeyring   a 32-byte key that you keep yourself
//!                      │
//!                   KmsKeyring
//!                      ▼
//!                     Kms    ──▶ policy, key state and usage, audit: one pipeline for every operation
//!                      │
//!         ┌────────────┼──────────────┐
//!     provider        seal          store
//!   generates and   protects all   stores bytes, each
//!   uses material   stored data    change atomically
//! ```
//!
//! | module | contains |
//! |---|---|
//! | this page | [`Kms`], [`Envelope`], and what all components share |
//! | [`request`] | requests and responses of the operations of [`Kms`], named as in AWS KMS |
//! | [`key`], [`algorithm`] | specs, usages, states, IDs and ARNs of keys; algorithms |
//! | [`identity`], [`policy`] | accounts and principals; who may do what |
//! | [`envelope`], [`message`] | keyrings, materials managers, streams; the message format |
//! | [`audit`] | the audit trail and its verification |
//! | [`store`], [`seal`], [`maintenance`], [`export`] | durable stores, root keys, upkeep, moving keys |
//! | [`provider`], [`crypto`] | where key material is, and what computes with it |
//! | [`manual`] | everything that is not about a single item |
//!
//! # Encrypt a value
//!
//! [`Kms::encrypt`] encrypts up to 4,096 bytes with a key that never leaves the `Kms`. The context is
//! not secret; decryption requires the same one.
//!
//! ```
//! use strongroom::request::{CreateKeyRequest, DecryptRequest, EncryptRequest};
//! use strongroom::{EncryptionContext, ErrorKind, Kms};
//!
//! let kms = Kms::in_memory()?;
//! kms.create_key(CreateKeyRequest::default().alias("alias/invoices"))?;
//!
//! let context = EncryptionContext::from([("invoice", "2026-17")]);
//! let encrypted = kms.encrypt(EncryptRequest::new("alias/invoices", b"IBAN").context(&context))?;
//! let decrypted = kms.decrypt(DecryptRequest::new(&encrypted.ciphertext_blob).context(&context))?;
//! assert_eq!(decrypted.plaintext.expose_secret(), b"IBAN");
//!
//! let other = EncryptionContext::from([("invoice", "2026-18")]);
//! let refused = kms.decrypt(DecryptRequest::new(&encrypted.ciphertext_blob).context(&other));
//! assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidCiphertext);
//! # Ok::<(), strongroom::Error>(())
//! ```
//!
//! # Encrypt a file
//!
//! [`Envelope`] encrypts messages of any length: a data key encrypts the message, and a [keyring]
//! wraps the data key. Implementations of the AWS Encryption SDK in other languages can read them.
//!
//! ```
//! use std::io::{Read, Write};
//!
//! use strongroom::envelope::KmsKeyring;
//! use strongroom::request::CreateKeyRequest;
//! use strongroom::{EncryptionContext, Envelope, Kms};
//!
//! let kms = Kms::in_memory()?;
//! kms.create_key(CreateKeyRequest::default().alias("alias/backup"))?;
//! let envelope = Envelope::new(KmsKeyring::new(&kms, "alias/backup")?);
//! let context = EncryptionContext::from([("host", "db-1")]);
//!
//! let mut writer = envelope.writer(Vec::new(), &context)?;
//! writer.write_all(b"a large file, piece by piece")?;
//! let message = writer.finish()?;
//!
//! let mut plaintext = String::new();
//! envelope.reader(&message[..], &context)?.read_to_string(&mut plaintext)?;
//! assert_eq!(plaintext, "a large file, piece by piece");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Keep the keys
//!
//! [`Kms::in_memory`] loses its keys with the process. `Kms::open` (feature `sqlite`) keeps them in a
//! file, sealed under a root key that you store elsewhere: the page [`manual::persistence`] has the
//! example, and describes which failures and modifications such a store survives.
//!
//! # When something fails
//!
//! Every function returns [`Error`], with an [`ErrorKind`] that corresponds to an exception of AWS KMS
//! and a text that states what failed, why, and what to do. Errors and `Debug` output contain neither
//! key bytes nor plaintext. Wrong input is an error, never a panic and never a wrong plaintext.
//!
//! # Cargo features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `aws-lc-rs` | yes | AES-GCM in assembly, three to five times as fast; needs a C compiler |
//! | `sqlite` | yes | the durable store, with SQLite built in; needs a C compiler |
//! | `postgres` | no | a store for several machines, in a PostgreSQL database |
//! | `tokio` | no | messages through `AsyncRead` and `AsyncWrite` |
//! | `tracing` | no | the audit trail as events, and operations as spans, of the `tracing` crate |
//! | `passphrase` | no | root keys from a passphrase, and exports under one (Argon2id) |
//! | `pkcs11` | no | keys in HSMs, through the PKCS#11 module of their vendor |
//! | `columns` | no | encrypted columns in databases |
//! | `columns-rusqlite`, `columns-tokio-postgres` | no | their values as types of the driver |
//! | `columns-sqlx` | no | the same for sqlx 0.9; needs Rust 1.94 |
//! | `wire` | no | calls in the protocol of the AWS KMS API, for a server |
//! | `parameters` | no | configuration and secrets by name, like the Parameter Store of AWS |
//! | `s3-encryption` | no | objects in the format of the Amazon S3 Encryption Client |
//! | `volumes` | no | encrypted volumes: AES-256-XTS over sectors, and keys for LUKS2 |
//! | `object_store` | no | encrypted objects in S3, other clouds and folders, with the crate of that name |
//! | `hybrid` | no | a keyring for recipients with hybrid key pairs, safe from quantum computers |
//! | `fips` | no | all cryptography in the FIPS module of AWS-LC; strict by default; needs CMake and Go |
//! | `conformance` | no | test suites for custom stores, providers, keyrings and other parts |
//!
//! Features only add: enabling one never changes the results of existing APIs. The exception is
//! `fips`, which makes the default backend reject what its module lacks ([FIPS](manual::fips)).
//!
//! # Where to read on
//!
//! The [`manual`] starts with a [quickstart](manual::quickstart) and a [cookbook](manual::cookbook),
//! and has pages for tasks ([columns](manual::columns), [streams](manual::envelopes),
//! [tenants](manual::tenants), [async programs](manual::async_programs)), for
//! [operation](manual::operating), and for [concepts](manual::concepts) and their
//! [differences](manual::differences) from AWS KMS. The [threat model](manual::threat_model) describes
//! what strongroom does not protect against.
//!
//! [keyring]: crate::envelope::Keyring

// L0: foundations
mod clock;
mod codec;
mod error;
mod fork_guard;
mod json_number;
mod lock;
pub mod metrics;
mod private_file;
mod secret;
mod shard;
mod span;
mod text;
// L1: vocabulary
pub mod algorithm;
mod context;
pub mod identity;
pub mod key;
// L2: primitives
pub mod crypto;
pub mod seal;
// L3: components, independent of each other
pub mod audit;
pub mod blob;
pub mod jose;
pub mod message;
pub mod policy;
pub mod provider;
pub mod store;
// L4: the facade
mod kms;
// L5: envelope encryption, and the protocol of AWS KMS
pub mod envelope;
#[cfg(feature = "parameters")]
pub mod parameters;
#[cfg(feature = "wire")]
pub mod wire;
// L5: encrypted columns and objects, over envelopes
#[cfg(feature = "columns")]
pub mod columns;
// L5: objects in the format of the Amazon S3 Encryption Client
#[cfg(feature = "s3-encryption")]
pub mod s3_encryption;
// L5: encrypted volumes
#[cfg(feature = "object_store")]
pub mod objects;
#[cfg(feature = "volumes")]
pub mod volumes;
// L6: manual
pub mod manual;
// Entry points for fuzzing
#[doc(hidden)]
pub mod fuzzing;

// The facade and the shared types. Every other item has exactly one path, in a module.
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use codec::CodecError;
pub use context::{EncryptionContext, MAX_CONTEXT_BYTES, RESERVED_CONTEXT_PREFIX};
pub use envelope::operations::Envelope;
pub use error::{Error, ErrorKind, Fault, Result};
pub use kms::{
    Kms, KmsAead, KmsAliasSigner, KmsBuilder, KmsLimits, KmsMac, KmsRng, KmsSignature, KmsSigner, KmsVerifyingKey,
};
pub use private_file::TrustedUsers;
pub use secret::SecretBytes;

/// Requests and responses of the operations of [`Kms`], named as in the AWS KMS API.
///
/// The constructor of a request accepts the required parameters, and its methods set the optional
/// ones. An operation with few parameters has no request type: it accepts them as arguments.
///
/// - Specify a key by ID, ARN, or alias: by any [`KeyReference`](request::KeyReference), parsed or
///   as text. Operations that change a key accept only its ID or ARN, as in AWS KMS.
/// - An encryption context binds a ciphertext to its place:
///   [`EncryptRequest::context`](request::EncryptRequest::context).
/// - A dry run performs every check and changes nothing:
///   [`EncryptRequest::dry_run`](request::EncryptRequest::dry_run), [`DryRun`](request::DryRun).
/// - Iterators return all entries of a list: [`Kms::keys`], [`Kms::aliases`], [`Kms::grants`]. Lists
///   return a [`Page`](request::Page), whose marker continues in the next
///   [`PageRequest`](request::PageRequest).
/// - The fields of responses are public. Plaintexts and secrets in them are
///   [`SecretBytes`], which are wiped when dropped.
///
/// # Examples
/// ```
/// use strongroom::request::{CreateKeyRequest, DecryptRequest, EncryptRequest};
/// use strongroom::{EncryptionContext, ErrorKind, Kms};
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(CreateKeyRequest::default().description("invoices"))?;
/// let context = EncryptionContext::from([("invoice", "2026-17")]);
/// let encrypted = kms.encrypt(EncryptRequest::new(key.key_id(), b"IBAN").context(&context))?;
/// let decrypted = kms.decrypt(DecryptRequest::new(&encrypted.ciphertext_blob).context(&context))?;
/// assert_eq!(decrypted.plaintext.expose_secret(), b"IBAN");
/// let refused = kms.decrypt(DecryptRequest::new(&encrypted.ciphertext_blob)).unwrap_err();
/// assert_eq!(refused.kind(), ErrorKind::InvalidCiphertext);
/// # Ok::<(), strongroom::Error>(())
/// ```
pub mod request {
    pub use crate::kms::{
        AliasListEntry, ConnectionError, CreateCustomKeyStoreRequest, CreateGrantRequest, CreateGrantResponse,
        CreateKeyRequest, CustomKeyStoresListEntry, DataKeyLength, DecapsulateRequest, DecapsulateResponse,
        DecryptRequest, DecryptResponse, DeleteImportedKeyMaterialResponse, DeriveSharedSecretRequest,
        DeriveSharedSecretResponse, DryRun, EncapsulateRequest, EncapsulateResponse, EncryptRequest, EncryptResponse,
        GenerateDataKeyPairRequest, GenerateDataKeyPairResponse, GenerateDataKeyPairWithoutPlaintextResponse,
        GenerateDataKeyRequest, GenerateDataKeyResponse, GenerateDataKeyWithoutPlaintextResponse, GenerateMacRequest,
        GenerateMacResponse, GetKeyLastUsageResponse, GetKeyRotationStatusResponse, GetParametersForImportRequest,
        GetParametersForImportResponse, GetPublicKeyResponse, GrantFilter, GrantListEntry, GrantToken,
        ImportKeyMaterialRequest, ImportedKeyMaterial, IncludeKeyMaterial, IntoKeyRequest, KeyListEntry, KeyReference,
        KeyRequest, LastUsage, MAX_RANDOM_LENGTH, MeteredKey, Page, PageRequest, PutKeyPolicyRequest, ReEncryptRequest,
        ReEncryptResponse, RotationListEntry, ScheduleKeyDeletionResponse, SignRequest, SignResponse,
        UpdateCustomKeyStoreRequest, VerifyMacRequest, VerifyMacResponse, VerifyRequest, VerifyResponse,
    };
}

/// Maintenance of a store: due work, verification, and its root key.
///
/// A store needs a regular call of [`Kms::run_maintenance`]. It rotates keys, deletes expired
/// material, and deletes keys whose waiting period has ended. Nothing else deletes keys
/// automatically. Call it from a job every hour or every day, or let [`Kms::maintain_every`] call
/// it on a thread. The other operations are for an operator:
///
/// | operation | result |
/// |---|---|
/// | [`Kms::run_maintenance`] | [`MaintenanceReport`](maintenance::MaintenanceReport) |
/// | [`Kms::maintain_every`] | [`MaintenanceGuard`](maintenance::MaintenanceGuard), which stops the thread when dropped |
/// | [`Kms::verify_store`] | [`StoreVerificationReport`](maintenance::StoreVerificationReport), and [`StoreVerificationProgress`](maintenance::StoreVerificationProgress) while it runs |
/// | [`Kms::rotate_root_key`], [`Kms::move_root_key`] | [`RootKeyRotation`](maintenance::RootKeyRotation) |
/// | [`Kms::root_key_status`] | [`RootKeyStatus`](maintenance::RootKeyStatus) |
/// | [`Kms::declare_successor`] | [`SuccessionReport`](maintenance::SuccessionReport) |
///
/// The page [`persistence`](manual::persistence) of the manual describes when to call each of them.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use strongroom::key::RotationPeriod;
/// use strongroom::{Kms, ManualClock, Timestamp};
///
/// let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
/// let kms = Kms::builder().clock(Arc::clone(&clock)).build()?;
/// let key = kms.create_key(Default::default())?;
/// kms.enable_key_rotation(key.key_id(), RotationPeriod::from_days(90)?)?;
///
/// clock.advance_days(90);
/// let report = kms.run_maintenance()?;
/// assert_eq!(report.rotated, [key.arn().clone()]);
/// for (key, error) in &report.failed {
///     eprintln!("{key}: {error}"); // alert an operator
/// }
/// assert!(kms.verify_store(|_| {})?.is_intact());
/// # Ok::<(), strongroom::Error>(())
/// ```
pub mod maintenance {
    pub use crate::kms::{
        MaintenanceGuard, MaintenanceReport, RootKeyRotation, RootKeyStatus, StoreVerificationProgress,
        StoreVerificationReport, SuccessionReport,
    };
}

/// Moving keys between stores, and replaying deletions into a restored backup.
///
/// [`Kms::export_key`] and [`Kms::export_all_keys`] seal keys with all versions of their material
/// for one [`ExportRecipient`](export::ExportRecipient): the owner of an RSA private key or, with
/// the feature `passphrase`, anyone who knows a passphrase. [`Kms::import_keys`] opens the file
/// with the matching [`ExportIdentity`](export::ExportIdentity). The imported keys have the same
/// IDs, so their ciphertexts can be decrypted in the new store. An
/// [`ExportError`](export::ExportError) states why a file cannot be opened.
///
/// A restored backup contains keys that were deleted after it was created.
/// [`Kms::export_deletions`] lists the deleted keys of a store, and [`Kms::apply_deletions`]
/// deletes them again. Its result is an [`ApplyDeletionsReport`](export::ApplyDeletionsReport).
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::crypto::{CryptoBackend, KeyPairKind};
/// use strongroom::export::{ExportIdentity, ExportRecipient};
/// use strongroom::request::{DecryptRequest, EncryptRequest};
///
/// // The new store's operator generates a key pair and sends the public key.
/// let backend = CryptoBackend::default();
/// let pair = backend.key_pairs().generate(KeyPairKind::Rsa3072, backend.random())?;
/// let recipient = ExportRecipient::rsa(&pair.public_key_der())?;
///
/// let old = Kms::in_memory()?;
/// let key = old.create_key(Default::default())?.key_id();
/// let blob = old.encrypt(EncryptRequest::new(key, b"four words"))?.ciphertext_blob;
/// let export = old.export_all_keys(&recipient)?;
///
/// let new = Kms::in_memory()?;
/// new.import_keys(&export.file, &ExportIdentity::rsa(&pair.to_pkcs8()?)?)?;
/// assert_eq!(new.decrypt(DecryptRequest::new(&blob))?.plaintext.expose_secret(), b"four words");
/// # Ok::<(), strongroom::Error>(())
/// ```
pub mod export {
    pub use crate::kms::{
        ApplyDeletionsReport, ExportError, ExportIdentity, ExportRecipient, KeyExport, MAX_EXPORT_BYTES,
    };
}

/// Tests the code of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
