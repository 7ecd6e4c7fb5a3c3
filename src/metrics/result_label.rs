//! Values of the label `result`.

use crate::error::Error;

/// The operation or step succeeded.
pub(crate) const SUCCESS: &str = "success";
/// The step failed. For operations, the label is the kind of the error instead.
pub(crate) const FAILURE: &str = "failure";

/// Returns the label for the result of an operation: `success`, or the `errorCode` that the audit
/// trail writes for the error.
pub(crate) fn result_label<T>(result: &Result<T, Error>) -> &'static str {
    match result {
        Ok(_) => SUCCESS,
        Err(error) => error.kind().code(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn the_label_is_the_error_code_of_the_audit_trail() {
        assert_eq!(result_label(&Ok::<(), Error>(())), "success");
        for kind in ErrorKind::ALL {
            let failed: Result<(), Error> = Err(Error::new(*kind, "it failed"));
            assert_eq!(result_label(&failed), kind.to_string());
        }
    }
}
