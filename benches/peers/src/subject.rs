//! The subject of a measurement: a library with its key.

use std::error::Error;
use std::time::{Duration, Instant};

/// The result of a measurement, with the error of any of the libraries.
pub(crate) type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// A library with an opened key, which encrypts and decrypts complete messages in memory.
pub(crate) trait Subject {
    /// Encrypts the plaintext the given number of times. Returns the time, excluding the
    /// preparation of the input.
    fn encrypt(&mut self, plaintext: &[u8], times: u32) -> Result<Duration>;

    /// Decrypts the last output of [`Subject::encrypt`] the given number of times.
    fn decrypt(&mut self, times: u32) -> Result<Duration>;

    /// Returns the last output of [`Subject::decrypt`].
    fn decrypted(&self) -> &[u8];
}

/// Returns the duration of the given number of calls.
pub(crate) fn time(times: u32, mut call: impl FnMut() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    (0..times).try_for_each(|_| call())?;
    Ok(start.elapsed())
}

/// Unsigned or signed messages: suite 0x0478 or 0x0578 of the message format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suite {
    Unsigned,
    Signed,
}

/// Crypto backend of strongroom.
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
