//! Marks of stores on the members of a cluster.

use super::route::unavailable;
use super::{Member, Pkcs11Cluster};
use crate::error::Result;
use crate::provider::pkcs11::error::TokenError;
use crate::provider::pkcs11::token::Token;
use crate::provider::{InstanceMark, InstanceMarks};

impl InstanceMarks for Pkcs11Cluster {
    fn marks(&self, store: [u8; 16]) -> Result<Vec<InstanceMark>> {
        Ok(self.on_each(|token| token.marks(store))?.concat())
    }

    fn add_mark(&self, store: [u8; 16], mark: InstanceMark) -> Result<()> {
        self.on_each(|token| token.add_mark(store, mark)).map(drop)
    }
}

impl Pkcs11Cluster {
    /// Does something on every member that can be reached, of which there must be one.
    fn on_each<T>(&self, work: impl Fn(&Token) -> Result<T, TokenError>) -> Result<Vec<T>> {
        self.check_connected()?;
        let (mut done, mut reasons) = (Vec::new(), Vec::<(&Member, TokenError)>::new());
        for member in self.members.iter() {
            match work(&member.token) {
                Ok(result) => done.push(result),
                Err(error) => reasons.push((member, error)),
            }
        }
        if done.is_empty() { Err(unavailable(&reasons)) } else { Ok(done) }
    }
}
