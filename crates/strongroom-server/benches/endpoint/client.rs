//! A client of HTTP/1.1 with keep-alive, for one connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A connection, which is opened again if the server closes it.
pub(crate) struct Client {
    address: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

/// The parts of an answer that the client needs.
struct Head {
    length: usize,
    status: u16,
    body: Body,
    closes: bool,
}

enum Body {
    Length(usize),
    Chunked,
    UntilClosed,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, stream: None, buffer: Vec::with_capacity(16 << 10) }
    }

    /// Sends a request, and returns the body of the answer, which must be a success.
    pub(crate) fn call(&mut self, request: &[u8]) -> Vec<u8> {
        let (status, body) = self.exchange(request);
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        body
    }

    fn exchange(&mut self, request: &[u8]) -> (u16, Vec<u8>) {
        let mut stream = self.stream.take().unwrap_or_else(|| connect(self.address));
        stream.write_all(request).unwrap();
        self.buffer.clear();
        let head = loop {
            if let Some(head) = Head::parse(&self.buffer) {
                break head;
            }
            assert!(self.read(&mut stream), "the server closed the connection before its answer");
        };
        let body = match head.body {
            Body::Length(length) => {
                while self.buffer.len() < head.length + length {
                    assert!(self.read(&mut stream), "the answer is incomplete");
                }
                self.buffer[head.length..].to_vec()
            }
            Body::Chunked => loop {
                if let Some(body) = unchunked(&self.buffer[head.length..]) {
                    break body;
                }
                assert!(self.read(&mut stream), "the answer is incomplete");
            },
            Body::UntilClosed => {
                while self.read(&mut stream) {}
                self.buffer[head.length..].to_vec()
            }
        };
        if !head.closes {
            self.stream = Some(stream);
        }
        (head.status, body)
    }

    /// Reads more. Returns `false` at the end.
    fn read(&mut self, stream: &mut TcpStream) -> bool {
        let mut chunk = [0; 8_192];
        let length = stream.read(&mut chunk).unwrap();
        self.buffer.extend_from_slice(&chunk[..length]);
        length > 0
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

impl Head {
    fn parse(buffer: &[u8]) -> Option<Self> {
        let length = buffer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let text = std::str::from_utf8(&buffer[..length]).unwrap().to_ascii_lowercase();
        let header =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
        let body = match (header("content-length"), header("transfer-encoding")) {
            (_, Some("chunked")) => Body::Chunked,
            (Some(length), _) => Body::Length(length.parse().unwrap()),
            (None, _) => Body::UntilClosed,
        };
        let persists = text.starts_with("http/1.1") || header("connection") == Some("keep-alive");
        let closes = !persists || header("connection") == Some("close") || matches!(body, Body::UntilClosed);
        Some(Self { length, status: text[9..12].parse().unwrap(), body, closes })
    }
}

/// Joins the chunks of a complete body.
fn unchunked(mut encoded: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = encoded.windows(2).position(|window| window == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(&encoded[..end]).ok()?, 16).ok()?;
        let chunk = encoded.get(end + 2..end + 2 + length)?;
        encoded = encoded.get(end + 2 + length + 2..)?;
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(chunk);
    }
}
