//! Keys that never leave an HSM, through PKCS#11 (OASIS, version 2.40 and later).
//!
//! A [`Module`] is the library of an HSM vendor. There is one for each file in a process. A
//! [`Token`] is found by its serial number or label. It is logged in to once, and used through a
//! bounded pool of sessions. This crate handles the usual failures of tokens: sessions that die,
//! tokens that disappear and return with other handles, and calls that never return. It also
//! handles an attacker's ciphertexts, which some tokens answer as if they were broken.
//!
//! Keys are identified by a random CKA_ID. Their handles are looked up again after each
//! reconnection, and a key proves its identity before it is used: it decrypts a canary, or creates
//! a signature that its public key verifies. A missing key is reported as unavailable, and is never
//! treated as deleted.
//!
//! | to | use |
//! |---|---|
//! | load a vendor's library | [`Module::load`] |
//! | find and configure a token | [`TokenConfig`], [`TokenSelector`] |
//! | keep keys in one token | [`Pkcs11Provider`] |
//! | keep keys in several tokens | [`Pkcs11Cluster`], behind a custom key store |
//! | keep the root key of a store in HSMs | [`HsmRootKey`] |
//! | call a token directly, without a `Kms` | [`Token`] |
//! | see the reason for a failure | [`TokenError`] |
//!
//! The page [HSMs](crate::manual::hsm) of the manual describes setup, failover and vendors.
//!
//! # Examples
//! ```
//! use std::time::Duration;
//!
//! use strongroom::provider::pkcs11::{CallMode, ErrorClass, FixedPin, Module, Token, TokenConfig, TokenSelector};
//! use strongroom::{SecretBytes, provider};
//!
//! /// Connects a token, and returns the names of its mechanisms.
//! fn mechanisms(module: &str, label: &str) -> Result<Vec<String>, provider::pkcs11::TokenError> {
//!     let config = TokenConfig::new(TokenSelector::Label(label.into()))
//!         .call_mode(CallMode::Deadline { deadline: Duration::from_secs(2), threads: 4 });
//!     let pin = FixedPin::new(SecretBytes::copy_from_slice(b"1234"));
//!     let token = Token::new(&Module::load(module)?, config, pin);
//!     Ok(token.connect()?.mechanisms.keys().cloned().collect())
//! }
//!
//! let missing = mechanisms("/no/such/module.so", "payments").unwrap_err();
//! assert_eq!(missing.class(), ErrorClass::Fatal);
//! ```

mod cluster;
mod config;
mod connection;
mod error;
mod mechanism;
mod module;
mod object;
mod provider;
mod quirks;
mod reference;
mod root_key;
mod token;

pub use cluster::Pkcs11Cluster;
pub use config::{CallMode, FixedPin, IvMode, KeyTypes, PinProvider, TokenConfig, TokenSelector};
pub use error::{ErrorClass, TokenError};
pub use mechanism::MechanismUse;
pub use mechanism::gcm::GCM_OVERHEAD;
pub use module::{Module, ModuleOptions, Modules};
pub use object::{KeyProtection, NewKey};
pub use provider::Pkcs11Provider;
pub use quirks::{KeyWrapPadding, QUIRKS, Quirks, quirks_of};
pub use reference::{KEY_ID_LENGTH, TokenKeyHandle, TokenKeyKind};
pub use root_key::HsmRootKey;
pub use token::Token;
pub use token::capabilities::TokenCapabilities;
pub use token::health::{HealthState, TokenHealth};
