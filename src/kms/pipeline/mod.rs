//! The one way into a key: resolve, load, authorise, check usage and state, run, audit.
//!
//! An operation holds only its own step. It gets at a key through [`Target`], and only [`Kms::authorize`] makes one, so
//! no operation can forget a check; it runs inside [`Kms::audited`], so none can forget the trail.

pub(super) mod authorize;
pub(super) mod call;
pub(super) mod grant_tokens;
pub(super) mod key_checks;
pub(super) mod key_grants;
pub(super) mod resolve;
pub(super) mod service_key;

use crate::audit::{Action, AuditEvent, ChangeId, Outcome};
use crate::clock::Timestamp;
use crate::context::{EncryptionContext, MAX_CONTEXT_BYTES};
use crate::crypto::PublicKey;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{AccountId, Principal};
use crate::key::{CustomKeyStoreId, KeyArn, KeyId, KeyIdentifier, KeyVersion, Operation};
use crate::kms::engine::handle::{Core, Kms};
use crate::kms::pipeline::call::{Call, Progress, Question};
use crate::kms::pipeline::key_checks::{check_manager, check_state, makes_ciphertext};
use crate::kms::pipeline::key_grants::KeyGrants;
use crate::kms::records::key::{KeyRecord, VersionRecord};
use crate::kms::request::key_reference::KeyReference;
use crate::kms::storage::cache::Held;
use crate::kms::storage::registry::{Edit, LoadedKey, MAX_COMMIT_ATTEMPTS};
use crate::kms::storage::sealed::is_committed;
use crate::policy::PolicyDocument;
use crate::provider::{Agreement, Cipher, Decryption, Mac, OpenedKey, Signing, key_pair_kind};
use crate::store::CommitError;

/// A key that the caller may use for the operation at hand: every check was passed.
pub(in crate::kms) struct Target<'a> {
    core: &'a Core,
    key: Held<LoadedKey>,
}

impl Target<'_> {
    pub(in crate::kms) fn record(&self) -> &KeyRecord {
        &self.key.0.value.record
    }

    /// Meters a request that went well.
    pub(in crate::kms) fn count(&self, operation: Operation, progress: &Progress) {
        if !progress.event.dry_run {
            self.core.count(&self.key.0.value, operation, progress.now());
        }
    }

    /// The grants of a principal on the key.
    pub(in crate::kms) fn grants<'b>(&'b self, principal: &'b Principal) -> KeyGrants<'b> {
        KeyGrants { registry: &self.core.registry, key: &self.key.0.value, principal }
    }

    pub(in crate::kms) fn policy(&self) -> Result<&PolicyDocument> {
        self.key.0.value.policy()
    }

    pub(in crate::kms) fn arn(&self) -> &KeyArn {
        &self.key.0.value.arn
    }

    /// The write that replaces the key's record, if it differs, provided that nobody changed it in the meantime.
    pub(in crate::kms) fn put(&self, record: KeyRecord) -> Vec<Edit> {
        if record == *self.record() {
            return Vec::new();
        }
        vec![Edit::PutKey { record, expected: Some(self.key.0.revision) }]
    }

    /// The current version, opened as a cipher.
    pub(in crate::kms) fn current_cipher(&self) -> Result<(&VersionRecord, &dyn Cipher)> {
        let index = self.current_index()?;
        Ok((&self.record().versions[index], self.cipher(index)?))
    }

    /// A version by its number, opened as a cipher; its place in the record comes along.
    pub(in crate::kms) fn cipher_of(&self, number: KeyVersion) -> Result<Option<(usize, &dyn Cipher)>> {
        match self.record().versions.binary_search_by_key(&number, |version| version.number) {
            Ok(index) => Ok(Some((index, self.cipher(index)?))),
            Err(_) => Ok(None),
        }
    }

    /// The key, opened for message authentication.
    pub(in crate::kms) fn mac(&self) -> Result<&dyn Mac> {
        match self.current()? {
            OpenedKey::Mac(mac) => Ok(&**mac),
            other => Err(self.misopened(other)),
        }
    }

    /// The key, opened for decryption with a private key.
    pub(in crate::kms) fn decryption(&self) -> Result<&dyn Decryption> {
        match self.current()? {
            OpenedKey::Decryption(decryption) => Ok(&**decryption),
            other => Err(self.misopened(other)),
        }
    }

    /// The key, opened for signing.
    pub(in crate::kms) fn signing(&self) -> Result<&dyn Signing> {
        match self.current()? {
            OpenedKey::Signing(signing) => Ok(&**signing),
            other => Err(self.misopened(other)),
        }
    }

    /// The key, opened for key agreement.
    pub(in crate::kms) fn agreement(&self) -> Result<&dyn Agreement> {
        match self.current()? {
            OpenedKey::Agreement(agreement) => Ok(&**agreement),
            other => Err(self.misopened(other)),
        }
    }

    /// The public key, a SubjectPublicKeyInfo in DER. It stands in the record: no private key is opened for it.
    pub(in crate::kms) fn public_key_info(&self) -> Result<&[u8]> {
        let version = &self.record().versions[self.current_index()?];
        version.public_key.as_deref().ok_or_else(|| self.without_public_key())
    }

    /// The public key, ready for use in software wherever the private one lies.
    pub(in crate::kms) fn public_key(&self) -> Result<&dyn PublicKey> {
        self.key.0.value.public(|| {
            let kind = key_pair_kind(self.record().spec).ok_or_else(|| self.without_public_key())?;
            let parsed = self.core.backend.key_pairs().public_key(kind, self.public_key_info()?);
            parsed.map_err(|error| {
                let text = format!("the record of {} holds a public key that is none", self.arn());
                Error::new(ErrorKind::Internal, text).with_source(error)
            })
        })
    }

    fn without_public_key(&self) -> Error {
        Error::new(ErrorKind::Internal, format!("{} has no public key", self.arn()))
    }

    /// Counts a message that is about to be encrypted under the current version with an initialisation vector of its
    /// provider.
    pub(in crate::kms) fn count_message(&self, version: KeyVersion) -> Result<()> {
        self.core.count_message(self.record(), version)
    }

    fn cipher(&self, index: usize) -> Result<&dyn Cipher> {
        match self.core.opened(&self.key.0.value, index)? {
            OpenedKey::Cipher(cipher) => Ok(&**cipher),
            other => Err(self.misopened(other)),
        }
    }

    /// The current version, opened.
    fn current(&self) -> Result<&OpenedKey> {
        self.core.opened(&self.key.0.value, self.current_index()?)
    }

    fn current_index(&self) -> Result<usize> {
        self.record().current_index().ok_or_else(|| Error::new(ErrorKind::Internal, "an enabled key has no material"))
    }

    /// The refusal of material that its provider opened as something that the operation has no use for.
    fn misopened(&self, opened: &OpenedKey) -> Error {
        let text = format!("the provider of {} opened it for another use: as {opened:?}", self.arn());
        Error::new(ErrorKind::Internal, text)
    }
}

