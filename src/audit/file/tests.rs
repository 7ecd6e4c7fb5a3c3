mod unfinished;

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

use super::files::Output;
use super::*;
use crate::audit::line::FileHeader;
use crate::audit::{Action, Finding, Problem, TrailReport, verify};
use crate::clock::Timestamp;
use crate::crypto::CryptoBackend;
use crate::identity::{AccountId, Principal};
use crate::key::Operation;

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// A directory, and the chain states that the store would contain.
struct Place {
    directory: TempDir,
    chains: Vec<ChainState>,
}

impl Place {
    fn new() -> Result<Self, Box<dyn std::error::Error>> {
        Ok(Self { directory: tempfile::tempdir()?, chains: Vec::new() })
    }

    fn trail(&mut self) -> Result<FileTrail> {
        self.attached(FileTrail::new(self.directory.path()))
    }

    fn attached(&mut self, trail: FileTrail) -> Result<FileTrail> {
        let (backend, locality) = (CryptoBackend::default(), Locality::default());
        let known = Mutex::new(std::mem::take(&mut self.chains));
        let state = trail.attach(&Attachment::new(&backend, &locality, &known));
        self.chains = known.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.keep(state?.ok_or_else(unattached)?);
        Ok(trail)
    }

    fn keep(&mut self, state: ChainState) {
        self.chains.retain(|chain| chain.id() != state.id());
        self.chains.push(state);
    }

    fn save(&mut self, trail: &FileTrail) -> Result<()> {
        self.keep(trail.state(None)?);
        Ok(())
    }

    fn verify(&self) -> Result<TrailReport> {
        verify(self.directory.path(), &self.chains, &CryptoBackend::default(), None)
    }

    /// Returns the only finding as problem, line, and expected number.
    fn finding(&self) -> Result<Option<(Problem, u64, u64)>> {
        let found = self.verify()?;
        Ok(found.first_finding().map(|Finding { problem, line, expected, .. }| (*problem, *line, *expected)))
    }

    fn files(&self) -> Result<Vec<PathBuf>, io::Error> {
        Ok(files::list(self.directory.path())?.into_iter().map(|(.., path)| path).collect())
    }
}

fn event(millis: i64) -> AuditEvent {
    let principal = Principal::root(AccountId::default());
    AuditEvent::new(Timestamp::from_unix_millis(millis), Action::Call(Operation::ListKeys), principal)
}

fn change_event(change: ChangeId, outcome: Outcome) -> AuditEvent {
    AuditEvent { change: Some(change), outcome, ..event(0) }
}

/// Creates a trail of records 1 to `count`. Returns it with its only file and the lines of that
/// file, including the header.
fn written(count: i64) -> Result<(Place, PathBuf, Vec<String>), Box<dyn std::error::Error>> {
    let mut place = Place::new()?;
    let trail = place.trail()?;
    for millis in 0..count {
        trail.record(event(millis))?;
    }
    place.save(&trail)?;
    drop(trail);
    let path = place.files()?.remove(0);
    let lines = fs::read_to_string(&path)?.lines().map(str::to_owned).collect();
    Ok((place, path, lines))
}

fn rewrite(path: &Path, lines: &[String]) -> io::Result<()> {
    fs::write(path, lines.iter().map(|line| format!("{line}\n")).collect::<String>())
}

#[test]
fn an_untouched_trail_is_intact() -> TestResult {
    let (place, _, lines) = written(20)?;
    let report = place.verify()?;
    assert_eq!((report.is_intact(), report.records(), lines.len()), (true, 20, 21));
    Ok(())
}

