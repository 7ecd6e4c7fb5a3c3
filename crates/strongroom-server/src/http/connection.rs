//! One connection: TLS, the versions of HTTP, and timeouts.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

use super::activity::Activity;
use super::connections::Place;
use super::limits::Limits;
use super::lingering::Lingering;
use super::service;
use super::state::State;

/// The time for the end of an idle connection, for example to send what HTTP/2 sends last.
const CLOSING_TIME: Duration = Duration::from_secs(2);

/// Streams of HTTP/2 that the client has reset and that are not processed yet. More of them end the
/// connection (CVE-2023-44487, "rapid reset").
const MAX_RESET_STREAMS: usize = 20;
/// Streams of HTTP/2 that the server may reset because of errors of the client. More of them end the
/// connection (RUSTSEC-2024-0003). Other floods are limited by `h2` itself: one answer to PING and
/// SETTINGS is pending at a time, and it counts CONTINUATION and empty DATA frames.
const MAX_REFUSED_STREAMS: usize = 64;
/// The data of HTTP/2 that the client may send before the server reads it, in bytes.
const WINDOW: u32 = 1 << 18;
/// The answers of an HTTP/2 stream that wait for the client to read them, in bytes.
const SEND_BUFFER: usize = 1 << 18;

/// Serves a connection until it ends. Failures are those of the client, and not reported.
pub(super) async fn serve(
    state: Arc<State>,
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
    stopping: watch::Receiver<bool>,
) {
    let accepted = Instant::now();
    // Ignored because it only delays small answers.
    let _ = stream.set_nodelay(true);
    let activity = Activity::new(&state.limits, accepted, place);
    let Some(tls) = &state.tls else { return exchange(&state, stream, peer, activity, stopping).await };
    let acceptor = TlsAcceptor::from(Arc::clone(tls.current().as_ref()));
    let handshake = timeout_at(accepted + state.limits.first_request_time, acceptor.accept(stream));
    let accepted = tokio::select! {
        accepted = handshake => accepted,
        () = activity.place_taken() => return,
    };
    match accepted {
        Ok(Ok(stream)) => exchange(&state, stream, peer, activity, stopping).await,
        Ok(Err(error)) => tracing::debug!(peer = %peer, error = %error, "TLS handshake failed"),
        Err(_) => tracing::debug!(peer = %peer, "TLS handshake timed out"),
    }
}

fn builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // The timeouts are those of `Activity`, which also apply before the version is known.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(limits.headers)
        .max_buf_size(limits.header_bytes.max(8_192));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_pending_accept_reset_streams(MAX_RESET_STREAMS)
        .max_local_error_reset_streams(MAX_REFUSED_STREAMS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_send_buf_size(SEND_BUFFER);
    builder
}

/// Answers the requests of a connection. Ends it if it is idle for too long, or at shutdown once all
/// requests are answered.
async fn exchange<S>(
    state: &Arc<State>,
    stream: S,
    peer: SocketAddr,
    activity: Arc<Activity>,
    mut stopping: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| {
        let (state, in_flight) = (Arc::clone(state), activity.begin());
        async move {
            let response = service::respond(state, peer, request, &in_flight).await;
            drop(in_flight);
            Ok::<_, Infallible>(response)
        }
    });
    let builder = builder(&state.limits);
    let stream = Lingering::new(stream, Arc::clone(&activity));
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut check = Instant::now();
    loop {
        tokio::select! {
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(peer = %peer, error = %error, "connection failed");
                }
                return;
            }
            () = sleep_until(check) => match activity.next_check(Instant::now()) {
                Some(next) => check = next,
                None => {
                    connection.as_mut().graceful_shutdown();
                    // The connection is dropped if the client does not answer.
                    let _ = timeout(CLOSING_TIME, connection).await;
                    return;
                }
            },
            () = activity.place_taken() => {
                tracing::debug!(peer = %peer, "closed, because a new connection needs the place");
                connection.as_mut().graceful_shutdown();
                // Sends what HTTP/2 sends last, without waiting for the client.
                let _ = timeout(Duration::ZERO, connection).await;
                return;
            }
            () = wait_for_stop(&mut stopping) => {
                connection.as_mut().graceful_shutdown();
                // Later than the server gives up, so that it notices that a request was abandoned.
                let limit = state.limits.shutdown_time.saturating_add(CLOSING_TIME);
                let _ = timeout(limit, connection).await;
                return;
            }
        }
    }
}

async fn wait_for_stop(stopping: &mut watch::Receiver<bool>) {
    // An error means that the server has ended.
    let _ = stopping.wait_for(|is_stopping| *is_stopping).await;
}
