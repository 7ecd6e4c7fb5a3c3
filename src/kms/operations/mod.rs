//! The public operations, one file per topic. Each contains only its own step and calls the
//! pipeline once.

pub(super) mod agreement;
pub(super) mod aliases;
pub(super) mod cipher;
mod custom_key_store_connections;
pub(super) mod custom_key_stores;
pub(super) mod data_key;
pub(super) mod data_key_pair;
pub(super) mod deletion;
pub(super) mod encapsulation;
mod get_or_create;
pub(super) mod grants;
mod handles;
pub(super) mod hsm_key_creation;
pub(super) mod identity_policy;
pub(super) mod import;
mod iterators;
pub(super) mod key_creation;
pub(super) mod key_policy;
pub(super) mod keys;
pub(super) mod mac;
pub(super) mod metering;
#[cfg(feature = "parameters")]
pub(super) mod parameter_calls;
pub(super) mod public_key;
#[cfg(feature = "wire")]
mod refusals;
mod refused_requests;
pub(super) mod rotation;
pub(super) mod signing;
mod succession;
pub(super) mod tags;
