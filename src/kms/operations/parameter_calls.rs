//! Calls of the parameter store, which is above the KMS: their authorization, their events in the
//! audit log, and their records.
//!
//! The parameter store encodes its records itself. Here they are bytes under a name.

use crate::audit::{Action, ParameterValue};
use crate::clock::Timestamp;
use crate::crypto::{DigestAlgorithm, DigestValue};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{AccountId, Principal, PrincipalKind, ServiceName};
use crate::key::{ParameterOperation, Tag, TagSet};
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::call::{abridged_for_audit, tags_for_audit};
use crate::kms::pipeline::change::{CallContext, commit_change, own_change};
use crate::kms::records::identity_policy::IdentityPolicies;
use crate::kms::records::stored_record::{PlainRecord, StoredRecord};
use crate::kms::storage::cache::Cached;
use crate::kms::storage::edit::Edit;
use crate::kms::storage::trusted_time::ClockTrust;
use crate::metrics::{Label, Metric};
use crate::policy::{Decision, ParameterPolicyRequest, evaluate_parameter};
use crate::secret::SecretBytes;
use crate::store::{RecordId, RecordKind, Revision};

/// The short name of the service that uses the keys of callers for their parameters.
const SERVICE: &str = "ssm";

/// Maximum length in bytes of a text of a request that the event of the call contains unabridged. No
/// longer text is valid.
const MAX_NOTED: usize = 4_096;

/// Maximum number of pairs of a request that the event of the call contains.
const MAX_NOTED_PAIRS: usize = 200;
/// Maximum total length of these pairs, or of a list of texts, in bytes. In valid requests, only
/// filters can be longer.
const MAX_NOTED_BYTES: usize = 64 << 10;

/// Returns a text of a request for the audit log.
pub(crate) fn noted(text: &str) -> ParameterValue {
    abridged_for_audit(text, MAX_NOTED).into()
}

/// Returns texts of a request for the audit log.
pub(crate) fn noted_texts<T: AsRef<str>>(texts: &[T]) -> ParameterValue {
    let mut left = MAX_NOTED_BYTES;
    ParameterValue::texts(tags_for_audit(texts).map(|text| {
        let (text, longest) = (text.as_ref(), MAX_NOTED.min(left));
        left = left.saturating_sub(text.len());
        abridged_for_audit(text, longest)
    }))
}

/// Returns the tags of a request for the audit log.
pub(crate) fn noted_tags(tags: &[Tag]) -> ParameterValue {
    ParameterValue::pairs(tags_for_audit(tags).map(|tag| (tag.key(), tag.value())))
}

/// Returns pairs of a request for the audit log up to a limit, and the number of the omitted ones.
pub(crate) fn noted_pairs<'a>(pairs: impl Iterator<Item = (String, &'a str)>) -> (ParameterValue, u64) {
    let (mut noted, mut length, mut omitted) = (Vec::new(), 0, 0);
    for (name, value) in pairs {
        length += name.len() + value.len();
        if length > MAX_NOTED_BYTES || noted.len() == MAX_NOTED_PAIRS {
            omitted += 1;
        } else {
            noted.push((name.into_boxed_str(), value.into()));
        }
    }
    (ParameterValue::pairs(noted), omitted)
}

/// A kind of record of the parameter store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParameterRecordKind {
    /// A parameter with its current version.
    Parameter,
    /// An earlier version.
    Version,
    /// The number of parameters of the account.
    Count,
}

impl ParameterRecordKind {
    const fn kind(self) -> RecordKind {
        match self {
            Self::Parameter => RecordKind::Parameter,
            Self::Version => RecordKind::ParameterVersion,
            Self::Count => RecordKind::ParameterCount,
        }
    }

    fn id(self, account: AccountId, name: &[u8]) -> RecordId {
        RecordId { kind: self.kind(), account, name: name.to_vec() }
    }
}

/// A write of one record.
pub(crate) struct ParameterEdit {
    pub(crate) kind: ParameterRecordKind,
    pub(crate) name: Vec<u8>,
    /// The revision that the record must still have, or `None` if it must not exist yet.
    pub(crate) expected: Option<Revision>,
    /// The new body, or `None` to delete the record.
    pub(crate) body: Option<SecretBytes>,
}

/// A record as stored: its name, its revision and its body.
pub(crate) struct StoredParameterRecord {
    pub(crate) name: Vec<u8>,
    pub(crate) revision: Revision,
    pub(crate) body: SecretBytes,
}

/// The values of a call that policies test.
#[derive(Clone, Copy, Default)]
pub(crate) struct ParameterConditions<'a> {
    pub(crate) tags: Option<&'a TagSet>,
    pub(crate) request_tags: &'a [Tag],
    pub(crate) tag_keys: &'a [&'a str],
    pub(crate) overwrite: Option<bool>,
    pub(crate) recursive: Option<bool>,
}

/// A call of the parameter store in progress.
pub(crate) struct ParameterCall<'a> {
    kms: &'a Kms,
    account: AccountId,
    call_context: &'a mut CallContext,
}

