//! The handle of the parameter store, and the reads that its operations share.

use std::fmt;

use super::error::ParameterError;
use super::kinds::ParameterType;
use super::name::{ParameterName, Selector};
use super::policies::ParameterPolicy;
use super::record::{ParameterRecord, VersionRecord};
use super::request::SecureStringForm;
use super::response::{Parameter, ParameterInlinePolicy, ParameterMetadata, SecretText};
use super::{cipher, name};
use crate::audit::ParameterValue;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;
use crate::key::ParameterOperation;
use crate::kms::{Kms, ParameterCall, ParameterConditions, ParameterRecordKind};
use crate::secret::SecretBytes;
use crate::store::Revision;
use crate::text::sanitize_for_error;

/// The parameters of an account, accessed as the principal of a [`Kms`] handle.
///
/// It has the permissions of the handle: each operation needs its own action (`ssm:GetParameter`), and
/// a SecureString also needs permission to use its key (`kms:Encrypt`, `kms:GenerateDataKey` for the
/// tier Advanced, `kms:Decrypt`). Cloning is cheap.
///
/// # Errors of every operation
/// Each operation documents its own errors. In addition, any operation can return the following. A
/// [`ParameterError`] ([`Error::downcast_ref`]) has the precise reason where there is one.
///
/// - [`AccessDenied`](ErrorKind::AccessDenied) if no policy allows the operation, if the key of a
///   SecureString may not be used, or if the handle belongs to a service.
/// - [`Validation`](ErrorKind::Validation) if a name or another argument is malformed.
/// - [`Conflict`](ErrorKind::Conflict) if concurrent changes of the same parameter kept succeeding
///   first.
/// - The failures of the store and the audit trail, as for [every
///   operation](Kms#errors-of-every-operation) of the KMS.
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::parameters::{Parameters, PutParameterRequest};
///
/// let kms = Kms::in_memory()?;
/// let parameters = Parameters::new(&kms);
/// parameters.put(PutParameterRequest::secure_string("/shop/db/password", "correct horse"))?;
/// assert_eq!(parameters.get("/shop/db/password")?.expose_value(), "correct horse");
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone)]
pub struct Parameters {
    pub(super) kms: Kms,
    /// The handle that uses keys for the caller.
    pub(super) keys: Kms,
}

/// A parameter as currently stored.
pub(super) struct Loaded {
    pub(super) revision: Revision,
    pub(super) record: ParameterRecord,
}

impl Parameters {
    /// Creates a handle with the permissions of a handle of a KMS.
    pub fn new(kms: &Kms) -> Self {
        Self { kms: kms.clone(), keys: kms.on_behalf_of_parameters() }
    }

