//! What is measured: a library with its key, as a column of the table.

use std::time::{Duration, Instant};

use crate::{Result, age, aws_esdk, bare, ours};

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

/// A column of the table. Those of a backend belong to its rows, the others to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    Ours(Backend),
    /// With two threads for each message.
    OursOnTwo(Backend),
    Bare(Backend),
    AwsEsdk,
    Age,
}

impl Column {
    pub(crate) const ALL: [Self; 8] = [
        Self::Ours(Backend::AwsLc),
        Self::OursOnTwo(Backend::AwsLc),
        Self::Bare(Backend::AwsLc),
        Self::Ours(Backend::RustCrypto),
        Self::OursOnTwo(Backend::RustCrypto),
        Self::Bare(Backend::RustCrypto),
        Self::AwsEsdk,
        Self::Age,
    ];

    /// The library, if it has messages of that kind.
    pub(crate) fn subject(self, suite: Suite) -> Result<Option<Box<dyn Subject>>> {
        Ok(match (self, suite) {
            (Self::Ours(backend), _) => Some(Box::new(ours::Strongroom::new(backend, suite, 1)?)),
            (Self::OursOnTwo(backend), _) => Some(Box::new(ours::Strongroom::new(backend, suite, 2)?)),
            (Self::Bare(Backend::AwsLc), Suite::Unsigned) => Some(Box::new(bare::AwsLcAead::new()?)),
            (Self::Bare(Backend::RustCrypto), Suite::Unsigned) => Some(Box::new(bare::RustCryptoAead::new())),
            (Self::Bare(backend), Suite::Signed) => Some(Box::new(bare::Sha384::new(backend))),
            (Self::AwsEsdk, _) => Some(Box::new(aws_esdk::AwsEsdk::new(suite)?)),
            (Self::Age, Suite::Unsigned) => Some(Box::new(age::Age::new())),
            (Self::Age, Suite::Signed) => None,
        })
    }
}
