//! Marks with which a store detects that a copy of it took over.

use std::sync::Arc;

use crate::error::Result;

/// A mark of a store, persisted where the key material is.
///
/// A [`Kms`](crate::Kms) advances the mark before it destroys anything there, and records each mark
/// in its store. A store that finds a mark unknown to it is a copy, or was superseded by one.
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
    /// Number of the mark, higher than that of the previous mark.
    pub generation: u64,
    /// Random bytes that distinguish the marks of different copies.
    pub nonce: [u8; 16],
}

impl InstanceMark {
    /// The length of a serialized mark.
    pub const LENGTH: usize = 24;

    /// Serializes the mark: the generation, big-endian, followed by the nonce.
    pub fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..8].copy_from_slice(&self.generation.to_be_bytes());
        bytes[8..].copy_from_slice(&self.nonce);
        bytes
    }

    /// Parses the output of [`InstanceMark::to_bytes`].
    pub fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        let (mut generation, mut nonce) = ([0; 8], [0; 16]);
        generation.copy_from_slice(&bytes[..8]);
        nonce.copy_from_slice(&bytes[8..]);
        Self { generation: u64::from_be_bytes(generation), nonce }
    }
}

/// Persists the marks of stores in the same place as the key material of a provider. If the
/// material is lost or restored, the marks are lost or restored with it.
///
/// With marks, a copy of a store cannot destroy the keys of the original, although both hold the
/// same bytes. The test suite `provider::conformance` checks the contract.
///
/// # Examples
/// ```
/// use strongroom::provider::{HsmCluster, InstanceMark, InstanceMarks, KeyMaterialProvider, MemoryCluster};
///
/// let cluster = MemoryCluster::new([("hsm-1", "zone-a"), ("hsm-2", "zone-b")], b"kmsPswd1");
/// # use std::sync::Arc;
/// # use strongroom::SecretBytes;
/// # use strongroom::provider::{CryptoUserCredential, FixedCredential};
/// # let password: Arc<dyn CryptoUserCredential> = Arc::new(FixedCredential::new(SecretBytes::copy_from_slice(b"kmsPswd1")));
/// # cluster.connect(&password).expect("the password is right");
/// let marks = cluster.provider().instance_marks().expect("a cluster has marks");
/// let [first, second] = [1, 2].map(|generation| InstanceMark { generation, nonce: [7; 16] });
/// marks.add_mark([1; 16], first)?;
/// marks.add_mark([1; 16], second)?; // replaces the first one
/// assert!(marks.marks([1; 16])?.iter().all(|mark| *mark == second));
/// assert!(marks.marks([2; 16])?.is_empty()); // another store
/// # Ok::<(), strongroom::Error>(())
/// ```
pub trait InstanceMarks: Send + Sync {
    /// Returns every mark of a store that any member holds, in any order.
    ///
    /// # Errors
    /// - [`KeyUnavailable`](crate::ErrorKind::KeyUnavailable) if no member can be reached.
    fn marks(&self, store: [u8; 16]) -> Result<Vec<InstanceMark>>;

    /// Adds a mark of a store on every reachable member, and then removes the marks of that store
    /// with a lower generation. Marks of the same or a higher generation and marks of other stores
    /// are retained. Adding the same mark again has no effect.
    ///
    /// # Errors
    /// - [`KeyUnavailable`](crate::ErrorKind::KeyUnavailable) if no member could be marked.
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
