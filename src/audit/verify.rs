//! Verification of file trails.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;

use super::chain::{ChainId, ChainState, ChangeId, Position, RecordMac};
use super::checkpoint::{CheckpointVerifier, checkpoint_message};
use super::file::files::{self, Lines, Next};
use super::file::{CHECKPOINT_REACH, failed};
use super::line::{ChangeStep, FileHeader, Line, LineKind, start_of_record};
use crate::crypto::CryptoBackend;
use crate::error::Result;

/// A problem found in a trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The record or its MAC was changed.
    Changed,
    /// Records were removed, or the part of the trail that contained them. At least the records
    /// with these numbers are missing.
    Missing {
        /// The first missing record.
        first: u64,
        /// The last record that is known to be missing.
        last: u64,
    },
    /// A record is at the position of another one; contains the record's own number.
    OutOfOrder(u64),
    /// The first line of a file does not match the preceding records.
    Header,
    /// The signature of a checkpoint is invalid.
    Signature,
    /// The store does not know the chain: it belongs to another store or was forged.
    UnknownChain,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed => f.write_str("the record was changed"),
            Self::Missing { first, last } if first == last => write!(f, "record {first} is missing"),
            Self::Missing { first, last } => write!(f, "records {first} to {last} are missing"),
            Self::OutOfOrder(number) => write!(f, "record {number} is out of order"),
            Self::Header => f.write_str("the first line of the file does not match the preceding records"),
            Self::Signature => f.write_str("the signature of the checkpoint is invalid"),
            Self::UnknownChain => f.write_str("the store does not know this chain"),
        }
    }
}

/// The first problem of a chain and its location.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The problem.
    pub problem: Problem,
    /// The file that contains the problem.
    pub file: Option<PathBuf>,
    /// The line number in the file, counted from 1.
    pub line: u64,
    /// The expected number of the next record.
    pub expected: u64,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}:{}: ", file.display(), self.line)?,
            None => f.write_str("no file: ")?,
        }
        write!(f, "at record {}: {}", self.expected, self.problem)
    }
}

/// The result of verifying one chain.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChainReport {
    /// The id of the chain.
    pub chain: ChainId,
    /// The number of consecutive valid records, starting with the first.
    pub records: u64,
    /// The first problem, if any. The chain was not verified beyond it.
    pub finding: Option<Finding>,
    /// The number of checkpoints with a valid signature.
    pub checkpoints: u64,
    /// The number of the last record that a valid checkpoint signs.
    pub signed: u64,
    /// Announced changes without an outcome: in progress now, or when the process ended.
    pub unfinished: Vec<ChangeId>,
    /// `true` if the last line is incomplete, because a process is writing it or ended while doing
    /// so. Its bytes are not a record, and the event was not acknowledged to any caller. Bytes that
    /// an interrupted write cannot produce are reported as a problem.
    pub torn: bool,
}

/// The result of verifying a trail.
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::audit::{FileTrail, Problem};
///
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path();
/// let kms = Kms::builder().audit(FileTrail::new(directory)).build()?;
/// kms.list_keys(Default::default())?;
/// kms.list_aliases(Default::default())?;
/// let report = kms.verify_audit_trail(directory)?;
/// assert!(report.is_intact());
/// assert_eq!((report.records(), report.chains.len()), (2, 1));
///
/// let file = std::fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path()));
/// let file = file.filter_map(Result::ok).find(|path| path.extension().is_some_and(|end| end == "jsonl")).unwrap();
/// let forged = std::fs::read_to_string(&file)?.replace("ListAliases", "ListGrants");
/// std::fs::write(&file, forged)?;
/// let report = kms.verify_audit_trail(directory)?;
/// assert_eq!(report.first_finding().map(|finding| finding.problem), Some(Problem::Changed));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrailReport {
    /// All chains that are known to the store or have a file.
    pub chains: Vec<ChainReport>,
}

impl TrailReport {
    /// Returns `true` if no chain has a problem.
    pub fn is_intact(&self) -> bool {
        self.first_finding().is_none()
    }

    /// Returns the first problem of the first chain that has one.
    pub fn first_finding(&self) -> Option<&Finding> {
        self.chains.iter().find_map(|chain| chain.finding.as_ref())
    }

    /// Returns the number of valid records.
    pub fn records(&self) -> u64 {
        self.chains.iter().map(|chain| chain.records).sum()
    }
}

impl fmt::Display for TrailReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first_finding() {
            Some(finding) => write!(f, "the trail was altered: {finding}"),
            None => write!(f, "{} records in {} chains, all intact", self.records(), self.chains.len()),
        }
    }
}

