//! The keyring: its contract, and messages exchanged with the AWS Encryption SDK.

mod contract;
mod discovery;
mod multi_region;
mod official;
mod rsa;
