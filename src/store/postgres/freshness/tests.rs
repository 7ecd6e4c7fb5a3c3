use super::*;
use crate::error::Result;
use crate::store::PostgresOptions;

type Told = std::result::Result<Revision, StoreError>;

const SECOND: Duration = Duration::from_secs(1);

fn head(revision: u64, token: u8) -> Head {
    Head { revision: Revision(revision), token: [token; 16] }
}

/// Returns a store whose latest proof was sent at 100 s and has shown revision 7.
fn freshness(stale_if_error: Duration) -> Result<Freshness> {
    let options = PostgresOptions::new("host=127.0.0.1")?.max_staleness(SECOND).stale_if_error(stale_if_error);
    let settings = Arc::new(Settings::new(&options)?);
    Ok(Freshness::new(settings, StoreId([1; 16]), Proof { sent: 100 * SECOND, head: head(7, 1) }))
}

fn failure(is_unproved: bool) -> Failure {
    match is_unproved {
        true => Failure::Unproved("no carrier".to_owned()),
        false => Failure::NotConnected(StoreError::Unreachable("no carrier".into())),
    }
}

fn at(freshness: &Freshness, millis: u64) -> Option<Told> {
    let now = Duration::from_millis(millis);
    verdict(freshness, (now, now), false)
}

fn verdict(freshness: &Freshness, times: (Duration, Duration), is_late: bool) -> Option<Told> {
    let Settings { max_staleness, stale_if_error, .. } = *freshness.settings;
    freshness.verdict(&freshness.state(), (max_staleness, stale_if_error), times, is_late)
}

#[test]
fn a_revision_is_known_within_the_bound_and_awaited_after_it() -> Result<()> {
    let freshness = freshness(Duration::ZERO)?;
    assert!(matches!(at(&freshness, 101_000), Some(Ok(Revision(7)))));
    assert!(at(&freshness, 101_001).is_none(), "an attempt may be in progress");
    let late = verdict(&freshness, (101 * SECOND, 110 * SECOND), true);
    assert!(matches!(late, Some(Err(StoreError::Fenced { .. }))), "the thread of the store does not run");
    Ok(())
}

#[test]
fn after_the_bound_a_failed_attempt_rejects_every_caller() -> Result<()> {
    let freshness = freshness(Duration::ZERO)?;
    for is_unproved in [true, false] {
        freshness.state().failure = Some(failure(is_unproved));
        assert!(matches!(at(&freshness, 101_000), Some(Ok(Revision(7)))), "the proof has not expired");
        match at(&freshness, 101_500) {
            Some(Err(StoreError::Fenced { age, limit, source: Some(source) })) if is_unproved => {
                assert_eq!((age, limit), (Duration::from_millis(1_500), SECOND));
                assert_eq!(source.to_string(), "no carrier");
            }
            Some(Err(StoreError::Unreachable(source))) if !is_unproved => assert_eq!(source.to_string(), "no carrier"),
            other => panic!("{other:?}"),
        }
    }
    Ok(())
}

#[test]
fn stale_state_is_used_only_if_requested_and_only_for_so_long() -> Result<()> {
    let freshness = freshness(10 * SECOND)?;
    assert!(at(&freshness, 105_000).is_none(), "callers wait as long as no attempt has failed");
    freshness.state().failure = Some(failure(true));
    assert!(matches!(at(&freshness, 111_000), Some(Ok(Revision(7)))));
    assert!(matches!(at(&freshness, 111_001), Some(Err(StoreError::Fenced { .. }))));
    Ok(())
}

#[test]
fn the_latest_revision_is_awaited_within_the_bound_and_never_stale() -> Result<()> {
    let freshness = freshness(10 * SECOND)?;
    let latest = |millis| {
        let now = Duration::from_millis(millis);
        freshness.verdict(&freshness.state(), (Duration::ZERO, Duration::ZERO), (now, now), false)
    };
    assert!(latest(100_001).is_none(), "the proof is older than the call");
    freshness.state().failure = Some(failure(false));
    assert!(matches!(latest(100_001), Some(Err(StoreError::Unreachable(_)))));
    Ok(())
}

#[test]
fn a_proof_that_was_sent_during_the_call_is_enough() -> Result<()> {
    let freshness = freshness(Duration::ZERO)?;
    freshness.state().proved = 200 * SECOND;
    let told = verdict(&freshness, (199 * SECOND, 205 * SECOND), false);
    assert!(matches!(told, Some(Ok(Revision(7)))));
    Ok(())
}

#[test]
fn a_store_that_went_back_is_rejected_for_good() -> Result<()> {
    let proof = |revision, token| Proof { sent: 200 * SECOND, head: head(revision, token) };
    // The store is at a revision that is lower, or that another commit has written.
    for (known, found) in [(7, proof(6, 9)), (9, proof(8, 9)), (7, proof(7, 9))] {
        let freshness = freshness(Duration::ZERO)?;
        freshness.state().accept(Revision(known), found);
        freshness.state().accept(Revision(known), proof(12, 9));
        let told = at(&freshness, 200_000);
        assert!(
            matches!(told, Some(Err(StoreError::RolledBack { from, to })) if from == known && to < from),
            "{told:?}"
        );
    }
    for found in [proof(7, 1), proof(8, 9)] {
        let freshness = freshness(Duration::ZERO)?;
        freshness.state().accept(Revision(7), found);
        assert!(matches!(at(&freshness, 200_000), Some(Ok(_))));
    }
    Ok(())
}

#[test]
fn a_commit_of_this_process_is_visible_immediately() -> Result<()> {
    let freshness = freshness(Duration::ZERO)?;
    freshness.note(head(9, 2));
    freshness.note(head(8, 3));
    assert!(matches!(at(&freshness, 101_000), Some(Ok(Revision(9)))));
    // A fence that was sent before the commit shows an earlier revision.
    freshness.state().accept(Revision(7), Proof { sent: 100 * SECOND, head: head(8, 3) });
    assert!(matches!(at(&freshness, 101_000), Some(Ok(Revision(9)))));
    // A later one shows another commit in place of this one.
    freshness.state().accept(Revision(9), Proof { sent: 100 * SECOND, head: head(9, 4) });
    assert!(matches!(at(&freshness, 101_000), Some(Err(StoreError::RolledBack { .. }))));
    Ok(())
}
