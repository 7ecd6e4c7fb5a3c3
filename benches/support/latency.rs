//! A proxy that delays every byte.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Forwards connections to a port of this machine. Its threads end with their connections.
pub(crate) struct Proxy {
    port: u16,
}

impl Proxy {
    /// Starts a proxy that delays each direction by `delay`.
    pub(crate) fn start(target: u16, delay: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        thread::spawn(move || {
            for client in listener.incoming() {
                let forwarded = client.and_then(|client| {
                    let server = TcpStream::connect(("127.0.0.1", target))?;
                    forward(client.try_clone()?, server.try_clone()?, delay)?;
                    forward(server, client, delay)
                });
                if let Err(error) = forwarded {
                    eprintln!("the proxy lost a connection: {error}");
                }
            }
        });
        Ok(Self { port })
    }

    /// Returns the port of the proxy.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, delay: Duration) -> io::Result<()> {
    from.set_nodelay(true)?;
    to.set_nodelay(true)?;
    let (sender, receiver) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            if sender.send((Instant::now() + delay, buffer[..length].to_vec())).is_err() {
                break;
            }
        }
    });
    thread::spawn(move || {
        for (due, bytes) in receiver {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        // The other end may have closed the connection already.
        let _ = to.shutdown(Shutdown::Both);
    });
    Ok(())
}
