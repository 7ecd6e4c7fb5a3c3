//! Messages of the protocol.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, ErrorKind, Read};

/// The longest message that these tests send.
const LONGEST: usize = 64 << 20;

/// Request codes in place of a version, which the server answers with a single byte.
const ENCRYPTION_REQUESTS: [u32; 2] = [80_877_103, 80_877_104];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    ToServer,
    ToClient,
}

/// What a proxy records about a message.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// The connection, counted from 0 per proxy.
    pub(crate) connection: usize,
    pub(crate) direction: Direction,
    /// The letter of the message, or `^` for the first one of a client, which has none.
    pub(crate) tag: char,
    /// The SQL text of a query, also of an execution that refers to it, or the tag of a completed
    /// command.
    pub(crate) text: String,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrow = if self.direction == Direction::ToServer { "->" } else { "<-" };
        write!(f, "{}{arrow}{} {}", self.connection, self.tag, self.text.chars().take(40).collect::<String>())
    }
}

/// The bytes of a message.
pub(super) struct Frame {
    pub(super) tag: char,
    pub(super) bytes: Vec<u8>,
}

impl Frame {
    /// Reads the first message of a client, which has no letter.
    pub(super) fn read_first(from: &mut impl Read) -> io::Result<Self> {
        Self::read_rest(from, '^', Vec::new())
    }

    pub(super) fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut tag = [0];
        from.read_exact(&mut tag)?;
        Self::read_rest(from, char::from(tag[0]), tag.to_vec())
    }

    /// Reads the answer to a request for encryption.
    pub(super) fn read_byte(from: &mut impl Read) -> io::Result<Self> {
        let mut byte = [0];
        from.read_exact(&mut byte)?;
        Ok(Self { tag: char::from(byte[0]), bytes: byte.to_vec() })
    }

    fn read_rest(from: &mut impl Read, tag: char, mut bytes: Vec<u8>) -> io::Result<Self> {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        bytes.extend_from_slice(&length);
        let body = usize::try_from(u32::from_be_bytes(length)).ok().and_then(|length| length.checked_sub(4));
        let body = body.filter(|length| *length <= LONGEST).ok_or(ErrorKind::InvalidData)?;
        let start = bytes.len();
        bytes.resize(start + body, 0);
        from.read_exact(&mut bytes[start..])?;
        Ok(Self { tag, bytes })
    }

    /// Returns `true` for a first message that the server answers with a single byte.
    pub(super) fn requests_encryption(&self) -> bool {
        let code = self.bytes.get(4..8).and_then(|code| code.try_into().ok()).map(u32::from_be_bytes);
        self.tag == '^' && code.is_some_and(|code| ENCRYPTION_REQUESTS.contains(&code))
    }

    /// Returns the texts that end with a zero byte, after the letter and the length.
    fn texts(&self) -> impl Iterator<Item = String> {
        let body = self.bytes.get(5..).unwrap_or_default();
        body.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned())
    }
}

/// The statements that a client has prepared, and the portals that it has bound.
#[derive(Default)]
pub(super) struct Statements {
    statements: HashMap<String, String>,
    portals: HashMap<String, String>,
}

impl Statements {
    /// Returns the text of a message to the server.
    pub(super) fn text(&mut self, frame: &Frame) -> String {
        let mut texts = frame.texts();
        let mut next = || texts.next().unwrap_or_default();
        match frame.tag {
            'Q' => next(),
            'P' => {
                let (name, query) = (next(), next());
                self.statements.insert(name, query.clone());
                query
            }
            'B' => {
                let (portal, name) = (next(), next());
                let query = self.statements.get(&name).cloned().unwrap_or_default();
                self.portals.insert(portal, query.clone());
                query
            }
            'E' => self.portals.get(&next()).cloned().unwrap_or_default(),
            _ => String::new(),
        }
    }
}

/// Returns the text of a message to the client.
pub(super) fn answer(frame: &Frame) -> String {
    let shown = matches!(frame.tag, 'C' | 'E');
    if shown { frame.texts().collect::<Vec<_>>().join(" ").trim_end().to_owned() } else { String::new() }
}