    /// Runs an operation, and reports exhausted attempts to commit.
    pub(super) fn call<T>(
        &self,
        operation: ParameterOperation,
        parameters: Vec<(&'static str, ParameterValue)>,
        run: impl FnOnce(&mut ParameterCall<'_>) -> Result<T>,
    ) -> Result<T> {
        self.kms.parameter_call(operation, parameters, |call| {
            let result = run(call);
            if let Err(error) = &result
                && let Some(reason) = error.downcast_ref::<ParameterError>()
            {
                call.note("exception", reason.exception_name());
            }
            result
        })
    }

    pub(super) const fn account(&self) -> AccountId {
        self.kms.parameter_account()
    }

    /// Parses a name. A name of another account or region does not exist.
    pub(super) fn name(&self, text: &str) -> Result<ParameterName> {
        let parsed = ParameterName::parse(text, self.kms.locality(), self.account())?;
        Ok(parsed.ok_or_else(|| not_found(text))?)
    }

    /// Parses a name with an optional version or label.
    pub(super) fn selected(&self, text: &str) -> Result<(ParameterName, Selector)> {
        let parsed = ParameterName::parse_with_selector(text, self.kms.locality(), self.account())?;
        Ok(parsed.ok_or_else(|| not_found(text))?)
    }

    pub(super) fn arn(&self, name: &ParameterName) -> String {
        name.arn(self.kms.locality(), self.account())
    }

    pub(super) fn arn_of_key(&self, key: &str) -> String {
        name::arn_of(key, self.kms.locality(), self.account())
    }

    /// Loads a parameter and checks that the caller may perform an operation on it. A parameter that
    /// does not exist is authorized by its name, so that a refusal does not reveal it.
    pub(super) fn authorized(
        &self,
        call: &mut ParameterCall<'_>,
        operation: ParameterOperation,
        name: &ParameterName,
        conditions: ParameterConditions<'_>,
    ) -> Result<Option<Loaded>> {
        let stored = read_parameter(call, &name.key())?;
        let tags = stored.as_ref().map(|loaded| &loaded.record.tags);
        call.authorize(operation, &self.arn(name), ParameterConditions { tags, ..conditions })?;
        Ok(stored)
    }

    /// Like [`Self::authorized`], for a parameter that must exist.
    pub(super) fn existing(
        &self,
        call: &mut ParameterCall<'_>,
        operation: ParameterOperation,
        name: &ParameterName,
    ) -> Result<Loaded> {
        let loaded = self.authorized(call, operation, name, ParameterConditions::default())?;
        let now = call.now();
        Ok(loaded.filter(|loaded| !loaded.record.is_expired(now)).ok_or_else(|| not_found(name.as_str()))?)
    }

    /// Returns a version as a response.
    pub(super) fn to_parameter(
        &self,
        record: &ParameterRecord,
        version: &VersionRecord,
        selector: Option<String>,
        decryption: SecureStringForm,
    ) -> Result<Parameter> {
        let arn = self.arn_of_key(&key_of(record));
        Ok(Parameter {
            value: self.value_of(record.kind, version, &arn, decryption)?,
            name: record.name.clone(),
            arn,
            kind: record.kind,
            version: version.number,
            selector,
            last_modified: version.modified,
        })
    }

    /// Returns the value of a version in the requested form.
    pub(super) fn value_of(
        &self,
        kind: ParameterType,
        version: &VersionRecord,
        arn: &str,
        decryption: SecureStringForm,
    ) -> Result<SecretText> {
        let value = match (kind, decryption) {
            (ParameterType::SecureString, SecureStringForm::Decrypted) => cipher::decrypt(&self.keys, arn, version)?,
            (ParameterType::SecureString, SecureStringForm::AsStored) => cipher::as_text(&version.value),
            _ => SecretBytes::copy_from_slice(version.value.expose_secret()),
        };
        let text = SecretText::new(value);
        text.ok_or_else(|| Error::new(ErrorKind::Integrity, "the stored value of a parameter is not UTF-8"))
    }

    /// Returns the metadata of a version.
    pub(super) fn metadata_of(
        &self,
        record: &ParameterRecord,
        version: &VersionRecord,
        now: Timestamp,
    ) -> ParameterMetadata {
        let policies = version.policies.iter().map(|(policy, text)| ParameterInlinePolicy {
            policy_text: text.to_owned(),
            policy_type: policy.type_name(),
            policy_status: if is_due(version, policy, now) { "Finished" } else { "Pending" },
        });
        ParameterMetadata {
            name: record.name.clone(),
            arn: self.arn_of_key(&key_of(record)),
            kind: record.kind,
            key_id: version.key_id.clone(),
            last_modified: version.modified,
            user: version.user.clone(),
            description: version.description.clone(),
            allowed_pattern: version.allowed_pattern.clone(),
            version: version.number,
            tier: version.tier.public(),
            policies: policies.collect(),
        }
    }
}

impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parameters").field("kms", &self.kms).finish_non_exhaustive()
    }
}

/// Returns `true` if the time of a policy has come.
pub(super) fn is_due(version: &VersionRecord, policy: ParameterPolicy, now: Timestamp) -> bool {
    match policy {
        ParameterPolicy::Expiration(time) => time <= now,
        ParameterPolicy::ExpirationNotification(before) => {
            version.policies.expiration().is_some_and(|time| time <= now.plus(before))
        }
        ParameterPolicy::NoChangeNotification(after) => version.modified.plus(after) <= now,
    }
}

/// Returns the name of a parameter's record.
pub(super) fn key_of(record: &ParameterRecord) -> String {
    if record.name.starts_with('/') { record.name.clone() } else { format!("/{}", record.name) }
}

/// Reads a parameter, even if it has expired.
pub(super) fn read_parameter(call: &ParameterCall<'_>, key: &str) -> Result<Option<Loaded>> {
    let Some((revision, body)) = call.read(ParameterRecordKind::Parameter, key.as_bytes())? else { return Ok(None) };
    let record = ParameterRecord::decode(body.expose_secret())?;
    check_name(key, &record)?;
    Ok(Some(Loaded { revision, record }))
}

/// Checks that a record has the name under which it is stored.
pub(super) fn check_name(key: &str, record: &ParameterRecord) -> Result<()> {
    if key_of(record) == key {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Internal, "the record of a parameter has another name"))
}

/// Reads an earlier version that a parameter retained. It is missing if the parameter was changed
/// since it was read: also if it was deleted, and another one was created under its name.
pub(super) fn read_version(
    call: &ParameterCall<'_>,
    key: &str,
    parameter: &ParameterRecord,
    number: u64,
) -> Result<Option<(Revision, VersionRecord)>> {
    let found = call.read(ParameterRecordKind::Version, &VersionRecord::record_name(key, number))?;
    let Some((revision, body)) = found else { return Ok(None) };
    let version = VersionRecord::decode(body.expose_secret())?;
    if version.number != number {
        return Err(Error::new(ErrorKind::Internal, "the record of a version has another number"));
    }
    Ok((version.incarnation == parameter.current.incarnation).then_some((revision, version)))
}

pub(super) fn not_found(name: &str) -> ParameterError {
    ParameterError::NotFound { name: sanitize_for_error(name) }
}
