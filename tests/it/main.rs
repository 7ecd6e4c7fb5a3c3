//! The only integration test binary.
//!
//! Each folder is an area. Code that several areas need is in `support`: a test imports only from
//! there and from its own area.

mod access;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod all_stores;
mod audit;
#[cfg(feature = "columns")]
mod columns;
mod documentation;
mod envelope;
mod error_texts;
mod hsm;
mod import;
mod interop;
mod kms;
mod layering;
mod package;
#[cfg(feature = "parameters")]
mod parameters;
#[cfg(feature = "pkcs11")]
mod pkcs11;
#[cfg(all(feature = "postgres", unix))]
mod postgres;
#[cfg(feature = "sqlite")]
mod process;
mod prose;
mod public_paths;
mod root_key;
#[cfg(feature = "s3-encryption")]
mod s3_encryption;
mod storage;
mod support;
#[cfg(feature = "volumes")]
mod volumes;
#[cfg(feature = "wire")]
mod wire;