#[test]
fn every_flipped_byte_is_found_at_its_record() -> TestResult {
    let (place, path, lines) = written(3)?;
    let good = fs::read(&path)?;
    let header = lines[0].len() + 1;
    for index in 0..good.len() {
        let mut bad = good.clone();
        bad[index] ^= 0x01;
        fs::write(&path, &bad)?;
        let (problem, line, _) = place.finding()?.unwrap_or_else(|| panic!("flipping byte {index} was not detected"));
        let expected = 1 + good[..index].iter().filter(|byte| **byte == b'\n').count();
        let whole = index != good.len() - 1; // without its line break, the last line counts as truncated
        assert!(!whole || line == u64::try_from(expected)?, "byte {index}: {problem} in line {line}");
        assert!(index >= header || problem == Problem::Header, "byte {index}: {problem}");
    }
    Ok(())
}

#[test]
fn every_removed_record_is_named() -> TestResult {
    let (place, path, lines) = written(5)?;
    for number in 1..=5_usize {
        let mut cut = lines.clone();
        cut.remove(number);
        rewrite(&path, &cut)?;
        let number = u64::try_from(number)?;
        let found = place.finding()?.map(|(problem, _, expected)| (problem, expected));
        assert_eq!(found, Some((Problem::Missing { first: number, last: number }, number)));
    }
    Ok(())
}

#[test]
fn swapped_and_repeated_records_are_out_of_order() -> TestResult {
    let (place, path, lines) = written(5)?;
    let mut swapped = lines.clone();
    swapped.swap(2, 3);
    rewrite(&path, &swapped)?;
    assert_eq!(place.finding()?, Some((Problem::Missing { first: 2, last: 2 }, 3, 2)));
    let mut repeated = lines.clone();
    repeated.insert(3, lines[2].clone());
    rewrite(&path, &repeated)?;
    assert_eq!(place.finding()?, Some((Problem::OutOfOrder(2), 4, 3)));
    Ok(())
}

#[test]
fn renumbering_does_not_hide_a_removal() -> TestResult {
    let (place, path, lines) = written(3)?;
    let renumbered = lines[3].replace("\"sequence\":3", "\"sequence\":2");
    assert_ne!(renumbered, lines[3]);
    rewrite(&path, &[lines[0].clone(), lines[1].clone(), renumbered])?;
    assert_eq!(place.finding()?, Some((Problem::Changed, 3, 2)));
    Ok(())
}

#[test]
fn a_cut_tail_shows_as_far_as_the_store_knows() -> TestResult {
    let (mut place, path, lines) = written(4)?;
    rewrite(&path, &lines[..3])?;
    assert_eq!(place.finding()?, Some((Problem::Missing { first: 3, last: 4 }, 0, 3)));
    assert_eq!(place.trail().map(|_| ()).map_err(|error| error.kind()), Err(ErrorKind::Audit));
    fs::remove_file(&path)?;
    assert_eq!(place.finding()?, Some((Problem::Missing { first: 1, last: 4 }, 0, 1)));
    Ok(())
}

#[test]
fn a_chain_of_somebody_else_is_unknown() -> TestResult {
    let (place, ..) = written(1)?;
    let strangers = verify(place.directory.path(), &[], &CryptoBackend::default(), None)?;
    assert_eq!(strangers.first_finding().map(|found| found.problem), Some(Problem::UnknownChain));
    Ok(())
}

#[test]
fn a_chain_goes_on_after_a_restart_behind_what_the_store_knew() -> TestResult {
    let mut place = Place::new()?;
    let trail = place.trail()?;
    for millis in 0..5 {
        trail.record(event(millis))?;
    }
    drop(trail); // the store knows none of the five
    let path = place.files()?.remove(0);
    OpenOptions::new().append(true).open(&path)?.write_all(b"{\"chain\":\"half a li")?;
    assert!(place.verify()?.chains[0].torn);
    let trail = place.trail()?;
    trail.record(event(5))?;
    place.save(&trail)?;
    let report = place.verify()?;
    assert_eq!((report.is_intact(), report.records(), report.chains.len()), (true, 6, 1));
    Ok(())
}

