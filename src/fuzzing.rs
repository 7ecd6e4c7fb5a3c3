//! Entry points for the fuzz targets. Not part of the public API, and subject to change.

pub use crate::kms::{rewritten_export_payload, rewritten_key_record, rewritten_root_record};
#[cfg(feature = "object_store")]
pub use crate::objects::fuzzing::{object_range, object_stored_size};
#[cfg(feature = "parameters")]
pub use crate::parameters::fuzzing::{rewritten_count_record, rewritten_parameter_record, rewritten_version_record};
#[cfg(feature = "wire")]
pub use crate::wire::fuzzing::{acceptable_body, checked_request, parsed_body, request_shapes};
#[cfg(all(feature = "parameters", feature = "wire"))]
pub use crate::wire::parameters::fuzzing::parameter_request_shapes;
