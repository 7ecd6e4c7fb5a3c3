//! Custom key stores and the clusters of HSMs behind them.

#[cfg(feature = "pkcs11")]
mod cluster;
#[cfg(feature = "sqlite")]
mod copied_stores;
mod custom_key_store_failures;
mod custom_key_stores;
#[cfg(all(feature = "pkcs11", feature = "sqlite"))]
mod interrupted_generations;
#[cfg(all(feature = "pkcs11", feature = "sqlite"))]
mod kills;
#[cfg(feature = "pkcs11")]
mod load;
#[cfg(all(feature = "pkcs11", feature = "sqlite"))]
mod named_keys;
#[cfg(all(feature = "postgres", unix))]
mod promoted_replicas;
#[cfg(feature = "pkcs11")]
mod vendor_managed_slot;
