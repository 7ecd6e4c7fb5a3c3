//! Which member does an operation, and which is asked next.

use std::sync::atomic::Ordering;

use super::{Member, Pkcs11Cluster};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::token::Token;

impl Pkcs11Cluster {
    /// Does something that may be done twice: on the member whose turn it is, and if that one cannot, on the others.
    ///
    /// What is wrong with the input is wrong everywhere, and asks nobody else.
    pub(in crate::provider::pkcs11) fn anywhere<T>(&self, work: impl Fn(&Token) -> Result<T, TokenError>) -> Result<T> {
        self.check_connected()?;
        let mut reasons = Vec::new();
        for member in self.in_turn() {
            match work(&member.token) {
                Ok(done) => return Ok(done),
                Err(error) if error.class().is_of_this_token() => reasons.push((member, error)),
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

    /// The members, each first in its turn, but for those that are left alone. One that failed has its turn when its pause is
    /// over, and so takes part again when it is back.
    pub(super) fn in_turn(&self) -> Vec<&Member> {
        let count = self.members.len();
        let start = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let mut order: Vec<&Member> = (0..count).map(|step| &self.members[start.wrapping_add(step) % count]).collect();
        if count > 1 {
            order.sort_by_key(|member| !member.token.may_be_tried());
        }
        order
    }
}

/// The error of something that no member will do.
pub(super) fn refusal(error: &TokenError) -> Error {
    let kind = match error.class() {
        ErrorClass::BadInput => ErrorKind::InvalidCiphertext,
        ErrorClass::Fatal if error.missing_mechanism().is_some() => ErrorKind::UnsupportedOperation,
        ErrorClass::Fatal => ErrorKind::Internal,
        _ => ErrorKind::KeyUnavailable,
    };
    Error::new(kind, error.to_string()).with_source(error.clone())
}

/// The error of a key that was not made: what a token refuses there is never a ciphertext.
pub(super) fn refusal_to_make(error: &TokenError) -> Error {
    match error.class() {
        ErrorClass::BadInput => Error::new(ErrorKind::KeyUnavailable, error.to_string()).with_source(error.clone()),
        _ => refusal(error),
    }
}

/// The error of something that no member could do now.
pub(super) fn unavailable(reasons: &[(&Member, TokenError)]) -> Error {
    let texts: Vec<String> = reasons.iter().map(|(member, error)| format!("{}: {error}", member.name)).collect();
    let text = if texts.is_empty() { "the cluster has no members".to_owned() } else { texts.join("; ") };
    Error::new(ErrorKind::KeyUnavailable, format!("no member of the cluster can do it: {text}"))
}
