//! Entry points for the fuzz targets: not part of the public interface, and subject to change.

pub use crate::kms::{rewritten_export_payload, rewritten_key_record, rewritten_root_record};
