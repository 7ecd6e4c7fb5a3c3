//! What is measured: a library with its key.

use std::error::Error;
use std::time::{Duration, Instant};

/// The result of a measurement, with the error of any of the libraries.
pub(crate) type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// A library with an opened key, which encrypts and decrypts whole messages in memory.
pub(crate) trait Subject {
    /// Encrypts the plaintext so many times, and returns the time without what prepares the input.
    fn encrypt(&mut self, plaintext: &[u8], times: u32) -> Result<Duration>;

    /// Decrypts what [`Subject::encrypt`] made last, so many times.
    fn decrypt(&mut self, times: u32) -> Result<Duration>;

    /// What [`Subject::decrypt`] made last.
    fn decrypted(&self) -> &[u8];
}

/// The time that some calls take.
pub(crate) fn time(times: u32, mut call: impl FnMut() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    (0..times).try_for_each(|_| call())?;
    Ok(start.elapsed())
}

/// Whether messages are signed: suite 0x0478 of the message format, or 0x0578.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suite {
    Unsigned,
    Signed,
}

/// The cryptography of strongroom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    /// The default, with the feature `aws-lc-rs`.
    AwsLc,
    /// Pure Rust.
    RustCrypto,
}

impl Backend {
    pub(crate) const ALL: [Self; 2] = [Self::AwsLc, Self::RustCrypto];
}
