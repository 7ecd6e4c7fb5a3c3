//! The handle that callers hold, and what all handles of one KMS share.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::connections::Connections;
use super::wrapping_keys::WrappingKeys;
use crate::audit::AuditSink;
use crate::crypto::CryptoBackend;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{AccountId, Locality, Principal, ServiceName};
use crate::key::{OnDemandRotationLimit, Origin};
use crate::kms::storage::audit_chain::ChainRecord;
use crate::kms::storage::message_count::MessageCounts;
use crate::kms::storage::registry::Registry;
use crate::kms::storage::trusted_time::TrustedClock;
use crate::kms::storage::usage_counters::Meter;
use crate::policy::Policy;
use crate::provider::{KeyMaterialProvider, ProviderId};

/// A key management service inside this process, seen through the eyes of one principal.
///
/// The handle is cheap to clone and may be used from many threads; all clones share one set of keys. The builder
/// returns the *authority*, which acts as the root of its account and can make narrower handles with
/// [`Kms::as_principal`] and [`Kms::as_service`]. A narrowed handle can not be widened again.
///
/// Every operation goes through one pipeline: the identifier is resolved, the record loaded, the caller authorised,
/// usage and state of the key checked, the material opened, the work done, and the event written to the audit trail
/// before the result is released.
///
/// | theme | operations |
/// |---|---|
/// | handles | [`in_memory`](Kms::in_memory), `open` (feature `sqlite`), [`builder`](Kms::builder), [`as_principal`](Kms::as_principal), [`as_service`](Kms::as_service), [`on_behalf_of`](Kms::on_behalf_of), [`principal`](Kms::principal), [`via_service`](Kms::via_service), [`locality`](Kms::locality) |
/// | keys | [`create_key`](Kms::create_key), [`describe_key`](Kms::describe_key), [`list_keys`](Kms::list_keys), [`update_key_description`](Kms::update_key_description), [`enable_key`](Kms::enable_key), [`disable_key`](Kms::disable_key) |
/// | access | [`put_key_policy`](Kms::put_key_policy), [`get_key_policy`](Kms::get_key_policy), [`list_key_policies`](Kms::list_key_policies), [`put_identity_policy`](Kms::put_identity_policy), [`get_identity_policy`](Kms::get_identity_policy), [`list_identity_policies`](Kms::list_identity_policies), [`delete_identity_policy`](Kms::delete_identity_policy) |
/// | grants | [`create_grant`](Kms::create_grant), [`list_grants`](Kms::list_grants), [`list_retirable_grants`](Kms::list_retirable_grants), [`retire_grant`](Kms::retire_grant), [`retire_grant_by_token`](Kms::retire_grant_by_token), [`revoke_grant`](Kms::revoke_grant) |
/// | tags | [`tag_resource`](Kms::tag_resource), [`untag_resource`](Kms::untag_resource), [`list_resource_tags`](Kms::list_resource_tags) |
/// | deletion | [`schedule_key_deletion`](Kms::schedule_key_deletion), [`cancel_key_deletion`](Kms::cancel_key_deletion) |
/// | aliases | [`create_alias`](Kms::create_alias), [`update_alias`](Kms::update_alias), [`delete_alias`](Kms::delete_alias), [`list_aliases`](Kms::list_aliases), [`list_aliases_of_key`](Kms::list_aliases_of_key) |
/// | rotation | [`enable_key_rotation`](Kms::enable_key_rotation), [`disable_key_rotation`](Kms::disable_key_rotation), [`get_key_rotation_status`](Kms::get_key_rotation_status), [`rotate_key_on_demand`](Kms::rotate_key_on_demand), [`list_key_rotations`](Kms::list_key_rotations) |
/// | import | [`get_parameters_for_import`](Kms::get_parameters_for_import), [`import_key_material`](Kms::import_key_material), [`delete_imported_key_material`](Kms::delete_imported_key_material) |
/// | cryptography | [`encrypt`](Kms::encrypt), [`decrypt`](Kms::decrypt), [`re_encrypt`](Kms::re_encrypt), [`generate_data_key`](Kms::generate_data_key), [`generate_data_key_without_plaintext`](Kms::generate_data_key_without_plaintext), [`generate_random`](Kms::generate_random), [`generate_random_in`](Kms::generate_random_in), [`generate_mac`](Kms::generate_mac), [`verify_mac`](Kms::verify_mac), [`sign`](Kms::sign), [`verify`](Kms::verify), [`derive_shared_secret`](Kms::derive_shared_secret), [`generate_data_key_pair`](Kms::generate_data_key_pair), [`generate_data_key_pair_without_plaintext`](Kms::generate_data_key_pair_without_plaintext), [`get_public_key`](Kms::get_public_key) |
/// | other stores | [`export_key`](Kms::export_key), [`export_all_keys`](Kms::export_all_keys), [`import_keys`](Kms::import_keys), [`export_deletions`](Kms::export_deletions), [`apply_deletions`](Kms::apply_deletions) |
/// | metering | [`metered_keys`](Kms::metered_keys), [`reset_metering`](Kms::reset_metering), [`get_key_last_usage`](Kms::get_key_last_usage) |
/// | custom key stores | [`create_custom_key_store`](Kms::create_custom_key_store), [`describe_custom_key_stores`](Kms::describe_custom_key_stores), [`describe_custom_key_store`](Kms::describe_custom_key_store), [`update_custom_key_store`](Kms::update_custom_key_store), [`connect_custom_key_store`](Kms::connect_custom_key_store), [`disconnect_custom_key_store`](Kms::disconnect_custom_key_store), [`delete_custom_key_store`](Kms::delete_custom_key_store), [`declare_successor`](Kms::declare_successor) |
/// | upkeep | [`run_maintenance`](Kms::run_maintenance), [`maintain_every`](Kms::maintain_every), [`confirm_clock`](Kms::confirm_clock), [`verify_store`](Kms::verify_store), [`rotate_root_key`](Kms::rotate_root_key), [`move_root_key`](Kms::move_root_key), [`root_key_status`](Kms::root_key_status) |
/// | audit trail | [`verify_audit_trail`](Kms::verify_audit_trail), [`verify_signed_audit_trail`](Kms::verify_signed_audit_trail), [`audit_chains`](Kms::audit_chains), [`forget_audit_chain`](Kms::forget_audit_chain) |
/// | tests | [`create_insecure_test_key`](Kms::create_insecure_test_key) |
///
/// # Examples
/// ```
/// use strongroom::{DecryptRequest, EncryptRequest, EncryptionContext, Kms};
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?;
/// let context = EncryptionContext::from([("purpose", "example")]);
/// let sealed = kms.encrypt(EncryptRequest::new(key.key_id(), b"four words").context(&context))?;
/// let opened = kms.decrypt(DecryptRequest::new(&sealed.ciphertext_blob).context(&context))?;
/// assert_eq!(opened.plaintext.expose_secret(), b"four words");
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone)]
pub struct Kms {
    pub(in crate::kms) core: Arc<Core>,
    pub(in crate::kms) principal: Principal,
    via: Option<ServiceName>,
    authority: bool,
}

