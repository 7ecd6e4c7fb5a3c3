//! One connection through a proxy: in each direction, a thread that reads messages and one that
//! delivers them when they are due.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Instant;

use super::message::{Direction, Frame, Message, Statements, answer};
use super::{Fault, Network};

pub(super) struct Connection {
    number: usize,
    client: TcpStream,
    server: Option<TcpStream>,
    /// `true` if nothing is delivered any more.
    silent: AtomicBool,
    /// `true` if the next answer of the server is a single byte.
    answers_byte: AtomicBool,
}

/// A message on its way.
struct Item {
    bytes: Vec<u8>,
    due: Instant,
    fault: Option<Fault>,
}

impl Connection {
    pub(super) fn new(number: usize, client: TcpStream, server: TcpStream) -> Self {
        for stream in [&client, &server] {
            stream.set_nodelay(true).expect("a connected socket");
        }
        let (silent, answers_byte) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { number, client, server: Some(server), silent, answers_byte }
    }

    /// A connection that is open, and never answered.
    pub(super) fn to_nowhere(client: TcpStream) -> Self {
        let (silent, answers_byte) = (AtomicBool::new(true), AtomicBool::new(false));
        Self { number: usize::MAX, client, server: None, silent, answers_byte }
    }

    pub(super) fn silence(&self) {
        self.silent.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_silent(&self) -> bool {
        self.silent.load(Ordering::SeqCst)
    }

    pub(super) fn cut(&self) {
        self.silence();
        self.close_client();
        self.close_server();
    }

    fn close_client(&self) {
        let _ = self.client.shutdown(Shutdown::Both);
    }

    /// The server still receives what was sent before.
    fn close_server(&self) {
        if let Some(server) = &self.server {
            let _ = server.shutdown(Shutdown::Write);
        }
    }
}

/// Forwards messages in both directions until the connection ends.
pub(super) fn run(connection: &Arc<Connection>, network: &Arc<Network>) {
    let Some(server) = &connection.server else { return };
    let streams =
        [(Direction::ToServer, &connection.client, server), (Direction::ToClient, server, &connection.client)];
    for (direction, from, to) in streams {
        let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { return connection.cut() };
        let (sender, receiver) = mpsc::channel();
        let (reading, delivering) = (Arc::clone(connection), Arc::clone(connection));
        let network = Arc::clone(network);
        thread::spawn(move || {
            let from = BufReader::new(from);
            // The error is the end of the connection.
            let _ = match direction {
                Direction::ToServer => read_from_client(from, &reading, &network, &sender),
                Direction::ToClient => read_from_server(from, &reading, &network, &sender),
            };
        });
        thread::spawn(move || deliver(&delivering, to, &receiver));
    }
}

fn read_from_client(
    mut from: BufReader<TcpStream>,
    connection: &Connection,
    network: &Network,
    to: &Sender<Item>,
) -> io::Result<()> {
    let mut statements = Statements::default();
    let mut is_started = false;
    loop {
        let frame = if is_started { Frame::read(&mut from)? } else { Frame::read_first(&mut from)? };
        if frame.requests_encryption() {
            connection.answers_byte.store(true, Ordering::SeqCst);
        } else {
            is_started = true;
        }
        let text = statements.text(&frame);
        pass(frame, text, Direction::ToServer, connection, network, to)?;
    }
}

fn read_from_server(
    mut from: BufReader<TcpStream>,
    connection: &Connection,
    network: &Network,
    to: &Sender<Item>,
) -> io::Result<()> {
    loop {
        from.fill_buf()?;
        // The flag was set before the request was sent, hence before the answer arrived.
        let is_byte = connection.answers_byte.swap(false, Ordering::SeqCst);
        let frame = if is_byte { Frame::read_byte(&mut from)? } else { Frame::read(&mut from)? };
        let text = answer(&frame);
        pass(frame, text, Direction::ToClient, connection, network, to)?;
    }
}

/// Reports a message to the network, and hands it to the thread that delivers it.
fn pass(
    frame: Frame,
    text: String,
    direction: Direction,
    connection: &Connection,
    network: &Network,
    to: &Sender<Item>,
) -> io::Result<()> {
    if connection.is_silent() {
        return Ok(());
    }
    let message = Message { connection: connection.number, direction, tag: frame.tag, text };
    let (due, fault) = network.observe(message);
    to.send(Item { bytes: frame.bytes, due, fault }).map_err(io::Error::other)
}

fn deliver(connection: &Connection, mut to: TcpStream, items: &Receiver<Item>) {
    for item in items {
        thread::sleep(item.due.saturating_duration_since(Instant::now()));
        if connection.is_silent() {
            continue;
        }
        let half = &item.bytes[..item.bytes.len() / 2];
        // A write fails if the receiver has closed the connection, which the reader notices too.
        let _ = match item.fault {
            None | Some(Fault::CutAfter) => to.write_all(&item.bytes),
            Some(Fault::CutWithin) => to.write_all(half),
            Some(Fault::Late(delay)) => {
                thread::sleep(delay);
                to.write_all(&item.bytes)
            }
            Some(_) => Ok(()),
        };
        match item.fault {
            None | Some(Fault::Late(_)) => {}
            Some(Fault::CutBefore | Fault::CutWithin | Fault::CutAfter) => connection.cut(),
            Some(Fault::BlackHole) => connection.silence(),
            Some(Fault::HalfOpenToClient) => {
                connection.silence();
                connection.close_server();
            }
            Some(Fault::HalfOpenToServer) => {
                connection.silence();
                connection.close_client();
            }
        }
    }
    // The sender has closed the connection, which the receiver of a silent one does not notice.
    if !connection.is_silent() {
        let _ = to.shutdown(Shutdown::Write);
    }
}
