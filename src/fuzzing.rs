//! Entry points for the fuzz targets. Not part of the public API, and subject to change.

pub use crate::kms::{rewritten_export_payload, rewritten_key_record, rewritten_root_record};
#[cfg(feature = "wire")]
pub use crate::wire::fuzzing::{
    MAX_REQUEST_BYTES, MAX_REQUEST_DEPTH, MAX_REQUEST_VALUES, checked_request, parsed_body, request_shapes,
};
