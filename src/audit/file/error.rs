//! Errors of file trails.

use std::io;
use std::path::Path;

use crate::audit::chain::ChainId;
use crate::error::{Error, ErrorKind};

/// Returns the error for trail files that cannot be read or written.
pub(in crate::audit) fn failed(what: &str, path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Audit, format!("cannot {what} {}: {error}", path.display())).with_source(error)
}

/// Returns the error for a chain that does not match the store.
pub(in crate::audit) fn altered(chain: ChainId, what: &str) -> Error {
    let text = format!(
        "the audit trail of chain {chain} does not match the store: {what}; verify it and move its files to \
         another directory before you continue"
    );
    Error::new(ErrorKind::Audit, text)
}
