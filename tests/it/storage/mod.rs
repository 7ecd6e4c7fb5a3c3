//! Key stores: files, damage, tampering, and remains of deleted data.

mod anchors;
#[cfg(feature = "sqlite")]
mod bit_rot;
#[cfg(feature = "sqlite")]
mod closing;
#[cfg(feature = "sqlite")]
mod erasure;
#[cfg(all(feature = "sqlite", unix))]
mod file_access;
#[cfg(feature = "sqlite")]
mod files_in_use;
#[cfg(feature = "sqlite")]
mod format_compatibility;
mod integrity;
#[cfg(feature = "sqlite")]
mod persistence;
mod prefetch_hints;
#[cfg(all(feature = "sqlite", target_os = "linux"))]
mod residual_secrets;
mod revalidation;
#[cfg(feature = "sqlite")]
mod sqlite_settings;
mod stored_parameters;
