//! Serialization and parsing of a line of a trail file.
//!
//! ```text
//! {"chain":"<16 hex>","sequence":<number>,"<kind>":{...},"mac":"<64 hex>"}
//! ```
//! The MAC covers everything before `,"mac":` byte for byte, so that verification does not depend
//! on JSON formatting. The first line of a file specifies its position in the chain. It has no MAC,
//! because the MAC of the next line covers its contents:
//! ```text
//! {"chain":"<16 hex>","file":{"index":<number>,"first":<sequence>,"previous":"<64 hex>"}}
//! ```

use serde::Deserialize;
use serde_json::value::RawValue;

use super::chain::{ChainId, ChangeId, RecordMac, decode_hex};

/// The maximum length of a line in bytes. An event with the longest context and description is far
/// shorter.
pub(super) const MAX_LINE: usize = 1 << 20;

/// The maximum length of a body in bytes. The rest of a line is reserved for its number and MAC.
pub(super) const MAX_BODY: usize = MAX_LINE - 256;

const MAC_START: &str = ",\"mac\":\"";
/// The length of the MAC and the surrounding text: `,"mac":"`, 64 digits, `"}`.
const MAC_LENGTH: usize = MAC_START.len() + 64 + 2;

/// The kind of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineKind {
    /// An event.
    Event,
    /// The result of a change whose outcome was ambiguous, or missing when the trail was reopened.
    Reconciled,
    /// A signature over an earlier position of the chain.
    Checkpoint,
}

impl LineKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Reconciled => "reconciled",
            Self::Checkpoint => "checkpoint",
        }
    }
}

/// Returns the beginning of a record's line, up to the name of its kind.
pub(super) fn start_of_record(chain: ChainId, sequence: u64) -> String {
    format!("{{\"chain\":\"{chain}\",\"sequence\":{sequence},\"")
}

/// Appends the part of a line that its MAC covers, and returns its start offset. `body` is a JSON
/// object of at most [`MAX_BODY`] bytes.
pub(super) fn open(text: &mut Vec<u8>, chain: ChainId, sequence: u64, kind: LineKind, body: &str) -> usize {
    let start = text.len();
    text.extend_from_slice(b"{\"chain\":\"");
    push_hex(text, &chain.0);
    text.extend_from_slice(b"\",\"sequence\":");
    text.extend_from_slice(sequence.to_string().as_bytes());
    for part in [",\"", kind.name(), "\":", body] {
        text.extend_from_slice(part.as_bytes());
    }
    start
}

/// Completes a line with its MAC and a line break.
pub(super) fn close(text: &mut Vec<u8>, mac: &RecordMac) {
    text.extend_from_slice(MAC_START.as_bytes());
    push_hex(text, mac);
    text.extend_from_slice(b"\"}\n");
}

/// Appends bytes as lowercase hexadecimal digits.
fn push_hex(text: &mut Vec<u8>, bytes: &[u8]) {
    let start = text.len();
    text.resize(start + 2 * bytes.len(), 0);
    base16ct::lower::encode(bytes, &mut text[start..]).expect("the buffer has two digits for each byte");
}

/// A parsed line. Its contents must not be trusted before the MAC is verified.
pub(super) struct Line<'a> {
    /// The bytes that the MAC covers.
    pub(super) covered: &'a [u8],
    pub(super) mac: RecordMac,
    pub(super) chain: ChainId,
    pub(super) sequence: u64,
    pub(super) kind: LineKind,
    body: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw<'a> {
    chain: &'a str,
    sequence: u64,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    #[serde(borrow)]
    reconciled: Option<&'a RawValue>,
    #[serde(borrow)]
    checkpoint: Option<&'a RawValue>,
    mac: &'a str,
}

/// The fields of an event that the trail itself reads.
#[derive(Deserialize)]
pub(super) struct EventParts<'a> {
    #[serde(borrow)]
    pub(super) outcome: &'a str,
    #[serde(borrow)]
    change: Option<&'a str>,
}