/// What all handles share.
pub(in crate::kms) struct Core {
    pub(in crate::kms) registry: Registry,
    pub(in crate::kms) providers: Vec<Arc<dyn KeyMaterialProvider>>,
    /// Decides instead of policy documents and grants, if the application brought it.
    pub(in crate::kms) policy: Option<Arc<dyn Policy>>,
    pub(in crate::kms) audit: Arc<dyn AuditSink>,
    pub(in crate::kms) trail: Option<ChainRecord>,
    pub(in crate::kms) time: TrustedClock,
    pub(in crate::kms) backend: CryptoBackend,
    pub(in crate::kms) limits: KmsLimits,
    pub(in crate::kms) wrapping_keys: WrappingKeys,
    pub(in crate::kms) services: BTreeSet<ServiceName>,
    pub(in crate::kms) connections: Connections,
    pub(in crate::kms) message_counts: MessageCounts,
    pub(in crate::kms) meter: Meter,
    /// Whether keys of known material may be created.
    pub(in crate::kms) insecure_test_keys: bool,
}

/// Quotas of a [`Kms`], by default those of AWS KMS.
///
/// # Examples
/// ```
/// use strongroom::key::OnDemandRotationLimit;
/// use strongroom::{Kms, KmsLimits};
///
/// let kms = Kms::builder().limits(KmsLimits { on_demand_rotations: OnDemandRotationLimit::new(1), ..KmsLimits::default() }).build()?;
/// let key = kms.create_key(Default::default())?;
/// assert!(kms.rotate_key_on_demand(key.key_id()).is_ok());
/// assert!(kms.rotate_key_on_demand(key.key_id()).is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KmsLimits {
    /// On-demand rotations in the life of a key: 25.
    pub on_demand_rotations: OnDemandRotationLimit,
    /// Aliases of one key: 50.
    pub aliases_per_key: usize,
    /// Grants on one key: 50,000.
    pub grants_per_key: usize,
    /// Wrapping keys of each size that [`Kms::run_maintenance`] makes ahead once that size was asked for: 2. If none is
    /// ready, [`Kms::get_parameters_for_import`] makes one itself, and takes as long as that takes.
    pub prepared_wrapping_keys: usize,
    /// Keys held ready in memory; more are opened anew when they are used: 4,096.
    pub cached_keys: usize,
}