impl Kms {
    /// Runs an operation without a key: authorises it in the caller's account, runs it, audits it.
    pub(in crate::kms) fn account_call<T>(
        &self,
        call: Call<'_>,
        run: impl FnOnce(&mut Progress) -> Result<T>,
    ) -> Result<T> {
        let question = call.question();
        self.audited(call, |progress| {
            self.permit_in_account(progress, &question)?;
            run(progress)
        })
    }

    /// Runs an operation that reads or uses one key.
    pub(in crate::kms) fn key_call<T>(
        &self,
        call: Call<'_>,
        key: &dyn KeyReference,
        run: impl FnOnce(&Target<'_>, &mut Progress) -> Result<T>,
    ) -> Result<T> {
        let question = call.question();
        self.audited(call, |progress| {
            let target = self.authorize(progress, &question, &key.to_key_identifier()?)?;
            let value = run(&target, progress)?;
            target.count(question.operation, progress);
            Ok(value)
        })
    }

    /// Runs an operation that changes one key, again from the start whenever another change came first. `edit` returns
    /// the records to write, none if there is nothing to change, and the result.
    pub(in crate::kms) fn key_change<T>(
        &self,
        call: Call<'_>,
        key: &dyn KeyReference,
        mut edit: impl FnMut(&Target<'_>, &mut Progress) -> Result<(Vec<Edit>, T)>,
    ) -> Result<T> {
        let question = call.question();
        self.audited(call, |progress| {
            let identifier = key.to_key_identifier()?;
            self.commit_until_settled(progress, |progress| {
                let target = self.authorize(progress, &question, &identifier)?;
                edit(&target, progress)
            })
            .inspect(|_| self.count_change(progress, question.operation))
        })
    }

    /// Announces and commits what `edit` makes of the latest state, until no other change comes in between.
    pub(in crate::kms) fn commit_until_settled<T>(
        &self,
        progress: &mut Progress,
        mut edit: impl FnMut(&mut Progress) -> Result<(Vec<Edit>, T)>,
    ) -> Result<T> {
        let mut announced = None;
        for _ in 0..MAX_COMMIT_ATTEMPTS {
            let (edits, value) = edit(progress)?;
            if edits.is_empty() || progress.event.dry_run {
                return Ok(value);
            }
            let change = match announced {
                Some(change) => change,
                None => self.announce(progress)?,
            };
            announced = Some(change);
            match self.core.commit(edits, change) {
                Ok(_) => {
                    progress.committed = true;
                    return Ok(value);
                }
                Err(CommitError::Conflict(_)) => std::thread::yield_now(),
                Err(CommitError::Failed(error)) => {
                    progress.committed = is_committed(&error);
                    return Err(error);
                }
            }
        }
        Err(Error::new(ErrorKind::Conflict, "other changes to the same key kept coming first; nothing was changed"))
    }

    /// Writes the intent of a change. From here on the call's own event counts as its outcome.
    pub(in crate::kms) fn announce(&self, progress: &mut Progress) -> Result<ChangeId> {
        let change = ChangeId::generate(&self.core.backend)?;
        let event = AuditEvent { outcome: Outcome::Intent, change: Some(change), ..progress.event.clone() };
        self.core.audit.record(event).map_err(withheld)?;
        progress.event.change = Some(change);
        Ok(change)
    }

    /// Refuses a call that cannot be begun. Like every other it leaves its event.
    pub(in crate::kms) fn refused<T>(&self, call: Call<'_>, error: Error) -> Result<T> {
        self.audited(call, |_| Err(error))
    }

    /// Runs a call and writes its event before the result is released.
    pub(in crate::kms) fn audited<T>(&self, call: Call<'_>, run: impl FnOnce(&mut Progress) -> Result<T>) -> Result<T> {
        let mut event = AuditEvent::new(self.core.now(), Action::Call(call.operation), self.principal.clone());
        event.via_service = self.via_service().cloned();
        event.context = worth_noting(call.context);
        event.source_context = worth_noting(call.source_context);
        event.dry_run = call.dry_run;
        event.parameters = call.parameters;
        self.recorded(event, run)
    }

    /// Runs what an event tells of, and writes the event before the result is released.
    pub(in crate::kms) fn recorded<T>(
        &self,
        event: AuditEvent,
        run: impl FnOnce(&mut Progress) -> Result<T>,
    ) -> Result<T> {
        let mut progress = Progress::new(event);
        let result = run(&mut progress).and_then(|value| match progress.event.dry_run {
            false => Ok(value),
            true => Err(would_have_succeeded()),
        });
        let result = match progress.custom_key_store {
            Some(id) => result.map_err(|error| in_custom_key_store(id, error)),
            None => result,
        };
        let Progress { mut event, committed, .. } = progress;
        // The trail tells what became of the change: with the error of what comes after it, it was made all the same.
        if let Some(error) = result.as_ref().err().filter(|_| !committed) {
            event.outcome = Outcome::Failure(error.kind());
            event.message = Some(error.to_string().into());
        }
        self.core.audit.record(event).map_err(|error| if committed { incomplete(error) } else { withheld(error) })?;
        result
    }

    /// Runs what only the authority may do. A failure leaves an event; what a success leaves is for `run` to write.
    pub(in crate::kms) fn authority_call<T>(
        &self,
        what: &'static str,
        run: impl FnOnce(&mut Progress) -> Result<T>,
    ) -> Result<T> {
        self.check_authority(what)?;
        let mut progress = Progress::new(self.authority_event(what));
        // Changes have events of their own. What was committed beside them is a preparation, whatever came after that commit.
        run(&mut progress).or_else(|error| self.recorded(progress.event, |_| Err(error)))
    }

    /// Runs a change that takes several commits, with an event before it and one afterwards.
    pub(in crate::kms) fn announced<T>(
        &self,
        event: AuditEvent,
        run: impl FnOnce(&mut Progress) -> Result<T>,
    ) -> Result<T> {
        self.core.audit.record(AuditEvent { outcome: Outcome::Intent, ..event.clone() }).map_err(withheld)?;
        self.recorded(event, run)
    }

    /// Passes one key through every check: the only maker of a [`Target`].
    pub(in crate::kms) fn authorize(
        &self,
        progress: &mut Progress,
        question: &Question<'_>,
        identifier: &KeyIdentifier,
    ) -> Result<Target<'_>> {
        let operation = question.operation;
        let place = self.resolve(progress, question, identifier);
        let key = match &place {
            Ok((account, key_id)) => self.visible(*account, self.load(*account, *key_id)),
            Err(_) => Ok(None),
        };
        let is_alias = matches!(identifier, KeyIdentifier::AliasName(_) | KeyIdentifier::AliasArn(_));
        let is_own = place.as_ref().is_ok_and(|(account, _)| *account == self.account());
        match &place {
            // A key of another account is noted whether it exists or not, as its ARN was the caller's to give. Which key an
            // alias there leads to is not.
            Ok((account, key_id)) if !is_own && !is_alias => progress.note_key(*account, *key_id),
            Ok((account, key_id)) if is_own && !matches!(key, Ok(None)) => progress.note_key(*account, *key_id),
            Ok(_) | Err(_) => progress.note_identifier(operation, identifier),
        }
        if is_alias {
            progress.note_identifier(operation, identifier);
        }
        let (account, key_id) = place?;
        let Some(key) = key? else { return Err(self.missing(identifier, account, key_id)) };
        if is_own {
            progress.note_custom_key_store(key.0.value.record.custom_key_store);
        }
        self.permit(progress, question, identifier, &key.0.value)?;
        progress.note_key(account, key_id);
        progress.note_custom_key_store(key.0.value.record.custom_key_store);
        check_manager(operation, &key.0.value, self.via_service())?;
        operation.check_key_usage(key.0.value.record.usage, &key.0.value.arn)?;
        let check = |key: &LoadedKey| check_state(operation, key, self.core.state_of(&key.record, progress.now())?);
        check(&key.0.value)?;
        let rotated = match progress.event.dry_run {
            true => None, // nothing is to be done
            false => self.rotated_if_due(operation, &key.0.value.record, progress.now())?,
        };
        let key = match rotated {
            Some(later) => {
                check(&later.0.value)?; // again, as this is a later record
                later
            }
            None => key,
        };
        Ok(Target { core: &self.core, key })
    }

    /// Loads a key that exists at this moment: one whose waiting period has ended does not. A clock that is doubted ends none:
    /// until it is believed, the deletion can be cancelled.
    fn load(&self, account: AccountId, key_id: KeyId) -> Result<Option<Held<LoadedKey>>> {
        let key = self.core.registry.key(account, key_id)?;
        Ok(key.filter(|key| !self.core.is_over(&key.0.value.record)))
    }

    /// Before new ciphertext is made, gives a key whose rotation is overdue its new material, and returns its later record.
    /// If that fails, the key goes on as it is: an overdue rotation never fails an operation.
    fn rotated_if_due(
        &self,
        operation: Operation,
        record: &KeyRecord,
        now: Timestamp,
    ) -> Result<Option<Held<LoadedKey>>> {
        if !makes_ciphertext(operation) || !record.is_rotation_due(now) {
            return Ok(None);
        }
        match self.core.rotate_if_due(record.account, record.key_id, now) {
            Ok(_) => self.load(record.account, record.key_id),
            Err(_) => Ok(None),
        }
    }
}

/// A context that is too long for every operation is left out: the trail could not keep it.
fn worth_noting(context: Option<&EncryptionContext>) -> Option<EncryptionContext> {
    let length = |context: &EncryptionContext| context.iter().map(|(name, value)| name.len() + value.len()).sum();
    context.filter(|context| !context.is_empty() && (1..=MAX_CONTEXT_BYTES).contains(&length(context))).cloned()
}

/// Whatever keeps a key of a custom key store from being used is an invalid state of that key, as in AWS KMS; the source
/// of the error says what it is.
fn in_custom_key_store(id: CustomKeyStoreId, error: Error) -> Error {
    if error.kind() != ErrorKind::KeyUnavailable {
        return error;
    }
    let text = format!("the key cannot be used in the custom key store {id}: {error}");
    Error::new(ErrorKind::InvalidState, text).with_source(error)
}

/// How a dry run ends that went well.
pub(in crate::kms) fn would_have_succeeded() -> Error {
    Error::new(ErrorKind::DryRun, "the request would have succeeded, but the DryRun option is set")
}

/// The error for a trail that does not take an event, so that nothing was done.
pub(in crate::kms) fn withheld(error: Error) -> Error {
    let text =
        format!("nothing was changed and no result is released, as the audit trail does not take the event: {error}");
    Error::new(ErrorKind::Audit, text).with_source(error)
}

/// The error for a trail that does not take the outcome of a change that was made.
pub(in crate::kms) fn incomplete(error: Error) -> Error {
    let text = format!(
        "the change was committed, but the audit trail is incomplete, as it does not take the outcome: {error}"
    );
    Error::new(ErrorKind::Audit, text).with_source(error)
}