impl Kms {
    /// Returns the handle with which the parameter store uses keys for the caller. It has the
    /// caller's permissions, and policies see the parameter store as `kms:ViaService`.
    pub(crate) fn on_behalf_of_parameters(&self) -> Self {
        let service = ServiceName::parse(SERVICE).expect("the name of the service is valid");
        self.narrowed(self.principal().clone(), Some(service))
    }

    /// Returns the account whose parameters the handle accesses.
    pub(crate) const fn parameter_account(&self) -> AccountId {
        self.account()
    }

    /// Runs an operation of the parameter store, and writes its event before the result is released.
    pub(crate) fn parameter_call<T>(
        &self,
        operation: ParameterOperation,
        parameters: Vec<(&'static str, ParameterValue)>,
        run: impl FnOnce(&mut ParameterCall<'_>) -> Result<T>,
    ) -> Result<T> {
        let _in_progress = self.core.gate.enter()?;
        let mut event = self.new_event(Action::Parameter(operation), self.core.time.now());
        event.parameters = parameters;
        self.recorded(event, |call_context| {
            if self.via_service().is_some() || self.principal().kind() == PrincipalKind::Service {
                let text = "a service cannot access the parameters of a caller: use the caller's own handle";
                return Err(Error::new(ErrorKind::AccessDenied, text));
            }
            run(&mut ParameterCall { kms: self, account: self.account(), call_context })
        })
    }

    /// Runs due changes of all parameters, if the clock is trusted. Requires the authority's handle.
    /// `run` receives the current time, and the time by which something has ended for good.
    pub(crate) fn parameter_maintenance<T>(
        &self,
        what: &'static str,
        run: impl FnOnce(Timestamp, Option<Timestamp>) -> Result<T>,
    ) -> Result<T> {
        self.authority_call(what, |_| {
            let now = self.core.time.now();
            let (clock, trust) = self.core.time.sweep(&self.core.registry)?;
            run(now, (trust == ClockTrust::Trusted).then_some(clock))
        })
    }

    /// Returns records of all accounts in ascending order after `after`.
    pub(crate) fn scan_parameters(
        &self,
        after: Option<(AccountId, &[u8])>,
        limit: usize,
    ) -> Result<Vec<(AccountId, StoredParameterRecord)>> {
        let after = after.map(|(account, name)| ParameterRecordKind::Parameter.id(account, name));
        let found = self.core.registry.list::<ParameterBody>(None, after, limit)?;
        let stored = |(id, revision, Opaque(body)): (RecordId, Revision, ParameterBody)| {
            (id.account, StoredParameterRecord { name: id.name, revision, body })
        };
        Ok(found.into_iter().map(stored).collect())
    }

    /// Deletes a parameter of any account because it has expired. `run` receives the call in that
    /// account. An event is written only if `run` commits a change.
    pub(crate) fn expired_parameter_call<T>(
        &self,
        account: AccountId,
        name: &str,
        run: impl FnOnce(&mut ParameterCall<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut event = self.new_event(Action::Parameter(ParameterOperation::DeleteParameter), self.core.time.now());
        event.principal = Principal::root(account);
        event.parameters = vec![("name", noted(name))];
        event.additional = vec![("reason", "Expiration".into())];
        own_change(&self.core, event, |call_context| {
            run(&mut ParameterCall { kms: self, account, call_context }).map(Some)
        })
    }
}

/// The revision and body of a record, if it exists.
pub(crate) type FoundBody = Option<(Revision, SecretBytes)>;

impl ParameterCall<'_> {
    /// Returns the time of the call.
    pub(crate) fn now(&self) -> Timestamp {
        self.call_context.now()
    }

    /// Returns the time by which something has ended for good: the current time, or the latest trusted
    /// one if the clock is unconfirmed.
    pub(crate) fn confirmed_now(&self) -> Timestamp {
        self.kms.core.time.confirmed()
    }

    /// Records information that was not part of the request.
    pub(crate) fn note(&mut self, name: &'static str, value: impl Into<ParameterValue>) {
        self.call_context.record_param(name, value);
    }

    /// Returns a random number.
    pub(crate) fn random_number(&self) -> Result<u64> {
        let mut bytes = [0; 8];
        self.kms.core.material.backend.random().fill(&mut bytes)?;
        Ok(u64::from_be_bytes(bytes))
    }

    /// Returns a SHA-256 digest of texts, each with its length.
    pub(crate) fn digest(&self, texts: &[&str]) -> DigestValue {
        let lengths: Vec<[u8; 8]> = texts.iter().map(|text| length_of(text)).collect();
        let parts: Vec<&[u8]> =
            lengths.iter().zip(texts).flat_map(|(length, text)| [length.as_slice(), text.as_bytes()]).collect();
        self.kms.core.material.backend.digest().digest(DigestAlgorithm::Sha256, &parts)
    }

    /// Checks that the caller may perform an operation on a resource.
    ///
    /// # Errors
    /// - [`AccessDenied`](ErrorKind::AccessDenied) if it may not.
    pub(crate) fn authorize(
        &mut self,
        operation: ParameterOperation,
        resource_arn: &str,
        conditions: ParameterConditions<'_>,
    ) -> Result<()> {
        let kms = self.kms;
        let base = ParameterPolicyRequest::new(
            kms.principal(),
            operation,
            kms.locality(),
            self.call_context.now(),
            resource_arn,
        );
        let ParameterConditions { tags, request_tags, tag_keys, overwrite, recursive } = conditions;
        let request = ParameterPolicyRequest { tags, request_tags, tag_keys, overwrite, recursive, ..base };
        let identity = kms.attached_identity()?;
        let documents = identity.as_ref().map_or(&[][..], |held: &Cached<IdentityPolicies>| held.documents());
        let allowed = match &kms.core.settings.policy {
            Some(policy) => policy.decide_parameter(&request, documents)? == Decision::Allow,
            None => {
                let outcome = evaluate_parameter(&request, documents)?;
                if !outcome.is_allowed() {
                    self.call_context.record_param("decision", outcome.to_string());
                }
                outcome.is_allowed()
            }
        };
        if allowed {
            return Ok(());
        }
        let label = Label::new("operation", operation.as_str());
        kms.core.registry.metrics().count(Metric::AuthorizationDenials, &[label]);
        let text = format!("{} is not authorized to perform ssm:{operation} on {resource_arn}", kms.principal());
        Err(Error::new(ErrorKind::AccessDenied, text))
    }

    /// Returns a record of the caller's account as currently stored.
    pub(crate) fn read(&self, kind: ParameterRecordKind, name: &[u8]) -> Result<FoundBody> {
        self.kms.core.registry.sealed().get(&kind.id(self.account, name))
    }

    /// Returns parameters of the caller's account in ascending order after a name.
    pub(crate) fn scan(&self, after: &[u8], limit: usize) -> Result<Vec<StoredParameterRecord>> {
        let account = self.account;
        let after = Some(ParameterRecordKind::Parameter.id(account, after));
        let found = self.kms.core.registry.list::<ParameterBody>(Some(account), after, limit)?;
        Ok(found
            .into_iter()
            .map(|(id, revision, Opaque(body))| StoredParameterRecord { name: id.name, revision, body })
            .collect())
    }

    /// Commits the edits that `edit` derives from the latest state, and restarts it after each
    /// conflict. There are no edits only if the latest state requires none.
    pub(crate) fn commit<T>(
        &mut self,
        mut edit: impl FnMut(&mut ParameterCall<'_>) -> Result<(Vec<ParameterEdit>, T)>,
    ) -> Result<T> {
        let (kms, account) = (self.kms, self.account);
        commit_change(&kms.core, self.call_context, |call_context| {
            let (edits, value) = edit(&mut ParameterCall { kms, account, call_context })?;
            let edits = edits.into_iter().map(|edit| edit.in_account(account)).collect::<Result<_>>()?;
            Ok((edits, value))
        })
    }
}

impl ParameterEdit {
    fn in_account(self, account: AccountId) -> Result<Edit> {
        let id = self.kind.id(account, &self.name);
        match (self.body, self.expected, self.kind) {
            (None, Some(expected), _) => Ok(Edit::delete(id, expected)),
            (None, None, _) => Err(Error::new(ErrorKind::Internal, "a record that does not exist cannot be deleted")),
            (Some(body), expected, ParameterRecordKind::Parameter) => {
                Edit::put(id, &Opaque::<PARAMETER>(body), expected)
            }
            (Some(body), expected, ParameterRecordKind::Version) => Edit::put(id, &Opaque::<VERSION>(body), expected),
            (Some(body), expected, ParameterRecordKind::Count) => Edit::put(id, &Opaque::<COUNT>(body), expected),
        }
    }
}

fn length_of(text: &str) -> [u8; 8] {
    u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes()
}

const PARAMETER: u8 = RecordKind::Parameter.code();
const VERSION: u8 = RecordKind::ParameterVersion.code();
const COUNT: u8 = RecordKind::ParameterCount.code();

/// The body of a parameter's record.
type ParameterBody = Opaque<PARAMETER>;

/// The body of a record of the kind with this code.
struct Opaque<const CODE: u8>(SecretBytes);

impl<const CODE: u8> StoredRecord for Opaque<CODE> {
    const KIND: RecordKind = match RecordKind::from_code(CODE) {
        Some(kind) => kind,
        None => RecordKind::Parameter,
    };

    fn decode(_id: &RecordId, bytes: &[u8]) -> Result<Self> {
        Ok(Self(SecretBytes::copy_from_slice(bytes)))
    }
}

impl<const CODE: u8> PlainRecord for Opaque<CODE> {
    fn encode(&self) -> Result<SecretBytes> {
        Ok(SecretBytes::copy_from_slice(self.0.expose_secret()))
    }
}
