//! Key policy documents and the principals that they specify.

use strongroom::Result;
use strongroom::identity::{AccountId, Principal};

/// Returns a key policy that allows all operations to the account itself and contains these
/// statements.
pub(crate) fn key_policy(statements: &[&str]) -> String {
    let root = r#"{"Effect": "Allow", "Principal": {"AWS": "000000000000"}, "Action": "kms:*", "Resource": "*"}"#;
    let all: Vec<_> = [root].iter().chain(statements).copied().collect();
    format!(r#"{{"Version": "2012-10-17", "Statement": [{}]}}"#, all.join(", "))
}

pub(crate) fn user(name: &str) -> Result<Principal> {
    Principal::user(AccountId::default(), name)
}

pub(crate) fn identity_policy(effect: &str, action: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17",
            "Statement": {{"Effect": "{effect}", "Action": "{action}", "Resource": "*"}}}}"#
    )
}
