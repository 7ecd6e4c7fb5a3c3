//! Creation of parameters and of their versions.

use std::collections::BTreeMap;

use super::cipher::{self, DEFAULT_KEY, EncryptedValue};
use super::error::ParameterError;
use super::handle::{Loaded, Parameters, read_version};
use super::kinds::{MAX_VERSIONS, ParameterTier, ParameterType, StoredTier};
use super::name::ParameterName;
use super::policies::ParameterPolicies;
use super::record::{CountRecord, ParameterRecord, VersionRecord};
use super::request::PutParameterRequest;
use super::response::PutParameterResponse;
use super::value::{check_data_type, check_pattern, check_text, check_value, text_of};
use crate::audit::ParameterValue;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{ParameterOperation, TagSet};
use crate::kms::{ParameterCall, ParameterConditions, ParameterEdit, ParameterRecordKind, noted, noted_tags};
use crate::secret::SecretBytes;
use crate::store::Revision;

impl Parameters {
    /// Creates a parameter, or a new version of it. At most 100 versions are retained: the oldest is
    /// deleted unless it has a label.
    ///
    /// # Errors
    /// - [`AlreadyExists`](ErrorKind::AlreadyExists) if the parameter exists and the request does not
    ///   allow to overwrite it.
    /// - [`LimitExceeded`](ErrorKind::LimitExceeded) if the account has too many parameters, if the
    ///   oldest version has a label, or if the name has more than 15 levels.
    /// - [`Validation`](ErrorKind::Validation) if the name, the value, or another argument is invalid,
    ///   if the value does not match the allowed pattern, or if the type would change.
    /// - The refusal of the KMS if the key of a SecureString cannot be used.
    /// - The [errors of every operation](Parameters#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::parameters::{Parameters, PutParameterRequest};
    ///
    /// let parameters = Parameters::new(&Kms::in_memory()?);
    /// parameters.put(PutParameterRequest::string("/shop/url", "https://shop.example"))?;
    /// let next = parameters.put(PutParameterRequest::new("/shop/url", "https://new.example").overwrite())?;
    /// assert_eq!(next.version, 2);
    /// assert_eq!(parameters.get("/shop/url:1")?.expose_value(), "https://shop.example");
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn put(&self, request: PutParameterRequest) -> Result<PutParameterResponse> {
        self.call(ParameterOperation::PutParameter, audited(&request), |call| {
            let name = self.name(&request.name)?;
            let text = check_request(&request)?;
            let policies = request.policies.as_deref().map(ParameterPolicies::parse).transpose()?;
            if let Some(policies) = &policies {
                policies.check_future(call.now())?;
            }
            let tags = TagSet::from_tags(request.tags.iter().cloned()).map_err(too_many_tags)?;
            let input = Input { request: &request, name: &name, text, policies: policies.as_ref(), tags: &tags };
            let mut encrypted = None;
            call.commit(|call| self.plan(call, &input, &mut encrypted)).map_err(|error| exhausted(&name, error))
        })
    }

    /// Returns the edits that create a version, from the latest state.
    fn plan(
        &self,
        call: &mut ParameterCall<'_>,
        input: &Input<'_>,
        encrypted: &mut Option<(StoredTier, String, EncryptedValue)>,
    ) -> Result<(Vec<ParameterEdit>, PutParameterResponse)> {
        let conditions = ParameterConditions {
            request_tags: &input.request.tags,
            overwrite: Some(input.request.overwrite),
            ..ParameterConditions::default()
        };
        let operation = ParameterOperation::PutParameter;
        let stored = self.authorized(call, operation, input.name, conditions)?;
        if !input.request.tags.is_empty() {
            call.authorize(ParameterOperation::AddTagsToResource, &self.arn(input.name), conditions)?;
        }
        let now = call.now();
        let (before, expired) = match stored {
            Some(loaded) if loaded.record.is_expired(now) && !loaded.record.is_expired(call.confirmed_now()) => {
                return Err(unconfirmed(&loaded.record.name));
            }
            Some(loaded) if loaded.record.is_expired(now) => (None, Some(loaded)),
            other => (other, None),
        };
        if before.is_none() {
            input.name.check_creatable(self.kms.locality(), self.account())?;
        }
        let (count_revision, mut count) = read_count(call)?;
        if let Some(expired) = &expired {
            *count.of_mut(expired.record.current.tier) = count.of(expired.record.current.tier).saturating_sub(1);
        }
        let next = input.next_version(call, before.as_ref(), count, self.kms.principal().to_string())?;
        let counted_before = before.as_ref().map(|loaded| loaded.record.current.tier);
        let mut edits = Vec::new();
        if counted_before != Some(next.version.tier) {
            if let Some(tier) = counted_before {
                *count.of_mut(tier) = count.of(tier).saturating_sub(1);
            }
            *count.of_mut(next.version.tier) = count.of(next.version.tier).saturating_add(1);
            edits.push(count_edit(count_revision, count));
        } else if expired.is_some() {
            edits.push(count_edit(count_revision, count));
        }
        let version = self.with_value(next, input, encrypted)?;
        let response = PutParameterResponse { version: version.version.number, tier: version.version.tier.public() };
        edits.extend(input.edits(call, before, expired, version)?);
        Ok((edits, response))
    }

