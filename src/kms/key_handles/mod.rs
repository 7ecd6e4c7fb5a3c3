//! Keys as values: each combines a KMS, a key, and an algorithm, for code that expects traits
//! rather than a KMS.

mod aead;
mod alias_signer;
mod mac;
mod rng;
mod signature_types;
mod signer;
mod signing_key;

pub use aead::KmsAead;
pub use alias_signer::KmsAliasSigner;
pub use mac::KmsMac;
pub use rng::KmsRng;
pub use signature_types::{KmsSignature, KmsVerifyingKey};
pub use signer::KmsSigner;
