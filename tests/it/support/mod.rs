//! Helpers that several tests share.

pub(crate) mod ambiguous_store;
pub(crate) mod any_store;
pub(crate) mod backend;
pub(crate) mod blobs;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) mod child_process;
pub(crate) mod counting_store;
pub(crate) mod custom_key_stores;
#[cfg(feature = "sqlite")]
pub(crate) mod disk_faults;
pub(crate) mod envelope;
pub(crate) mod every_key;
pub(crate) mod external_tools;
pub(crate) mod hooked_cluster;
pub(crate) mod hooked_store;
pub(crate) mod interrupted_trail;
pub(crate) mod kms;
pub(crate) mod openssl;
pub(crate) mod operations;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) mod parallel;
pub(crate) mod policies;
#[cfg(all(feature = "postgres", unix))]
pub(crate) mod postgres;
pub(crate) mod races;
pub(crate) mod rejecting_sink;
pub(crate) mod sdk_process;
#[cfg(feature = "pkcs11")]
pub(crate) mod soft_tokens;
#[cfg(feature = "tracing")]
pub(crate) mod spans;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite_store;
pub(crate) mod stored_parameters;
pub(crate) mod stuck_anchor;
pub(crate) mod tampering_store;
pub(crate) mod vectors;
