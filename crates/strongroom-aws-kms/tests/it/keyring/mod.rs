//! The keyring: its contract, and messages exchanged with the AWS Encryption SDK.

mod contract;
mod discovery;
mod ecdh;
mod hierarchical;
mod multi_region;
mod official;
mod rsa;
