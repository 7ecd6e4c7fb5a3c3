//! External key material: the formats that are read, and the import into a KMS.

mod key_files;
mod key_material;
mod key_transfer;
mod key_vectors;
mod openssl_wrapping;
