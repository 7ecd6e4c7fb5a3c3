//! Service managed keys: created when they are first needed, and used only by their service.

use super::call::AuthzRequest;
use super::change::{CallContext, Change, own_change};
use super::key_checks::{check_manager, unknown};
use super::recording::would_have_succeeded;
use crate::audit::{Action, AuditEvent, KeyResource};
use crate::error::Result;
use crate::identity::{AccountId, Principal, ServiceName};
use crate::key::{
    AliasName, KeyEvent, KeyId, KeyIdentifier, KeyManager, KeySpec, KeyState, KeyUsage, Operation, Origin,
    RotationPeriod,
};
use crate::kms::engine::core::Core;
use crate::kms::engine::handle::Kms;
use crate::kms::records::alias::AliasRecord;
use crate::kms::records::key::{KeyRecord, Rotation};
use crate::kms::storage::edit::Edit;
use crate::kms::storage::loaded_key::LoadedKey;
use crate::kms::storage::retry::retriable;

/// The services that every KMS knows. The builder can add more.
pub(in crate::kms) const SERVICES: [&str; 5] = ["s3", "ebs", "rds", "redshift", "ssm"];

/// Returns the service that an alias is reserved for: the part after `alias/aws/`.
pub(in crate::kms) fn service_of(alias: &AliasName) -> Option<ServiceName> {
    ServiceName::parse(alias.as_str().strip_prefix("alias/aws/")?).ok()
}

impl Kms {
    /// Creates the key behind a predefined alias of the caller's account, if the caller is
    /// authorized for the requested operation. Afterwards the alias refers to a key, which another
    /// process may have created.
    pub(in crate::kms) fn make_service_key(
        &self,
        call_context: &mut CallContext,
        question: &AuthzRequest<'_>,
        alias: &AliasName,
        identifier: &KeyIdentifier,
    ) -> Result<()> {
        let operation = question.operation;
        let service = service_of(alias)
            .filter(|service| self.account() != AccountId::SERVICES && self.core.settings.services.contains(service));
        let service = service.ok_or_else(|| unknown(self.locality(), self.account(), identifier))?;
        // A caller that may describe keys can see the key that the service would use. For other
        // operations, only the service itself can trigger the creation.
        if operation != Operation::DescribeKey && self.via_service() != Some(&service) {
            return Err(unknown(self.locality(), self.account(), identifier));
        }
        let record = self.new_service_key(service, call_context)?;
        let key = LoadedKey::new(record, self.locality());
        self.permit(call_context, question, identifier, &key)?;
        check_manager(operation, &key, self.via_service())?;
        operation.check_key_usage(key.record.usage, &key.arn)?;
        if call_context.event.dry_run {
            return Err(would_have_succeeded());
        }
        put_service_key(&self.core, key.record, alias)
    }

    fn new_service_key(&self, service: ServiceName, call_context: &CallContext) -> Result<KeyRecord> {
        let mut random = [0; 16];
        self.core.material.backend.random().fill(&mut random)?;
        let (now, period) = (call_context.now(), RotationPeriod::default());
        let mut record = KeyRecord {
            manager: KeyManager::Service,
            rotation: Some(Rotation { period, next: now.plus_days(period.days()) }),
            service: Some(service),
            ..KeyRecord::new(
                self.account(),
                KeyId::from_random_bytes(random),
                KeySpec::SymmetricDefault,
                KeyUsage::EncryptDecrypt,
                Origin::Kms,
                now,
            )
        };
        self.core.add_version(&mut record, now, None)?;
        record.state = record.state.next(KeyEvent::CreatedWithMaterial).unwrap_or(KeyState::Enabled);
        Ok(record)
    }
}

/// Commits a service managed key with its alias. If another process was faster, its key is kept.
fn put_service_key(core: &Core, mut record: KeyRecord, alias: &AliasName) -> Result<()> {
    let (account, key_id, now) = (record.account, record.key_id, record.created);
    record.aliases.insert(alias.clone());
    let mut event = AuditEvent::new(now, Action::CreateServiceKey, Principal::root(account));
    event.keys[0] = Some(KeyResource { account, key_id });
    event.via_service = record.service.clone();
    let alias_record = AliasRecord { target: key_id, created: now, updated: now };
    let edits =
        vec![Edit::put_key(record, None), Edit::put(AliasRecord::record_id(account, alias), &alias_record, None)?];
    own_change(core, event, |call_context| {
        let committed = retriable(Change::new(core, call_context).announce()?.commit(edits))?;
        committed.map(|committed| committed.finish(())).transpose()
    })
    .map(drop)
}
