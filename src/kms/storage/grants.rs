//! An in-memory index of the grants on a key: by grantee, then by operations and constraints. A
//! decision therefore examines few grants, however many exist.
//!
//! Indexes are persistent: a change of one grant creates an index that shares all but a few nodes
//! with the previous one.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

use rpds::{HashTrieMapSync, RedBlackTreeMapSync, RedBlackTreeSetSync};

use crate::context::EncryptionContext;
use crate::error::Result;
use crate::identity::Principal;
use crate::key::{KeyUsage, Operation};
use crate::lock::RwLock;
use crate::policy::{GrantId, GrantTerms, OperationSet};

/// Maximum number of principals whose grants on one key are cached.
const MAX_GRANTEES: usize = 1_024;

/// The parts of a grant that decisions and repeated requests need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kms) struct KnownGrant {
    pub(in crate::kms) id: GrantId,
    pub(in crate::kms) terms: GrantTerms,
    pub(in crate::kms) name: Option<String>,
}

/// The change of a grant by a commit.
pub(in crate::kms) enum GrantChange<'a> {
    Made(&'a KnownGrant),
    Ended(GrantId),
}

/// The grants on one revision of a key, for each grantee that was looked up.
#[derive(Debug, Default)]
pub(in crate::kms) struct KeyGrantees(RwLock<HashTrieMapSync<Principal, Arc<GrantIndex>>>);

impl KeyGrantees {
    /// Returns the grants of a principal. The first call reads them with `read`.
    pub(in crate::kms) fn of(
        &self,
        principal: &Principal,
        read: impl FnOnce() -> Result<GrantIndex>,
    ) -> Result<Arc<GrantIndex>> {
        // The map is consistent between any two statements, so a panic elsewhere does not damage
        // it.
        let known = self.0.read().get(principal).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let index = Arc::new(read()?);
        let mut map = self.0.write();
        if map.size() >= MAX_GRANTEES {
            *map = HashTrieMapSync::new_sync();
        }
        map.insert_mut(principal.clone(), Arc::clone(&index));
        Ok(index)
    }

    /// Returns the grants on the next revision of the key, which differ by these changes.
    ///
    /// The grants that were read for a revision may be newer than it, but never older. Applying a
    /// change twice has no further effect. Therefore no ended grant reappears.
    pub(in crate::kms) fn after<'a>(&self, changes: impl Iterator<Item = GrantChange<'a>>) -> Self {
        let mut map = self.0.read().clone();
        for change in changes {
            match change {
                GrantChange::Made(grant) => {
                    let grantee = grant.terms.grantee();
                    if let Some(index) = map.get(grantee) {
                        let mut index = GrantIndex::clone(index);
                        index.insert(grant.clone());
                        map.insert_mut(grantee.clone(), Arc::new(index));
                    }
                }
                GrantChange::Ended(id) => {
                    let holders = map.iter().filter(|(_, index)| index.grants.contains_key(&id));
                    let holders: Vec<_> =
                        holders.map(|(grantee, index)| (grantee.clone(), Arc::clone(index))).collect();
                    for (grantee, index) in holders {
                        let mut index = GrantIndex::clone(&index);
                        index.remove(id);
                        map.insert_mut(grantee, Arc::new(index));
                    }
                }
            }
        }
        Self(RwLock::new(map))
    }
}

/// The grants of one grantee on one key.
///
/// Each grant is filed in two or three places: one for its set of operations, one for its
/// constraints, and one for its name. A place is a hash keyed with a secret of this process. Grants
/// that collide are distinguished by their terms.
#[derive(Clone, Debug, Default)]
pub(in crate::kms) struct GrantIndex {
    hasher: RandomState,
    grants: RedBlackTreeMapSync<GrantId, Arc<Placed>>,
    /// The number of grants of each set of operations.
    sets: HashTrieMapSync<OperationSet, usize>,
    places: HashTrieMapSync<u64, RedBlackTreeSetSync<GrantId>>,
}

#[derive(Debug)]
struct Placed {
    grant: KnownGrant,
    places: Vec<u64>,
}

