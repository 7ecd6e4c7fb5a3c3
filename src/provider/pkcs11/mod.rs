//! Keys that never leave an HSM, through PKCS#11 (OASIS, version 2.40 and later).
//!
//! A [`Module`] is the library of an HSM vendor, one for each file in a process. A [`Token`] is one token as a value: it
//! is found by its serial number or label, logged in to once, and used through a bounded pool of sessions. What happens
//! to tokens in real life is handled here: sessions that die, tokens that vanish and come back with other handles, calls
//! that never return, ciphertexts of an attacker to which a token answers as if it were broken.
//!
//! Keys are known by a random CKA_ID. Their handles are found anew after each reconnection, and a key proves that it is
//! the same one before it is used: it opens a canary, or signs what its public key verifies. A key that is not found is
//! unavailable, and never taken for deleted.

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
