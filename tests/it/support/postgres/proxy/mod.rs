//! A network that fails: a proxy between clients and a server that reads the protocol's messages.
//!
//! Source: PostgreSQL 15, chapter 55, "Frontend/Backend Protocol".

mod connection;
mod message;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use self::connection::Connection;
pub(crate) use self::message::{Direction, Message};

/// What happens to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection is closed before the message. Both ends notice.
    CutBefore,
    /// The connection is closed after half of the message.
    CutWithin,
    /// The message arrives, and the connection is closed before any other message.
    CutAfter,
    /// From this message on nothing arrives, in either direction. Neither end notices.
    BlackHole,
    /// The connection is closed before the message, and only the server notices.
    HalfOpenToClient,
    /// The connection is closed before the message, and only the client notices.
    HalfOpenToServer,
    /// This message, and all after it in the same direction, arrive late.
    Late(Duration),
}

impl Fault {
    /// Every kind of fault.
    pub(crate) const ALL: [Self; 7] = [
        Self::CutBefore,
        Self::CutWithin,
        Self::CutAfter,
        Self::BlackHole,
        Self::HalfOpenToClient,
        Self::HalfOpenToServer,
        Self::Late(Duration::from_millis(50)),
    ];
}

/// What happens to new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// They lead to the server.
    Accepted,
    /// They are closed at once.
    Refused,
    /// They stay open, and nothing is ever answered.
    Ignored,
}

type Matches = Box<dyn Fn(&Message) -> bool + Send>;

/// A fault that waits for its message.
struct Armed {
    matches: Matches,
    /// The number of messages that match before the one that the fault hits.
    remaining: usize,
    fault: Fault,
    /// What happens to new connections from then on.
    then: Admission,
}

struct State {
    target: SocketAddr,
    admission: Admission,
    delay: Duration,
    armed: Option<Armed>,
    /// The number of faults that hit their message.
    hits: usize,
    trace: Vec<Message>,
    connections: Vec<Arc<Connection>>,
    /// `true` once the proxy is dropped.
    ended: bool,
}

/// What all threads of a proxy share.
pub(super) struct Network {
    state: Mutex<State>,
}

impl Network {
    // The lock is held for no longer than a step, so that no thread waits for the network.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panicked")
    }

    /// Records a message, and returns the time at which it is due and the fault that hits it.
    fn observe(&self, message: Message) -> (Instant, Option<Fault>) {
        let mut state = self.state();
        let due = Instant::now() + state.delay;
        let hit = state.armed.take_if(|armed| {
            let matches = (armed.matches)(&message);
            let is_last = armed.remaining == 0;
            armed.remaining -= usize::from(matches && !is_last);
            matches && is_last
        });
        if let Some(armed) = &hit {
            state.admission = armed.then;
            state.hits += 1;
        }
        state.trace.push(message);
        (due, hit.map(|armed| armed.fault))
    }
}

/// A proxy, which ends all connections when it is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    network: Arc<Network>,
    acceptor: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts a proxy in front of a port of this machine.
    pub(crate) fn start(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let state = State {
            target: (Ipv4Addr::LOCALHOST, port).into(),
            admission: Admission::Accepted,
            delay: Duration::ZERO,
            armed: None,
            hits: 0,
            trace: Vec::new(),
            connections: Vec::new(),
            ended: false,
        };
        let network = Arc::new(Network { state: Mutex::new(state) });
        let acceptor = thread::spawn({
            let network = Arc::clone(&network);
            move || accept(&listener, &network)
        });
        Ok(Self { address, network, acceptor: Some(acceptor) })
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Replaces the port in the URL of a server by that of this proxy.
    pub(crate) fn url(&self, url: &str) -> String {
        let target = self.network.state().target;
        url.replace(&target.to_string(), &self.address.to_string())
    }

    /// Delays every message from now on, in both directions.
    pub(crate) fn delay(&self, delay: Duration) {
        self.network.state().delay = delay;
    }

    /// Hits the message with the index `nth` among those that match from now on.
    pub(crate) fn inject(
        &self,
        fault: Fault,
        nth: usize,
        then: Admission,
        matches: impl Fn(&Message) -> bool + Send + 'static,
    ) {
        self.network.state().armed = Some(Armed { matches: Box::new(matches), remaining: nth, fault, then });
    }

    /// Returns the number of faults that have hit their message.
    pub(crate) fn hits(&self) -> usize {
        self.network.state().hits
    }

    /// Closes all connections. Both ends notice.
    pub(crate) fn cut(&self) {
        for connection in std::mem::take(&mut self.network.state().connections) {
            connection.cut();
        }
    }

    /// From now on nothing arrives, in either direction. Neither end notices.
    pub(crate) fn partition(&self) {
        let mut state = self.network.state();
        state.admission = Admission::Ignored;
        for connection in &state.connections {
            connection.silence();
        }
    }

    /// Ends all faults. Silent connections are closed.
    pub(crate) fn heal(&self) {
        let mut state = self.network.state();
        state.admission = Admission::Accepted;
        state.delay = Duration::ZERO;
        state.armed = None;
        let silent = state.connections.extract_if(.., |connection| connection.is_silent());
        silent.for_each(|connection| connection.cut());
    }

    /// Returns the messages since the last call, in the order in which the proxy received them.
    pub(crate) fn take_trace(&self) -> Vec<Message> {
        std::mem::take(&mut self.network.state().trace)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.network.state().ended = true;
        self.cut();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn accept(listener: &TcpListener, network: &Arc<Network>) {
    for (number, client) in listener.incoming().enumerate() {
        let Ok(client) = client else { continue };
        let (admission, target) = {
            let state = network.state();
            if state.ended {
                return;
            }
            (state.admission, state.target)
        };
        let connection = match admission {
            Admission::Refused => continue,
            Admission::Ignored => Connection::to_nowhere(client),
            Admission::Accepted => match TcpStream::connect(target) {
                Ok(server) => Connection::new(number, client, server),
                Err(_) => continue,
            },
        };
        let connection = Arc::new(connection);
        {
            let mut state = network.state();
            // A connection that is accepted during the end of the proxy is refused.
            if state.ended {
                return connection.cut();
            }
            state.connections.push(Arc::clone(&connection));
        }
        connection::run(&connection, network);
    }
}
