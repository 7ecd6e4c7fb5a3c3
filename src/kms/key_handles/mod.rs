//! Keys as values: a KMS, a key and an algorithm bound together, for code that knows traits and no KMS.

mod aead;
mod mac;
mod signer;

pub use aead::KmsAead;
pub use mac::KmsMac;
pub use signer::{KmsSignature, KmsSigner, KmsVerifyingKey};
