//! boto3 as the client: what a program in Python sees.

use std::env;
use std::process::Command;
use std::time::Duration;

use crate::Plan;
use crate::load::Measured;
use crate::servers::{Endpoint, MOTO, REGION};
use crate::table::{self, Table};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/endpoint/client.py");

/// Prints the requests per second of one client that calls `Encrypt` with boto3.
pub(crate) fn report(plan: &Plan, endpoints: &[Endpoint]) {
    let Ok(python) = env::var("STRONGROOM_BENCH_BOTO3") else { return };
    let mut measured: Vec<Measured> = endpoints.iter().map(|_| Measured::default()).collect();
    for _ in 0..plan.blocks {
        for (endpoint, cell) in endpoints.iter().zip(&mut measured) {
            cell.add(block(&python, endpoint, plan.block));
        }
    }
    let mut table = Table::new(&["client", "server", "requests/s", "times moto", "p50", "p99"]);
    let moto = endpoints.iter().zip(&measured).find(|(endpoint, _)| endpoint.name == MOTO);
    for (endpoint, cell) in endpoints.iter().zip(&measured) {
        table.row(&[
            "boto3, Encrypt".to_owned(),
            endpoint.name.to_owned(),
            format!("{:.0}", cell.rate()),
            moto.map_or_else(String::new, |(_, moto)| format!("{:.1}", cell.rate() / moto.rate())),
            table::micros(cell.percentile(50)),
            table::micros(cell.percentile(99)),
        ]);
    }
    println!("\n## boto3, one client\n\n{table}");
}

fn block(python: &str, endpoint: &Endpoint, time: Duration) -> Measured {
    let output = Command::new(python)
        .args([SCRIPT, endpoint.key(), &time.as_secs().to_string()])
        .env("AWS_ENDPOINT_URL", format!("http://{}", endpoint.address))
        .env("AWS_ACCESS_KEY_ID", &endpoint.access_key)
        .env("AWS_SECRET_ACCESS_KEY", &endpoint.secret)
        .env("AWS_DEFAULT_REGION", REGION)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let micros: Vec<u64> = serde_json::from_slice(&output.stdout).unwrap();
    let latencies: Vec<Duration> = micros.into_iter().map(Duration::from_micros).collect();
    let total = latencies.iter().sum();
    Measured::new(latencies, total)
}