/// Verifies every chain of a directory against the state in the store. For each chain, reports the
/// first record that was changed, removed, or reordered.
///
/// `chains` come from the store: [`Kms::verify_audit_trail`](crate::Kms::verify_audit_trail) passes
/// them. Files are read as a stream. Without `checkpoints`, all checkpoints are counted as valid;
/// with it, their signatures are verified.
///
/// Verification cannot detect:
/// - records truncated after the last position known to the store or signed by a valid checkpoint
/// - changes by an attacker who has the store's root key, except before a checkpoint that was
///   signed elsewhere
///
/// # Errors
/// - [`Audit`](crate::ErrorKind::Audit) if the directory cannot be read
/// - any error of the checkpoint verifier
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::audit::{self, FileTrail, Problem};
/// use strongroom::crypto::CryptoBackend;
///
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path();
/// let kms = Kms::builder().audit(FileTrail::new(directory)).build()?;
/// kms.list_keys(Default::default())?;
/// let chains = kms.audit_chains()?; // leaves an event, too
/// drop(kms);
///
/// // On another machine, with a copy of the files:
/// let backend = CryptoBackend::default();
/// let report = audit::verify(directory, &chains, &backend, None)?;
/// assert_eq!(report.to_string(), "2 records in 1 chains, all intact");
/// // Files of a chain that no store knows are reported as forged.
/// let report = audit::verify(directory, &[], &backend, None)?;
/// assert_eq!(report.first_finding().map(|finding| finding.problem), Some(Problem::UnknownChain));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn verify(
    directory: &Path,
    chains: &[ChainState],
    backend: &CryptoBackend,
    checkpoints: Option<&dyn CheckpointVerifier>,
) -> Result<TrailReport> {
    let mut present: BTreeMap<ChainId, Vec<(u64, PathBuf)>> = BTreeMap::new();
    for (chain, index, path) in files::list(directory).map_err(|error| failed("read", directory, error))? {
        present.entry(chain).or_default().push((index, path));
    }
    let mut reports = Vec::new();
    for state in chains {
        let files = present.remove(&state.id()).unwrap_or_default();
        reports.push(Check::new(state, backend, checkpoints)?.run(&files, state.records())?);
    }
    for (chain, files) in present {
        let mut report = empty_report(chain);
        // An empty file makes no false claim: a process ended just before it started the chain.
        if let Some(file) = first_written(files)? {
            report.finding = Some(Finding { problem: Problem::UnknownChain, file: Some(file), line: 1, expected: 1 });
        }
        reports.push(report);
    }
    Ok(TrailReport { chains: reports })
}

