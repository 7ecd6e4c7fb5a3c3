//! Clients, each on a thread.

use std::io::{self, BufReader, BufWriter, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::export::Export;
use crate::negotiation::negotiate;
use crate::transmission::transmit;

/// The maximum number of clients at a time. Further ones are disconnected.
const MAX_CLIENTS: usize = 16;

/// The pause after a failure, which often lasts, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves clients until the process ends. A client that cannot be served does not affect the others.
pub(crate) fn accept_clients(listener: &UnixListener, export: &Arc<Export>) {
    let clients = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                eprintln!("cannot accept a client: {error}");
                thread::sleep(PAUSE);
                continue;
            }
        };
        let (client, export) = (Client::new(&clients), Arc::clone(export));
        if clients.load(Ordering::Relaxed) > MAX_CLIENTS {
            continue;
        }
        let started = thread::Builder::new().spawn(move || {
            // Dropped when the thread ends, also in a panic.
            let _client = client;
            if let Err(error) = serve(&stream, &export) {
                eprintln!("a client was disconnected: {error}");
            }
        });
        if let Err(error) = started {
            eprintln!("a client was disconnected: no thread can be started: {error}");
        }
    }
}

/// A connection that is counted until it is dropped.
struct Client(Arc<AtomicUsize>);

impl Client {
    fn new(clients: &Arc<AtomicUsize>) -> Self {
        clients.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(clients))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn serve(stream: &UnixStream, export: &Export) -> io::Result<()> {
    let (mut input, mut output) = (BufReader::new(stream), BufWriter::new(stream));
    if negotiate(&mut input, &mut output, export)? {
        transmit(&mut input, &mut output, export)?;
    }
    output.flush()
}
