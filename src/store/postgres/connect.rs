//! Connecting: every host in turn, each with a deadline for all of its steps.

use std::future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;
use tokio_postgres::error::Severity;
use tokio_postgres::{AsyncMessage, Client, Connection, NoTls};

use super::failure::{reason, timed_out};
use super::options::Settings;
use crate::store::error::StoreError;

/// A connection without prepared statements.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) driver: AbortHandle,
    /// The number of warnings that the server has sent.
    pub(super) warnings: Arc<AtomicU64>,
}

/// Connects to the first host that accepts a session with the required attributes.
pub(super) async fn connect(settings: &Settings) -> Result<Session, StoreError> {
    let connecting = settings.config.connect(NoTls);
    let connected = tokio::time::timeout(settings.connect_timeout, connecting).await;
    let (client, connection) = connected.map_err(|_| timed_out(settings.connect_timeout))?.map_err(reason)?;
    let warnings = Arc::new(AtomicU64::new(0));
    let driver = tokio::spawn(drive(connection, Arc::clone(&warnings)));
    Ok(Session { client, driver: driver.abort_handle(), warnings })
}

/// Moves bytes between the client and the socket, and counts warnings. Requests report why a
/// connection ended.
async fn drive<S, T>(mut connection: Connection<S, T>, warnings: Arc<AtomicU64>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = future::poll_fn(|context| connection.poll_message(context)).await {
        match message {
            AsyncMessage::Notice(notice) if notice.parsed_severity() == Some(Severity::Warning) => {
                warnings.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}