/// The JSON form of the first line of a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHeader<'a> {
    chain: &'a str,
    #[serde(borrow)]
    file: RawFile<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile<'a> {
    index: u64,
    first: u64,
    previous: &'a str,
}

/// The position at which a file of a chain starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileHeader {
    pub(super) chain: ChainId,
    pub(super) index: u64,
    /// The number of the first record in the file.
    pub(super) first: u64,
    /// The MAC of the preceding record.
    pub(super) previous: RecordMac,
}

impl FileHeader {
    /// Returns the line, including its line break.
    pub(super) fn to_line(self) -> String {
        let Self { chain, index, first, previous } = self;
        let previous = base16ct::lower::encode_string(&previous);
        format!(
            "{{\"chain\":\"{chain}\",\"file\":{{\"index\":{index},\"first\":{first},\"previous\":\"{previous}\"}}}}\n"
        )
    }

    /// Parses the line, without its line break.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let raw: RawHeader<'_> = serde_json::from_slice(line).ok()?;
        let previous = decode_hex(raw.file.previous)?;
        Some(Self { chain: ChainId::parse(raw.chain)?, index: raw.file.index, first: raw.file.first, previous })
    }
}

/// The body of a checkpoint.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckpointParts {
    pub(super) sequence: u64,
    signature: String,
}

#[derive(Deserialize)]
struct ReconciledParts<'a> {
    #[serde(borrow)]
    change: &'a str,
}

impl<'a> Line<'a> {
    /// Parses a line without its line break. Returns `None` if it is not a valid line.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?;
        let raw: Raw<'a> = serde_json::from_str(text).ok()?;
        let covered = line.len().checked_sub(MAC_LENGTH).and_then(|length| line.split_at_checked(length));
        let (covered, rest) = covered?;
        let mac = decode_hex(raw.mac)?;
        // The MAC must be at the very end, where `close` writes it.
        if !rest.starts_with(MAC_START.as_bytes()) || !rest.ends_with(b"\"}") {
            return None;
        }
        let bodies = [
            (LineKind::Event, raw.event),
            (LineKind::Reconciled, raw.reconciled),
            (LineKind::Checkpoint, raw.checkpoint),
        ];
        let mut given = bodies.into_iter().filter_map(|(kind, body)| Some((kind, body?)));
        let (kind, body) = given.next()?;
        if given.next().is_some() {
            return None;
        }
        Some(Self { covered, mac, chain: ChainId::parse(raw.chain)?, sequence: raw.sequence, kind, body })
    }

    pub(super) fn checkpoint(&self) -> Option<(u64, Vec<u8>)> {
        let parts: CheckpointParts = serde_json::from_str(self.body.get()).ok()?;
        Some((parts.sequence, base16ct::lower::decode_vec(parts.signature).ok()?))
    }

    /// Returns the change that the line announces or ends.
    pub(super) fn change(&self) -> Option<ChangeStep> {
        match self.kind {
            LineKind::Checkpoint => None,
            LineKind::Reconciled => {
                let parts: ReconciledParts<'_> = serde_json::from_str(self.body.get()).ok()?;
                Some(ChangeStep::Ended(ChangeId::parse(parts.change)?))
            }
            LineKind::Event => {
                let parts: EventParts<'_> = serde_json::from_str(self.body.get()).ok()?;
                let change = ChangeId::parse(parts.change?)?;
                match parts.outcome {
                    "intent" => Some(ChangeStep::Announced(change)),
                    "success" => Some(ChangeStep::Ended(change)),
                    // The change ends with the record that states its result.
                    "ambiguous" => None,
                    _ => Some(ChangeStep::Failed(change)),
                }
            }
        }
    }
}

/// The step of a change that a line records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChangeStep {
    Announced(ChangeId),
    /// The change took effect, or a reconciliation states the result.
    Ended(ChangeId),
    /// The change was reported as failed to its caller.
    Failed(ChangeId),
}

pub(super) fn checkpoint_body(sequence: u64, signature: &[u8]) -> String {
    format!("{{\"sequence\":{sequence},\"signature\":\"{}\"}}", base16ct::lower::encode_string(signature))
}

