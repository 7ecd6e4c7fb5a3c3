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
//! | `keyring`, `rsa_keyring` | [`AwsKmsKeyring`], [`AwsKmsRsaKeyring`] |
//! | `root_key` | [`AwsKmsRootKey`] |
//! | `provider` | [`AwsKmsProvider`] |

mod arn;
mod classify;
mod client;
mod discovery;
mod error;
mod keyring;
mod provider;
mod root_key;
mod rsa_keyring;

pub use client::AwsKms;
pub use discovery::DiscoveryFilter;
pub use error::{AwsKmsError, AwsKmsFailure};
pub use keyring::AwsKmsKeyring;
pub use provider::AwsKmsProvider;
pub use root_key::AwsKmsRootKey;
pub use rsa_keyring::AwsKmsRsaKeyring;
pub use strongroom_upstream::{DEFAULT_DEADLINE, MAX_DEADLINE, Retry};
