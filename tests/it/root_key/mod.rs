//! Sources and rotation of root keys.

#[cfg(feature = "passphrase")]
mod passphrase;
mod rotation;
mod sources;
