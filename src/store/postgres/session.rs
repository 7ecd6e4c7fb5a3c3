//! A connection without prepared statements, and how to establish one.

use std::future::{self, Future};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio_postgres::error::Severity;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Error, Socket};

/// Establishes a session with the host of a configuration.
pub(super) type Dial = dyn Fn(Config) -> Dialing + Send + Sync;

type Dialing = Pin<Box<dyn Future<Output = Result<Session, Error>> + Send>>;

/// A connection without prepared statements. It is closed when it is dropped.
pub(super) struct Session {
    pub(super) client: Client,
    /// The number of warnings that the server has sent.
    warnings: Arc<AtomicU64>,
    /// Moves bytes between the client and the socket.
    driver: Driver,
}

/// The task that moves bytes. Dropping it closes the socket.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Session {
    /// Returns the function that establishes sessions with this connector for TLS.
    pub(super) fn dialer<T>(connector: T) -> Arc<Dial>
    where
        T: MakeTlsConnect<Socket, TlsConnect: Send, Stream: Send> + Clone + Send + Sync + 'static,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        Arc::new(move |config| {
            let connector = connector.clone();
            Box::pin(async move {
                let (client, connection) = config.connect(connector).await?;
                let warnings = Arc::new(AtomicU64::new(0));
                let driver = tokio::spawn(drive(connection, Arc::clone(&warnings)));
                Ok(Self { client, warnings, driver: Driver(driver) })
            })
        })
    }

    /// Returns the number of warnings that the server has sent. A warning arrives before the answer
    /// to the request that caused it.
    pub(super) fn warnings(&self) -> u64 {
        self.warnings.load(Ordering::Relaxed)
    }

    /// Closes the socket without waiting for answers that are still due.
    pub(super) fn abort(&self) {
        self.driver.0.abort();
    }

    /// Says goodbye to the server, which then does not log a lost connection.
    pub(super) async fn close(self) {
        let Self { client, mut driver, .. } = self;
        drop(client);
        // A connection that was already lost is closed, too.
        let _ = (&mut driver.0).await;
    }
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
