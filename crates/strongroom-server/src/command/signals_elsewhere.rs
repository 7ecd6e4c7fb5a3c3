//! Signals on other platforms: Ctrl-C stops the server, and files are not reloaded.

use std::future::Future;

use crate::error::Result;

/// Completes at Ctrl-C.
pub(super) fn stop() -> Result<impl Future<Output = ()>> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}

/// Never receives a signal.
pub(super) struct Hangups;

impl Hangups {
    pub(super) fn new() -> Result<Self> {
        Ok(Self)
    }

    pub(super) async fn next(&mut self) {
        std::future::pending().await
    }
}
