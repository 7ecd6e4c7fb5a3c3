//! Labels of versions.

use super::error::ParameterError;
use super::get::MAX_NAMES;
use super::handle::{Loaded, Parameters};
use super::kinds::MAX_LABELS;
use super::put::exhausted;
use super::record::ParameterRecord;
use super::response::{LabelParameterVersionResponse, UnlabelParameterVersionResponse};
use crate::error::{Error, ErrorKind, Result};
use crate::key::ParameterOperation;
use crate::kms::{ParameterEdit, ParameterRecordKind, noted, noted_texts};

/// Maximum length of a label in characters.
const MAX_LABEL: usize = 100;
/// Prefixes that labels cannot have, in any case.
const RESERVED: [&str; 2] = ["aws", "ssm"];

impl Parameters {
    /// Attaches labels to a version, or to the current one. A label moves from the version that has
    /// it. Labels that do not follow the rules are returned and not attached: they have 1 to 100
    /// letters, digits and the characters `.-_`, and begin with no digit, `aws` or `ssm`.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound) if the parameter or version does not exist.
    /// - [`LimitExceeded`](ErrorKind::LimitExceeded) if the version would have more than 10 labels.
    /// - [`Validation`](ErrorKind::Validation) unless there are 1 to 10 labels.
    /// - The [errors of every operation](Parameters#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::parameters::{Parameters, PutParameterRequest};
    ///
    /// let parameters = Parameters::new(&Kms::in_memory()?);
    /// parameters.put(PutParameterRequest::string("/shop/url", "https://shop.example"))?;
    /// let labeled = parameters.label("/shop/url", None, ["live", "7th"])?;
    /// assert_eq!((labeled.parameter_version, labeled.invalid_labels), (1, vec!["7th".to_owned()]));
    ///
    /// parameters.put(PutParameterRequest::new("/shop/url", "https://new.example").overwrite())?;
    /// assert_eq!(parameters.get("/shop/url:live")?.version(), 1);
    /// parameters.label("/shop/url", Some(2), ["live"])?;
    /// assert_eq!(parameters.get("/shop/url:live")?.version(), 2);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn label<T: Into<String>>(
        &self,
        name: &str,
        version: Option<u64>,
        labels: impl IntoIterator<Item = T>,
    ) -> Result<LabelParameterVersionResponse> {
        let labels: Vec<String> = labels.into_iter().map(Into::into).collect();
        let mut parameters = vec![("name", noted(name)), ("labels", noted_texts(&labels))];
        parameters.extend(version.map(|version| ("parameterVersion", version.into())));
        self.call(ParameterOperation::LabelParameterVersion, parameters, |call| {
            let name = self.name(name)?;
            check_number(&labels)?;
            let (valid, invalid): (Vec<&String>, Vec<&String>) = labels.iter().partition(|label| is_valid(label));
            let changed = call.commit(|call| {
                let loaded = self.existing(call, ParameterOperation::LabelParameterVersion, &name)?;
                let number = retained(&loaded.record, version)?;
                let mut moved = loaded.record.labels.clone();
                moved.extend(valid.iter().map(|label| ((*label).clone(), number)));
                if moved.values().filter(|labeled| **labeled == number).count() > MAX_LABELS {
                    let (name, version) = (loaded.record.name.clone(), number);
                    return Err(ParameterError::VersionLabelLimitExceeded { name, version }.into());
                }
                let is_same = moved == loaded.record.labels;
                Ok((if is_same { Vec::new() } else { vec![relabeled(loaded, moved)?] }, number))
            });
            let parameter_version = changed.map_err(|error| exhausted(&name, error))?;
            let invalid_labels = invalid.into_iter().cloned().collect();
            Ok(LabelParameterVersionResponse { parameter_version, invalid_labels })
        })
    }

    /// Removes labels from a version, and returns those that it did not have.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound) if the parameter or version does not exist.
    /// - [`Validation`](ErrorKind::Validation) unless there are 1 to 10 labels.
    /// - The [errors of every operation](Parameters#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::parameters::{Parameters, PutParameterRequest};
    ///
    /// let parameters = Parameters::new(&Kms::in_memory()?);
    /// parameters.put(PutParameterRequest::string("/shop/url", "https://shop.example"))?;
    /// parameters.label("/shop/url", None, ["live"])?;
    /// let removed = parameters.unlabel("/shop/url", 1, ["live", "test"])?;
    /// assert_eq!((removed.removed_labels, removed.invalid_labels), (vec!["live".to_owned()], vec!["test".to_owned()]));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn unlabel<T: Into<String>>(
        &self,
        name: &str,
        version: u64,
        labels: impl IntoIterator<Item = T>,
    ) -> Result<UnlabelParameterVersionResponse> {
        let labels: Vec<String> = labels.into_iter().map(Into::into).collect();
        let parameters =
            vec![("name", noted(name)), ("labels", noted_texts(&labels)), ("parameterVersion", version.into())];
        self.call(ParameterOperation::UnlabelParameterVersion, parameters, |call| {
            let name = self.name(name)?;
            check_number(&labels)?;
            let changed = call.commit(|call| {
                let loaded = self.existing(call, ParameterOperation::UnlabelParameterVersion, &name)?;
                let number = retained(&loaded.record, Some(version))?;
                let mut left = loaded.record.labels.clone();
                let (removed_labels, invalid_labels): (Vec<String>, Vec<String>) =
                    labels.iter().cloned().partition(|label| left.get(label) == Some(&number));
                removed_labels.iter().for_each(|label| _ = left.remove(label));
                let is_same = left == loaded.record.labels;
                let edits = if is_same { Vec::new() } else { vec![relabeled(loaded, left)?] };
                Ok((edits, UnlabelParameterVersionResponse { removed_labels, invalid_labels }))
            });
            changed.map_err(|error| exhausted(&name, error))
        })
    }
}

