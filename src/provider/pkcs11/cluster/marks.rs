//! Marks of stores on the members of a cluster.

use super::members::Pkcs11Cluster;
use crate::error::Result;
use crate::provider::{InstanceMark, InstanceMarks};

impl InstanceMarks for Pkcs11Cluster {
    fn marks(&self, store: [u8; 16]) -> Result<Vec<InstanceMark>> {
        Ok(self.on_each(|token| token.marks(store))?.concat())
    }

    fn add_mark(&self, store: [u8; 16], mark: InstanceMark) -> Result<()> {
        self.on_each(|token| token.add_mark(store, mark)).map(drop)
    }
}
