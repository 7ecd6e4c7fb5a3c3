//! The proxy of these tests does to connections what the tests assume.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::postgres::{self, Admission, Database, Direction, Fault, PATIENCE, Proxy, psql};

type TestResult = Result<(), Box<dyn std::error::Error>>;

#[test]
fn a_proxy_reads_the_messages_of_a_session() -> TestResult {
    let Some(server) = postgres::shared("postgres::network::a_proxy_reads_the_messages_of_a_session") else {
        return Ok(());
    };
    let database = Database::create(server)?;
    let proxy = Proxy::start(server.port())?;
    let url = proxy.url(&database.url());
    assert_eq!(psql(&url, "SELECT 7")?, "7");
    let tags: String = proxy.take_trace().iter().map(|message| message.tag).filter(|tag| *tag != 'S').collect();
    // Requests for encryption that the server rejects come first, and the end may follow later.
    assert!(tags.trim_end_matches('X').ends_with("^RKZQTDCZ"), "{tags}");

    proxy.delay(Duration::from_millis(40));
    let begun = Instant::now();
    assert_eq!(psql(&url, "SELECT 8")?, "8");
    assert!(begun.elapsed() > Duration::from_millis(160), "startup and query are a round trip each");
    proxy.heal();

    psql(&url, "CREATE TABLE t (x int)")?;
    let inserted = |fault, nth: fn(&postgres::Message) -> bool, arrives: bool| {
        psql(&url, "TRUNCATE t").expect("no fault");
        let before = proxy.hits();
        proxy.inject(fault, 0, Admission::Accepted, nth);
        let answer = psql(&url, "INSERT INTO t VALUES (1)").is_ok();
        assert_eq!(proxy.hits(), before + 1, "the message was sent");
        // What was sent may still be in progress.
        let (begun, limit) = (Instant::now(), if arrives { PATIENCE } else { Duration::from_millis(300) });
        loop {
            let rows = psql(&url, "SELECT count(*) FROM t").expect("no fault");
            if rows == "1" || begun.elapsed() > limit {
                return (answer, rows == "1");
            }
        }
    };
    let query: fn(&postgres::Message) -> bool = |message| message.tag == 'Q' && message.text.starts_with("INSERT");
    let done: fn(&postgres::Message) -> bool =
        |message| message.direction == Direction::ToClient && message.text == "INSERT 0 1";
    assert_eq!(inserted(Fault::CutBefore, query, false), (false, false));
    assert_eq!(inserted(Fault::CutWithin, query, false), (false, false));
    assert_eq!(inserted(Fault::CutAfter, query, true), (false, true));
    assert_eq!(inserted(Fault::CutBefore, done, true), (false, true));
    assert_eq!(inserted(Fault::HalfOpenToServer, query, false), (false, false));
    assert_eq!(inserted(Fault::Late(Duration::from_millis(20)), query, true), (true, true));
    Ok(())
}

/// A server that echoes what it reads, behind a proxy.
struct Echo {
    client: TcpStream,
    proxy: Proxy,
}

const MESSAGE: [u8; 6] = [b'Q', 0, 0, 0, 5, 0];
const FIRST: [u8; 8] = [0, 0, 0, 8, 0, 3, 0, 0];

impl Echo {
    fn new() -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let proxy = Proxy::start(listener.local_addr()?.port())?;
        thread::spawn(move || -> std::io::Result<()> {
            for server in listener.incoming() {
                let mut server = server?;
                thread::spawn(move || -> std::io::Result<()> {
                    server.read_exact(&mut [0; FIRST.len()])?;
                    loop {
                        let mut message = MESSAGE;
                        server.read_exact(&mut message)?;
                        server.write_all(&message)?;
                    }
                });
            }
            Ok(())
        });
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port()))?;
        (&client).write_all(&FIRST)?;
        Ok(Self { client, proxy })
    }

    /// Sends a message, and waits for its echo, or for the end of the connection.
    fn ask(&self) -> Result<(), ErrorKind> {
        self.ask_within(PATIENCE)
    }

    /// Sends a message, and waits for its echo for a short time.
    fn ask_briefly(&self) -> Result<(), ErrorKind> {
        self.ask_within(Duration::from_millis(100))
    }

    fn ask_within(&self, limit: Duration) -> Result<(), ErrorKind> {
        let ask = || {
            self.client.set_read_timeout(Some(limit))?;
            (&self.client).write_all(&MESSAGE)?;
            (&self.client).read_exact(&mut [0; MESSAGE.len()])
        };
        ask().map_err(|error: std::io::Error| error.kind())
    }
}

#[test]
fn a_half_open_connection_is_silent() -> TestResult {
    for fault in [Fault::BlackHole, Fault::HalfOpenToClient] {
        for direction in [Direction::ToServer, Direction::ToClient] {
            let echo = Echo::new()?;
            assert_eq!(echo.ask(), Ok(()));
            echo.proxy.inject(fault, 1, Admission::Refused, move |message| message.direction == direction);
            assert_eq!((echo.ask(), echo.ask_briefly()), (Ok(()), Err(ErrorKind::WouldBlock)), "{fault:?}");
            assert_eq!(echo.ask_briefly(), Err(ErrorKind::WouldBlock), "{fault:?}");
            let mut refused = TcpStream::connect((Ipv4Addr::LOCALHOST, echo.proxy.port()))?;
            assert!(matches!(refused.read(&mut [0]), Ok(0) | Err(_)));
            echo.proxy.heal();
            assert_eq!(echo.ask(), Err(ErrorKind::UnexpectedEof), "silent connections are closed");
        }
    }
    let echo = Echo::new()?;
    echo.ask().map_err(|kind| kind.to_string())?;
    echo.proxy.partition();
    assert_eq!(echo.ask_briefly(), Err(ErrorKind::WouldBlock));
    let ignored = TcpStream::connect((Ipv4Addr::LOCALHOST, echo.proxy.port()))?;
    ignored.set_read_timeout(Some(Duration::from_millis(50)))?;
    (&ignored).write_all(&FIRST)?;
    assert_eq!((&ignored).read(&mut [0]).map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
    Ok(())
}