    /// Adds the value to a version. A value is encrypted once, unless its key or tier changes because
    /// of a concurrent change.
    fn with_value(
        &self,
        mut next: NextVersion,
        input: &Input<'_>,
        encrypted: &mut Option<(StoredTier, String, EncryptedValue)>,
    ) -> Result<NextVersion> {
        let version = &mut next.version;
        if next.kind != ParameterType::SecureString {
            version.value = SecretBytes::copy_from_slice(input.text.as_bytes());
            return Ok(next);
        }
        let is_current =
            encrypted.as_ref().is_some_and(|(tier, key_id, _)| *tier == version.tier && *key_id == version.key_id);
        if !is_current {
            let arn = self.arn(input.name);
            let made = cipher::encrypt(&self.keys, &version.key_id, &arn, version.tier, &input.request.value)?;
            *encrypted = Some((version.tier, version.key_id.clone(), made));
        }
        if let Some((_, _, made)) = encrypted {
            version.key_arn.clone_from(&made.key_arn);
            version.value = SecretBytes::copy_from_slice(made.ciphertext.expose_secret());
        }
        Ok(next)
    }
}

/// A request whose own rules were checked.
struct Input<'a> {
    request: &'a PutParameterRequest,
    name: &'a ParameterName,
    text: &'a str,
    policies: Option<&'a ParameterPolicies>,
    tags: &'a TagSet,
}

/// The version to create, before its value is added.
struct NextVersion {
    kind: ParameterType,
    version: VersionRecord,
}

