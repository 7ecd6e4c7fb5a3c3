//! Due work and whole-store checks: sweeps, due changes, root key rotation, and verification.

pub(super) mod audit_trail;
mod census;
mod close;
pub(super) mod destruction;
pub(super) mod due;
pub(super) mod guard;
mod hsm_intents;
pub(super) mod root_key;
pub(super) mod sweep;
pub(super) mod verify_store;
