//! The one integration test binary.

mod access_policies;
mod accounts;
mod after_commit;
mod anchors;
#[cfg(feature = "tokio")]
mod async_io;
#[cfg(feature = "sqlite")]
mod audit_crash;
mod audit_events;
mod audit_failures;
mod audit_store;
mod audit_trail;
#[cfg(feature = "sqlite")]
mod bit_rot;
mod blob;
mod blob_vectors;
mod check_order;
#[cfg(all(feature = "sqlite", target_os = "linux"))]
mod clear_secrets;
#[cfg(feature = "sqlite")]
mod copied_stores;
#[cfg(feature = "sqlite")]
mod crash;
mod custom_key_stores;
mod custom_key_stores_broken;
mod envelope;
#[cfg(feature = "sqlite")]
mod erasure;
mod error_texts;
#[cfg(all(feature = "sqlite", unix))]
mod file_access;
mod file_example;
#[cfg(all(feature = "sqlite", unix))]
mod forks;
mod grants;
mod hooked;
#[cfg(feature = "pkcs11")]
mod hsm_beyond_aws;
#[cfg(feature = "pkcs11")]
mod hsm_cluster;
#[cfg(all(feature = "pkcs11", feature = "sqlite"))]
mod hsm_kills;
#[cfg(feature = "pkcs11")]
mod hsm_load;
#[cfg(all(feature = "pkcs11", feature = "sqlite"))]
mod hsm_names;
mod integrity;
mod interop;
mod interop_key_pairs;
mod interop_matrix;
mod interop_node;
mod key_files;
mod key_transfer;
mod key_vectors;
mod kms_asymmetric;
mod kms_cipher;
mod kms_envelope;
mod kms_import;
mod kms_import_openssl;
mod kms_keys;
mod kms_mac;
mod kms_openssl;
mod kms_pipeline;
mod kms_rotation;
#[cfg(feature = "sqlite")]
mod lanes;
mod layering;
mod management_types;
mod metering;
#[cfg(feature = "sqlite")]
mod metering_processes;
mod old_writers;
mod openssl;
mod own_provider;
mod package;
#[cfg(feature = "passphrase")]
mod passphrases;
mod peer;
#[cfg(feature = "sqlite")]
mod persistence;
#[cfg(feature = "pkcs11")]
mod pkcs11;
mod pliable;
mod policy_decisions;
mod policy_grants;
mod require;
mod root_key;
mod root_rotation;
mod signatures;
#[cfg(feature = "sqlite")]
mod sqlite_settings;
mod state_table;
#[cfg(feature = "sqlite")]
mod store_files;
#[cfg(feature = "sqlite")]
mod stores;
mod streaming;
mod suites;
mod time;
#[cfg(feature = "sqlite")]
mod trail_kills;
mod unwrap_failures;
mod vectors;
mod ways;
