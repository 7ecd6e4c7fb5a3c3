//! The operations of a KMS on its keys.

pub(crate) mod asymmetric;
mod cipher;
mod clock_jumps;
mod custom_provider;
mod key_transfer;
pub(crate) mod keys;
mod mac;
mod metering;
pub(crate) mod pipeline;
mod rotation;
mod state_table;
