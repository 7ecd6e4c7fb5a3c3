//! Objects in the format of the Amazon S3 Encryption Client.

mod collision;
mod instruction_files;
#[cfg(feature = "wire")]
mod interop;
mod legacy;
mod metadata;
mod properties;
mod round_trips;
mod support;
mod tampering;
