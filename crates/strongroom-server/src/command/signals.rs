//! Signals: SIGTERM and SIGINT stop the server, SIGHUP reloads files.

use std::future::Future;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{Error, Result};

fn listen(kind: SignalKind) -> Result<Signal> {
    signal(kind).map_err(|error| Error::new("cannot receive signals").with_source(error))
}

/// Completes at the first SIGTERM or SIGINT after this call.
pub(super) fn stop() -> Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Receives SIGHUP.
pub(super) struct Hangups(Signal);

impl Hangups {
    pub(super) fn new() -> Result<Self> {
        Ok(Self(listen(SignalKind::hangup())?))
    }

    /// Waits for the next SIGHUP.
    pub(super) async fn next(&mut self) {
        self.0.recv().await;
    }
}
