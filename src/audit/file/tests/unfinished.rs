//! Bytes after the last line break of a trail, and lines written by an earlier release.

use super::*;

/// Verifies the trail with `tail` appended. Returns the problem, and `true` if the last line counts
/// as torn.
fn with_tail(tail: &[u8]) -> Result<(Option<Problem>, bool), Box<dyn std::error::Error>> {
    let (place, path, _) = written(3)?;
    OpenOptions::new().append(true).open(&path)?.write_all(tail)?;
    let report = place.verify()?;
    Ok((report.first_finding().map(|finding| finding.problem), report.chains[0].torn))
}

#[test]
fn a_forged_record_without_a_line_break_is_found() -> TestResult {
    let (place, path, lines) = written(3)?;
    let good = fs::read(&path)?;
    let forgeries = [
        (lines[3].replace("\"sequence\":3", "\"sequence\":4"), Problem::Changed),
        (lines[3].replace("ListKeys", "ListKey"), Problem::OutOfOrder(3)),
        (lines[3].replace("\"sequence\":3", "\"sequence\":6"), Problem::Missing { first: 4, last: 5 }),
        (lines[3].replace(&place.chains[0].id().to_string(), "0123456789abcdef"), Problem::Changed),
        // No write leaves anything that is not JSON or not the start of a record of this chain.
        ("{}".into(), Problem::Changed),
        ("{\"chain\":\"0123456789abcdef\",\"sequence\":4,\"event\":{".into(), Problem::Changed),
        (lines[3].replace("\"sequence\":3", "\"sequence\":5")[..60].into(), Problem::Changed),
        (format!("{}\"}}", lines[3].replace("\"sequence\":3", "\"sequence\":4")), Problem::Changed),
        ("rm".into(), Problem::Changed),
    ];
    for (forgery, problem) in forgeries {
        fs::write(&path, [&good, forgery.as_bytes()].concat())?;
        assert_eq!(place.finding()?, Some((problem, 5, 4)), "{forgery}");
        assert!(!place.verify()?.is_intact());
    }
    Ok(())
}

#[test]
fn an_interrupted_write_leaves_the_start_of_the_next_line_and_is_no_problem() -> TestResult {
    let (mut place, path, _) = written(3)?;
    let before = fs::read(&path)?;
    let trail = place.trail()?;
    trail.record(event(3))?;
    drop(trail); // the store does not know the fourth record
    let after = fs::read(&path)?;
    for length in before.len()..after.len() {
        for zeros in [0, 1, 4_096] {
            fs::write(&path, [&after[..length], &vec![0; zeros]].concat())?;
            let report = place.verify()?;
            assert_eq!(report.first_finding(), None, "{length} bytes and {zeros} zeros");
            let torn = length > before.len() || zeros > 0;
            assert_eq!((report.records(), report.chains[0].torn), (3, torn), "{length} bytes");
        }
    }
    assert_eq!(with_tail(b"{\"chain\":")?, (None, true));
    assert_eq!(with_tail(b"\0\0\0")?, (None, true));
    Ok(())
}

#[test]
fn a_header_without_a_line_break_is_the_start_of_the_right_one() -> TestResult {
    let mut place = Place::new()?;
    let trail = place.trail()?;
    place.save(&trail)?;
    let chain = place.chains[0].id();
    drop(trail);
    let path = files::path(place.directory.path(), chain, 1);
    let header = FileHeader { chain, index: 1, first: 1, previous: [0; 32] }.to_line();
    for length in 1..header.len() {
        fs::write(&path, &header[..length])?;
        assert_eq!(place.finding()?, None, "{length}");
    }
    for wrong in
        ["{", "[", "{\"chain\":\"0123456789abcdef\",", &header.trim_end().replace("\"index\":1", "\"index\":2")]
    {
        fs::write(&path, wrong)?;
        assert_eq!(place.finding()?.is_none(), wrong == "{", "{wrong}");
    }
    Ok(())
}

/// The MAC covers the bytes of a line: lines of an earlier release contain characters that are now
/// escaped.
#[test]
fn lines_with_raw_characters_that_are_escaped_today_stay_good() -> TestResult {
    let mut place = Place::new()?;
    let trail = place.trail()?;
    let body = to_json(&event(0), &Locality::default())?.replace("ListKeys", "\u{85}\u{2028}\u{202e}");
    trail.keep(Entry { kind: LineKind::Event, body: body.clone(), step: None })?;
    trail.record(event(1))?;
    place.save(&trail)?;
    drop(trail);
    assert!(fs::read_to_string(place.files()?.remove(0))?.contains(&body));
    let report = place.verify()?;
    assert_eq!((report.is_intact(), report.records()), (true, 2));
    Ok(())
}
