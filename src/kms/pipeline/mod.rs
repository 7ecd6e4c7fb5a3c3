//! The only path to a key: check the request, resolve, load, authorize, check usage and state, run,
//! audit.
//!
//! An operation contains only its own step. It accesses a key through [`AuthorizedKey`], which only
//! [`Kms::authorize`] creates, so no operation can skip a check. It runs inside [`Kms::audited`],
//! so no operation can skip the audit log.

pub(super) mod authority;
pub(super) mod authorize;
pub(super) mod authorized_key;
pub(super) mod automatic_rotation;
pub(super) mod call;
pub(super) mod change;
pub(super) mod due_change;
pub(super) mod grant_tokens;
pub(super) mod key_checks;
pub(super) mod key_grants;
pub(super) mod observation;
pub(super) mod recording;
pub(super) mod resolve;
pub(super) mod service_key;

use crate::clock::Timestamp;
use crate::context::EncryptionContext;
use crate::error::Result;
use crate::identity::AccountId;
use crate::key::{KeyId, KeyIdentifier, Operation};
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::authorized_key::AuthorizedKey;
use crate::kms::pipeline::automatic_rotation::makes_ciphertext;
use crate::kms::pipeline::call::{AuthzRequest, CallSpec};
use crate::kms::pipeline::change::{CallContext, commit_change};
use crate::kms::pipeline::key_checks::{check_manager, check_state, unknown};
use crate::kms::records::key::KeyRecord;
use crate::kms::request::KeyReference;
use crate::kms::storage::cache::Cached;
use crate::kms::storage::edit::Edit;
use crate::kms::storage::loaded_key::LoadedKey;

impl Kms {
    /// Authorizes an operation without a key in the caller's account, runs it, and audits it.
    pub(in crate::kms) fn account_call<T>(
        &self,
        call: CallSpec<'_>,
        run: impl FnOnce(&mut CallContext) -> Result<T>,
    ) -> Result<T> {
        let question = call.authz_request();
        self.audited(call, |call_context| {
            self.permit_in_account(call_context, &question)?;
            run(call_context)
        })
    }

    /// Runs an operation that reads or uses one key.
    pub(in crate::kms) fn key_call<T>(
        &self,
        call: CallSpec<'_>,
        key: &dyn KeyReference,
        run: impl FnOnce(&AuthorizedKey<'_>, &mut CallContext) -> Result<T>,
    ) -> Result<T> {
        let question = call.authz_request();
        self.audited_on_key(call, key, |identifier, call_context| {
            let target = self.authorize(call_context, &question, identifier)?;
            let value = run(&target, call_context)?;
            target.count(question.operation, call_context);
            Ok(value)
        })
    }

    /// Runs an operation that changes one key, and restarts it whenever it conflicts with another
    /// change. `edit` returns the result and the records to write, or no records if there is
    /// nothing to change.
    pub(in crate::kms) fn key_change<T>(
        &self,
        call: CallSpec<'_>,
        key: &dyn KeyReference,
        mut edit: impl FnMut(&AuthorizedKey<'_>, &mut CallContext) -> Result<(Vec<Edit>, T)>,
    ) -> Result<T> {
        let question = call.authz_request();
        self.audited_on_key(call, key, |identifier, call_context| {
            commit_change(&self.core, call_context, |call_context| {
                let target = self.authorize(call_context, &question, identifier)?;
                edit(&target, call_context)
            })
            .inspect(|_| self.count_change(call_context, question.operation))
        })
    }

    /// Meters a successful change.
    pub(in crate::kms) fn count_change(&self, call_context: &CallContext, operation: Operation) {
        for resource in call_context.event.keys.iter().flatten().filter(|_| !call_context.event.dry_run) {
            // The change is done: a failure to read its key again must not turn it into a failure.
            if let Ok(Some(key)) = self.core.registry.key(resource.account, resource.key_id) {
                self.core.metering.count(&key, operation, call_context.now());
            }
        }
    }

    /// Passes one key through every check. This is the only function that creates an
    /// [`AuthorizedKey`].
    pub(in crate::kms) fn authorize(
        &self,
        call_context: &mut CallContext,
        question: &AuthzRequest<'_>,
        identifier: &KeyIdentifier,
    ) -> Result<AuthorizedKey<'_>> {
        let operation = question.operation;
        let place = self.resolve(call_context, question, identifier);
        let key = match &place {
            Ok((account, key_id)) => self.visible(*account, self.load(*account, *key_id)),
            Err(_) => Ok(None),
        };
        let is_alias = matches!(identifier, KeyIdentifier::AliasName(_) | KeyIdentifier::AliasArn(_));
        let is_own = place.as_ref().is_ok_and(|(account, _)| *account == self.account());
        match &place {
            // Record a key of another account whether or not it exists, since the caller supplied
            // its ARN. Do not record the target of an alias in another account.
            Ok((account, key_id)) if !is_own && !is_alias => call_context.record_key(*account, *key_id),
            Ok((account, key_id)) if is_own && !matches!(key, Ok(None)) => call_context.record_key(*account, *key_id),
            Ok(_) | Err(_) => call_context.record_identifier(operation, identifier),
        }
        if is_alias {
            call_context.record_identifier(operation, identifier);
        }
        // Before policies compare its values, and whether or not the key exists.
        question.context.map(EncryptionContext::checked_length).transpose()?;
        let (account, key_id) = place?;
        let Some(key) = key? else { return Err(unknown(self.locality(), self.account(), identifier)) };
        if is_own {
            call_context.record_custom_key_store(key.record.custom_key_store);
        }
        self.permit(call_context, question, identifier, &key)?;
        call_context.record_key(account, key_id);
        call_context.record_custom_key_store(key.record.custom_key_store);
        check_manager(operation, &key, self.via_service())?;
        question.suits.map_or(Ok(()), |suits| suits(&key.arn))?;
        let check = |key: &LoadedKey| {
            check_state(operation, key, self.core.registry.state_of(&key.record, call_context.now())?)
        };
        check(&key)?;
        let rotated = match call_context.event.dry_run {
            true => None, // changes nothing
            false => self.rotated_if_due(operation, &key.record, call_context.now())?,
        };
        let key = match rotated {
            Some(later) => {
                check(&later)?; // again, because this is a later record
                later
            }
            None => key,
        };
        Ok(AuthorizedKey::new(&self.core, key))
    }

    /// Loads a key that currently exists. A key whose waiting period has ended does not exist. An
    /// unconfirmed clock ends no waiting period: the deletion can be canceled until the clock is
    /// trusted.
    fn load(&self, account: AccountId, key_id: KeyId) -> Result<Option<Cached<LoadedKey>>> {
        let key = self.core.registry.key(account, key_id)?;
        Ok(key.filter(|key| !self.core.time.is_over(&key.record)))
    }

    /// Rotates a key whose rotation is overdue before new ciphertext is created, and returns its
    /// later record. If the rotation fails, the key is used as it is: an overdue rotation never
    /// fails an operation.
    fn rotated_if_due(
        &self,
        operation: Operation,
        record: &KeyRecord,
        now: Timestamp,
    ) -> Result<Option<Cached<LoadedKey>>> {
        if !makes_ciphertext(operation) || !record.is_rotation_due(now) {
            return Ok(None);
        }
        match self.core.rotate_if_due(record.account, record.key_id, now) {
            Ok(_) => self.load(record.account, record.key_id),
            Err(_) => Ok(None),
        }
    }
}
