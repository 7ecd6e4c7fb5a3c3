#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! | module | contains |
//! |---|---|
//! | `error` | failures of AWS KMS, and whether another attempt helps |
//! | `arn` | names of keys |
//! | `client` | [`AwsKms`]: operations with a deadline |
//! | `keyring`, `rsa_keyring`, `ecdh_keyring` | [`AwsKmsKeyring`], [`AwsKmsRsaKeyring`], [`AwsKmsEcdhKeyring`] |
//! | `branch_keys` | [`AwsKmsBranchKeyWrapper`] |
//! | `root_key` | [`AwsKmsRootKey`] |
//! | `provider` | [`AwsKmsProvider`] |

mod arn;
mod branch_keys;
mod classify;
mod client;
mod discovery;
mod ecdh_keyring;
mod error;
mod keyring;
mod provider;
mod root_key;
mod rsa_keyring;

pub use branch_keys::AwsKmsBranchKeyWrapper;
pub use client::AwsKms;
pub use discovery::DiscoveryFilter;
pub use ecdh_keyring::AwsKmsEcdhKeyring;
pub use error::{AwsKmsError, AwsKmsFailure};
pub use keyring::AwsKmsKeyring;
pub use provider::AwsKmsProvider;
pub use root_key::AwsKmsRootKey;
pub use rsa_keyring::AwsKmsRsaKeyring;
pub use strongroom_upstream::{DEFAULT_DEADLINE, MAX_DEADLINE, Retry};
