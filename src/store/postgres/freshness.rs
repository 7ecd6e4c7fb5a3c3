//! The latest known revision, and how long it may be used.
//!
//! The thread of the store renews the proof that the revision is current before the bound passes,
//! so that callers normally read memory. The bound is measured from the moment at which the request
//! of a proof was sent. Once it has passed, callers wait for the attempt in progress. After a failed
//! attempt, they are rejected until one succeeds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::failure;
use super::fence::{self, Proof};
use super::link::Link;
use super::options::Settings;
use super::rows::Head;
use super::uptime::uptime;
use crate::lock::{Condvar, Mutex, MutexGuard};
use crate::store::error::StoreError;
use crate::store::{Revision, StoreId};

/// The number of renewals per bound while the store is in use.
const RENEWALS: u32 = 2;

/// The time for which renewals continue after the last use. The first use after that waits for a
/// round trip.
const LINGER: Duration = Duration::from_secs(30);

/// The pause after a failed attempt is the bound, within these limits.
const MIN_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// With a shorter bound, a proof is requested only when a caller needs it.
const MIN_AHEAD: Duration = Duration::from_millis(20);

/// The minimum time to wait for the answer to a fence, however short the bound is.
const MIN_WAIT: Duration = Duration::from_millis(500);

/// The age at which an unused connection is replaced instead of used for a fence.
const MAX_UNUSED: Duration = Duration::from_secs(10);

/// The maximum number of connections that wait for the answer to a fence which is overdue. A
/// deposed server keeps a process for each of them.
const MAX_OVERDUE: usize = 3;

/// The latest revision and its proof, shared by the callers and the task that renews the proof.
pub(super) struct Freshness {
    settings: Arc<Settings>,
    store: StoreId,
    latest: AtomicU64,
    /// The time until which the revision may be used, in nanoseconds of [`uptime`].
    fresh_until: AtomicU64,
    /// Set by every use, and cleared by every renewal.
    in_use: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
    /// Requests an attempt immediately.
    wanted: Notify,
}

struct State {
    /// The time at which the request of the latest proof was sent.
    proved: Duration,
    /// What the latest proof has shown.
    head: Head,
    /// Set if the latest attempt failed.
    failure: Option<Failure>,
    /// Set for good if the store went back.
    rolled_back: Option<(Revision, Revision)>,
    is_closed: bool,
}

/// The reason why an attempt failed.
#[derive(Debug)]
enum Failure {
    /// No server could be connected.
    NotConnected(StoreError),
    /// A server was connected, but did not prove that it is the primary.
    Unproved(String),
}

impl Freshness {
    pub(super) fn new(settings: Arc<Settings>, store: StoreId, proof: Proof) -> Self {
        let Proof { sent, head } = proof;
        let state = State { proved: sent, head, failure: None, rolled_back: None, is_closed: false };
        let fresh_until = nanoseconds(sent.saturating_add(settings.max_staleness));
        Self {
            settings,
            store,
            latest: AtomicU64::new(head.revision.0),
            fresh_until: AtomicU64::new(fresh_until),
            in_use: AtomicBool::new(true),
            state: Mutex::new(state),
            changed: Condvar::new(),
            wanted: Notify::new(),
        }
    }

    /// Returns the latest revision, which was current at some moment within the bound.
    ///
    /// # Errors
    /// - [`StoreError::Fenced`] if no server has proved within the bound that it is the primary.
    /// - [`StoreError::Unreachable`] if the bound has passed and no server can be reached.
    /// - [`StoreError::RolledBack`] if the store went back while it was in use.
    /// - [`StoreError::Closed`] if it was closed while the call waited.
    pub(super) fn revision(&self) -> Result<Revision, StoreError> {
        if !self.in_use.load(Ordering::Relaxed) {
            self.in_use.store(true, Ordering::Relaxed);
        }
        // The revision is stored before the time, so it is at least as recent.
        match nanoseconds(uptime()) <= self.fresh_until.load(Ordering::Acquire) {
            true => Ok(self.latest()),
            false => self.wait(self.settings.max_staleness, self.settings.stale_if_error),
        }
    }

    /// Returns a revision that was current at some moment during the call.
    ///
    /// # Errors
    /// - The errors of [`revision`](Self::revision), as with a bound of zero.
    pub(super) fn latest_revision(&self) -> Result<Revision, StoreError> {
        self.in_use.store(true, Ordering::Relaxed);
        self.wait(Duration::ZERO, Duration::ZERO)
    }

