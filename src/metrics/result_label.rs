//! Values of the label `result`.

use crate::error::{Error, ErrorKind};

/// The operation or step succeeded.
pub(crate) const SUCCESS: &str = "success";
/// The step failed. For operations, the label is the kind of the error instead.
pub(crate) const FAILURE: &str = "failure";

/// Returns the label for the result of an operation: `success`, or the `errorCode` that the audit
/// trail writes for the error.
pub(crate) fn result_label<T>(result: &Result<T, Error>) -> &'static str {
    match result {
        Ok(_) => SUCCESS,
        Err(error) => error_label(error.kind()),
    }
}

const fn error_label(kind: ErrorKind) -> &'static str {
    if let Some(name) = kind.exception_name() {
        return name;
    }
    match kind {
        ErrorKind::CopiedStore => "CopiedStore",
        ErrorKind::Store => "Store",
        ErrorKind::RootKey => "RootKey",
        ErrorKind::Integrity => "Integrity",
        ErrorKind::Audit => "Audit",
        ErrorKind::InvalidExport => "InvalidExport",
        ErrorKind::InvalidMessage => "InvalidMessage",
        ErrorKind::MessagePolicy => "MessagePolicy",
        ErrorKind::NoDataKeyUnwrapped => "NoDataKeyUnwrapped",
        ErrorKind::ContextMismatch => "ContextMismatch",
        ErrorKind::Io => "Io",
        _ => "Other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_label() {
        let own: Vec<&str> = include_str!("../error.rs")
            .lines()
            .filter_map(|line| line.trim().strip_suffix(" => None,"))
            .filter(|name| name.chars().all(char::is_alphabetic))
            .collect();
        assert!(own.len() >= 11, "{own:?}");
        let here = include_str!("result_label.rs");
        for name in own {
            assert!(here.contains(&format!("ErrorKind::{name} => \"{name}\",")), "no label for {name}");
        }
        assert_eq!(result_label(&Ok::<(), Error>(())), "success");
        let denied: Result<(), Error> = Err(Error::new(ErrorKind::AccessDenied, "no"));
        assert_eq!(result_label(&denied), "AccessDeniedException");
    }
}
