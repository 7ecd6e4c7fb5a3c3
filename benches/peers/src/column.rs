//! The columns of the table, and the library that each of them measures.

use crate::subject::{Backend, Result, Subject, Suite};
use crate::{age, aws_esdk, bare, ours};

/// A column of the table. Columns of a backend belong to the rows of that backend, and the others
/// to all rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    Ours(Backend),
    /// Two threads per message.
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

    /// Returns the library, if it supports messages of that kind.
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
