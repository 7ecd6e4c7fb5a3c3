//! Requests per second, latency and memory of this server and others of the KMS API.
//!
//! ```sh
//! cargo bench --package strongroom-server --bench endpoint
//! ```
//!
//! All servers run on this machine and receive the same requests from the same client: a fixed
//! number of connections with keep-alive, each of which sends its next request once it has the
//! answer to the last one. Blocks of a few seconds alternate between the servers. Every request is
//! signed, and this server verifies every signature; the client signs once for each block, so that
//! signing does not slow down the servers.
//!
//! | variable | contains |
//! |---|---|
//! | `STRONGROOM_BENCH_MOTO` | the program `moto_server`; without it, this server runs alone |
//! | `STRONGROOM_BENCH_LOCALSTACK` | a Python with `localstack-core` and its KMS provider |
//! | `STRONGROOM_BENCH_BOTO3` | a Python with boto3, as a second client |
//! | `STRONGROOM_BENCH_SECONDS` | the length of a block: 2 by default |
//! | `STRONGROOM_BENCH_BLOCKS` | the blocks of each row: 3 by default |
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

mod boto3;
mod client;
mod inside;
mod load;
mod servers;
mod table;

use std::env;
use std::time::Duration;

use load::Measured;
use servers::Endpoint;
use table::Table;

/// The operations of the rows.
const OPERATIONS: [Operation; 5] =
    [Operation::Encrypt, Operation::Decrypt, Operation::GenerateDataKey, Operation::SignP256, Operation::SignRsa2048];

/// The numbers of connections. With more of them, an audit trail syncs more events at once.
const CONNECTIONS: [usize; 2] = [8, 64];

/// A measured operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Encrypt,
    Decrypt,
    GenerateDataKey,
    SignP256,
    SignRsa2048,
}

impl Operation {
    const fn title(self) -> &'static str {
        match self {
            Self::Encrypt => "Encrypt",
            Self::Decrypt => "Decrypt",
            Self::GenerateDataKey => "GenerateDataKey",
            Self::SignP256 => "Sign, ECDSA P-256",
            Self::SignRsa2048 => "Sign, RSA-2048 PSS",
        }
    }

    /// The name of the operation in the API.
    const fn name(self) -> &'static str {
        match self {
            Self::Encrypt => "Encrypt",
            Self::Decrypt => "Decrypt",
            Self::GenerateDataKey => "GenerateDataKey",
            Self::SignP256 | Self::SignRsa2048 => "Sign",
        }
    }
}

/// Sizes of the run.
struct Plan {
    block: Duration,
    blocks: usize,
}

impl Plan {
    fn of_environment() -> Self {
        let number = |name: &str, default: usize| {
            env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
        };
        Self {
            block: Duration::from_secs(u64::try_from(number("STRONGROOM_BENCH_SECONDS", 2)).unwrap()),
            blocks: number("STRONGROOM_BENCH_BLOCKS", 3).max(1),
        }
    }
}

fn main() {
    let plan = Plan::of_environment();
    inside::report();
    let endpoints = servers::start();
    for connections in CONNECTIONS {
        requests(&plan, &endpoints, connections);
    }
    boto3::report(&plan, &endpoints);
    memory(&endpoints);
}

/// Prints requests per second and latencies of all servers.
fn requests(plan: &Plan, endpoints: &[Endpoint], connections: usize) {
    let mut measured: Vec<Vec<Measured>> =
        OPERATIONS.iter().map(|_| endpoints.iter().map(|_| Measured::default()).collect()).collect();
    for _ in 0..plan.blocks {
        for (operation, row) in OPERATIONS.into_iter().zip(&mut measured) {
            for (endpoint, cell) in endpoints.iter().zip(row) {
                cell.add(load::block(endpoint, operation, connections, plan.block));
            }
        }
    }
    let mut table = Table::new(&["operation", "server", "requests/s", "times moto", "p50", "p99"]);
    for (operation, row) in OPERATIONS.into_iter().zip(&measured) {
        let moto = endpoints.iter().zip(row).find(|(endpoint, _)| endpoint.name == servers::MOTO);
        for (endpoint, cell) in endpoints.iter().zip(row) {
            let times = moto.map_or_else(String::new, |(_, moto)| format!("{:.0}", cell.rate() / moto.rate()));
            table.row(&[
                operation.title().to_owned(),
                endpoint.name.to_owned(),
                format!("{:.0}", cell.rate()),
                times,
                table::micros(cell.percentile(50)),
                table::micros(cell.percentile(99)),
            ]);
        }
    }
    println!("\n## Requests, {connections} connections\n\n{table}");
}

/// Prints the resident memory with 1,000 connections, each of which has sent a request.
fn memory(endpoints: &[Endpoint]) {
    const CONNECTIONS: usize = 1_000;
    let mut table = Table::new(&["server", "memory before", "with 1,000 connections", "each"]);
    for endpoint in endpoints.iter().filter(|endpoint| endpoint.is_ours) {
        let before = endpoint.resident_kib();
        let open = load::open(endpoint, Operation::Encrypt, CONNECTIONS);
        let after = endpoint.resident_kib();
        drop(open);
        let each = after.saturating_sub(before) / u64::try_from(CONNECTIONS).unwrap();
        table.row(&[
            endpoint.name.to_owned(),
            format!("{:.1} MiB", table::mebibytes(before)),
            format!("{:.1} MiB", table::mebibytes(after)),
            format!("{each} KiB"),
        ]);
    }
    println!("\n## Memory\n\n{table}");
}
