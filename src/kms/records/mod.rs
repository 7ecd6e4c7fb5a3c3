//! The records of a store, one file per kind, each with its byte layout at the top.

pub(super) mod custom_key_store;
pub(super) mod destruction;
pub(super) mod grant;
pub(super) mod identity_policy;
pub(super) mod imported;
pub(super) mod instance;
pub(super) mod intent;
pub(super) mod key;
pub(super) mod tombstone;
pub(super) mod usage;
