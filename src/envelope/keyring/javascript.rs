//! The order in which the Encryption SDK for JavaScript sorts the names of a context before it
//! binds a data key to them.
//!
//! Its raw AES keyring sorts with `localeCompare`, using the collation of the process locale, unless `utf8Sorting` is set. That
//! option exists since version 4.2.1 and is off by default. Headers use the same order before version 4.2.1, and the order of the
//! UTF-8 bytes since then.

use crate::context::EncryptionContext;

/// The printable ASCII characters without capital letters, in the order of `localeCompare` in
/// Node.js (ICU 78.2). A capital letter sorts like its lowercase form, and after it if nothing else
/// differs.
const COLLATED: &[u8] = b" _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$0123456789abcdefghijklmnopqrstuvwxyz";

/// The maximum number of names for which every order is tried. 8 names have 40,320 orders.
const MOST_PERMUTED: usize = 8;

/// The limit for all attempts for one message, in authenticated bytes. It corresponds to some
/// tenths of a second.
const BUDGET: usize = 64 << 20;

/// The fixed cost of an attempt, in the same unit.
const COST: usize = 256;

/// Returns `true` if the SDK may sort the names differently from their UTF-8 bytes.
fn may_sort_otherwise(context: &EncryptionContext) -> bool {
    let names = || context.iter().map(|(name, _)| name);
    let sorted = |names: Vec<_>| names.is_sorted_by(|one, other| one <= other);
    context.len() > 1 && !names().map(collation).collect::<Option<Vec<_>>>().is_some_and(sorted)
}

/// The other orders of one message's context. Regardless of the number of wrapped data keys in the
/// message, the pairs are sorted and serialized at most once, and the attempts share one limit.
pub(super) struct OtherOrders<'a> {
    context: &'a EncryptionContext,
    /// The serialization of the context in the header, if other orders are accepted.
    received: Option<&'a [u8]>,
    may_sort_otherwise: Option<bool>,
    prepared: Option<Prepared>,
    left: usize,
}

/// The parts of the other orders.
struct Prepared {
    count: [u8; 2],
    /// The serialized pairs, in the canonical order.
    pairs: Vec<Vec<u8>>,
    /// The whole serialization in the likely order.
    likely: Vec<u8>,
}

impl<'a> OtherOrders<'a> {
    pub(super) const fn new(context: &'a EncryptionContext, received: Option<&'a [u8]>) -> Self {
        Self { context, received, may_sort_otherwise: None, prepared: None, left: BUDGET }
    }

    /// Returns `true` if other orders are rejected and may be the reason why a data key does not open.
    pub(super) fn may_be_the_reason(&mut self) -> bool {
        self.received.is_none() && *self.may_sort_otherwise.get_or_insert_with(|| may_sort_otherwise(self.context))
    }

    /// Tries the order of the header, then the likely order, then every order if there are few names.
    /// Every serialization contains the same pairs, so the attempt that succeeds is bound to this
    /// context. Tries nothing if other orders are rejected.
    pub(super) fn find<T>(&mut self, mut attempt: impl FnMut(&[u8]) -> Option<T>) -> Option<T> {
        let received = self.received?;
        let left = &mut self.left;
        let mut attempt = |bytes: &[u8]| {
            *left = left.checked_sub(bytes.len() + COST)?;
            Some(attempt(bytes))
        };
        if let Some(found) = attempt(received)? {
            return Some(found);
        }
        let prepared = self.prepared.get_or_insert_with(|| Prepared::new(self.context));
        if let Some(found) = attempt(&prepared.likely)? {
            return Some(found);
        }
        if prepared.pairs.len() > MOST_PERMUTED {
            return None;
        }
        let mut order: Vec<usize> = (0..prepared.pairs.len()).collect();
        let mut bytes = Vec::with_capacity(received.len());
        while next_permutation(&mut order) {
            prepared.serialize_in(&order, &mut bytes);
            if let Some(found) = attempt(&bytes)? {
                return Some(found);
            }
        }
        None
    }
}

impl Prepared {
    fn new(context: &EncryptionContext) -> Self {
        let count = u16::try_from(context.len()).unwrap_or(u16::MAX).to_be_bytes();
        let names: Vec<&str> = context.iter().map(|(name, _)| name).collect();
        let mut order: Vec<usize> = (0..names.len()).collect();
        order.sort_by_cached_key(|index| sort_key(names[*index]));
        let mut prepared = Self { count, pairs: context.iter().map(serialized).collect(), likely: Vec::new() };
        let mut likely = Vec::new();
        prepared.serialize_in(&order, &mut likely);
        prepared.likely = likely;
        prepared
    }

    /// Replaces `bytes` with the serialization in an order.
    fn serialize_in(&self, order: &[usize], bytes: &mut Vec<u8>) {
        bytes.clear();
        bytes.extend_from_slice(&self.count);
        order.iter().filter_map(|index| self.pairs.get(*index)).for_each(|pair| bytes.extend_from_slice(pair));
    }
}

fn serialized((name, value): (&str, &str)) -> Vec<u8> {
    // Both lengths fit because the pair was read from a header.
    let length = |text: &str| u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&length(name)[..], name.as_bytes(), &length(value), value.as_bytes()].concat()
}

