//! What all handles share: key material and where it lies, HSM connections, and the state of one KMS.

pub(super) mod audit_log;
pub(super) mod connections;
pub(super) mod core;
pub(super) mod handle;
pub(super) mod hsm;
pub(super) mod instance;
pub(super) mod key_state;
pub(super) mod key_versions;
pub(super) mod limits;
pub(super) mod material;
pub(super) mod metering;
pub(super) mod wrapping_keys;