    /// Records a commit of this process, so that it is visible immediately.
    pub(super) fn note(&self, commit: Head) {
        let mut state = self.state();
        if commit.revision > state.head.revision {
            state.head = commit;
        }
        self.latest.fetch_max(commit.revision.0, Ordering::AcqRel);
    }

    /// Returns the latest known revision, without any bound.
    pub(super) fn latest(&self) -> Revision {
        Revision(self.latest.load(Ordering::Acquire))
    }

    /// Rejects calls that wait for a proof.
    pub(super) fn close(&self) {
        self.state().is_closed = true;
        self.changed.notify_all();
    }

    /// Waits for the attempt in progress, or a new one. The result is not older than `limit`, and
    /// during an outage not older than `tolerated` in addition.
    fn wait(&self, limit: Duration, tolerated: Duration) -> Result<Revision, StoreError> {
        let started = uptime();
        // Longer than any attempt, in case the thread of the store does not run.
        let deadline = self.settings.timeout.saturating_mul(2).saturating_add(self.wait_for_fence());
        let mut state = self.state();
        loop {
            let now = uptime();
            let is_late = now.saturating_sub(started) >= deadline;
            if let Some(known) = self.verdict(&state, (limit, tolerated), (started, now), is_late) {
                return known;
            }
            // The attempt that has just ended may have been sent before this call.
            self.wanted.notify_one();
            (state, _) = self.changed.wait_timeout(state, Duration::from_millis(100));
        }
    }

    /// Returns the result at `now` for a call that began at `started`, or `None` if it must wait. It
    /// waits no longer if `is_late`.
    fn verdict(
        &self,
        state: &State,
        (limit, tolerated): (Duration, Duration),
        (started, now): (Duration, Duration),
        is_late: bool,
    ) -> Option<Result<Revision, StoreError>> {
        if state.is_closed {
            return Some(Err(StoreError::Closed(self.settings.name())));
        }
        if let Some((from, to)) = state.rolled_back {
            return Some(Err(StoreError::RolledBack { from: from.0, to: to.0 }));
        }
        let age = now.saturating_sub(state.proved);
        // What was current during the call is fresh, however short the bound is.
        if age <= limit || state.proved >= started {
            return Some(Ok(self.latest()));
        }
        if state.failure.is_none() && !is_late {
            return None;
        }
        if age <= limit.saturating_add(tolerated) {
            return Some(Ok(self.latest()));
        }
        Some(Err(match &state.failure {
            Some(Failure::NotConnected(error)) => failure::copy(error),
            Some(Failure::Unproved(text)) => StoreError::Fenced { age, limit, source: Some(text.clone().into()) },
            None => StoreError::Fenced { age, limit, source: None },
        }))
    }

    /// Renews the proof until the task is aborted. `link` is an open connection that no other
    /// request uses.
    pub(super) async fn renew(self: Arc<Self>, link: Arc<Link>) {
        let mut connections = Connections { idle: Some((link, uptime())), overdue: JoinSet::new() };
        let mut last_use = uptime();
        loop {
            if self.in_use.swap(false, Ordering::Relaxed) {
                last_use = uptime();
            }
            let (failed, sent) = {
                let state = self.state();
                (state.failure.is_some(), state.proved)
            };
            if failed {
                tokio::time::sleep(self.settings.max_staleness.clamp(MIN_PAUSE, MAX_PAUSE)).await;
            } else if uptime().saturating_sub(last_use) > LINGER || self.settings.max_staleness < MIN_AHEAD {
                self.wanted.notified().await;
            } else {
                let due = sent.saturating_add(self.settings.max_staleness / RENEWALS);
                // Either ends the pause.
                let _ = tokio::time::timeout(due.saturating_sub(uptime()), self.wanted.notified()).await;
            }
            self.attempt(&mut connections).await;
        }
    }

    /// Tries once to renew the proof, and notifies waiting callers of the result.
    async fn attempt(&self, connections: &mut Connections) {
        // A commit of this process may be noted after the server has read the revision.
        let known = self.latest();
        match self.prove(connections).await {
            Ok(proof) => self.accept(known, proof),
            Err(failure) => {
                self.state().failure = Some(failure);
                self.changed.notify_all();
            }
        }
    }

