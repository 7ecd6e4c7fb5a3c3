#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! | module | contains |
//! |---|---|
//! | `error` | failures of Vault, and whether another attempt helps |
//! | `classify` | the failure for an answer of Vault, or for a broken connection |
//! | `name` | names of keys, mounts, and namespaces |
//! | `ciphertext` | the texts that Vault returns: `vault:v1:...` |
//! | `request` | requests of the transit engine |
//! | `client` | [`VaultTransit`]: operations with a deadline |
//! | `calls` | the operations |
//! | `keyring` | [`VaultKeyring`] |
//! | `root_key` | [`VaultRootKey`] |
//! | `provider` | [`VaultProvider`] |

mod calls;
mod ciphertext;
mod classify;
mod client;
mod error;
mod keyring;
mod name;
mod provider;
mod request;
mod root_key;

pub use client::{DEFAULT_ATTEMPTS, MAX_ATTEMPTS, VaultTransit};
pub use error::{VaultError, VaultFailure};
pub use keyring::{VAULT_PROVIDER_ID, VaultKeyring};
pub use provider::VaultProvider;
pub use root_key::VaultRootKey;
pub use strongroom_upstream::{DEFAULT_DEADLINE, MAX_DEADLINE, Retry};
