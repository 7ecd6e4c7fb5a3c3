//! The parameter store.

mod access;
#[cfg(feature = "sqlite")]
mod backups;
#[cfg(feature = "sqlite")]
mod concurrency;
#[cfg(feature = "sqlite")]
mod elsewhere;
#[cfg(feature = "sqlite")]
mod kills;
mod limits;
mod lists;
#[cfg(feature = "wire")]
mod protocol;
mod races;
mod storage;
mod versions;

use strongroom::Error;
use strongroom::parameters::ParameterError;

type TestResult<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Returns the name of the exception with which a call was refused.
fn exception<T: std::fmt::Debug>(result: Result<T, Error>) -> &'static str {
    let error = result.expect_err("the call is refused");
    let reason: Option<&ParameterError> = error.downcast_ref();
    reason.map_or_else(|| error.kind().aws_name(), ParameterError::exception_name)
}
