//! Frames of HTTP/2 (RFC 9113, section 4), for requests that no client library sends.

use std::io::{Read, Write};
use std::net::TcpStream;

pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const CONTINUATION: u8 = 9;
/// The flags END_STREAM and END_HEADERS.
pub(super) const COMPLETE: u8 = 5;
/// The error code by which a server ends a connection that causes too much work.
pub(super) const ENHANCE_YOUR_CALM: u32 = 11;

/// The preface of a client, and its empty settings.
pub(super) fn preface() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &frame(SETTINGS, 0, 0, &[])].concat()
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The header block of `GET /health` (RFC 7541): three entries of the static table, and a path.
pub(super) fn get_health() -> Vec<u8> {
    b"\x82\x86\x41\x09localhost\x04\x07/health".to_vec()
}

/// Returns the error codes of all GOAWAY frames until the server closes the connection.
pub(super) fn goaway_codes(stream: &mut TcpStream) -> Vec<u32> {
    let frames = std::iter::from_fn(|| next(stream));
    let goaways = frames.filter(|(kind, _)| *kind == GOAWAY);
    goaways.map(|(_, payload)| u32::from_be_bytes(payload[4..8].try_into().unwrap())).collect()
}

/// Returns the next frame, or `None` at the end of the connection.
fn next(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut payload).ok()?;
    Some((head[3], payload))
}

/// Sends bytes until the server does not accept more.
pub(super) fn send(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    stream.write_all(bytes).is_ok()
}
