//! Encrypted volumes.

mod answers;
mod attachment;
mod headers;
mod interruptions;
#[cfg(all(feature = "sqlite", unix))]
mod kills;
mod luks;
mod model;
#[cfg(unix)]
mod nbd;
#[cfg(unix)]
mod nbd_export;
mod snapshots;
mod support;
