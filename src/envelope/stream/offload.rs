//! Work that leaves the thread of an asynchronous reactor.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::tokio::runtime::Handle;
use ::tokio::task::{JoinError, JoinHandle};

use super::error::failed_before;
use crate::error::{Error, ErrorKind, Result};

/// A value that is worked on here or aside, one work after the other. The first work that fails ends it.
pub(super) enum Aside<T> {
    Here(Box<T>),
    Away(JoinHandle<(Box<T>, Result<()>)>),
    Failed(Option<Error>),
}

impl<T: Send + 'static> Aside<T> {
    pub(super) fn new(value: T) -> Self {
        Self::Here(Box::new(value))
    }

    /// Ends it: something else failed.
    pub(super) fn give_up(&mut self) {
        *self = Self::Failed(None);
    }

    /// Starts work on the value, which is here: if it is big, on a thread for blocking work, unless there is no runtime
    /// that has any.
    pub(super) fn start(&mut self, is_big: bool, work: fn(&mut T) -> Result<()>) {
        let Self::Here(mut value) = std::mem::replace(self, Self::Failed(None)) else { return };
        *self = match Handle::try_current() {
            Ok(runtime) if is_big => Self::Away(runtime.spawn_blocking(move || {
                let result = work(&mut value);
                (value, result)
            })),
            _ => match work(&mut value) {
                Ok(()) => Self::Here(value),
                Err(error) => Self::Failed(Some(error)),
            },
        };
    }

    /// Waits for the work. A failure is told once; after that every call says that there was one.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<&mut T>> {
        if let Self::Away(work) = self {
            *self = match ready!(Future::poll(Pin::new(work), cx)) {
                Ok((value, Ok(()))) => Self::Here(value),
                Ok((_, Err(error))) => Self::Failed(Some(error)),
                Err(error) => Self::Failed(Some(given_up(error))),
            };
        }
        Poll::Ready(match self {
            Self::Here(value) => Ok(value),
            Self::Failed(error) => Err(error.take().unwrap_or_else(failed_before)),
            Self::Away(_) => Err(failed_before()),
        })
    }
}

/// Runs what may wait on a thread for blocking work; here, if there is no runtime that has any.
pub(super) async fn run_aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    match Handle::try_current() {
        Ok(runtime) => runtime.spawn_blocking(work).await.map_err(given_up),
        Err(_) => Ok(work()),
    }
}

/// A panic goes on here; otherwise the runtime is going down and does not start anything any more.
fn given_up(error: JoinError) -> Error {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => Error::new(ErrorKind::Io, "the runtime is shutting down").with_source(error),
    }
}
