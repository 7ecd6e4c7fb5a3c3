//! A cluster of tokens behind PKCS#11.

mod claim;
mod cleanup;
mod failure;
mod generation;
mod hsm_cluster;
mod keys;
mod marks;
mod members;
mod named;
mod opened;
mod replication;
mod route;

pub use members::Pkcs11Cluster;
