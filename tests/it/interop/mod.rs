//! Other implementations: the official SDKs, OpenSSL, and references in Python.

pub(crate) mod aws_sdks;
pub(crate) mod blob_reference;
pub(crate) mod blob_vectors;
pub(crate) mod key_pairs;
mod matrix;
mod node;
pub(crate) mod openssl_kms_keys;
mod openssl_signatures;
