//! The AWS SDK for JavaScript.

use serde_json::Value;
use strongroom_server::http::Limits;
use strongroom_server::tls::TlsFiles;

use crate::clients::{CLUSTERS, HeldServer, PASSWORD, server_with_clusters};
use crate::support::server::{ACCESS_KEY, ALICE, ALICE_ACCESS_KEY, TestServer};
use crate::support::{certificate, peer};

/// Returns a server with a new certificate, and the path of the certificate.
fn server_with_tls(folder: &std::path::Path) -> (TestServer, String) {
    let (certificate, key) = certificate::create(folder, "certificate");
    let config = TlsFiles::new(&certificate, &key).load().unwrap();
    (TestServer::with(Limits::default(), |state| state.tls(config)), certificate)
}

#[test]
fn javascript_calls_every_group_of_operations() {
    let test = "javascript_calls_every_group_of_operations";
    let Some(node) = peer::node(test) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (server, (tls, certificate)) = (server_with_clusters(), server_with_tls(folder.path()));
    let held = HeldServer::start();
    let mut environment = server.environment(ACCESS_KEY);
    environment.extend([
        ("NARROW_ENDPOINT", held.server.url()),
        ("TLS_ENDPOINT", format!("https://{}", tls.address)),
        ("CA_FILE", certificate),
        ("ALICE", ALICE.to_owned()),
        ("ALICE_ACCESS_KEY", ALICE_ACCESS_KEY.to_owned()),
        ("CLUSTER", CLUSTERS[0].to_owned()),
        ("PASSWORD", PASSWORD.to_owned()),
    ]);
    let script = peer::in_repository("crates/strongroom-server/tests/it/peers/javascript.js");
    let mut command = peer::script(&node, &script, &environment);
    let output = held.hold_while(|| command.output().unwrap());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let problems: Vec<&str> = report["problems"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert_eq!(report["passed"].as_array().unwrap().len(), 19, "{report}");
}
