//! The records of a store, one file per kind, each with its byte layout at the top.

pub(super) mod alias;
pub(super) mod codec;
pub(super) mod custom_key_store;
pub(super) mod destruction;
pub(super) mod grant;
pub(super) mod identity_policy;
pub(super) mod imported;
pub(super) mod instance;
pub(super) mod intent;
pub(super) mod key;
mod key_state;
pub(super) mod key_version;
mod store;
pub(super) mod tombstone;
pub(super) mod usage;
pub(super) mod version_name;

pub(super) use store::store_record_id;
