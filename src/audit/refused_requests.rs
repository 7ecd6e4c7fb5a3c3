//! Requests that a server refused before they reached a principal.

use std::collections::BTreeMap;

use super::ParameterValue;
use crate::clock::Timestamp;

/// The maximum number of different names of each kind.
const MAX_NAMES: usize = 16;
/// The maximum length of a name, in characters.
const MAX_NAME: usize = 64;
/// The name under which all further names are counted.
const OTHER: &str = "other";

/// A summary of requests that a server refused because it could not authenticate them, for
/// [`Kms::record_refused_requests`](crate::Kms::record_refused_requests).
///
/// Strangers can send any number of such requests. The summary therefore counts them, and its size
/// is bounded: it contains at most 16 different reasons, access keys and sources, of at most 64
/// characters. Further ones are counted as `other`. A server records the summary once per interval.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use strongroom::audit::{Action, MemoryTrail, RefusedRequests};
/// use strongroom::{Kms, Timestamp};
///
/// let trail = Arc::new(MemoryTrail::default());
/// let kms = Kms::builder().audit(Arc::clone(&trail)).build()?;
/// let mut refused = RefusedRequests::since(Timestamp::from_unix_millis(0));
/// assert_eq!((refused.start(), refused.is_empty()), (Timestamp::from_unix_millis(0), true));
/// refused.add("InvalidSignatureException", Some("AKIAIOSFODNN7EXAMPLE"), "192.0.2.1");
/// refused.add("MissingAuthenticationTokenException", None, "192.0.2.7");
/// kms.record_refused_requests(&refused)?;
///
/// let event = &trail.events()[0];
/// assert_eq!(event.action, Action::RefuseRequests);
/// assert_eq!(event.parameters[1], ("requests", 2_u64.into()));
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRequests {
    start: Timestamp,
    total: u64,
    reasons: Counts,
    access_keys: Counts,
    sources: Counts,
}

impl RefusedRequests {
    /// Starts a summary of the requests since this time.
    pub const fn since(start: Timestamp) -> Self {
        Self { start, total: 0, reasons: Counts::new(), access_keys: Counts::new(), sources: Counts::new() }
    }

    /// Counts a request: the reason for its refusal, the known access key that it named, which it did
    /// not prove to have, and the address from which it came.
    pub fn add(&mut self, reason: &str, access_key_id: Option<&str>, source: &str) {
        self.total = self.total.saturating_add(1);
        self.reasons.add(reason, 1);
        self.sources.add(source, 1);
        if let Some(id) = access_key_id {
            self.access_keys.add(id, 1);
        }
    }

    /// Adds the requests of an earlier summary that was not recorded.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Timestamp;
    /// use strongroom::audit::RefusedRequests;
    ///
    /// let mut earlier = RefusedRequests::since(Timestamp::from_unix_millis(0));
    /// earlier.add("ExpiredTokenException", None, "192.0.2.1");
    /// let mut refused = RefusedRequests::since(Timestamp::from_unix_millis(60_000));
    /// refused.merge(earlier);
    /// assert_eq!((refused.start(), refused.is_empty()), (Timestamp::from_unix_millis(0), false));
    /// ```
    pub fn merge(&mut self, earlier: Self) {
        self.start = self.start.min(earlier.start);
        self.total = self.total.saturating_add(earlier.total);
        self.reasons.merge(earlier.reasons);
        self.access_keys.merge(earlier.access_keys);
        self.sources.merge(earlier.sources);
    }

    /// Returns the time at which the summary starts.
    pub const fn start(&self) -> Timestamp {
        self.start
    }

    /// Returns `true` if no request was refused.
    pub const fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Returns the details of the event.
    pub(crate) fn parameters(&self) -> Vec<(&'static str, ParameterValue)> {
        vec![
            ("since", self.start.to_string().into()),
            ("requests", self.total.into()),
            ("reasons", self.reasons.to_parameter()),
            ("claimedAccessKeyIds", self.access_keys.to_parameter()),
            ("sourceIPAddresses", self.sources.to_parameter()),
        ]
    }
}

/// A bounded number of names, and how often each of them was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Counts(BTreeMap<String, u64>);

impl Counts {
    const fn new() -> Self {
        Self(BTreeMap::new())
    }

    fn add(&mut self, name: &str, count: u64) {
        let name: String = name.chars().filter(|character| !character.is_control()).take(MAX_NAME).collect();
        let is_full = self.0.len() >= MAX_NAMES && !self.0.contains_key(&name);
        let held = self.0.entry(if is_full { OTHER.to_owned() } else { name }).or_default();
        *held = held.saturating_add(count);
    }

    fn merge(&mut self, other: Self) {
        other.0.into_iter().for_each(|(name, count)| self.add(&name, count));
    }

    fn to_parameter(&self) -> ParameterValue {
        ParameterValue::Counts(self.0.iter().map(|(name, count)| (name.as_str().into(), *count)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(counts: &Counts) -> Vec<(&str, u64)> {
        counts.0.iter().map(|(name, count)| (name.as_str(), *count)).collect()
    }

    #[test]
    fn the_size_is_bounded_and_nothing_is_lost() {
        let mut refused = RefusedRequests::since(Timestamp::from_unix_millis(0));
        let long = "x".repeat(1_000);
        for source in 0..100_000_u32 {
            refused.add(&long, Some(&format!("AKIA{source}\n")), &source.to_string());
        }
        assert_eq!((refused.total, counts(&refused.reasons)), (100_000, vec![(&long[..64], 100_000)]));
        for held in [&refused.access_keys, &refused.sources] {
            assert_eq!(held.0.len(), MAX_NAMES + 1);
            assert_eq!(held.0[OTHER], 100_000 - 16);
        }
        assert!(refused.access_keys.0.contains_key("AKIA0"));
        let other = refused.clone();
        refused.merge(other);
        assert_eq!((refused.total, refused.sources.0.values().sum::<u64>()), (200_000, 200_000));
        assert_eq!(refused.sources.0.len(), MAX_NAMES + 1);
    }
}
