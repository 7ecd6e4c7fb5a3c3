//! The open connections, in the order of their last progress.
//!
//! Clients that open connections and do nothing must not keep others out. If all places are taken, a
//! new connection takes the place of the one without progress for the longest time. A connection
//! progresses when it is accepted, when the headers of a request have arrived, and when the request is
//! answered. Its place is never taken while a call is queued or runs, so that no answer is lost.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The time for a connection to leave its place.
const LEAVING_TIME: Duration = Duration::from_millis(50);

/// The places for connections.
#[derive(Debug)]
pub(super) struct Connections {
    places: u32,
    free: Arc<Semaphore>,
    order: Mutex<Order>,
}

#[derive(Debug, Default)]
struct Order {
    next: u64,
    /// The connections whose places can be taken, the oldest first.
    waiting: BTreeMap<u64, Arc<Notify>>,
}

/// The place of a connection, free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    connections: Arc<Connections>,
    taken: Arc<Notify>,
    state: Mutex<PlaceState>,
    _permit: OwnedSemaphorePermit,
}

#[derive(Debug, Default)]
struct PlaceState {
    /// The position in the order.
    position: Option<u64>,
    /// The number of calls that are queued or run.
    calls: usize,
}

impl Connections {
    pub(super) fn new(places: usize) -> Arc<Self> {
        let places = u32::try_from(places.clamp(1, Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        let permits = usize::try_from(places).unwrap_or(usize::MAX);
        Arc::new(Self { places, free: Arc::new(Semaphore::new(permits)), order: Mutex::default() })
    }

    /// Returns a place for a new connection. If there is none, another connection leaves.
    pub(super) async fn place(self: &Arc<Self>) -> Place {
        let permit = loop {
            if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
                break permit;
            }
            self.take_oldest();
            if let Ok(Ok(permit)) = timeout(LEAVING_TIME, Arc::clone(&self.free).acquire_owned()).await {
                break permit;
            }
        };
        let place =
            Place { connections: Arc::clone(self), taken: Arc::default(), state: Mutex::default(), _permit: permit };
        place.progress();
        place
    }

    /// Lets the connection without progress for the longest time leave.
    pub(super) fn take_oldest(&self) {
        if let Some((_, taken)) = self.order().waiting.pop_first() {
            taken.notify_one();
        }
    }

    /// Waits until all connections have ended.
    pub(super) async fn all_ended(&self) {
        // The semaphore is never closed.
        let _ = self.free.acquire_many(self.places).await;
    }

    fn order(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Records progress.
    pub(super) fn progress(&self) {
        self.update(|_| {});
    }

    /// Keeps the place until the call has ended.
    pub(super) fn begin_call(&self) {
        self.update(|state| state.calls += 1);
    }

    pub(super) fn end_call(&self) {
        self.update(|state| state.calls -= 1);
    }

    /// Completes if another connection needs the place.
    pub(super) async fn taken(&self) {
        loop {
            self.taken.notified().await;
            // A call may have begun in the meantime. Then the place of another connection is taken.
            if self.state().calls == 0 {
                return;
            }
        }
    }

    fn update(&self, change: impl FnOnce(&mut PlaceState)) {
        let mut state = self.state();
        change(&mut state);
        let mut order = self.connections.order();
        if let Some(position) = state.position.take() {
            order.waiting.remove(&position);
        }
        if state.calls == 0 {
            let position = order.next;
            order.next += 1;
            order.waiting.insert(position, Arc::clone(&self.taken));
            state.position = Some(position);
        }
    }

    fn state(&self) -> MutexGuard<'_, PlaceState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(position) = self.state().position.take() {
            self.connections.order().waiting.remove(&position);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    async fn is_taken(place: &Place) -> bool {
        timeout(SOON, place.taken()).await.is_ok()
    }

    #[tokio::test]
    async fn the_connection_without_progress_leaves_first() {
        let connections = Connections::new(3);
        let (one, two, three) = (connections.place().await, connections.place().await, connections.place().await);
        one.progress();
        two.begin_call();
        connections.take_oldest();
        assert!(!is_taken(&one).await && !is_taken(&two).await && is_taken(&three).await);
        connections.take_oldest();
        assert!(is_taken(&one).await);
        connections.take_oldest();
        assert!(!is_taken(&two).await, "a call runs");
        two.end_call();
        connections.take_oldest();
        assert!(is_taken(&two).await);
    }

    #[tokio::test]
    async fn a_call_that_begins_in_the_meantime_keeps_its_place() {
        let connections = Connections::new(1);
        let place = connections.place().await;
        connections.take_oldest();
        place.begin_call();
        assert!(!is_taken(&place).await);
    }

    #[tokio::test]
    async fn a_new_connection_waits_for_the_place() {
        let connections = Connections::new(1);
        let first = connections.place().await;
        let next = tokio::spawn({
            let connections = Arc::clone(&connections);
            async move { connections.place().await }
        });
        first.taken().await;
        assert!(!next.is_finished());
        drop(first);
        drop(next.await.unwrap());
        timeout(SOON, connections.all_ended()).await.unwrap();
    }
}