impl Input<'_> {
    /// Returns the next version. Values that the request does not set are those of the version before.
    fn next_version(
        &self,
        call: &ParameterCall<'_>,
        before: Option<&Loaded>,
        count: CountRecord,
        user: String,
    ) -> Result<NextVersion> {
        let last = before.map(|loaded| &loaded.record.current);
        let kind = self.kind(before)?;
        let inherited = |own: &Option<String>, of: fn(&VersionRecord) -> &String| {
            own.clone().unwrap_or_else(|| last.map_or_else(String::new, |last| of(last).clone()))
        };
        let request = self.request;
        let allowed_pattern = inherited(&request.allowed_pattern, |last| &last.allowed_pattern);
        check_pattern(self.name.as_str(), &allowed_pattern, self.text)?;
        let policies = self.policies.cloned().unwrap_or_else(|| match last {
            Some(last) => last.policies.clone(),
            None => ParameterPolicies::default(),
        });
        let tier = self.tier(last.map(|last| last.tier), &policies, count)?;
        let key_id = match kind {
            ParameterType::SecureString => match inherited(&request.key_id, |last| &last.key_id) {
                none if none.is_empty() => DEFAULT_KEY.to_owned(),
                key_id => key_id,
            },
            _ if request.key_id.is_some() => {
                return Err(Error::new(ErrorKind::Validation, "only a SecureString has a key: omit the key ID"));
            }
            _ => String::new(),
        };
        let number = last.map_or(1, |last| last.number.saturating_add(1));
        let version = VersionRecord {
            number,
            incarnation: last.map_or_else(|| call.random_number(), |last| Ok(last.incarnation))?,
            modified: call.now(),
            user,
            description: inherited(&request.description, |last| &last.description),
            allowed_pattern,
            policies,
            tier,
            key_id,
            key_arn: String::new(),
            value: SecretBytes::zeroed(0),
        };
        Ok(NextVersion { kind, version })
    }

    /// Returns the type, which cannot change.
    fn kind(&self, before: Option<&Loaded>) -> Result<ParameterType> {
        let request = self.request;
        let Some(Loaded { record, .. }) = before else {
            return Ok(request.kind.ok_or(ParameterError::UnsupportedParameterType)?);
        };
        if !request.overwrite {
            return Err(ParameterError::AlreadyExists { name: record.name.clone() }.into());
        }
        if request.kind.is_some_and(|kind| kind != record.kind) {
            let (name, existing) = (record.name.clone(), record.kind.as_str());
            return Err(ParameterError::HierarchyTypeMismatch { name, existing }.into());
        }
        Ok(record.kind)
    }

    /// Returns the tier of the next version: the requested one, or the lowest that suffices.
    fn tier(&self, before: Option<StoredTier>, policies: &ParameterPolicies, count: CountRecord) -> Result<StoredTier> {
        let invalid = |text: &'static str| Err(Error::new(ErrorKind::Validation, text));
        let is_advanced = self.text.len() > StoredTier::Standard.max_value() || !policies.is_empty();
        let is_new = |tier| before != Some(tier);
        let is_full = |tier: StoredTier| is_new(tier) && count.of(tier) >= tier.max_parameters();
        let tier = match (self.request.tier, before) {
            (Some(ParameterTier::Standard), Some(StoredTier::Advanced)) => {
                return invalid(
                    "a parameter of the tier Advanced cannot return to Standard: delete it, and create it again",
                );
            }
            (_, Some(StoredTier::Advanced)) | (Some(ParameterTier::Advanced), _) => StoredTier::Advanced,
            (Some(ParameterTier::IntelligentTiering), _) if is_advanced || is_full(StoredTier::Standard) => {
                StoredTier::Advanced
            }
            _ if self.text.len() > StoredTier::Standard.max_value() => {
                return invalid("a value of more than 4,096 bytes needs the tier Advanced");
            }
            _ if is_advanced => return invalid("parameter policies need the tier Advanced"),
            _ => StoredTier::Standard,
        };
        if is_full(tier) {
            let limit = tier.max_parameters();
            return Err(ParameterError::LimitExceeded { tier: tier.public().as_str(), limit }.into());
        }
        Ok(tier)
    }

    /// Returns the writes after which a version is the current one.
    fn edits(
        &self,
        call: &ParameterCall<'_>,
        before: Option<Loaded>,
        expired: Option<Loaded>,
        next: NextVersion,
    ) -> Result<Vec<ParameterEdit>> {
        let key = self.name.key();
        let mut edits = Vec::new();
        let (expected, record) = match before {
            None => {
                if let Some(expired) = &expired {
                    edits.extend(earlier_versions(call, &key, &expired.record)?);
                }
                let record = ParameterRecord {
                    name: self.name.as_str().to_owned(),
                    kind: next.kind,
                    oldest: next.version.number,
                    labels: BTreeMap::new(),
                    tags: self.tags.clone(),
                    current: next.version,
                };
                (expired.map(|expired| expired.revision), record)
            }
            Some(Loaded { revision, mut record }) => {
                let last = std::mem::replace(&mut record.current, next.version);
                edits.push(version_edit(&key, last.number, None, Some(last.encode()?)));
                if record.current.number - record.oldest >= MAX_VERSIONS {
                    edits.extend(forget_oldest(call, &key, &mut record)?);
                }
                (Some(revision), record)
            }
        };
        let body = Some(record.encode()?);
        edits.push(ParameterEdit { kind: ParameterRecordKind::Parameter, name: key.into_bytes(), expected, body });
        Ok(edits)
    }
}

/// Returns the write that deletes the oldest retained version. If the version is missing, the
/// parameter was changed since it was read, so that the commit conflicts.
fn forget_oldest(call: &ParameterCall<'_>, key: &str, record: &mut ParameterRecord) -> Result<Option<ParameterEdit>> {
    let oldest = record.oldest;
    if record.labels.values().any(|version| *version == oldest) {
        let (name, next) = (record.name.clone(), record.current.number);
        return Err(ParameterError::MaxVersionLimitExceeded { name, oldest, next }.into());
    }
    record.oldest += 1;
    let found = read_version(call, key, record, oldest)?;
    Ok(found.map(|(revision, _)| version_edit(key, oldest, Some(revision), None)))
}

