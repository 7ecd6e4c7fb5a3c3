//! One connection to the server, with its settings and prepared statements.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::AbortHandle;
use tokio_postgres::Client;

use super::connect::{self, Session};
use super::failure::reason;
use super::options::Settings;
use super::statements::Statements;
use crate::store::StoreId;
use crate::store::error::StoreError;

/// Settings of every session. A plan that was made for an empty table must not be used for a large
/// one, so statements always use the index. Names are resolved in the catalog only.
const SESSION: &str = "SET search_path = pg_catalog; SET enable_seqscan = off; SET enable_hashjoin = off; \
     SET enable_mergejoin = off; SET jit = off";

/// A connection that is ready for use.
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) statements: Statements,
    /// Moves bytes between the client and the socket.
    driver: AbortHandle,
    warnings: Arc<AtomicU64>,
}

impl Link {
    /// Connects, and checks that the store behind the connection is the expected one.
    pub(super) async fn open(settings: &Settings, expected: Option<StoreId>) -> Result<(Self, StoreId), StoreError> {
        let Session { client, driver, warnings } = connect::connect(settings).await?;
        let guard = Abort(driver);
        client.batch_execute(SESSION).await.map_err(reason)?;
        let statements = Statements::prepare(&client, &settings.quoted_schema()).await.map_err(reason)?;
        let row = client.query_one(&statements.identity, &[]).await.map_err(reason)?;
        let id: &[u8] = row.try_get(0).map_err(reason)?;
        let id = StoreId(id.try_into().map_err(|_| StoreError::Damaged("the id has a wrong length".into()))?);
        if expected.is_some_and(|expected| expected != id) {
            return Err(StoreError::Unreachable("the server now has another store".into()));
        }
        let driver = guard.keep();
        Ok((Self { client, statements, driver, warnings }, id))
    }

    /// Returns the number of warnings that the server has sent. A warning arrives before the answer
    /// to the request that caused it.
    pub(super) fn warnings(&self) -> u64 {
        self.warnings.load(Ordering::Relaxed)
    }

    /// Closes the socket without waiting for answers that are still due.
    pub(super) fn abort(&self) {
        self.driver.abort();
    }
}

/// Aborts a task unless it is kept.
struct Abort(AbortHandle);

impl Abort {
    fn keep(self) -> AbortHandle {
        let handle = self.0.clone();
        std::mem::forget(self);
        handle
    }
}

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}
