//! Accepts connections, and ends them at shutdown.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::connection;
use super::connections::Connections;
use super::state::State;
use crate::descriptors;
use crate::error::{Error, Result};

/// The time to wait if the process has no file descriptor for a connection.
const PAUSE: Duration = Duration::from_millis(50);
/// File descriptors that are not used for connections: those of the store, the audit trail and the
/// runtime.
const OTHER_DESCRIPTORS: u64 = 128;

/// A server that listens on an address.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    state: Arc<State>,
}

impl Server {
    /// Listens on an address. Port 0 chooses a free port.
    ///
    /// # Errors
    /// - If the address is not available.
    /// - If the address is not a loopback address, and the state has no TLS or accepts unsigned
    ///   requests.
    pub async fn bind(address: SocketAddr, state: Arc<State>) -> Result<Self> {
        if !address.ip().to_canonical().is_loopback() {
            if state.unsigned.is_some() {
                let text = format!("cannot accept unsigned requests on {address}: it is not a loopback address");
                return Err(Error::new(text));
            }
            if state.tls.is_none() {
                let text = format!(
                    "cannot listen on {address} without TLS, because it is not a loopback address; pass a certificate \
                     and its key"
                );
                return Err(Error::new(text));
            }
        }
        let cannot = |error| Error::new(format!("cannot listen on {address}")).with_source(error);
        let listener = TcpListener::bind(address).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        Ok(Self { listener, address, state })
    }

    /// Returns the address, with the port that was chosen.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns `https` or `http`.
    pub fn scheme(&self) -> &'static str {
        if self.state.tls.is_some() { "https" } else { "http" }
    }

    /// Serves requests until `shutdown` completes. Then stops accepting connections, and waits until
    /// the requests are answered, at most for the time that the limits allow. Returns `false` if
    /// requests were abandoned.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> bool {
        let connections = Connections::new(affordable(self.state.limits.connections));
        let (stop, stopping) = watch::channel(false);
        tokio::select! {
            () = self.accept(&connections, &stopping) => {}
            () = shutdown => {}
        }
        self.state.stop();
        let Self { listener, state, .. } = self;
        drop(listener);
        // Fails only if there is no connection.
        let _ = stop.send(true);
        timeout(state.limits.shutdown_time, connections.all_ended()).await.is_ok()
    }

    async fn accept(&self, connections: &Arc<Connections>, stopping: &watch::Receiver<bool>) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let place = connections.place().await;
                    let (state, stopping) = (Arc::clone(&self.state), stopping.clone());
                    tokio::spawn(async move {
                        state.metrics.connection_opened();
                        connection::serve(Arc::clone(&state), stream, peer, place, stopping).await;
                        state.metrics.connection_closed();
                    });
                }
                Err(error) => {
                    tracing::warn!(error = %error, "cannot accept a connection");
                    // The process may have no file descriptor left.
                    connections.take_oldest();
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Returns the number of connections for which the process has file descriptors.
fn affordable(wanted: usize) -> usize {
    let Some(limit) = descriptors::limit() else { return wanted };
    let others = OTHER_DESCRIPTORS.min(limit / 2);
    let affordable = usize::try_from(limit - others).unwrap_or(usize::MAX);
    if affordable < wanted {
        tracing::warn!(connections = affordable, "fewer connections than configured: raise the limit of open files");
    }
    wanted.min(affordable)
}
