//! Marks by which a store recognises that a copy of it took over.

use std::sync::Arc;

use crate::error::Result;

/// One mark of a store, kept where key material is.
///
/// A [`Kms`](crate::Kms) moves the mark forward before it destroys anything there, and records each mark in its store. A
/// store that finds a mark that it does not know is a copy, or was left behind by one.
///
/// # Examples
/// ```
/// use strongroom::provider::InstanceMark;
///
/// let mark = InstanceMark { generation: 7, nonce: [1; 16] };
/// assert_eq!(InstanceMark::from_bytes(mark.to_bytes()), mark);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceMark {
    /// The number of the mark: higher than that of the mark before it.
    pub generation: u64,
    /// Random bytes, which tell marks of different copies apart.
    pub nonce: [u8; 16],
}

impl InstanceMark {
    /// The length of a serialized mark.
    pub const LENGTH: usize = 24;

    /// Serializes the mark: the generation, big-endian, and the nonce.
    pub fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..8].copy_from_slice(&self.generation.to_be_bytes());
        bytes[8..].copy_from_slice(&self.nonce);
        bytes
    }

    /// Reads what [`InstanceMark::to_bytes`] wrote.
    pub fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        let (mut generation, mut nonce) = ([0; 8], [0; 16]);
        generation.copy_from_slice(&bytes[..8]);
        nonce.copy_from_slice(&bytes[8..]);
        Self { generation: u64::from_be_bytes(generation), nonce }
    }
}

/// Keeps marks of stores beside the key material of a provider, in the same place: what is lost with the material, or
/// restored with it, is lost and restored with the marks.
///
/// With marks, a copy of a store cannot destroy the keys of the original, although both hold the same bytes. The suite
/// `provider::conformance` checks the contract.
pub trait InstanceMarks: Send + Sync {
    /// Returns every mark of a store that any member has, in any order.
    ///
    /// # Errors
    /// [`KeyUnavailable`](crate::ErrorKind::KeyUnavailable) if no member can be asked.
    fn marks(&self, store: [u8; 16]) -> Result<Vec<InstanceMark>>;

    /// Adds a mark of a store on every member that can be reached, and then removes the marks of this store with a lower
    /// generation. Marks of the same or a higher generation stay, and so do those of other stores. Adding a mark again
    /// changes nothing.
    ///
    /// # Errors
    /// [`KeyUnavailable`](crate::ErrorKind::KeyUnavailable) if no member could be marked.
    fn add_mark(&self, store: [u8; 16], mark: InstanceMark) -> Result<()>;
}

impl<M: InstanceMarks + ?Sized> InstanceMarks for Arc<M> {
    fn marks(&self, store: [u8; 16]) -> Result<Vec<InstanceMark>> {
        (**self).marks(store)
    }

    fn add_mark(&self, store: [u8; 16], mark: InstanceMark) -> Result<()> {
        (**self).add_mark(store, mark)
    }
}