pub(super) fn reconciled_body(change: ChangeId, committed: bool) -> String {
    let result = if committed { "committed" } else { "not committed" };
    format!("{{\"change\":\"{change}\",\"result\":\"{result}\"}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAIN: ChainId = ChainId(*b"\x01\x23\x45\x67\x89\xab\xcd\xef");

    /// Returns a complete line without its line break.
    fn written(sequence: u64, kind: LineKind, body: &str, mac: &RecordMac) -> String {
        let mut text = Vec::new();
        open(&mut text, CHAIN, sequence, kind, body);
        close(&mut text, mac);
        assert_eq!(text.pop(), Some(b'\n'));
        String::from_utf8(text).expect("JSON is UTF-8")
    }

    #[test]
    fn a_line_comes_back_as_it_was_written() {
        let body = checkpoint_body(2, &[5; 64]);
        let text = written(7, LineKind::Checkpoint, &body, &[0xab; 32]);
        let line = Line::parse(text.as_bytes()).expect("the line was just written");
        assert_eq!((line.chain, line.sequence, line.kind, line.mac), (CHAIN, 7, LineKind::Checkpoint, [0xab; 32]));
        assert_eq!(line.checkpoint(), Some((2, vec![5; 64])));
        let covered = format!("{{\"chain\":\"{CHAIN}\",\"sequence\":7,\"checkpoint\":{body}");
        assert_eq!(line.covered, covered.as_bytes());
        assert_eq!(text, format!("{covered},\"mac\":\"{}\"}}", "ab".repeat(32)));
    }

    #[test]
    fn a_header_comes_back_and_no_part_of_it_is_one() {
        let header = FileHeader { chain: CHAIN, index: 3, first: 99, previous: [7; 32] };
        let line = header.to_line();
        assert_eq!(FileHeader::parse(line.trim_end().as_bytes()), Some(header));
        for length in 0..line.len() - 1 {
            assert_eq!(FileHeader::parse(&line.as_bytes()[..length]), None);
        }
    }

    #[test]
    fn announced_and_ended_changes_are_told_apart() {
        let change = ChangeId([3; 16]);
        let step =
            |kind, body: &str| Line::parse(written(1, kind, body, &[0; 32]).as_bytes()).and_then(|line| line.change());
        let intent = format!("{{\"outcome\":\"intent\",\"change\":\"{change}\",\"other\":[1,{{}}]}}");
        assert_eq!(step(LineKind::Event, &intent), Some(ChangeStep::Announced(change)));
        let failure = format!("{{\"outcome\":\"failure\",\"change\":\"{change}\"}}");
        assert_eq!(step(LineKind::Event, &failure), Some(ChangeStep::Failed(change)));
        let success = format!("{{\"outcome\":\"success\",\"change\":\"{change}\"}}");
        assert_eq!(step(LineKind::Event, &success), Some(ChangeStep::Ended(change)));
        let ambiguous = format!("{{\"outcome\":\"ambiguous\",\"change\":\"{change}\"}}");
        assert_eq!(step(LineKind::Event, &ambiguous), None);
        assert_eq!(step(LineKind::Event, "{\"outcome\":\"success\"}"), None);
        assert_eq!(step(LineKind::Reconciled, &reconciled_body(change, true)), Some(ChangeStep::Ended(change)));
    }

    #[test]
    fn anything_else_is_no_line() {
        let good = written(1, LineKind::Event, "{}", &[0; 32]);
        assert!(Line::parse(good.as_bytes()).is_some());
        for length in 0..good.len() {
            assert!(Line::parse(&good.as_bytes()[..length]).is_none(), "{length}");
        }
        for wrong in [
            good.replace("\"event\"", "\"evnt\""),
            good.replace("{\"chain\"", "{\"checkpoint\":{},\"chain\""),
            good.replace("\"}", "\" }"),
            good.replace("\"mac\":\"00", "\"mac\":\"AA"),
            format!("{good} "),
        ] {
            assert!(Line::parse(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }
}
