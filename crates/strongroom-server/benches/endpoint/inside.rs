//! The cost of the steps of a request, without sockets.

use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime};

use hyper::{HeaderMap, Method, Uri};
use strongroom::{Kms, wire};
use strongroom_server::credentials::{AccessKey, AccessKeys};
use strongroom_server::signature::{Expected, SignedRequest, verify};

use crate::OPERATIONS;
use crate::servers::{REGION, bodies, headers};
use crate::table::{self, Table};

const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// Prints the time of the verification of a signature, and of each operation.
pub(crate) fn report() {
    let kms = Kms::in_memory().unwrap();
    let bodies = bodies(|operation, body| {
        let reply = wire::call(&kms, operation, body.as_bytes());
        assert_eq!(reply.status(), 200, "{:?}", reply.error_code());
        serde_json::from_slice(reply.body()).unwrap()
    });
    let mut table = Table::new(&["step", "time"]);
    table.row(&["verification of a signature".to_owned(), table::micros(verification(&kms))]);
    for (operation, body) in OPERATIONS.into_iter().zip(&bodies) {
        let time = median(|| drop(black_box(wire::call(&kms, operation.name(), body.as_bytes()))));
        table.row(&[operation.title().to_owned(), table::micros(time)]);
    }
    println!("## Steps of a request, in memory and without sockets\n\n{table}");
}

fn verification(kms: &Kms) -> Duration {
    let root = kms.as_principal(kms.principal().clone()).unwrap();
    let keys: AccessKeys = [AccessKey::new(ACCESS_KEY, SECRET.to_owned().into(), root)].into_iter().collect();
    let body = "x".repeat(200);
    let mut map = HeaderMap::new();
    for (name, value) in headers(ACCESS_KEY, SECRET, "127.0.0.1:8080", "Encrypt", &body) {
        map.insert(hyper::header::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
    }
    let uri = Uri::from_static("/");
    median(|| {
        let request = SignedRequest::new(&Method::POST, &uri, &map, body.as_bytes());
        let verified = verify(&request, &Expected::new(REGION, "kms"), &keys, SystemTime::now());
        assert!(verified.is_ok(), "{verified:?}");
    })
}

/// Returns the median of many calls.
fn median(mut call: impl FnMut()) -> Duration {
    let started = Instant::now();
    let mut times = Vec::new();
    while started.elapsed() < Duration::from_secs(1) {
        let begun = Instant::now();
        call();
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2]
}