/// Returns the writes that delete the earlier versions of a parameter. If one is missing, the
/// parameter was changed since it was read, so that the commit conflicts.
pub(super) fn earlier_versions(
    call: &ParameterCall<'_>,
    key: &str,
    record: &ParameterRecord,
) -> Result<Vec<ParameterEdit>> {
    let mut edits = Vec::new();
    for number in record.oldest..record.current.number {
        let found = read_version(call, key, record, number)?;
        edits.extend(found.map(|(revision, _)| version_edit(key, number, Some(revision), None)));
    }
    Ok(edits)
}

fn version_edit(key: &str, number: u64, expected: Option<Revision>, body: Option<SecretBytes>) -> ParameterEdit {
    let name = VersionRecord::record_name(key, number);
    ParameterEdit { kind: ParameterRecordKind::Version, name, expected, body }
}

/// Returns the number of parameters of the caller's account.
pub(super) fn read_count(call: &ParameterCall<'_>) -> Result<(Option<Revision>, CountRecord)> {
    match call.read(ParameterRecordKind::Count, b"")? {
        Some((revision, body)) => Ok((Some(revision), CountRecord::decode(body.expose_secret())?)),
        None => Ok((None, CountRecord::default())),
    }
}

pub(super) fn count_edit(expected: Option<Revision>, count: CountRecord) -> ParameterEdit {
    ParameterEdit { kind: ParameterRecordKind::Count, name: Vec::new(), expected, body: Some(count.encode()) }
}

/// Checks the rules that do not depend on the stored parameter. Returns the value.
fn check_request(request: &PutParameterRequest) -> Result<&str> {
    let text = text_of(&request.value)?;
    check_value(text)?;
    check_text("the description", request.description.as_deref().unwrap_or_default())?;
    check_text("the allowed pattern", request.allowed_pattern.as_deref().unwrap_or_default())?;
    request.data_type.as_deref().map_or(Ok(()), check_data_type)?;
    if request.key_id.as_deref().is_some_and(|key_id| key_id.len() > 2_048) {
        return Err(Error::new(ErrorKind::Validation, "the key ID must have at most 2,048 characters"));
    }
    if request.overwrite && !request.tags.is_empty() {
        let text = "tags and overwrite cannot be used together: add tags to an existing parameter separately";
        return Err(Error::new(ErrorKind::Validation, text));
    }
    Ok(text)
}

/// Returns what the audit trail contains of a request: never the value.
fn audited(request: &PutParameterRequest) -> Vec<(&'static str, ParameterValue)> {
    let mut parameters = vec![("name", noted(&request.name)), ("overwrite", request.overwrite.into())];
    parameters.extend(request.kind.map(|kind| ("type", kind.as_str().into())));
    parameters.extend(request.tier.map(|tier| ("tier", tier.as_str().into())));
    let texts = [
        ("keyId", &request.key_id),
        ("description", &request.description),
        ("allowedPattern", &request.allowed_pattern),
        ("policies", &request.policies),
        ("dataType", &request.data_type),
    ];
    parameters.extend(texts.into_iter().filter_map(|(name, text)| Some((name, noted(text.as_deref()?)))));
    if !request.tags.is_empty() {
        parameters.push(("tags", noted_tags(&request.tags)));
    }
    parameters
}

pub(super) fn too_many_tags(error: Error) -> Error {
    ParameterError::TooManyTags { reason: error.to_string() }.into()
}

/// Returns the error for a parameter that has expired only if the clock is right.
fn unconfirmed(name: &str) -> Error {
    let text = format!(
        "cannot replace {name}: it has expired by a clock that is not trusted; confirm the clock, or correct it"
    );
    Error::new(ErrorKind::InvalidState, text)
}

/// Names the parameter whose change kept conflicting.
pub(super) fn exhausted(name: &ParameterName, error: Error) -> Error {
    match error.kind() {
        ErrorKind::Conflict => ParameterError::TooManyUpdates { name: name.as_str().to_owned() }.into(),
        _ => error,
    }
}