/// Returns the key that sorts names in printable ASCII like `localeCompare`. Other names follow in
/// the order of their bytes, which is a guess.
fn sort_key(name: &str) -> Result<Collation, &str> {
    collation(name).ok_or(name)
}

/// The characters of a name as positions in [`COLLATED`], then the positions of capital letters.
type Collation = (Vec<u8>, Vec<bool>);

/// Returns the collation of a name, or `None` if it is not printable ASCII.
fn collation(name: &str) -> Option<Collation> {
    let place = |byte: u8| COLLATED.iter().zip(0..).find(|(other, _)| **other == byte.to_ascii_lowercase());
    let places = name.bytes().map(|byte| place(byte).map(|(_, place)| place)).collect::<Option<_>>()?;
    Some((places, name.bytes().map(|byte| byte.is_ascii_uppercase()).collect()))
}

/// Advances to the next permutation in lexicographic order. Returns `false` after the last one.
fn next_permutation(order: &mut [usize]) -> bool {
    let Some(at) = (1..order.len()).rev().find(|at| order[at - 1] < order[*at]) else { return false };
    let behind = (at..order.len()).rev().find(|behind| order[*behind] > order[at - 1]).unwrap_or(at);
    order.swap(at - 1, behind);
    order[at..].reverse();
    true
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn context(names: &[&str]) -> EncryptionContext {
        names.iter().map(|name| (*name, "x")).collect()
    }

    #[test]
    fn one_name_has_one_order() {
        assert!(!may_sort_otherwise(&context(&["\u{e9}"])));
        assert!(may_sort_otherwise(&context(&["\u{e9}", "z"])));
    }

    #[test]
    fn every_order_of_few_names_is_tried_and_all_have_the_same_pairs() {
        for count in 0..=6_usize {
            let names: Vec<_> = (0..count).map(|index| format!("n{index}")).collect();
            let context: EncryptionContext = names.iter().map(|name| (name.as_str(), "x")).collect();
            let canonical = context.to_canonical_bytes().unwrap();
            let mut tried = BTreeSet::new();
            let found = OtherOrders::new(&context, Some(&canonical)).find(|bytes| {
                assert!(count == 0 || EncryptionContext::from_bytes(bytes).unwrap() == context);
                tried.insert(bytes.to_vec());
                None::<()>
            });
            assert_eq!(found, None);
            assert_eq!(
                tried.iter().filter(|bytes| bytes.len() > 2).count(),
                if count == 0 { 0 } else { (1..=count).product() }
            );
        }
    }

    #[test]
    fn many_names_cost_no_more_than_their_likely_order() {
        let names: Vec<_> = (0..9).map(|index| format!("n{index}")).collect();
        let context: EncryptionContext = names.iter().map(|name| (name.as_str(), "x")).collect();
        let mut tried = 0;
        let mut count = |_: &[u8]| {
            tried += 1;
            None::<()>
        };
        let mut orders = OtherOrders::new(&context, Some(b"as written"));
        for _ in 0..64 {
            assert!(orders.find(&mut count).is_none());
        }
        assert_eq!(tried, 2 * 64);
    }

    /// An attacker can put up to 64 wrapped data keys that cannot be unwrapped into a message.
    #[test]
    fn all_orders_of_one_message_have_a_limit() {
        let names: Vec<_> = (0..MOST_PERMUTED).map(|index| format!("n{index}")).collect();
        for value in [1, 1000, 8000] {
            let value = "x".repeat(value);
            let context: EncryptionContext = names.iter().map(|name| (name.as_str(), value.as_str())).collect();
            let canonical = context.to_canonical_bytes().unwrap();
            let (mut orders, mut bytes) = (OtherOrders::new(&context, Some(&canonical)), 0);
            for _ in 0..64 {
                let found = orders.find(|order| {
                    bytes += order.len() + COST;
                    None::<()>
                });
                assert!(found.is_none());
            }
            assert!(bytes <= BUDGET && bytes > BUDGET / 2, "{bytes}");
        }
    }

    #[test]
    fn names_of_ascii_sort_as_node_does() {
        // The result of `names.sort((a, b) => a.localeCompare(b))`.
        let sorted = [
            "",
            " ",
            "_",
            "__proto__",
            "_a",
            "-",
            ".x",
            "{",
            "1",
            "12",
            "2",
            "a",
            "A",
            "a_b",
            "a-b",
            "a1",
            "aa",
            "aA",
            "Aa",
            "AA",
            "aws-crypto-public-key",
            "b",
            "B",
            "tenant",
            "Tenant",
            "tenant_id",
            "TENANT_ID",
            "tenantId",
            "user_id",
            "userId",
            "z",
        ];
        for (index, one) in sorted.iter().enumerate() {
            for (place, other) in sorted.iter().enumerate() {
                assert_eq!(sort_key(one).cmp(&sort_key(other)), index.cmp(&place), "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn a_hint_is_given_where_the_orders_differ_or_may() {
        for names in [&["Tenant"][..], &["a", "b"], &["aws-crypto-public-key", "tenant"], &["1", "a"], &[]] {
            assert!(!may_sort_otherwise(&context(names)), "{names:?}");
        }
        for names in
            [&["Tenant", "aws-crypto-public-key"][..], &["user_id", "userId"], &["a", "B"], &["é", "z"], &["\n", "a"]]
        {
            assert!(may_sort_otherwise(&context(names)), "{names:?}");
        }
    }
}
