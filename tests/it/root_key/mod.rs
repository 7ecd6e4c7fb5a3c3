//! Root keys: where they come from and how they are rotated.

#[cfg(feature = "passphrase")]
mod passphrase;
mod rotation;
mod sources;