/// Returns a version that the parameter retains: the requested one, or the current one.
fn retained(record: &ParameterRecord, version: Option<u64>) -> Result<u64> {
    let number = version.unwrap_or(record.current.number);
    if record.retained().contains(&number) {
        return Ok(number);
    }
    Err(ParameterError::VersionNotFound { name: record.name.clone(), selector: number.to_string() }.into())
}

fn relabeled(loaded: Loaded, labels: std::collections::BTreeMap<String, u64>) -> Result<ParameterEdit> {
    let Loaded { revision, mut record } = loaded;
    record.labels = labels;
    let name = super::handle::key_of(&record).into_bytes();
    let (kind, body) = (ParameterRecordKind::Parameter, Some(record.encode()?));
    Ok(ParameterEdit { kind, name, expected: Some(revision), body })
}

fn check_number(labels: &[String]) -> Result<()> {
    if (1..=MAX_NAMES).contains(&labels.len()) {
        return Ok(());
    }
    let text = format!("a request must contain 1 to {MAX_NAMES} labels, not {}", labels.len());
    Err(Error::new(ErrorKind::Validation, text))
}

fn is_valid(label: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let is_reserved = |prefix: &&str| label.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    (1..=MAX_LABEL).contains(&label.len())
        && label.bytes().all(is_allowed)
        && !label.starts_with(|first: char| first.is_ascii_digit())
        && !RESERVED.iter().any(is_reserved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_follow_every_rule() {
        for good in ["a", "prod", "v1.2-rc_3", "-a", "_", "xaws", &"a".repeat(100)] {
            assert!(is_valid(good), "{good}");
        }
        for bad in ["", "1a", "aws", "AWSx", "ssm.1", "SsM", "a b", "a/b", "é", "a:b", &"a".repeat(101)] {
            assert!(!is_valid(bad), "{bad}");
        }
    }
}