impl Default for KmsLimits {
    fn default() -> Self {
        Self {
            on_demand_rotations: OnDemandRotationLimit::DEFAULT,
            aliases_per_key: 50,
            grants_per_key: 50_000,
            prepared_wrapping_keys: 2,
            cached_keys: 4_096,
        }
    }
}

impl Kms {
    pub(in crate::kms) fn authority(core: Core, account: AccountId) -> Self {
        Self { core: Arc::new(core), principal: Principal::root(account), via: None, authority: true }
    }

    /// A handle of another principal, which is not the authority.
    pub(in crate::kms) fn narrowed(&self, principal: Principal, via: Option<ServiceName>) -> Self {
        Self { core: Arc::clone(&self.core), principal, via, authority: false }
    }

    /// The service that passes the calls of this handle on, if one does.
    pub const fn via_service(&self) -> Option<&ServiceName> {
        self.via.as_ref()
    }

    /// The principal that this handle acts as.
    pub const fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Partition and region of the ARNs of this KMS.
    pub fn locality(&self) -> &Locality {
        self.core.registry.locality()
    }

    pub(in crate::kms) const fn is_authority(&self) -> bool {
        self.authority
    }

    pub(in crate::kms) const fn account(&self) -> AccountId {
        self.principal.account()
    }
}

impl Core {
    /// The provider that makes keys of an origin.
    pub(in crate::kms) fn provider_of_origin(&self, origin: Origin) -> Option<&Arc<dyn KeyMaterialProvider>> {
        self.providers.iter().find(|provider| provider.origin() == origin)
    }

    /// The provider that a version of a key was made by.
    pub(in crate::kms) fn provider(&self, id: &ProviderId) -> Result<&Arc<dyn KeyMaterialProvider>> {
        self.providers.iter().find(|provider| provider.id() == id).ok_or_else(|| {
            let name = id.as_str();
            Error::new(ErrorKind::KeyUnavailable, format!("the provider {name} of this key is not configured"))
        })
    }
}

impl fmt::Debug for Kms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kms")
            .field("principal", &self.principal)
            .field("via", &self.via)
            .field("locality", self.core.registry.locality())
            .field("backend", &self.core.backend.name())
            .finish_non_exhaustive()
    }
}
