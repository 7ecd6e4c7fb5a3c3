//! Offloads CPU-heavy work from the async executor to a blocking thread.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::tokio::runtime::Handle;
use ::tokio::task::{JoinError, JoinHandle};

use super::error::failed_before;
use crate::error::{Error, ErrorKind, Result};

/// A value that is processed in place or on a blocking thread, one task at a time. It becomes
/// unusable when a task fails.
pub(super) enum Offload<T> {
    Idle(Box<T>),
    Running(JoinHandle<(Box<T>, Result<()>)>),
    Failed(Option<Error>),
}

impl<T: Send + 'static> Offload<T> {
    pub(super) fn new(value: T) -> Self {
        Self::Idle(Box::new(value))
    }

    /// Makes the value unusable because of another failure.
    pub(super) fn give_up(&mut self) {
        *self = Self::Failed(None);
    }

    /// Starts a task on the idle value. Big tasks run on a blocking thread, unless there is no
    /// runtime.
    pub(super) fn start(&mut self, is_big: bool, work: fn(&mut T) -> Result<()>) {
        let Self::Idle(mut value) = std::mem::replace(self, Self::Failed(None)) else { return };
        *self = match Handle::try_current() {
            Ok(runtime) if is_big => Self::Running(runtime.spawn_blocking(move || {
                let result = work(&mut value);
                (value, result)
            })),
            _ => match work(&mut value) {
                Ok(()) => Self::Idle(value),
                Err(error) => Self::Failed(Some(error)),
            },
        };
    }

    /// Polls for completion. After a task has failed, every call returns its error.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<&mut T>> {
        if let Self::Running(work) = self {
            *self = match ready!(Future::poll(Pin::new(work), cx)) {
                Ok((value, Ok(()))) => Self::Idle(value),
                Ok((_, Err(error))) => Self::Failed(Some(error)),
                Err(error) => Self::Failed(Some(given_up(error))),
            };
        }
        Poll::Ready(match self {
            Self::Idle(value) => Ok(value),
            Self::Failed(error) => Err(error.clone().unwrap_or_else(failed_before)),
            Self::Running(_) => Err(failed_before()),
        })
    }
}

/// Runs work that may block on a blocking thread, or in place if there is no runtime.
pub(super) async fn spawn_blocking_or_run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    match Handle::try_current() {
        Ok(runtime) => runtime.spawn_blocking(work).await.map_err(given_up),
        Err(_) => Ok(work()),
    }
}

/// Resumes a panic of the task. Otherwise the runtime is shutting down and starts no tasks.
fn given_up(error: JoinError) -> Error {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => Error::new(ErrorKind::Io, "the runtime is shutting down").with_source(error),
    }
}
