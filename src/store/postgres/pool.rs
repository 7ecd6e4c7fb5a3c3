//! A bounded pool of connections, opened on demand and lent to one request at a time.

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::link::Link;
use super::options::Settings;
use crate::lock::Mutex;
use crate::store::StoreId;
use crate::store::error::StoreError;

/// Connections to one store.
pub(super) struct Pool {
    settings: Arc<Settings>,
    store: StoreId,
    permits: Arc<Semaphore>,
    most: u32,
    idle: Mutex<Vec<Arc<Link>>>,
}

impl Pool {
    pub(super) fn new(settings: Arc<Settings>, store: StoreId, most: usize) -> Self {
        let most = u32::try_from(most.clamp(1, 1_000)).expect("at most a thousand");
        let permits = Semaphore::new(usize::try_from(most).expect("at most a thousand"));
        Self { settings, store, permits: Arc::new(permits), most, idle: Mutex::default() }
    }

    /// Adds a connection that is not in use.
    pub(super) fn add(&self, link: Link) {
        self.idle.lock().push(Arc::new(link));
    }

    /// Borrows a connection. Waits for one if all are in use.
    pub(super) async fn borrow(self: &Arc<Self>) -> Result<Loan, StoreError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_| StoreError::Unreachable("the store was closed".into()))?;
        while let Some(link) = self.take_idle() {
            if !link.client.is_closed() {
                return Ok(Loan { pool: Arc::clone(self), link, is_reused: true, is_finished: false, _permit: permit });
            }
        }
        self.connect(permit).await
    }

    /// Removes an idle connection, the one that was used last.
    fn take_idle(&self) -> Option<Arc<Link>> {
        self.idle.lock().pop()
    }

    async fn connect(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Result<Loan, StoreError> {
        let (link, _) = Link::open(&self.settings, Some(self.store)).await?;
        Ok(Loan { pool: Arc::clone(self), link: Arc::new(link), is_reused: false, is_finished: false, _permit: permit })
    }

    /// Runs `work`, which changes nothing, with a connection. If a connection that was idle turns
    /// out to be broken, tries again with a new one.
    pub(super) async fn read<T, F: Future<Output = Result<T, StoreError>>>(
        self: Arc<Self>,
        work: impl Fn(Arc<Link>) -> F,
    ) -> Result<T, StoreError> {
        let loan = self.borrow().await?;
        let result = work(Arc::clone(&loan.link)).await;
        let Err(StoreError::Unreachable(_)) = result else {
            loan.finish();
            return result;
        };
        if !loan.is_reused {
            return result;
        }
        drop(loan);
        self.forget_idle();
        let loan = self.borrow().await?;
        let result = work(Arc::clone(&loan.link)).await;
        if !matches!(result, Err(StoreError::Unreachable(_))) {
            loan.finish();
        }
        result
    }

    /// Drops all idle connections.
    pub(super) fn forget_idle(&self) {
        let idle = std::mem::take(&mut *self.idle.lock());
        idle.iter().for_each(|link| link.abort());
    }

    /// Lends no more connections and closes all, after waiting for those in use.
    pub(super) async fn close(&self) {
        // Without an error: nothing else closes the semaphore while its permits are awaited.
        let all = self.permits.acquire_many(self.most).await;
        self.permits.close();
        drop(all);
        self.idle.lock().clear();
    }
}

/// A borrowed connection. It is closed if its work did not complete.
pub(super) struct Loan {
    pool: Arc<Pool>,
    link: Arc<Link>,
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
        if self.is_finished && !self.link.client.is_closed() {
            self.pool.idle.lock().push(Arc::clone(&self.link));
        } else {
            self.link.abort();
        }
    }
}
