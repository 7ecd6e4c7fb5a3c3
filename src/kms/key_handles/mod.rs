//! Keys as values: each combines a KMS, a key, and an algorithm, for code that expects traits
//! rather than a KMS.

mod aead;
mod mac;
mod rng;
mod signer;

pub use aead::KmsAead;
pub use mac::KmsMac;
pub use rng::KmsRng;
pub use signer::{KmsSignature, KmsSigner, KmsVerifyingKey};
