//! The limits of the server.

use std::time::Duration;

/// Bounds of everything that clients can consume.
///
/// | limit | default | if it is exceeded |
/// |---|---|---|
/// | `body_bytes` | 1 MiB | status 413 |
/// | `body_time` | 10 seconds | status 408 |
/// | `header_bytes` | 16 KiB | status 431, or a closed connection |
/// | `headers` | 64 | status 431 |
/// | `first_request_time` | 10 seconds, TLS handshake included | the connection is closed |
/// | `idle_time` | 60 seconds without a complete request | the connection is closed |
/// | `connections` | 4,096, or fewer if the process has not enough file descriptors | the connection that has been idle for the longest time is closed |
/// | `requests` | 8,192 of all connections | `ThrottlingException` |
/// | `large_bodies_bytes` | 64 MiB for the bodies of more than 16 KiB of all connections | `ThrottlingException` |
/// | `streams` | 64 HTTP/2 requests of a connection | further requests wait |
/// | `workers` | 32 for each core, 64 to 512 | further calls are queued |
/// | `queue` | 512 calls | `ThrottlingException` |
/// | `shutdown_time` | 30 seconds | calls are abandoned |
#[derive(Clone, Debug)]
pub struct Limits {
    /// The size of a body, in bytes.
    pub body_bytes: usize,
    /// The time in which a body must arrive.
    pub body_time: Duration,
    /// The size of the request line and headers of a request, in bytes.
    pub header_bytes: usize,
    /// The number of headers of a request.
    pub headers: usize,
    /// The time in which the first request of a connection must arrive.
    pub first_request_time: Duration,
    /// The time between two requests of a connection.
    pub idle_time: Duration,
    /// The number of connections.
    pub connections: usize,
    /// The number of requests of all connections that are read or answered at the same time.
    pub requests: usize,
    /// The memory for large bodies of all connections, in bytes.
    pub large_bodies_bytes: usize,
    /// The number of concurrent requests of an HTTP/2 connection.
    pub streams: u32,
    /// The number of calls that run at the same time.
    pub workers: usize,
    /// The number of calls that wait for a worker.
    pub queue: usize,
    /// The time for requests to finish at shutdown.
    pub shutdown_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self {
            body_bytes: 1 << 20,
            body_time: Duration::from_secs(10),
            header_bytes: 16 << 10,
            headers: 64,
            first_request_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(60),
            connections: 4_096,
            requests: 8_192,
            large_bodies_bytes: 64 << 20,
            streams: 64,
            // A call mostly waits for a disk or a database. The audit trail syncs the events of all
            // calls that wait at the same time at once.
            workers: (32 * cores).clamp(64, 512),
            queue: 512,
            shutdown_time: Duration::from_secs(30),
        }
    }
}
