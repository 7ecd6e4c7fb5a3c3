//! Routing of operations to members, and failover.

use std::sync::atomic::Ordering;

use super::failure::{refusal, unavailable};
use super::members::{Member, Pkcs11Cluster};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::pkcs11::error::TokenError;
use crate::provider::pkcs11::token::Token;

impl Pkcs11Cluster {
    /// Runs an operation that can safely be repeated: on the member whose turn it is and, if that
    /// member fails, on the others.
    ///
    /// An error in the input would be the same everywhere, so no other member is tried.
    pub(in crate::provider::pkcs11) fn anywhere<T>(&self, work: impl Fn(&Token) -> Result<T, TokenError>) -> Result<T> {
        self.check_connected()?;
        let mut reasons = Vec::new();
        for member in self.in_turn() {
            match work(&member.token) {
                Ok(done) => return Ok(done),
                Err(error) if error.class().is_token_specific() => reasons.push((member, error)),
                Err(error) => return Err(refusal(&error)),
            }
        }
        Err(unavailable(&reasons))
    }

    pub(super) fn check_connected(&self) -> Result<()> {
        if self.shared.connected.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::KeyUnavailable, "the cluster is not connected"))
    }

    /// Returns the members in round-robin order. Members that should not be tried yet come last. A
    /// failed member is tried again once its pause has ended, so it rejoins when it has recovered.
    pub(super) fn in_turn(&self) -> Vec<&Member> {
        let count = self.members.len();
        let start = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let mut order: Vec<&Member> = (0..count).map(|step| &self.members[start.wrapping_add(step) % count]).collect();
        order.sort_by_key(|member| !member.token.may_be_tried());
        order
    }

    /// Runs an operation on every reachable member. At least one must succeed.
    pub(super) fn on_each<T>(&self, work: impl Fn(&Token) -> Result<T, TokenError>) -> Result<Vec<T>> {
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
