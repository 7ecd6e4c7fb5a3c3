//! Calls on blocking threads.

use std::panic;

use strongroom::{Error, ErrorKind, Result};
use tokio::runtime::Handle;

/// Runs a call on a blocking thread of Tokio, and in place without a runtime.
pub(crate) async fn call<T: Send + 'static>(call: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let Ok(runtime) = Handle::try_current() else { return call() };
    match runtime.spawn_blocking(call).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => panic::resume_unwind(panic),
            Err(error) => {
                let stopped = Error::new(ErrorKind::Io, "the runtime is shutting down, so the KMS was not called");
                Err(stopped.with_source(error))
            }
        },
    }
}