#[test]
fn an_altered_tail_is_not_gone_on_with() -> TestResult {
    let mut place = Place::new()?;
    let trail = place.trail()?;
    for millis in 0..3 {
        trail.record(event(millis))?;
    }
    drop(trail);
    let path = place.files()?.remove(0);
    let altered = fs::read_to_string(&path)?.replacen("ListKeys", "ListKeyz", 1);
    fs::write(&path, altered)?;
    assert_eq!(place.trail().map(|_| ()).map_err(|error| error.kind()), Err(ErrorKind::Audit));
    Ok(())
}

#[test]
fn each_writer_of_a_directory_has_a_chain_of_its_own() -> TestResult {
    let mut place = Place::new()?;
    let (one, two) = (place.trail()?, place.trail()?);
    one.record(event(1))?;
    two.record(event(2))?;
    place.save(&one)?;
    place.save(&two)?;
    let report = place.verify()?;
    assert_eq!((report.is_intact(), report.chains.len(), report.records()), (true, 2, 2));
    drop((one, two));
    let (three, four) = (place.trail()?, place.trail()?);
    three.record(event(3))?;
    four.record(event(4))?;
    assert_eq!((place.verify()?.chains.len(), place.verify()?.records()), (2, 4));
    Ok(())
}

#[test]
fn changes_without_an_outcome_are_settled_after_a_restart() -> TestResult {
    let mut place = Place::new()?;
    let trail = place.trail()?;
    let [done, committed, never] = [1, 2, 3].map(|byte| ChangeId([byte; 16]));
    for change in [done, committed, never] {
        trail.record(change_event(change, Outcome::Intent))?;
    }
    place.keep(trail.state(Some(committed))?); // together with the commit of the change
    trail.committed(committed);
    trail.record(change_event(done, Outcome::Success))?;
    assert_eq!(place.verify()?.chains[0].unfinished, [committed, never]);
    drop(trail);
    drop(place.trail()?);
    let text = fs::read_to_string(&place.files()?[0])?;
    for (change, result) in [(committed, "committed"), (never, "not committed")] {
        let body = line::reconciled_body(change, result == "committed");
        assert!(body.contains(&format!("\"{result}\"")) && text.contains(&body), "{body}");
    }
    let report = place.verify()?;
    assert_eq!((report.is_intact(), &report.chains[0].unfinished[..]), (true, &[][..]));
    assert_eq!(place.chains[0].pending(), []);
    Ok(())
}

#[test]
fn a_chain_crosses_files_and_every_lost_file_shows() -> TestResult {
    let mut place = Place::new()?;
    let trail = FileTrail::new(place.directory.path()).file_bytes(2_000);
    let trail = place.attached(trail)?;
    for millis in 0..40 {
        trail.record(event(millis))?;
    }
    place.save(&trail)?;
    drop(trail);
    let files = place.files()?;
    assert!(files.len() > 5, "{files:?}");
    assert_eq!((place.verify()?.is_intact(), place.verify()?.records()), (true, 40));
    for path in &files {
        let content = fs::read(path)?;
        fs::remove_file(path)?;
        let (problem, ..) = place.finding()?.ok_or("a lost file was not detected")?;
        assert!(matches!(problem, Problem::Missing { .. }), "{problem}");
        fs::write(path, content)?;
    }
    let trail = place.trail()?;
    trail.record(event(41))?;
    place.save(&trail)?;
    assert_eq!((place.verify()?.is_intact(), place.verify()?.records()), (true, 41));
    Ok(())
}

#[test]
fn a_file_that_was_only_just_made_is_gone_on_with() -> TestResult {
    for torn in [&b""[..], b"{\"chain\":"] {
        let (mut place, path, _) = written(3)?;
        let chain = place.chains[0].id();
        fs::write(files::path(place.directory.path(), chain, 2), torn)?;
        let trail = place.trail()?;
        trail.record(event(4))?;
        place.save(&trail)?;
        assert_eq!((place.verify()?.is_intact(), place.verify()?.records()), (true, 4));
        assert!(path.exists());
    }
    Ok(())
}