/// A group of grants that a lookup examines together.
#[derive(Hash)]
enum Place<'a> {
    /// All grants of these operations.
    All(OperationSet),
    /// Grants without constraints.
    Free(OperationSet),
    /// Grants that require this context.
    Equals(OperationSet, &'a EncryptionContext),
    /// Grants that require this pair and possibly others.
    Pair(OperationSet, (&'a str, &'a str)),
    Name(&'a str),
}

impl GrantIndex {
    pub(in crate::kms) fn insert(&mut self, grant: KnownGrant) {
        self.remove(grant.id);
        let mut places = vec![self.place(&Place::All(grant.terms.operations())), self.constraint(&grant.terms)];
        places.extend(grant.name.as_deref().map(|name| self.place(&Place::Name(name))));
        for place in &places {
            let mut ids = self.places.get(place).cloned().unwrap_or_else(RedBlackTreeSetSync::new_sync);
            ids.insert_mut(grant.id);
            self.places.insert_mut(*place, ids);
        }
        let set = grant.terms.operations();
        self.sets.insert_mut(set, self.sets.get(&set).map_or(1, |count| count + 1));
        self.grants.insert_mut(grant.id, Arc::new(Placed { grant, places }));
    }

    fn remove(&mut self, id: GrantId) {
        let Some(placed) = self.grants.get(&id).cloned() else { return };
        self.grants.remove_mut(&id);
        for place in &placed.places {
            let Some(ids) = self.places.get(place) else { continue };
            let ids = ids.remove(&id);
            if ids.is_empty() {
                self.places.remove_mut(place);
            } else {
                self.places.insert_mut(*place, ids);
            }
        }
        let set = placed.grant.terms.operations();
        match self.sets.get(&set).copied() {
            Some(count) if count > 1 => self.sets.insert_mut(set, count - 1),
            _ => _ = self.sets.remove_mut(&set),
        }
    }

    /// Returns the first grant that can allow an operation with a context and whose terms are
    /// accepted.
    pub(in crate::kms) fn find(
        &self,
        operation: Operation,
        context: Option<&EncryptionContext>,
        accept: &mut dyn FnMut(&GrantTerms) -> bool,
    ) -> Option<GrantId> {
        let mut first: Option<GrantId> = None;
        for set in self.sets.keys().filter(|set| set.contains(operation)) {
            for place in self.where_allowed(*set, operation, context) {
                let Some(ids) = self.places.get(&place) else { continue };
                let mut earlier = ids.iter().take_while(|id| first.is_none_or(|first| **id < first));
                let found = earlier.find(|id| self.grants.get(id).is_some_and(|placed| accept(&placed.grant.terms)));
                first = found.copied().or(first);
            }
        }
        first
    }

    /// Returns the first grant whose terms are accepted.
    pub(in crate::kms) fn first(&self, accept: &mut dyn FnMut(&GrantTerms) -> bool) -> Option<GrantId> {
        self.grants.iter().find(|(_, placed)| accept(&placed.grant.terms)).map(|(id, _)| *id)
    }

    /// Returns the first grant with this name and these terms.
    pub(in crate::kms) fn named(&self, name: &str, terms: &GrantTerms) -> Option<GrantId> {
        let ids = self.places.get(&self.place(&Place::Name(name)))?;
        let is_it = |id: &&GrantId| {
            let grant = self.grants.get(id).map(|placed| &placed.grant);
            grant.is_some_and(|grant| grant.name.as_deref() == Some(name) && grant.terms == *terms)
        };
        ids.iter().find(is_it).copied()
    }

    /// Returns the places of grants for a set of operations that may allow `operation` with a
    /// context.
    fn where_allowed(&self, set: OperationSet, operation: Operation, context: Option<&EncryptionContext>) -> Vec<u64> {
        // Matches `GrantTerms::allows`: constraints apply only to cryptographic operations with
        // encryption keys.
        if operation.required_usage() != Some(KeyUsage::EncryptDecrypt) {
            return vec![self.place(&Place::All(set))];
        }
        let mut places = vec![self.place(&Place::Free(set))];
        if let Some(context) = context {
            places.push(self.place(&Place::Equals(set, context)));
            places.extend(context.iter().map(|pair| self.place(&Place::Pair(set, pair))));
        }
        places
    }

    /// Returns the place for the constraints of a grant. Of several pairs, it is the one that the
    /// fewest other grants share.
    fn constraint(&self, terms: &GrantTerms) -> u64 {
        let (set, constraints) = (terms.operations(), terms.constraints());
        if let Some(context) = constraints.encryption_context_equals() {
            return self.place(&Place::Equals(set, context));
        }
        let pairs = constraints.encryption_context_subset().into_iter().flat_map(EncryptionContext::iter);
        let places = pairs.map(|pair| self.place(&Place::Pair(set, pair)));
        let rarest = places.min_by_key(|place| self.places.get(place).map_or(0, RedBlackTreeSetSync::size));
        rarest.unwrap_or_else(|| self.place(&Place::Free(set)))
    }

    fn place(&self, place: &Place<'_>) -> u64 {
        self.hasher.hash_one(place)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::identity::AccountId;
    use crate::policy::GrantConstraints;

    fn alice() -> Principal {
        Principal::user(AccountId::default(), "alice").expect("a name")
    }

    fn context(bits: u8) -> EncryptionContext {
        let pair = |bit: u8| (format!("k{}", bit % 2), format!("v{bit}"));
        (0..4).filter(|bit| bits & (1 << bit) != 0).map(pair).collect()
    }

    fn grant(number: u8, operations: u8, equals: u8, subset: u8) -> KnownGrant {
        let all = [Operation::Encrypt, Operation::Decrypt, Operation::DescribeKey, Operation::CreateGrant];
        let some: Vec<_> = (0..4).filter(|bit| operations & (1 << bit) != 0).map(|bit| all[bit]).collect();
        let some = if some.is_empty() { vec![Operation::Encrypt] } else { some };
        let mut constraints = GrantConstraints::new();
        for (bits, is_equals) in [(equals, true), (subset, false)] {
            let pairs = context(bits);
            if !pairs.is_empty() {
                let put = if is_equals {
                    GrantConstraints::with_encryption_context_equals
                } else {
                    GrantConstraints::with_encryption_context_subset
                };
                constraints = put(constraints, pairs).expect("few pairs");
            }
        }
        let terms = GrantTerms::new(alice(), some).expect("terms").with_constraints(constraints);
        let name = number.is_multiple_of(3).then(|| format!("n{}", number % 9));
        KnownGrant { id: GrantId::from_bytes([number; 32]), terms, name }
    }

    #[test]
    fn a_decision_looks_at_few_grants_however_many_there_are() -> Result<()> {
        let mut index = GrantIndex::default();
        for number in 0..10_000_u32 {
            let pairs = [("volume", number.to_string()), ("kind", "disk".to_owned())];
            let subset = GrantConstraints::new()
                .with_encryption_context_subset(pairs.iter().map(|(name, value)| (*name, value.as_str())).collect())?;
            let terms = GrantTerms::new(alice(), [Operation::Decrypt])?.with_constraints(subset);
            let mut id = [0; 32];
            id[..4].copy_from_slice(&number.to_be_bytes());
            index.insert(KnownGrant { id: GrantId::from_bytes(id), terms, name: None });
        }
        for number in ["0", "9999", "none"] {
            let asked = EncryptionContext::from([("kind", "disk"), ("volume", number)]);
            let mut looked_at = 0;
            let found = index.find(Operation::Decrypt, Some(&asked), &mut |terms| {
                looked_at += 1;
                terms.allows(&alice(), Operation::Decrypt, Some(&asked))
            });
            assert_eq!(found.is_some(), number != "none");
            assert!(looked_at <= 3, "{looked_at}");
        }
        Ok(())
    }

    proptest! {
        /// The index finds the same grants as a search through all of them, after any changes.
        #[test]
        fn the_index_finds_what_a_look_at_every_grant_finds(
            steps in prop::collection::vec((0_u8..24, 0_u8..16, prop_oneof![2 => Just(0), 1 => 0_u8..16], prop_oneof![1 => Just(0), 1 => 0_u8..16], any::<bool>()), 0..60),
            asked in prop::option::of(0_u8..16),
        ) {
            let (mut index, mut plain) = (GrantIndex::default(), std::collections::BTreeMap::new());
            for (number, operations, equals, subset, is_made) in steps {
                let grant = grant(number, operations, equals, subset);
                if is_made {
                    index.insert(grant.clone());
                    plain.insert(grant.id, grant);
                } else {
                    index.remove(grant.id);
                    plain.remove(&grant.id);
                }
            }
            let asked = asked.map(context);
            for operation in [Operation::Encrypt, Operation::Decrypt, Operation::DescribeKey, Operation::CreateGrant, Operation::Sign] {
                let allows = |terms: &GrantTerms| terms.allows(&alice(), operation, asked.as_ref());
                let expected = plain.values().find(|grant| allows(&grant.terms)).map(|grant| grant.id);
                prop_assert_eq!(index.find(operation, asked.as_ref(), &mut |terms| allows(terms)), expected);
            }
            for grant in plain.values() {
                if let Some(name) = &grant.name {
                    let is_same = |other: &&KnownGrant| other.name == grant.name && other.terms == grant.terms;
                    let expected = plain.values().find(is_same).map(|grant| grant.id);
                    prop_assert_eq!(index.named(name, &grant.terms), expected);
                }
            }
            prop_assert_eq!(index.grants.size(), plain.len());
            plain.keys().for_each(|id| index.remove(*id));
            prop_assert!(index.places.is_empty() && index.sets.is_empty(), "no record is left behind");
        }
    }
}
