//! Parameters of a pipeline call, and the request that authorization decides.

use crate::audit::ParameterValue;
use crate::context::EncryptionContext;
use crate::error::Result;
use crate::key::{KeyArn, Operation};
use crate::kms::request::{GrantToken, check_token_count};
use crate::policy::RequestParameter;
use crate::text::sanitize_for_error;

/// Maximum length in bytes of a request's text that the audit log stores unabridged. No operation
/// accepts a longer one.
const MAX_NOTED: usize = 32_768;
/// Maximum number of tags or tag names of one request that the audit log stores: one more than are
/// accepted.
const MAX_NOTED_TAGS: usize = 51;

/// Returns a text of a request for the audit log. A text that is too long for any operation is
/// truncated, so that no caller can create an event that is too long to store.
pub(in crate::kms) fn truncated_for_audit(text: &str) -> String {
    abridged_for_audit(text, MAX_NOTED)
}

/// Returns a text for the audit log, truncated if it has more than `longest` bytes.
pub(in crate::kms) fn abridged_for_audit(text: &str, longest: usize) -> String {
    if text.len() <= longest { text.to_owned() } else { sanitize_for_error(text) }
}

/// Returns the tags or tag names of a request for the audit log.
pub(in crate::kms) fn tags_for_audit<T>(tags: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
    tags.into_iter().take(MAX_NOTED_TAGS)
}

/// The parameters that an operation passes to the pipeline.
pub(in crate::kms) struct CallSpec<'a> {
    pub(in crate::kms) operation: Operation,
    pub(in crate::kms) context: Option<&'a EncryptionContext>,
    pub(in crate::kms) source_context: Option<&'a EncryptionContext>,
    pub(in crate::kms) dry_run: bool,
    pub(in crate::kms) conditions: &'a [RequestParameter<'a>],
    pub(in crate::kms) grant_tokens: &'a [GrantToken],
    pub(in crate::kms) parameters: Vec<(&'static str, ParameterValue)>,
    /// The result of the checks that need only the request.
    pub(in crate::kms) validity: Result<()>,
}

impl<'a> CallSpec<'a> {
    pub(in crate::kms) const fn new(operation: Operation) -> Self {
        Self {
            operation,
            context: None,
            source_context: None,
            dry_run: false,
            conditions: &[],
            grant_tokens: &[],
            parameters: Vec::new(),
            validity: Ok(()),
        }
    }

    /// Adds a check that needs only the request. A call that fails one is rejected before its key is
    /// looked up and before policies see the request, as AWS KMS does with the bounds of its model.
    pub(in crate::kms) fn valid(mut self, check: Result<()>) -> Self {
        self.validity = self.validity.and(check);
        self
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

    /// Sets the request parameters that policies can test, in addition to the encryption context.
    pub(in crate::kms) const fn conditions(mut self, conditions: &'a [RequestParameter<'a>]) -> Self {
        self.conditions = conditions;
        self
    }

    pub(in crate::kms) fn grant_tokens(mut self, tokens: &'a [GrantToken]) -> Self {
        self.grant_tokens = tokens;
        self.valid(check_token_count(tokens))
    }

    /// Returns the authorization request for the key of the call.
    pub(in crate::kms) const fn authz_request(&self) -> AuthzRequest<'a> {
        let Self { operation, context, conditions, grant_tokens, .. } = *self;
        AuthzRequest { operation, context, conditions, grant_tokens, suits: None }
    }

    pub(in crate::kms) fn parameter(mut self, name: &'static str, value: impl Into<ParameterValue>) -> Self {
        self.parameters.reserve_exact(1); // the audit log stores thousands of them
        self.parameters.push((name, value.into()));
        self
    }
}

/// A check of an operation on the key that its request names.
pub(in crate::kms) type KeyCheck<'a> = &'a dyn Fn(&KeyArn) -> Result<()>;

/// An authorization request for one key of a call.
#[derive(Clone, Copy)]
pub(in crate::kms) struct AuthzRequest<'a> {
    pub(in crate::kms) operation: Operation,
    pub(in crate::kms) context: Option<&'a EncryptionContext>,
    pub(in crate::kms) conditions: &'a [RequestParameter<'a>],
    pub(in crate::kms) grant_tokens: &'a [GrantToken],
    /// A check that a key must pass before its usage and state are judged.
    pub(in crate::kms) suits: Option<KeyCheck<'a>>,
}

impl<'a> AuthzRequest<'a> {
    pub(in crate::kms) const fn new(operation: Operation) -> Self {
        Self { operation, context: None, conditions: &[], grant_tokens: &[], suits: None }
    }

    pub(in crate::kms) const fn suits(mut self, check: KeyCheck<'a>) -> Self {
        self.suits = Some(check);
        self
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
