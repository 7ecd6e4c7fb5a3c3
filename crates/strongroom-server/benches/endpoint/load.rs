//! Blocks of requests, and their measurements.

use std::thread;
use std::time::{Duration, Instant};

use crate::Operation;
use crate::client::Client;
use crate::servers::Endpoint;

/// The measurements of a row.
#[derive(Default)]
pub(crate) struct Measured {
    /// Requests per second of each block.
    rates: Vec<f64>,
    latencies: Vec<Duration>,
}

impl Measured {
    pub(crate) fn new(latencies: Vec<Duration>, time: Duration) -> Self {
        let requests = f64::from(u32::try_from(latencies.len()).unwrap());
        Self { rates: vec![requests / time.as_secs_f64()], latencies }
    }

    pub(crate) fn add(&mut self, block: Self) {
        self.rates.extend(block.rates);
        self.latencies.extend(block.latencies);
        self.latencies.sort_unstable();
    }

    /// Returns the median of the blocks.
    pub(crate) fn rate(&self) -> f64 {
        let mut rates = self.rates.clone();
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    }

    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        self.latencies[(self.latencies.len() - 1) * percent / 100]
    }
}

/// Sends requests on several connections for this time.
pub(crate) fn block(endpoint: &Endpoint, operation: Operation, connections: usize, time: Duration) -> Measured {
    let request = endpoint.request(operation);
    // Opens the connections, and fills the caches of the server.
    let mut clients: Vec<Client> = (0..connections).map(|_| Client::new(endpoint.address)).collect();
    clients.iter_mut().for_each(|client| drop(client.call(&request)));
    let started = Instant::now();
    let send = |client: &mut Client| {
        let mut latencies = Vec::new();
        while started.elapsed() < time {
            let sent = Instant::now();
            client.call(&request);
            latencies.push(sent.elapsed());
        }
        latencies
    };
    let latencies = thread::scope(|scope| {
        let threads: Vec<_> = clients.iter_mut().map(|client| scope.spawn(|| send(client))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    Measured::new(latencies, started.elapsed())
}

/// Opens connections that have each sent a request.
pub(crate) fn open(endpoint: &Endpoint, operation: Operation, connections: usize) -> Vec<Client> {
    let request = endpoint.request(operation);
    let mut clients: Vec<Client> = (0..connections).map(|_| Client::new(endpoint.address)).collect();
    clients.iter_mut().for_each(|client| drop(client.call(&request)));
    clients
}