/// Returns the first file that is not empty.
fn first_written(files: Vec<(u64, PathBuf)>) -> Result<Option<PathBuf>> {
    for (_, path) in files {
        if fs::metadata(&path).map_err(|error| failed("read", &path, error))?.len() > 0 {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

const fn empty_report(chain: ChainId) -> ChainReport {
    ChainReport { chain, records: 0, finding: None, checkpoints: 0, signed: 0, unfinished: Vec::new(), torn: false }
}

/// The verification of one chain in progress.
struct Check<'a> {
    backend: &'a CryptoBackend,
    verifier: Option<&'a dyn CheckpointVerifier>,
    position: Position,
    /// MACs of the latest records, for checkpoints.
    recent: VecDeque<RecordMac>,
    unfinished: BTreeSet<ChangeId>,
    report: ChainReport,
}

impl<'a> Check<'a> {
    fn new(
        state: &ChainState,
        backend: &'a CryptoBackend,
        verifier: Option<&'a dyn CheckpointVerifier>,
    ) -> Result<Self> {
        Ok(Self {
            backend,
            verifier,
            position: state.start()?,
            recent: VecDeque::new(),
            unfinished: BTreeSet::new(),
            report: empty_report(state.id()),
        })
    }

    fn run(mut self, files: &[(u64, PathBuf)], recorded: u64) -> Result<ChainReport> {
        for (place, (index, path)) in files.iter().enumerate() {
            self.read_file(*index, path, place + 1 == files.len())?;
            if self.report.finding.is_some() {
                break;
            }
        }
        self.report.records = self.position.next - 1;
        if self.report.finding.is_none() && self.report.records < recorded {
            let problem = Problem::Missing { first: self.position.next, last: recorded };
            let file = files.last().map(|(_, path)| path.clone());
            self.report.finding = Some(Finding { problem, file, line: 0, expected: self.position.next });
        }
        self.report.unfinished = self.unfinished.into_iter().collect();
        Ok(self.report)
    }

    fn read_file(&mut self, index: u64, path: &Path, is_last: bool) -> Result<()> {
        let mut lines = Lines::open(path).map_err(|error| failed("read", path, error))?;
        let mut number = 0;
        loop {
            number += 1;
            let found = match lines.next().map_err(|error| failed("read", path, error))? {
                Next::Line(line) if number == 1 => self.check_header(index, line),
                Next::Line(line) => self.check_line(line)?,
                Next::Torn if is_last => {
                    self.report.torn = true;
                    match self.check_unfinished(index, number == 1, lines.unfinished()) {
                        None => return Ok(()),
                        problem => problem,
                    }
                }
                Next::End => return Ok(()),
                Next::Torn | Next::TooLong => Some(Problem::Changed),
            };
            if let Some(problem) = found {
                let expected = self.position.next;
                self.report.finding = Some(Finding { problem, file: Some(path.into()), line: number, expected });
                return Ok(());
            }
        }
    }

    fn check_header(&self, index: u64, line: &[u8]) -> Option<Problem> {
        let Some(header) = FileHeader::parse(line) else { return Some(Problem::Header) };
        let fits = header.chain == self.report.chain && header.index == index;
        match header.first {
            first if fits && first > self.position.next => {
                Some(Problem::Missing { first: self.position.next, last: first - 1 })
            }
            first if fits && first == self.position.next && header.previous == self.position.mac => None,
            _ => Some(Problem::Header),
        }
    }

    /// Checks the bytes after the last line break. They must be the beginning of the next line,
    /// because an interrupted write leaves nothing else. A line that lacks only its line break must
    /// be valid.
    fn check_unfinished(&self, index: u64, is_first: bool, bytes: &[u8]) -> Option<Problem> {
        // After a power failure, a file may have its new length but not the bytes.
        let length = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let text = &bytes[..length];
        match serde_json::from_slice::<IgnoredAny>(text) {
            Ok(_) if is_first => self.check_header(index, text),
            Ok(_) => self.read_record(text).err(),
            Err(error) if error.is_eof() => {
                let start = match is_first {
                    true => format!("{{\"chain\":\"{}\",\"file\":", self.report.chain),
                    false => start_of_record(self.report.chain, self.position.next),
                };
                let known = text.len().min(start.len());
                (text[..known] != start.as_bytes()[..known]).then_some(Problem::Changed)
            }
            Err(_) => Some(Problem::Changed),
        }
    }

    /// Parses the next record. Returns it with the position after it.
    fn read_record<'l>(&self, line: &'l [u8]) -> Result<(Line<'l>, Position), Problem> {
        let parsed = Line::parse(line).filter(|parsed| parsed.chain == self.report.chain).ok_or(Problem::Changed)?;
        let expected = self.position.next;
        if parsed.sequence > expected {
            return Err(Problem::Missing { first: expected, last: parsed.sequence.saturating_sub(1) });
        }
        if parsed.sequence < expected {
            return Err(Problem::OutOfOrder(parsed.sequence));
        }
        let mut after = self.position.copy();
        if after.advance(self.backend, parsed.covered) != parsed.mac {
            return Err(Problem::Changed);
        }
        Ok((parsed, after))
    }

    fn check_line(&mut self, line: &[u8]) -> Result<Option<Problem>> {
        let (parsed, after) = match self.read_record(line) {
            Ok(record) => record,
            Err(problem) => return Ok(Some(problem)),
        };
        if parsed.kind == LineKind::Checkpoint && !self.check_signature(&parsed)? {
            return Ok(Some(Problem::Signature));
        }
        self.position = after;
        self.recent.push_back(parsed.mac);
        if u64::try_from(self.recent.len()).is_ok_and(|length| length > CHECKPOINT_REACH) {
            self.recent.pop_front();
        }
        match parsed.change() {
            Some(ChangeStep::Announced(change)) => {
                self.unfinished.insert(change);
            }
            Some(ChangeStep::Ended(change) | ChangeStep::Failed(change)) => {
                self.unfinished.remove(&change);
            }
            None => {}
        }
        Ok(None)
    }

    fn check_signature(&mut self, line: &Line<'_>) -> Result<bool> {
        let Some((sequence, signature)) = line.checkpoint() else { return Ok(false) };
        let Some(mac) = self.mac_of(sequence) else { return Ok(false) };
        if let Some(verifier) = self.verifier {
            let message = checkpoint_message(self.report.chain, sequence, &mac);
            if !verifier.verify(&message, &signature)? {
                return Ok(false);
            }
        }
        self.report.checkpoints += 1;
        self.report.signed = sequence;
        Ok(true)
    }

    /// Returns the MAC of one of the latest records. The MAC of record 0 is all zeros.
    fn mac_of(&self, sequence: u64) -> Option<RecordMac> {
        if sequence == 0 && self.position.next <= CHECKPOINT_REACH {
            return Some([0; 32]);
        }
        let back = usize::try_from(self.position.next.checked_sub(sequence)?).ok()?;
        self.recent.get(self.recent.len().checked_sub(back)?).copied()
    }
}
