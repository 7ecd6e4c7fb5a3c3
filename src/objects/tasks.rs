//! Work that would block an asynchronous executor: calls to a key source, and encryption of many bytes.

use object_store::Result;
use tokio::runtime::Handle;

use super::error::generic;

/// Runs work on a blocking thread, or in place if there is no runtime.
pub(super) async fn run<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let Ok(runtime) = Handle::try_current() else { return work() };
    match runtime.spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(generic(error)),
        },
    }
}
