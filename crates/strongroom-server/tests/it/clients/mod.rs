//! Official clients of AWS, over sockets.

mod boto3;
mod command_line;
mod encryption_sdk;
mod javascript;
mod parameters;
mod rust;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use strongroom::Kms;
use strongroom::audit::{AuditEvent, Outcome};
use strongroom::key::ClusterId;
use strongroom::provider::MemoryCluster;
use strongroom_server::http::Limits;

use crate::support::server::{GatedClock, TestServer};

/// Clusters with IDs as in AWS, and the password of their crypto users.
const CLUSTERS: [&str; 2] = ["cluster-2a34b5cdefg", "cluster-3b45c6defgh"];
const PASSWORD: &str = "kmsPswd1";

/// Starts a server whose KMS has two clusters for custom key stores.
fn server_with_clusters() -> TestServer {
    let mut builder = Kms::builder();
    for id in CLUSTERS {
        let cluster = MemoryCluster::new([("hsm-1", "zone-a"), ("hsm-2", "zone-b")], PASSWORD.as_bytes());
        builder = builder.cluster(ClusterId::parse(id).unwrap(), cluster);
    }
    TestServer::of(builder, Limits::default(), |state| state)
}

/// A server that performs one call at a time and queues none. It holds the first call until it has
/// throttled another.
struct HeldServer {
    server: TestServer,
    gate: Arc<Mutex<()>>,
}

impl HeldServer {
    fn start() -> Self {
        let gate = Arc::new(Mutex::new(()));
        let limits = Limits { workers: 1, queue: 0, ..Limits::default() };
        let server = TestServer::of(Kms::builder().clock(GatedClock(Arc::clone(&gate))), limits, |state| state);
        Self { server, gate }
    }

    /// Runs clients until they end. Holds a call until another has been throttled.
    fn hold_while<T>(&self, clients: impl FnOnce() -> T + Send) -> T
    where
        T: Send,
    {
        let closed = self.gate.lock().unwrap();
        std::thread::scope(|scope| {
            let clients = scope.spawn(clients);
            while !self.has_throttled() && !clients.is_finished() {
                std::thread::sleep(Duration::from_millis(5));
            }
            assert!(self.has_throttled(), "the server has throttled no call");
            drop(closed);
            clients.join().unwrap()
        })
    }

    fn has_throttled(&self) -> bool {
        let page = self.server.exchange(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        page.lines().any(|line| line.contains("result=\"throttled\"") && !line.ends_with(" 0"))
    }
}

/// Returns the completed events of each request.
fn events_by_request(server: &TestServer) -> BTreeMap<String, Vec<AuditEvent>> {
    assert_eq!(server.trail.dropped(), 0);
    let mut by_request: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for event in server.trail.events() {
        let id = event.request_id.as_deref().filter(|_| event.outcome != Outcome::Intent).map(str::to_owned);
        if let Some(id) = id {
            by_request.entry(id).or_default().push(event);
        }
    }
    by_request
}
