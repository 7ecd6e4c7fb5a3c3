//! What an operation brings to the pipeline, and what the pipeline notes while it runs.

use super::grant_tokens::GrantToken;
use crate::algorithm::excerpt;
use crate::audit::{AuditEvent, KeyResource, ParameterValue};
use crate::clock::Timestamp;
use crate::context::EncryptionContext;
use crate::identity::AccountId;
use crate::key::{CustomKeyStoreId, KeyId, KeyIdentifier, Operation};
use crate::policy::RequestParameter;

/// The longest text of a request that the trail keeps whole, in bytes. No longer one is accepted by any operation.
const MAX_NOTED: usize = 32_768;
/// How many tags, or names of tags, of one request the trail keeps: one more than are accepted.
const MAX_NOTED_TAGS: usize = 51;

/// A text of a request for the trail. So that nobody can make an event that is too long to be kept, it is not whole if
/// the request is refused for its length anyway.
pub(in crate::kms) fn noted(text: &str) -> String {
    if text.len() <= MAX_NOTED { text.to_owned() } else { excerpt(text) }
}

/// Tags, or names of tags, of a request for the trail.
pub(in crate::kms) fn noted_tags<T>(tags: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
    tags.into_iter().take(MAX_NOTED_TAGS)
}

/// What an operation brings to the pipeline.
pub(in crate::kms) struct Call<'a> {
    pub(in crate::kms) operation: Operation,
    pub(in crate::kms) context: Option<&'a EncryptionContext>,
    pub(in crate::kms) source_context: Option<&'a EncryptionContext>,
    pub(in crate::kms) dry_run: bool,
    pub(in crate::kms) conditions: &'a [RequestParameter<'a>],
    pub(in crate::kms) grant_tokens: &'a [GrantToken],
    pub(in crate::kms) parameters: Vec<(&'static str, ParameterValue)>,
}

impl<'a> Call<'a> {
    pub(in crate::kms) const fn new(operation: Operation) -> Self {
        Self {
            operation,
            context: None,
            source_context: None,
            dry_run: false,
            conditions: &[],
            grant_tokens: &[],
            parameters: Vec::new(),
        }
    }

    pub(in crate::kms) const fn context(mut self, context: &'a EncryptionContext) -> Self {
        self.context = Some(context);
        self
    }

    pub(in crate::kms) const fn source_context(mut self, context: &'a EncryptionContext) -> Self {
        self.source_context = Some(context);
        self
    }

    pub(in crate::kms) const fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// What policies may ask about the request, beside its context.
    pub(in crate::kms) const fn conditions(mut self, conditions: &'a [RequestParameter<'a>]) -> Self {
        self.conditions = conditions;
        self
    }

    pub(in crate::kms) const fn grant_tokens(mut self, tokens: &'a [GrantToken]) -> Self {
        self.grant_tokens = tokens;
        self
    }

    /// What is to be decided about the key of the call.
    pub(in crate::kms) const fn question(&self) -> Question<'a> {
        let Self { operation, context, conditions, grant_tokens, .. } = *self;
        Question { operation, context, conditions, grant_tokens }
    }

    pub(in crate::kms) fn parameter(mut self, name: &'static str, value: impl Into<ParameterValue>) -> Self {
        self.parameters.reserve_exact(1); // the trail keeps thousands of them
        self.parameters.push((name, value.into()));
        self
    }
}

/// What is to be decided about one key of a call.
#[derive(Clone, Copy)]
pub(in crate::kms) struct Question<'a> {
    pub(in crate::kms) operation: Operation,
    pub(in crate::kms) context: Option<&'a EncryptionContext>,
    pub(in crate::kms) conditions: &'a [RequestParameter<'a>],
    pub(in crate::kms) grant_tokens: &'a [GrantToken],
}

impl<'a> Question<'a> {
    pub(in crate::kms) const fn new(operation: Operation) -> Self {
        Self { operation, context: None, conditions: &[], grant_tokens: &[] }
    }

    pub(in crate::kms) const fn grant_tokens(mut self, tokens: &'a [GrantToken]) -> Self {
        self.grant_tokens = tokens;
        self
    }

    pub(in crate::kms) const fn conditions(mut self, conditions: &'a [RequestParameter<'a>]) -> Self {
        self.conditions = conditions;
        self
    }

    pub(in crate::kms) const fn context(mut self, context: &'a EncryptionContext) -> Self {
        self.context = Some(context);
        self
    }
}

/// The audit event of a call in progress, and how far the call has come.
pub(in crate::kms) struct Progress {
    pub(in crate::kms) event: AuditEvent,
    pub(in crate::kms) committed: bool,
    /// The custom key store of a key that the call touches.
    pub(in crate::kms) custom_key_store: Option<CustomKeyStoreId>,
}

impl Progress {
    pub(in crate::kms) const fn new(event: AuditEvent) -> Self {
        Self { event, committed: false, custom_key_store: None }
    }

    /// The moment that counts as the time of the whole call.
    pub(in crate::kms) const fn now(&self) -> Timestamp {
        self.event.time
    }

    /// Notes what else the trail is to say about the call.
    pub(in crate::kms) fn note(&mut self, name: &'static str, value: impl Into<ParameterValue>) {
        if !self.event.additional.iter().any(|(known, _)| *known == name) {
            self.event.additional.push((name, value.into()));
        }
    }

    /// Notes it anew, in place of what was noted by that name.
    pub(in crate::kms) fn renote(&mut self, name: &'static str, value: impl Into<ParameterValue>) {
        self.event.additional.retain(|(known, _)| *known != name);
        self.note(name, value);
    }

    /// Notes how the request names a key, where the key itself does not tell: by an alias, or by what leads to none.
    pub(in crate::kms) fn note_identifier(&mut self, operation: Operation, identifier: &KeyIdentifier) {
        let name = match operation {
            Operation::ReEncryptFrom => "sourceKeyId",
            Operation::ReEncryptTo => "destinationKeyId",
            _ => "keyId",
        };
        if !self.event.parameters.iter().any(|(known, _)| *known == name) {
            self.event.parameters.push((name, identifier.to_string().into()));
        }
    }

    /// Notes that the call touches a key in a custom key store.
    pub(in crate::kms) fn note_custom_key_store(&mut self, id: Option<CustomKeyStoreId>) {
        if let Some(id) = id {
            self.custom_key_store = Some(id);
            self.note("customKeyStoreId", id.to_string());
        }
    }

    /// Notes that the call touches a key.
    pub(in crate::kms) fn note_key(&mut self, account: AccountId, key_id: KeyId) {
        let key = KeyResource { account, key_id };
        let slots = &mut self.event.keys;
        if !slots.contains(&Some(key))
            && let Some(free) = slots.iter_mut().find(|slot| slot.is_none())
        {
            *free = Some(key);
        }
    }
}
