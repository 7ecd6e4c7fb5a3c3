//! Official clients of AWS, over sockets.

mod boto3;

use std::collections::BTreeMap;

use strongroom::Kms;
use strongroom::audit::{AuditEvent, Outcome};
use strongroom::key::ClusterId;
use strongroom::provider::MemoryCluster;
use strongroom_server::http::Limits;

use crate::support::server::TestServer;

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
