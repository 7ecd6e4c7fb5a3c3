//! Entry points for the fuzz targets: records that are decoded and encoded again.

use super::record::{CountRecord, ParameterRecord, VersionRecord};

/// Decodes the record of a parameter and encodes it again, or returns `None` if it is invalid.
pub fn rewritten_parameter_record(bytes: &[u8]) -> Option<Vec<u8>> {
    let record = ParameterRecord::decode(bytes).ok()?;
    Some(record.encode().ok()?.expose_secret().to_vec())
}

/// Decodes the record of an earlier version like [`rewritten_parameter_record`].
pub fn rewritten_version_record(bytes: &[u8]) -> Option<Vec<u8>> {
    let record = VersionRecord::decode(bytes).ok()?;
    Some(record.encode().ok()?.expose_secret().to_vec())
}

/// Decodes the number of parameters like [`rewritten_parameter_record`].
pub fn rewritten_count_record(bytes: &[u8]) -> Option<Vec<u8>> {
    let record = CountRecord::decode(bytes).ok()?;
    Some(record.encode().expose_secret().to_vec())
}
