//! The public methods of an envelope, with one file per topic.

#[cfg(feature = "tokio")]
mod async_streams;
mod builder;
mod envelope;
#[cfg(feature = "object_store")]
mod frames;
mod in_memory;
mod re_encrypt;
mod streams;

pub use builder::EnvelopeBuilder;
pub use envelope::Envelope;
pub use in_memory::Decrypted;
