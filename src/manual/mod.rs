//! The manual: tutorials, tasks, operation, and reference. Every example in it runs as a test.
//!
//! # Start here
//!
//! | page | answers |
//! |---|---|
//! | [`quickstart`] | How do I encrypt something, and stream a file? |
//! | [`cookbook`] | How do I ...? Ten short recipes, from a field to an HSM |
//! | [`concepts`] | What are keys, versions, aliases, states and contexts? |
//! | [`differences`] | What is like AWS KMS, and what is deliberately different? |
//!
//! # Build something
//!
//! | you want to | page |
//! |---|---|
//! | encrypt values in a database, and search for them | [`columns`] |
//! | encrypt files, objects and messages | [`envelopes`]: keyrings, reading modes, errors |
//! | encrypt objects in S3, other clouds or folders, with ranges | `objects` (with the feature `object_store`) |
//! | separate customers, and delete one of them for good | [`tenants`] |
//! | store configuration and secrets by name | `parameters` (with the feature `parameters`) |
//! | exchange objects with the Amazon S3 Encryption Client | `s3_encryption` (with the feature `s3-encryption`) |
//! | encrypt disks, and unlock LUKS2 volumes | `volumes` (with the feature `volumes`) |
//! | keep data secret for decades, even from quantum computers | [`quantum`] |
//! | sign, verify, agree on secrets, compute MACs | [`key_types`] |
//! | import your own key material | [`bring_your_own_key`] |
//! | keep keys in an HSM | `hsm` (with the feature `pkcs11`) |
//! | call it from async code | [`async_programs`] |
//! | serve AWS SDKs and the AWS CLI | [`endpoint`] |
//! | move from AWS KMS to strongroom, or back, or from Vault or Tink | [`migrating`] |
//! | decide who may do what | [`access`]: principals, accounts, metering; [`policies`]: key policies, identity policies, grants |
//! | replace a part: store, keyring, provider, policy, audit sink | [`custom_parts`] |
//!
//! # Run it
//!
//! | you want to | page |
//! |---|---|
//! | keep keys in a file, back it up, restore it, move the root key | [`persistence`] |
//! | share keys between machines, in a PostgreSQL database | `sharing` (with the feature `postgres`) |
//! | run it in production: durability, maintenance, alerts, incidents | [`operating`] |
//! | record and verify every call | [`audit`] |
//! | limit the resources that it uses | [`limits`] |
//! | use only a FIPS module | [`fips`] |
//! | know which attackers it protects against, and which not | [`threat_model`] |
//!
//! # Look it up
//!
//! | page | answers |
//! |---|---|
//! | [`defaults`] | What are the defaults, and why? |
//! | [`backends`] | Which cryptographic libraries run, and can I choose? |
//! | [`message_format`] | What does an encrypted message look like, byte by byte? |
//! | [`blob_format`] | What does `Encrypt` return, byte by byte? |

// Start here
#[doc = include_str!("quickstart.md")]
pub mod quickstart {}

#[doc = include_str!("cookbook.md")]
pub mod cookbook {}

#[doc = include_str!("concepts.md")]
pub mod concepts {}

#[doc = include_str!("differences.md")]
pub mod differences {}

// Build something
#[doc = include_str!("columns.md")]
pub mod columns {}

#[cfg(feature = "object_store")]
#[doc = include_str!("objects.md")]
pub mod objects {}

#[doc = include_str!("envelopes.md")]
pub mod envelopes {}

#[doc = include_str!("tenants.md")]
pub mod tenants {}

#[cfg(feature = "parameters")]
#[doc = include_str!("parameters.md")]
pub mod parameters {}

#[cfg(feature = "s3-encryption")]
#[doc = include_str!("s3_encryption.md")]
pub mod s3_encryption {}

#[cfg(feature = "volumes")]
#[doc = include_str!("volumes.md")]
pub mod volumes {}
#[doc = include_str!("quantum.md")]
pub mod quantum {}

#[doc = include_str!("key_types.md")]
pub mod key_types {}

#[doc = include_str!("bring_your_own_key.md")]
pub mod bring_your_own_key {}

#[cfg(feature = "pkcs11")]
#[doc = include_str!("hsm.md")]
pub mod hsm {}

#[doc = include_str!("async_programs.md")]
pub mod async_programs {}

#[doc = include_str!("endpoint.md")]
pub mod endpoint {}

#[doc = include_str!("migrating.md")]
pub mod migrating {}

#[doc = include_str!("access.md")]
pub mod access {}

#[doc = include_str!("policies.md")]
pub mod policies {}

#[doc = include_str!("custom_parts.md")]
pub mod custom_parts {}

// Run it
#[doc = include_str!("persistence.md")]
pub mod persistence {}

#[cfg(feature = "postgres")]
#[doc = include_str!("sharing.md")]
pub mod sharing {}

#[doc = include_str!("operating.md")]
pub mod operating {}

#[doc = include_str!("audit.md")]
pub mod audit {}

#[doc = include_str!("limits.md")]
pub mod limits {}

#[doc = include_str!("fips.md")]
pub mod fips {}

#[doc = include_str!("../../SECURITY.md")]
pub mod threat_model {}

// Look it up
#[doc = include_str!("defaults.md")]
pub mod defaults {}

#[doc = include_str!("backends.md")]
pub mod backends {}

#[doc = include_str!("message_format.md")]
pub mod message_format {}

#[doc = include_str!("blob_format.md")]
pub mod blob_format {}
