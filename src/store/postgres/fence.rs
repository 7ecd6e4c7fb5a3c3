//! The fence: a request that only the current primary can answer.
//!
//! Any server answers a read, also a primary that was deposed without noticing it. A commit is
//! answered only once the synchronous replicas have received it, and those follow the new primary.
//! The fence commits a message in the write-ahead log and touches no row. Without synchronous
//! replicas, it only proves that the server can write.

use std::time::Duration;

use super::failure::reason;
use super::join::Pipeline;
use super::link::Link;
use super::rows::{self, Head};
use super::uptime::uptime;
use crate::store::error::StoreError;

/// The session's own settings may weaken the commit, so the transaction states them itself.
const FENCE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
     SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit') \
       WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, true); \
     SELECT pg_logical_emit_message(true, 'strongroom', ''); \
     COMMIT";

/// Proof that a server was the primary, and what it contained.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proof {
    /// The time at which the request was sent. The server was the primary then or later.
    pub(super) sent: Duration,
    /// What was read after the fence.
    pub(super) head: Head,
}

enum Answer {
    Fenced,
    Head(Head),
}

/// Proves that the server behind a connection is the primary, and reads the revision after that, in
/// one round trip. If this fails, the connection must not be used anymore.
///
/// The request has no deadline of its own: a deposed server answers only when it notices.
pub(super) async fn prove(link: &Link) -> Result<Proof, StoreError> {
    let (warnings, sent) = (link.warnings(), uptime());
    let mut pipeline = Pipeline::new();
    pipeline.add(async { link.client().batch_execute(FENCE).await.map(|()| Answer::Fenced).map_err(reason) });
    pipeline.add(async { rows::head(link).await.map(Answer::Head) });
    let answers = pipeline.run().await.into_iter().collect::<Result<Vec<_>, StoreError>>()?;
    // The server warns if it stopped waiting for its replicas.
    if link.warnings() != warnings {
        return Err(StoreError::Unreachable("the server committed without its synchronous replicas".into()));
    }
    match answers[..] {
        [Answer::Fenced, Answer::Head(head)] => Ok(Proof { sent, head }),
        _ => unreachable!("answers are in the order of the requests"),
    }
}
