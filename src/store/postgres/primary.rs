//! The server that is believed to be the primary.
//!
//! A promotion begins a new timeline, whose number is higher. A server on an earlier timeline than
//! one that was seen before was deposed, even if it does not know it and still accepts connections.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use tokio_postgres::Client;

use super::failure::reason;
use crate::store::error::StoreError;

/// What the connections of a store have learned about its servers.
#[derive(Debug, Default)]
pub(super) struct Primary {
    timeline: AtomicU32,
    /// The place of the server to try first.
    first: AtomicUsize,
}

impl Primary {
    /// Returns `true` if a server on this timeline was deposed.
    pub(super) fn is_deposed(&self, timeline: u32) -> bool {
        timeline < self.timeline.load(Ordering::Acquire)
    }

    /// Checks that a server was not deposed, and records its timeline. From then on, connections to
    /// servers on earlier timelines are not used anymore.
    ///
    /// # Errors
    /// - [`StoreError::Unreachable`] if the server was deposed. Another one is tried first the next
    ///   time.
    pub(super) fn accept(&self, timeline: u32) -> Result<(), StoreError> {
        let latest = self.timeline.fetch_max(timeline, Ordering::AcqRel);
        if timeline >= latest {
            return Ok(());
        }
        self.try_another();
        let text = format!("the server was deposed: it is on timeline {timeline}, and another one on {latest}");
        Err(StoreError::Unreachable(text.into()))
    }

    /// Tries another server first the next time.
    pub(super) fn try_another(&self) {
        self.first.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the servers in the order in which to try them.
    pub(super) fn order<T: Clone>(&self, servers: &[T]) -> Vec<T> {
        let mut servers = servers.to_vec();
        let first = self.first.load(Ordering::Relaxed).checked_rem(servers.len()).unwrap_or_default();
        servers.rotate_left(first);
        servers
    }
}

/// Returns the timeline that a primary writes.
pub(super) async fn timeline(client: &Client) -> Result<u32, StoreError> {
    let query = "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)";
    let row = client.query_typed_one(query, &[]).await.map_err(reason)?;
    let text: &str = row.try_get(0).map_err(reason)?;
    u32::from_str_radix(text, 16).map_err(|_| StoreError::Rejected("the server does not name its timeline".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_timeline_deposes_all_earlier_ones() {
        let primary = Primary::default();
        for timeline in [1, 1, 3] {
            assert!(primary.accept(timeline).is_ok());
        }
        assert!(primary.is_deposed(2) && !primary.is_deposed(3));
        assert_eq!(primary.order(&["a", "b"]), ["a", "b"]);
        assert!(matches!(primary.accept(1), Err(StoreError::Unreachable(_))));
        assert_eq!(primary.order(&["a", "b"]), ["b", "a"], "another server is tried first");
        assert_eq!(primary.order::<&str>(&[]), Vec::<&str>::new());
    }
}
