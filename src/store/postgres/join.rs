//! Pipelining: several requests on one connection without waiting for the answers in between.

use std::future::{self, Future};
use std::pin::Pin;
use std::task::Poll;

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Requests that are sent together. A connection sends requests in the order in which their futures
/// are first polled, and [`Pipeline::run`] polls them in the order in which they were added.
pub(super) struct Pipeline<'a, T>(Vec<State<'a, T>>);

enum State<'a, T> {
    Running(Boxed<'a, T>),
    Done(T),
}

impl<'a, T: Unpin> Pipeline<'a, T> {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn add(&mut self, request: impl Future<Output = T> + Send + 'a) {
        self.0.push(State::Running(Box::pin(request)));
    }

    /// Sends all requests and waits for all answers, which are returned in the same order.
    pub(super) async fn run(mut self) -> Vec<T> {
        future::poll_fn(|context| {
            let mut is_ready = true;
            for state in &mut self.0 {
                if let State::Running(request) = state {
                    match request.as_mut().poll(context) {
                        Poll::Ready(answer) => *state = State::Done(answer),
                        Poll::Pending => is_ready = false,
                    }
                }
            }
            if is_ready { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        let done = |state| match state {
            State::Done(answer) => Some(answer),
            State::Running(_) => None,
        };
        self.0.into_iter().filter_map(done).collect()
    }
}