/// Writes a hundred events from each of eight threads. Returns the times of the acknowledged
/// events.
fn crowd(trail: &FileTrail) -> BTreeSet<String> {
    let acknowledged = Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let acknowledged = &acknowledged;
            scope.spawn(move || {
                for millis in (0..100).map(|step| 1_000 * thread + step) {
                    if trail.record(event(millis)).is_ok() {
                        acknowledged.lock().unwrap().insert(time(millis));
                    }
                }
            });
        }
    });
    acknowledged.into_inner().unwrap()
}

fn time(millis: i64) -> String {
    Timestamp::from_unix_millis(millis).to_string()
}

/// Returns the times of the events in the files, in order.
fn times(place: &Place) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let mut times = Vec::new();
    for path in place.files()? {
        for line in fs::read_to_string(path)?.lines() {
            let line: serde_json::Value = serde_json::from_str(line)?;
            if let Some(time) = line["event"]["eventTime"].as_str() {
                times.push(time.to_owned());
            }
        }
    }
    Ok(times)
}

#[test]
fn events_of_many_threads_are_all_kept_once() -> TestResult {
    for durability in [Durability::Buffered, Durability::Synced] {
        let mut place = Place::new()?;
        let trail = FileTrail::new(place.directory.path()).file_bytes(20_000).durability(durability);
        let trail = place.attached(trail)?;
        let acknowledged = crowd(&trail);
        place.save(&trail)?;
        let report = place.verify()?;
        assert_eq!((report.is_intact(), report.records(), acknowledged.len()), (true, 800, 800));
        let times = times(&place)?;
        assert_eq!((times.len(), times.into_iter().collect()), (800, acknowledged));
        assert!(place.files()?.len() > 3);
    }
    Ok(())
}

/// The writes of many threads fail for a while. A rejected event has no record, an acknowledged
/// event has one, and no thread waits forever.
#[cfg(target_os = "linux")]
#[test]
fn what_many_threads_were_told_is_true_while_writing_fails_and_works_again() -> TestResult {
    let mut place = Place::new()?;
    let trail = place.trail()?;
    let header = FileHeader { chain: trail.state(None)?.id(), index: 2, first: 0, previous: [0; 32] };
    let full = files::path(place.directory.path(), header.chain, header.index);
    std::os::unix::fs::symlink("/dev/full", &full)?;
    let mut other = Some(Output::on_device(place.directory.path(), header)?);
    fs::remove_file(full)?;
    let swap = |other: &mut Option<Output>| {
        loop {
            if let (Some(line_writer), Some(output)) =
                (trail.lock().writer.as_mut().and_then(|writer| writer.line_writer.as_mut()), other.as_mut())
            {
                return std::mem::swap(&mut line_writer.output, output);
            }
            std::thread::yield_now();
        }
    };
    let (mut kept, mut refused) = (BTreeSet::new(), 0);
    std::thread::scope(|scope| {
        let crowd = scope.spawn(|| crowd(&trail));
        for _ in 0..20 {
            swap(&mut other); // full
            refused += u32::from(trail.record(event(-1)).is_err());
            swap(&mut other); // good
        }
        kept = crowd.join().unwrap();
    });
    assert_eq!(refused, 20, "each write to a full device fails");
    trail.record(event(8_000))?;
    kept.insert(time(8_000));
    place.save(&trail)?;
    let report = place.verify()?;
    assert!(report.is_intact(), "{report}");
    let times = times(&place)?;
    assert_eq!((times.len(), times.into_iter().collect()), (kept.len(), kept));
    Ok(())
}

