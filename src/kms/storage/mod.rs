//! The layer between store and memory: the registry and its caches, the sealed store with its index
//! and anchor, and counters.

pub(super) mod audit_chain;
pub(super) mod cache;
pub(super) mod commit;
pub(super) mod custom_key_stores;
pub(super) mod edit;
pub(super) mod grants;
pub(super) mod hsm_intents;
pub(super) mod loaded_key;
pub(super) mod message_count;
pub(super) mod registry;
pub(super) mod retirable_grants;
pub(super) mod retry;
pub(super) mod sealed;
pub(super) mod sealed_material;
pub(super) mod stored_grants;
pub(super) mod trusted_time;
pub(super) mod usage_counters;
pub(super) mod usage_records;
