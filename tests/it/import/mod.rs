//! Key material from outside: the formats that are read and the import into a KMS.

mod key_files;
pub(crate) mod key_material;
mod key_vectors;
mod openssl_wrapping;
