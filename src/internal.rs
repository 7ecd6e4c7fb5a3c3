//! Doors for the fuzz targets: no part of the interface, and free to change.

pub use crate::kms::{rewritten_export_payload, rewritten_key_record, rewritten_root_record};
