//! Messages in pieces: with pushed data, through readers and writers, and with random access.

#[cfg(feature = "tokio")]
mod async_io;
mod decryptor;
mod encryptor;
mod error;
#[cfg(feature = "tokio")]
mod offload;
mod random_access;
mod reader;
mod writer;

#[cfg(feature = "tokio")]
pub use async_io::{AsyncEnvelopeReader, AsyncEnvelopeWriter};
pub use decryptor::EnvelopeDecryptor;
pub use encryptor::EnvelopeEncryptor;
pub use random_access::RandomAccessReader;
pub use reader::EnvelopeReader;
pub use writer::EnvelopeWriter;
