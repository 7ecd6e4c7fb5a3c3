//! A bounded pool of connections, opened on demand and lent to one request at a time.

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::link::Link;
use super::options::Settings;
use crate::lock::Mutex;
use crate::store::StoreId;
use crate::store::error::StoreError;

/// The time after which an unused connection is checked before it is used again. Firewalls forget
/// connections silently.
const CHECK_AFTER: Duration = Duration::from_secs(10);

/// The maximum time to wait for the sign of life of a connection. It is replaced otherwise.
const MAX_CHECK: Duration = Duration::from_secs(1);

/// The age at which a connection is replaced, so that all of them follow a change of the addresses
/// of a name, and memory of the server is released.
const MAX_AGE: Duration = Duration::from_secs(30 * 60);

/// Connections to one store.
pub(super) struct Pool {
    settings: Arc<Settings>,
    store: StoreId,
    permits: Arc<Semaphore>,
    most: u32,
    idle: Mutex<Vec<Idle>>,
    /// The location of the store according to the latest connection.
    location: Arc<Mutex<Option<[u8; 16]>>>,
}

struct Idle {
    link: Arc<Link>,
    since: Instant,
}

impl Pool {
    pub(super) fn new(
        settings: Arc<Settings>,
        store: StoreId,
        most: usize,
        location: Arc<Mutex<Option<[u8; 16]>>>,
    ) -> Self {
        let permits = Arc::new(Semaphore::new(most));
        let most = u32::try_from(most).expect("the options limit the number");
        Self { settings, store, permits, most, idle: Mutex::default(), location }
    }

    /// Adds a connection that is not in use.
    pub(super) fn add(&self, link: Arc<Link>) {
        self.idle.lock().push(Idle { link, since: Instant::now() });
    }

    /// Borrows a connection. Waits for one if all are in use.
    pub(super) async fn borrow(self: &Arc<Self>) -> Result<Loan, StoreError> {
        // Earlier than the deadline of the call, so that the error states the reason.
        let limit = self.settings.timeout / 4 * 3;
        let permit = tokio::time::timeout(limit, Arc::clone(&self.permits).acquire_owned()).await;
        let permit = permit.map_err(|_| StoreError::Busy("all connections of the store are in use".into()))?;
        let permit = permit.map_err(|_| StoreError::Closed(self.settings.name()))?;
        let idle = self.idle_link().await;
        let is_reused = idle.is_some();
        let link = match idle {
            Some(link) => link,
            None => {
                let (link, _) = Link::open(&self.settings, Some(self.store)).await?;
                *self.location.lock() = link.location();
                Arc::new(link)
            }
        };
        Ok(Loan { pool: Arc::clone(self), link, is_reused, is_finished: false, _permit: permit })
    }

    /// Returns an idle connection that works, the one that was used last. Closes those that do not.
    async fn idle_link(&self) -> Option<Arc<Link>> {
        loop {
            // The guard must not be held across the check.
            let idle = self.idle.lock().pop();
            let Idle { link, since } = idle?;
            if link.is_closed() || link.age() > MAX_AGE {
                link.abort();
                continue;
            }
            if since.elapsed() < CHECK_AFTER {
                return Some(link);
            }
            let limit = MAX_CHECK.min(self.settings.timeout / 4);
            if tokio::time::timeout(limit, link.ping()).await.unwrap_or(false) {
                return Some(link);
            }
            link.abort();
        }
    }

    /// Runs `work`, which changes nothing, with a connection. If a connection that was idle turns
    /// out to be lost, tries again with a new one.
    pub(super) async fn read<T, F: Future<Output = Result<T, StoreError>>>(
        self: Arc<Self>,
        work: impl Fn(Arc<Link>) -> F,
    ) -> Result<T, StoreError> {
        loop {
            let loan = self.borrow().await?;
            let result = work(Arc::clone(&loan.link)).await;
            match result {
                Err(StoreError::Unreachable(_)) if loan.is_reused => self.forget_idle(),
                Err(StoreError::Unreachable(_)) => return result,
                _ => {
                    loan.finish();
                    return result;
                }
            }
        }
    }

    /// Closes all idle connections. Those that are lent follow when they are returned and fail.
    pub(super) fn forget_idle(&self) {
        let idle = std::mem::take(&mut *self.idle.lock());
        idle.iter().for_each(|idle| idle.link.abort());
    }

    /// Leaves all connections alone, in a child of `fork`. The parent may have held a lock at the
    /// time of the fork, also one of the runtime.
    pub(super) fn leak(&self) {
        if let Some(mut idle) = self.idle.try_lock() {
            std::mem::forget(std::mem::take(&mut *idle));
        }
    }

    /// Lends no more connections, waits for those in use, and closes all.
    pub(super) async fn close(&self) {
        // Fails only if the pool was closed before.
        let all = self.permits.acquire_many(self.most).await;
        self.permits.close();
        drop(all);
        let idle = std::mem::take(&mut *self.idle.lock());
        for Idle { link, .. } in idle {
            if let Some(link) = Arc::into_inner(link) {
                link.close().await;
            }
        }
    }
}

/// A borrowed connection. It is closed if its work did not complete.
pub(super) struct Loan {
    pool: Arc<Pool>,
    link: Arc<Link>,
    /// It was used before, and the server may have closed it since.
    pub(super) is_reused: bool,
    is_finished: bool,
    _permit: OwnedSemaphorePermit,
}

impl Loan {
    /// Returns the connection to the pool. No request and no transaction may be open.
    pub(super) fn finish(mut self) {
        self.is_finished = true;
    }

    /// Returns the connection for a future that outlives this reference.
    pub(super) fn link(&self) -> Arc<Link> {
        Arc::clone(&self.link)
    }
}

impl Deref for Loan {
    type Target = Link;

    fn deref(&self) -> &Link {
        &self.link
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        match self.is_finished && !self.link.is_closed() {
            true => self.pool.add(Arc::clone(&self.link)),
            false => self.link.abort(),
        }
    }
}
