//! Turns errors of `vaultrs` into failures.
//!
//! Vault has few status codes, and no codes for the reasons. Its texts decide, which are those of Vault
//! 0.9 to 1.21 and of OpenBao 2.0 to 2.6.

use std::error::Error as StdError;

use vaultrs::error::ClientError;

use crate::error::{VaultError, VaultFailure};

/// Limits the walk along a chain of causes.
const LONGEST_CHAIN: usize = 64;

/// Returns the failure for an error of the client.
pub(crate) fn classify(operation: &'static str, key: &str, error: &ClientError) -> VaultError {
    let failed = |failure| VaultError::new(failure, operation, key);
    match error {
        ClientError::APIError { code, errors } => {
            let text = errors.join("; ");
            let failure = answered(*code, &text);
            let error = failed(failure).with_status(*code);
            // The text of a rejected request may repeat its values.
            if failure == VaultFailure::Rejected { error } else { error.with_detail(&text) }
        }
        ClientError::RestClientError { source: rustify::errors::ClientError::ServerResponseError { code, .. } } => {
            failed(unparsed(*code)).with_status(*code)
        }
        ClientError::RestClientError { source: rustify::errors::ClientError::ResponseParseError { .. } }
        | ClientError::ResponseEmptyError
        | ClientError::ResponseDataEmptyError => failed(VaultFailure::InvalidResponse),
        _ => match chain(error).find_map(<dyn StdError>::downcast_ref::<reqwest::Error>) {
            Some(error) if error.is_timeout() => failed(VaultFailure::TimedOut),
            Some(error) if error.is_builder() => failed(VaultFailure::Rejected),
            _ => failed(VaultFailure::Unreachable).with_detail(&causes(error)),
        },
    }
}

/// Returns the failure for an answer of Vault.
fn answered(status: u16, text: &str) -> VaultFailure {
    let says = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    match status {
        403 | 400 if says(&["invalid token", "bad token", "token expired", "missing client token"]) => {
            VaultFailure::Token
        }
        403 => VaultFailure::AccessDenied,
        // Reading a key that does not exist gives no text.
        404 if text.is_empty() => VaultFailure::KeyNotFound,
        404 => VaultFailure::MountNotFound,
        429 if says(&["standby"]) => VaultFailure::Standby,
        429 => VaultFailure::Throttled,
        472 | 473 => VaultFailure::Standby,
        // A standby whose data is older than what the client has seen.
        412 => VaultFailure::Standby,
        503 if says(&["has been locked"]) => VaultFailure::NamespaceLocked,
        503 if says(&["sealed"]) => VaultFailure::Sealed,
        _ if says(&[
            "standby mode",
            "node not active",
            "not the active node",
            "readonly storage",
            "secondary mode",
        ]) =>
        {
            VaultFailure::Standby
        }
        // Vault repeats the failure of a storage or of a plugin, also with a status of 400.
        500.. => VaultFailure::ServiceFault,
        _ if says(&["key not found", "no existing key named", "delete key; not found", "invalid key name"]) => {
            VaultFailure::KeyNotFound
        }
        _ if says(&["version is too new", "larger than the latest key version"]) => VaultFailure::IncorrectKey,
        _ if says(&["too old"]) => VaultFailure::KeyVersion,
        _ if says(&["invalid ciphertext", "message authentication failed", "unable to decrypt"]) => {
            VaultFailure::InvalidCiphertext
        }
        _ if says(&["deletion is not allowed"]) => VaultFailure::DeletionRefused,
        _ if says(&["not supported for key type", "does not support signing", "non-AEAD", "key derivation"]) => {
            VaultFailure::KeyUsage
        }
        _ => VaultFailure::Rejected,
    }
}

/// Returns the failure for an answer that has not the form of Vault.
const fn unparsed(status: u16) -> VaultFailure {
    match status {
        429 => VaultFailure::Throttled,
        472 | 473 => VaultFailure::Standby,
        500.. => VaultFailure::ServiceFault,
        _ => VaultFailure::InvalidResponse,
    }
}

/// Returns the texts of the causes. The first texts, those of the client, only say which step failed.
fn causes(error: &ClientError) -> String {
    let texts: Vec<_> = chain(error).skip(2).map(ToString::to_string).collect();
    texts.join(": ")
}

fn chain(error: &ClientError) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    let first: &(dyn StdError + 'static) = error;
    std::iter::successors(Some(first), |&error| error.source()).take(LONGEST_CHAIN)
}
