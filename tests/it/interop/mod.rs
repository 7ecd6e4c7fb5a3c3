//! Other implementations: the official SDKs, OpenSSL, and reference implementations in Python.

mod aws_sdks;
mod blob_reference;
mod blob_vectors;
#[cfg(feature = "hybrid")]
mod hybrid;
mod jwk;
mod key_handles;
mod key_pairs;
mod matrix;
mod node;
mod openssl_kms_keys;
mod openssl_signatures;
mod post_quantum;
