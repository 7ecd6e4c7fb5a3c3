//! Sets of operations, as used in policies and grants.

use std::fmt;

use crate::error::Result;
use crate::key::Operation;

// Each operation has one bit.
const _: () = assert!(Operation::ALL.len() <= 64);

/// A set of operations, stored as a bit set in one word.
///
/// # Examples
/// ```
/// use strongroom::key::Operation;
/// use strongroom::policy::OperationSet;
///
/// let set = OperationSet::from_iter([Operation::Encrypt, Operation::Decrypt]);
/// assert!(set.contains(Operation::Decrypt) && !set.contains(Operation::Sign));
/// assert_eq!(set, OperationSet::parse(["Encrypt", "Decrypt"])?);
/// assert!(set.iter().eq([Operation::Encrypt, Operation::Decrypt]));
///
/// let more = set.with(Operation::Sign);
/// assert!(set.is_subset_of(more) && !more.is_subset_of(set));
/// assert_eq!(set.union(set.complement()), OperationSet::ALL);
/// assert!(OperationSet::EMPTY.is_empty());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct OperationSet(u64);

impl OperationSet {
    /// The empty set.
    pub const EMPTY: Self = Self(0);
    /// The set of all operations.
    pub const ALL: Self = Self(u64::MAX >> (64 - Operation::ALL.len()));

    /// Returns the set with one more operation.
    #[must_use]
    pub const fn with(self, operation: Operation) -> Self {
        Self(self.0 | bit(operation))
    }

    /// Returns `true` if the set contains an operation.
    pub const fn contains(self, operation: Operation) -> bool {
        self.0 & bit(operation) != 0
    }

    /// Returns `true` if the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns `true` if every operation of this set is also in the other set.
    pub const fn is_subset_of(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Returns the union of both sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns the set of all operations that are not in this set.
    #[must_use]
    pub const fn complement(self) -> Self {
        Self(Self::ALL.0 & !self.0)
    }

    /// Iterates over the operations of the set in the order of [`Operation::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Operation> {
        Operation::ALL.iter().copied().filter(move |operation| self.contains(*operation))
    }

    /// Parses a list of operation names.
    ///
    /// # Errors
    /// - [`Validation`](crate::ErrorKind::Validation) if a name is not the name of an operation
    pub fn parse<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Result<Self> {
        names.into_iter().map(|name| Operation::parse(name.as_ref())).collect()
    }
}

#[expect(clippy::as_conversions, reason = "a constant has no other way to convert a variant to its index")]
const fn bit(operation: Operation) -> u64 {
    1 << operation as u32
}

impl FromIterator<Operation> for OperationSet {
    fn from_iter<I: IntoIterator<Item = Operation>>(operations: I) -> Self {
        operations.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Debug for OperationSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Operation::as_str)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_a_bit_of_its_own() {
        let all = OperationSet::from_iter(Operation::ALL.iter().copied());
        assert_eq!(all, OperationSet::ALL);
        assert!(all.iter().eq(Operation::ALL.iter().copied()));
        for &operation in Operation::ALL {
            let one = OperationSet::EMPTY.with(operation);
            assert!(one.iter().eq([operation]));
            assert!(!one.complement().contains(operation) && one.union(one.complement()) == all);
        }
        assert!(OperationSet::EMPTY.is_empty() && OperationSet::EMPTY.is_subset_of(OperationSet::EMPTY));
    }

    #[test]
    fn a_set_is_read_from_names_and_debug_lists_them() -> Result<()> {
        let set = OperationSet::parse(["Decrypt", "Encrypt"])?;
        assert_eq!(set, OperationSet::EMPTY.with(Operation::Encrypt).with(Operation::Decrypt));
        assert_eq!(format!("{set:?}"), r#"{"Encrypt", "Decrypt"}"#);
        assert!(OperationSet::parse(["Encrypt", "encrypt"]).is_err());
        Ok(())
    }
}
