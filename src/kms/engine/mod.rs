//! The state that all handles of one KMS share: key material, HSMs and custom key stores, the guard
//! against copies of the store, the audit log, and metering.

pub(super) mod audit_log;
pub(super) mod connections;
pub(super) mod copy_guard;
pub(super) mod core;
pub(super) mod due_keys;
pub(super) mod gate;
pub(super) mod handle;
pub(super) mod hsm_keys;
pub(super) mod key_marks;
pub(super) mod key_state;
pub(super) mod key_versions;
pub(super) mod limits;
pub(super) mod mark_holder;
pub(super) mod material;
pub(super) mod metering;
pub(super) mod store_connection;
pub(super) mod succession;
pub(super) mod wrapping_keys;
