//! The operations of a KMS on its keys.

mod aliased_keys;
mod asymmetric;
mod bounds;
mod cipher;
mod clock_jumps;
mod closing;
mod custom_provider;
mod encapsulation;
#[cfg(feature = "fips")]
mod fips;
mod idle_maintenance;
mod iterators;
mod key_handles;
mod keys;
mod mac;
mod metering;
mod metrics;
pub(crate) mod pipeline;
mod random;
mod rotation;
mod several_hosts;
#[cfg(feature = "tracing")]
mod spans;
mod state_table;
