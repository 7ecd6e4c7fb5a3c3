//! One connection to the server, with its settings and prepared statements.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_postgres::Client;

use super::connect;
use super::failure::reason;
use super::inspection;
use super::options::Settings;
use super::primary;
use super::schema;
use super::session::Session;
use super::statements::Statements;
use crate::store::StoreId;
use crate::store::error::StoreError;

/// Returns the statements that configure every session. A plan for an empty table must not be used
/// for a large one, so statements always use the index. Names are resolved in the catalog only.
///
/// The server notices a lost client after 25 s instead of two hours. Within a batch of messages that
/// has lost its end, nothing else releases the lock: neither `statement_timeout` nor
/// `idle_in_transaction_session_timeout` applies there.
///
/// The rest overrides what the role or the database may have set for other programs. Warnings must
/// arrive, because one of them says that a commit did not wait for its replica.
fn session_settings(settings: &Settings) -> String {
    let timeout = settings.timeout_millis();
    format!(
        "SET search_path = pg_catalog; SET enable_seqscan = off; SET enable_hashjoin = off; \
         SET enable_mergejoin = off; SET jit = off; SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; \
         SET tcp_keepalives_count = 3; SET tcp_user_timeout = 20000; SET client_min_messages = warning; \
         SET default_transaction_isolation = 'read committed'; SET statement_timeout = {timeout}; \
         SET lock_timeout = {timeout}; SET idle_in_transaction_session_timeout = {timeout}; \
         SELECT set_config(name, '0', false) FROM (VALUES ('idle_session_timeout'), ('transaction_timeout')) \
           AS added_later (name) WHERE current_setting(name, true) IS NOT NULL"
    )
}

/// A connection that is ready for use.
pub(super) struct Link {
    session: Session,
    pub(super) statements: Statements,
    opened: Instant,
    location: Option<[u8; 16]>,
    settings: Arc<Settings>,
    timeline: u32,
}

impl Link {
    /// Connects, and checks that the server is suitable and has a store in the schema, the expected
    /// one.
    pub(super) async fn open(
        settings: &Arc<Settings>,
        expected: Option<StoreId>,
    ) -> Result<(Self, StoreId), StoreError> {
        let session = connect::connect(settings).await?;
        session.client.batch_execute(&session_settings(settings)).await.map_err(reason)?;
        let timeline = primary::timeline(&session.client).await?;
        settings.primary.accept(timeline)?;
        let id = schema::check(&session.client, settings).await?;
        if expected.is_some_and(|expected| expected != id) {
            return Err(StoreError::AnotherStore);
        }
        let statements = Statements::prepare(&session.client, &settings.quoted_schema()).await.map_err(reason)?;
        let location = inspection::location(&session.client, settings).await;
        let settings = Arc::clone(settings);
        Ok((Self { session, statements, opened: Instant::now(), location, settings, timeline }, id))
    }

    pub(super) fn client(&self) -> &Client {
        &self.session.client
    }

    /// Returns the location of the store when the connection was established.
    pub(super) fn location(&self) -> Option<[u8; 16]> {
        self.location
    }

    /// Returns the number of warnings that the server has sent. A warning arrives before the answer
    /// to the request that caused it.
    pub(super) fn warnings(&self) -> u64 {
        self.session.warnings()
    }

    /// Returns the time since the connection was established.
    pub(super) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// Returns `true` if the connection is known to be lost, or its server to be deposed.
    pub(super) fn is_closed(&self) -> bool {
        self.client().is_closed() || self.settings.primary.is_deposed(self.timeline)
    }

    /// Returns the timeline of the server.
    pub(super) const fn timeline(&self) -> u32 {
        self.timeline
    }

    /// Asks the server for a sign of life.
    pub(super) async fn ping(&self) -> bool {
        self.client().check_connection().await.is_ok()
    }

    /// Closes the socket without waiting for answers that are still due.
    pub(super) fn abort(&self) {
        self.session.abort();
    }

    /// Says goodbye to the server.
    pub(super) async fn close(self) {
        let Self { session, statements, .. } = self;
        // Dropping the statements sends messages, too.
        drop(statements);
        session.close().await;
    }
}