#[test]
fn a_change_is_under_way_from_its_kept_intent_to_its_kept_outcome() -> TestResult {
    let mut place = Place::new()?;
    let trail = place.trail()?;
    let changes: Vec<_> = (0..64).map(|byte| ChangeId([byte; 16])).collect();
    std::thread::scope(|scope| {
        for change in &changes {
            let trail = &trail;
            scope.spawn(move || {
                trail.record(change_event(*change, Outcome::Intent)).unwrap();
                let under_way = |trail: &FileTrail| {
                    trail.state(None).unwrap().pending().iter().any(|pending| pending.id == *change)
                };
                assert!(under_way(trail), "its intent was acknowledged");
                trail.record(change_event(*change, Outcome::Success)).unwrap();
                assert!(!under_way(trail), "its outcome was acknowledged");
            });
        }
    });
    place.save(&trail)?;
    assert_eq!((place.chains[0].pending(), place.chains[0].records()), (&[][..], 128));
    Ok(())
}

#[test]
fn an_event_over_the_limit_of_a_line_is_refused_and_the_trail_goes_on() -> TestResult {
    let mut place = Place::new()?;
    let trail = place.trail()?;
    let with_message = |length: usize| AuditEvent { message: Some("x".repeat(length).into()), ..event(1) };
    assert_eq!(trail.record(with_message(MAX_LINE)).map_err(|error| error.kind()), Err(ErrorKind::Audit));
    let rest = to_json(&with_message(0), &Locality::default())?.len();
    trail.record(with_message(MAX_BODY - rest))?;
    assert!(trail.record(with_message(MAX_BODY - rest + 1)).is_err());
    place.save(&trail)?;
    assert_eq!((place.verify()?.is_intact(), place.verify()?.records()), (true, 1));
    Ok(())
}

#[test]
fn checkpoints_sign_what_is_before_them() -> TestResult {
    let mut place = Place::new()?;
    let trail = place.trail()?;
    let sign = |message: &[u8]| Ok([b"signed:", message].concat());
    trail.record(event(1))?;
    trail.record(event(2))?;
    trail.checkpoint(&sign)?;
    trail.record(event(3))?;
    place.save(&trail)?;
    let check = |message: &[u8], signature: &[u8]| Ok(signature == [b"signed:", message].concat());
    let verified = |verifier: &dyn crate::audit::CheckpointVerifier| {
        verify(place.directory.path(), &place.chains, &CryptoBackend::default(), Some(verifier))
    };
    let report = verified(&check)?;
    assert_eq!((report.is_intact(), report.chains[0].checkpoints, report.chains[0].signed), (true, 1, 2));
    let refused = verified(&|_: &[u8], _: &[u8]| Ok(false))?;
    assert_eq!(refused.first_finding().map(|found| (found.problem, found.expected)), Some((Problem::Signature, 3)));
    Ok(())
}

#[test]
fn a_trail_that_is_not_attached_or_attached_twice_is_refused() -> TestResult {
    let mut place = Place::new()?;
    let trail = FileTrail::new(place.directory.path());
    assert_eq!(trail.record(event(1)).map_err(|error| error.kind()), Err(ErrorKind::Audit));
    let trail = place.attached(trail)?;
    assert!(place.attached(trail).is_err());
    Ok(())
}

#[cfg(unix)]
#[test]
fn files_are_for_their_owner_only() -> TestResult {
    use std::os::unix::fs::PermissionsExt;
    let (_place, path, _) = written(1)?;
    assert_eq!(fs::metadata(path)?.permissions().mode() & 0o777, 0o600);
    Ok(())
}

/// A device that is always full: writing fails, and works again once there is space.
#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_written_is_refused_and_the_trail_goes_on_afterwards() -> TestResult {
    let mut place = Place::new()?;
    let trail = place.trail()?;
    trail.record(event(1))?;
    let good = {
        let mut state = trail.lock();
        let writer = state.writer_mut()?;
        let header = FileHeader { chain: writer.origin.id(), index: 2, first: 0, previous: [0; 32] };
        let full = files::path(place.directory.path(), header.chain, 2);
        std::os::unix::fs::symlink("/dev/full", full)?;
        let line_writer = writer.line_writer.as_mut().ok_or("no caller writes")?;
        std::mem::replace(&mut line_writer.output, Output::on_device(place.directory.path(), header)?)
    };
    let error = trail.record(event(2)).expect_err("the device is full");
    assert_eq!(error.kind(), ErrorKind::Audit);
    assert!(error.to_string().contains("No space left"), "{error}");
    let refused = ChangeId([9; 16]);
    assert!(trail.record(change_event(refused, Outcome::Intent)).is_err());
    assert_eq!(trail.state(None)?.pending(), [], "a rejected intent is not pending");
    trail.lock().writer_mut()?.line_writer.as_mut().ok_or("no caller writes")?.output = good;
    fs::remove_file(files::path(place.directory.path(), trail.state(None)?.id(), 2))?;
    trail.record(event(3))?;
    place.save(&trail)?;
    let report = place.verify()?;
    assert_eq!((report.is_intact(), report.records()), (true, 2));
    Ok(())
}