    /// Renews the proof. `known` was the latest revision before its request.
    pub(super) fn accept(&self, known: Revision, proof: Proof) {
        let mut state = self.state();
        state.failure = None;
        state.accept(known, proof);
        self.latest.fetch_max(proof.head.revision.0, Ordering::AcqRel);
        let until = match state.rolled_back {
            Some(_) => Duration::ZERO,
            None => state.proved.saturating_add(self.settings.max_staleness),
        };
        self.fresh_until.store(nanoseconds(until), Ordering::Release);
        drop(state);
        self.changed.notify_all();
    }

    async fn prove(&self, connections: &mut Connections) -> Result<Proof, Failure> {
        connections.take_answered();
        if let Some((link, used)) = connections.idle.take() {
            if uptime().saturating_sub(used) < MAX_UNUSED && !link.is_closed() {
                match self.prove_with(&link, connections).await {
                    // The server may have been restarted, so a new connection may work.
                    Err(Failure::NotConnected(_)) => {}
                    result => return result,
                }
            }
            link.abort();
        }
        if connections.overdue.len() >= MAX_OVERDUE {
            let text = "servers have not answered earlier requests, and no other server accepts connections";
            return Err(Failure::Unproved(text.to_owned()));
        }
        let open = Link::open(&self.settings, Some(self.store));
        let opened = tokio::time::timeout(self.settings.timeout, open).await;
        let link = match opened {
            Ok(Ok((link, _))) => Arc::new(link),
            Ok(Err(error)) => return Err(Failure::NotConnected(error)),
            Err(_) => return Err(Failure::NotConnected(failure::timed_out(self.settings.timeout))),
        };
        self.prove_with(&link, connections).await
    }

    async fn prove_with(&self, link: &Arc<Link>, connections: &mut Connections) -> Result<Proof, Failure> {
        let work = Arc::clone(link);
        let mut request = tokio::spawn(async move { fence::prove(&work).await });
        match tokio::time::timeout(self.wait_for_fence(), &mut request).await {
            Ok(Ok(Ok(proof))) => {
                connections.idle = Some((Arc::clone(link), uptime()));
                Ok(proof)
            }
            Ok(Ok(Err(error))) => {
                link.abort();
                Err(match error {
                    StoreError::Unreachable(_) => Failure::NotConnected(error),
                    error => Failure::Unproved(error.to_string()),
                })
            }
            Ok(Err(panicked)) => {
                link.abort();
                Err(Failure::Unproved(format!("the request failed: {panicked}")))
            }
            Err(_) => {
                // Closing the connection would leave the process of the server waiting, and each
                // attempt would add another one.
                let link = Arc::clone(link);
                connections.overdue.spawn(async move {
                    match request.await {
                        Ok(Ok(_)) => Some(link),
                        _ => {
                            link.abort();
                            None
                        }
                    }
                });
                self.settings.primary.try_another();
                let wait = self.wait_for_fence();
                Err(Failure::Unproved(format!("the server did not commit a message within {wait:?}")))
            }
        }
    }

    /// Returns the time to wait for the answer to a fence. A later answer proves too little.
    fn wait_for_fence(&self) -> Duration {
        self.settings.max_staleness.clamp(MIN_WAIT, self.settings.timeout.max(MIN_WAIT))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every assignment leaves the data consistent.
        self.state.lock()
    }
}

impl State {
    /// Compares what a proof has shown with what was known before the request.
    fn accept(&mut self, known: Revision, proof: Proof) {
        let found = proof.head;
        let is_replaced = found.revision == self.head.revision && found.token != self.head.token;
        if found.revision < known {
            self.rolled_back.get_or_insert((known, found.revision));
        } else if is_replaced {
            // Another commit has this revision, so at least one was lost.
            self.rolled_back.get_or_insert((known, Revision(known.0.saturating_sub(1))));
        }
        self.proved = self.proved.max(proof.sent);
        if found.revision >= self.head.revision {
            self.head = found;
        }
    }
}

/// Connections for fences.
struct Connections {
    /// A connection without a request, and the time of its last use.
    idle: Option<(Arc<Link>, Duration)>,
    /// Connections whose fence is overdue. Each ends with its connection if that still works.
    overdue: JoinSet<Option<Arc<Link>>>,
}

impl Connections {
    /// Uses a connection again whose server has answered in the meantime.
    fn take_answered(&mut self) {
        while let Some(ended) = self.overdue.try_join_next() {
            if let Ok(Some(link)) = ended {
                match self.idle {
                    None => self.idle = Some((link, uptime())),
                    Some(_) => link.abort(),
                }
            }
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
