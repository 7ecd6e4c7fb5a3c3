//! Reading of parameters by name.

use super::error::ParameterError;
use super::handle::{Loaded, Parameters, not_found, read_version};
use super::kinds::MAX_LABELS;
use super::name::{ParameterName, Selector};
use super::record::VersionRecord;
use super::request::SecureStringForm;
use super::response::{GetParametersResponse, Parameter};
use crate::error::{Error, ErrorKind, Result};
use crate::key::ParameterOperation;
use crate::kms::{ParameterCall, noted, noted_texts};
use crate::text::sanitize_for_error;

/// Maximum number of names of a request.
pub(super) const MAX_NAMES: usize = 10;
/// Maximum number of times that a parameter is read again because it was changed in between.
pub(super) const MAX_READS: u32 = 64;

impl Parameters {
    /// Returns a parameter, decrypted. `name` is its name or ARN, optionally with a version or label
    /// after a colon: `/shop/url:3`, `/shop/url:live`.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound) if the parameter or version does not exist, or has expired.
    /// - The refusal of the KMS if the key of a SecureString cannot be used.
    /// - The [errors of every operation](Parameters#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::parameters::{Parameters, PutParameterRequest};
    ///
    /// let parameters = Parameters::new(&Kms::in_memory()?);
    /// parameters.put(PutParameterRequest::secure_string("/shop/db/password", "correct horse"))?;
    /// assert_eq!(parameters.get("/shop/db/password")?.expose_value(), "correct horse");
    /// assert!(parameters.get("/shop/db/password:2").is_err());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn get(&self, name: &str) -> Result<Parameter> {
        self.get_as(name, SecureStringForm::Decrypted)
    }

    /// Returns a parameter, with the value of a SecureString in the requested form.
    ///
    /// # Errors
    /// - The errors of [`Parameters::get`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::parameters::{SecureStringForm, Parameters, PutParameterRequest};
    ///
    /// let parameters = Parameters::new(&Kms::in_memory()?);
    /// parameters.put(PutParameterRequest::secure_string("password", "correct horse"))?;
    /// assert_ne!(parameters.get_as("password", SecureStringForm::AsStored)?.expose_value(), "correct horse");
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn get_as(&self, name: &str, decryption: SecureStringForm) -> Result<Parameter> {
        let parameters =
            vec![("name", noted(name)), ("withDecryption", (decryption == SecureStringForm::Decrypted).into())];
        self.call(ParameterOperation::GetParameter, parameters, |call| {
            let (name, selector) = self.selected(name)?;
            self.select(call, ParameterOperation::GetParameter, &name, &selector, decryption)
        })
    }

    /// Returns up to 10 parameters, decrypted, and the names that do not exist. The caller needs the
    /// permission for each of them.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) unless there are 1 to 10 different names.
    /// - The errors of [`Parameters::get`], except for missing parameters.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::parameters::{SecureStringForm, Parameters, PutParameterRequest};
    ///
    /// let parameters = Parameters::new(&Kms::in_memory()?);
    /// parameters.put(PutParameterRequest::string("/shop/url", "https://shop.example"))?;
    /// let found = parameters.get_all(&["/shop/url", "/shop/missing"], SecureStringForm::Decrypted)?;
    /// assert_eq!(found.parameters[0].name(), "/shop/url");
    /// assert_eq!(found.invalid_parameters, ["/shop/missing"]);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn get_all<T: AsRef<str>>(&self, names: &[T], decryption: SecureStringForm) -> Result<GetParametersResponse> {
        let parameters =
            vec![("names", noted_texts(names)), ("withDecryption", (decryption == SecureStringForm::Decrypted).into())];
        self.call(ParameterOperation::GetParameters, parameters, |call| {
            check_names(names)?;
            let mut found = GetParametersResponse { parameters: Vec::new(), invalid_parameters: Vec::new() };
            for text in names.iter().map(AsRef::as_ref) {
                let parameter = self.selected(text).and_then(|(name, selector)| {
                    self.select(call, ParameterOperation::GetParameters, &name, &selector, decryption)
                });
                match parameter {
                    Ok(parameter) => found.parameters.push(parameter),
                    Err(error) if is_missing(&error) => found.invalid_parameters.push(text.to_owned()),
                    Err(error) => return Err(error),
                }
            }
            Ok(found)
        })
    }

    /// Returns the selected version of a parameter.
    fn select(
        &self,
        call: &mut ParameterCall<'_>,
        operation: ParameterOperation,
        name: &ParameterName,
        selector: &Selector,
        decryption: SecureStringForm,
    ) -> Result<Parameter> {
        for _ in 0..MAX_READS {
            let Loaded { record, .. } = self.existing(call, operation, name)?;
            let number = match selector {
                Selector::Current => Some(record.current.number),
                Selector::Version(number) => Some(*number).filter(|number| record.retained().contains(number)),
                Selector::Label(label) => record.labels.get(label).copied(),
            };
            let text = selector.to_text();
            let number = number.ok_or_else(|| ParameterError::VersionNotFound {
                name: record.name.clone(),
                selector: sanitize_for_error(text.as_deref().unwrap_or_default()),
            })?;
            if number == record.current.number {
                return self.to_parameter(&record, &record.current, text, decryption);
            }
            if let Some((_, version)) = read_version(call, &name.key(), &record, number)? {
                return self.to_parameter(&record, &version, text, decryption);
            }
        }
        Err(changed_meanwhile())
    }

    /// Reads the current or an earlier version of a parameter. It is missing if the parameter was
    /// changed since it was read.
    pub(super) fn with_version<T>(
        call: &ParameterCall<'_>,
        key: &str,
        loaded: &Loaded,
        number: u64,
        run: impl FnOnce(&VersionRecord) -> Result<T>,
    ) -> Result<Option<T>> {
        if number == loaded.record.current.number {
            return run(&loaded.record.current).map(Some);
        }
        read_version(call, key, &loaded.record, number)?.map(|(_, version)| run(&version)).transpose()
    }
}

/// Checks the names of a request for several parameters.
pub(super) fn check_names<T: AsRef<str>>(names: &[T]) -> Result<()> {
    if !(1..=MAX_NAMES).contains(&names.len()) {
        let text = format!("a request must contain 1 to {MAX_NAMES} names, not {}", names.len());
        return Err(Error::new(ErrorKind::Validation, text));
    }
    let is_repeated = |place: usize| names[..place].iter().any(|name| name.as_ref() == names[place].as_ref());
    if (0..names.len()).any(is_repeated) {
        return Err(Error::new(ErrorKind::Validation, "a request must not contain a name twice"));
    }
    Ok(())
}

/// Returns `true` for a parameter or version that does not exist, or that no parameter can have.
pub(super) fn is_missing(error: &Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(
            ParameterError::NotFound { .. }
                | ParameterError::VersionNotFound { .. }
                | ParameterError::InvalidName { .. }
        )
    )
}

pub(super) fn changed_meanwhile() -> Error {
    Error::new(ErrorKind::Conflict, "the parameter kept changing while it was being read: try again")
}

// A version has at most as many labels as a request can name.
const _: () = assert!(MAX_LABELS <= MAX_NAMES);

/// Returns the error for a parameter that does not exist.
pub(super) fn missing(name: &ParameterName) -> Error {
    not_found(name.as_str()).into()
}