/// Returns the result of the work, or `None` if it does not finish.
#[cfg(debug_assertions)]
fn within_a_minute<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || send.send(work()));
    receive.recv_timeout(Duration::from_secs(60)).ok()
}

#[cfg(debug_assertions)] // otherwise an overflow does not panic
#[test]
fn a_panic_while_writing_fails_the_write_and_hangs_nobody() -> TestResult {
    let mut place = Place::new()?;
    let trail = Arc::new(place.trail()?);
    trail.record(event(1))?;
    // The highest possible number: incrementing it panics.
    let next = std::mem::replace(&mut trail.lock().writer_mut()?.kept.next, u64::MAX);
    let record = |millis| {
        let trail = Arc::clone(&trail);
        within_a_minute(move || catch_unwind(AssertUnwindSafe(|| trail.record(event(millis)))).is_err())
    };
    let both: Vec<_> = (2..4).map(record).collect();
    assert_eq!(both, [Some(true), Some(true)], "each caller panics as the leader");
    trail.lock().writer_mut()?.kept.next = next;
    trail.record(event(5))?;
    place.save(&trail)?;
    assert_eq!((place.verify()?.is_intact(), place.verify()?.records()), (true, 2));
    Ok(())
}

#[test]
fn a_file_that_somebody_else_cuts_or_writes_is_left_alone() -> TestResult {
    for change in ["cut", "emptied", "appended"] {
        let mut place = Place::new()?;
        let trail = place.trail()?;
        trail.record(event(1))?;
        let path = place.files()?.remove(0);
        let mut file = OpenOptions::new().append(true).open(&path)?;
        match change {
            "cut" => file.set_len(fs::metadata(&path)?.len() - 1)?,
            "emptied" => file.set_len(0)?,
            _ => file.write_all(b"{}\n")?,
        }
        let left = fs::read(&path)?;
        for _ in 0..2 {
            let refused = trail.record(event(2)).expect_err("the trail could not be verified");
            assert!(refused.to_string().contains("the file was changed by another program"), "{refused}");
        }
        assert_eq!(fs::read(&path)?, left, "{change}");
    }
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_trail_whose_directory_is_deleted_refuses_what_would_be_lost() -> TestResult {
    for durability in [Durability::Buffered, Durability::Synced] {
        let mut place = Place::new()?;
        let trail = FileTrail::new(place.directory.path().join("trail")).durability(durability);
        let trail = place.attached(trail)?;
        trail.record(event(1))?;
        fs::remove_dir_all(trail.directory())?;
        for _ in 0..2 {
            assert_eq!(trail.record(event(2)).map_err(|error| error.kind()), Err(ErrorKind::Audit));
        }
        place.save(&trail)?;
        drop(trail);
        // After a restart it begins another chain, and the missing record is detected.
        let trail = place.attached(FileTrail::new(place.directory.path().join("trail")))?;
        trail.record(event(3))?;
        let report = verify(trail.directory(), &place.chains, &CryptoBackend::default(), None)?;
        let problem = report.first_finding().map(|finding| finding.problem);
        assert_eq!((report.chains.len(), problem), (2, Some(Problem::Missing { first: 1, last: 1 })));
    }
    Ok(())
}
