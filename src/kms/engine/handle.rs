//! The handle that callers hold.

use std::fmt;
use std::sync::Arc;

use super::core::Core;
use crate::identity::{AccountId, Locality, Principal, ServiceName};

/// A key management service in this process, accessed as one principal.
///
/// The handle is cheap to clone and can be used from many threads; all clones share one set of
/// keys. The builder returns the *authority*, which acts as the root of its account and can create
/// narrower handles with [`Kms::as_principal`] and [`Kms::as_service`]. A narrowed handle cannot be
/// widened again.
///
/// Every operation runs through one pipeline. It resolves the identifier, loads the record,
/// authorizes the caller, checks the usage and state of the key, opens the material, and performs
/// the operation. It writes the event to the audit log before it releases the result.
///
/// With the feature `tracing`, every operation runs in a [span](#spans). A [recorder of
/// metrics](crate::KmsBuilder::metrics) receives its result and duration.
///
/// | topic | operations |
/// |---|---|
/// | handles | [`in_memory`](Kms::in_memory), `open` (feature `sqlite`), [`builder`](Kms::builder), [`as_principal`](Kms::as_principal), [`as_service`](Kms::as_service), [`on_behalf_of`](Kms::on_behalf_of), [`with_request_id`](Kms::with_request_id), [`request_id`](Kms::request_id), [`principal`](Kms::principal), [`via_service`](Kms::via_service), [`locality`](Kms::locality), [`close`](Kms::close), [`is_closed`](Kms::is_closed) |
/// | keys | [`create_key`](Kms::create_key), [`get_or_create_key`](Kms::get_or_create_key), [`describe_key`](Kms::describe_key), [`list_keys`](Kms::list_keys), [`update_key_description`](Kms::update_key_description), [`enable_key`](Kms::enable_key), [`disable_key`](Kms::disable_key), [`keys`](Kms::keys) |
/// | access | [`put_key_policy`](Kms::put_key_policy), [`get_key_policy`](Kms::get_key_policy), [`list_key_policies`](Kms::list_key_policies), [`put_identity_policy`](Kms::put_identity_policy), [`get_identity_policy`](Kms::get_identity_policy), [`list_identity_policies`](Kms::list_identity_policies), [`delete_identity_policy`](Kms::delete_identity_policy), [`key_policies`](Kms::key_policies) |
/// | grants | [`create_grant`](Kms::create_grant), [`list_grants`](Kms::list_grants), [`list_retirable_grants`](Kms::list_retirable_grants), [`retire_grant`](Kms::retire_grant), [`retire_grant_by_token`](Kms::retire_grant_by_token), [`revoke_grant`](Kms::revoke_grant), [`grants`](Kms::grants), [`retirable_grants`](Kms::retirable_grants) |
/// | tags | [`tag_resource`](Kms::tag_resource), [`untag_resource`](Kms::untag_resource), [`list_resource_tags`](Kms::list_resource_tags), [`resource_tags`](Kms::resource_tags) |
/// | deletion | [`schedule_key_deletion`](Kms::schedule_key_deletion), [`cancel_key_deletion`](Kms::cancel_key_deletion) |
/// | aliases | [`create_alias`](Kms::create_alias), [`update_alias`](Kms::update_alias), [`delete_alias`](Kms::delete_alias), [`list_aliases`](Kms::list_aliases), [`list_aliases_of_key`](Kms::list_aliases_of_key), [`aliases`](Kms::aliases), [`aliases_of_key`](Kms::aliases_of_key) |
/// | rotation | [`enable_key_rotation`](Kms::enable_key_rotation), [`disable_key_rotation`](Kms::disable_key_rotation), [`get_key_rotation_status`](Kms::get_key_rotation_status), [`rotate_key_on_demand`](Kms::rotate_key_on_demand), [`list_key_rotations`](Kms::list_key_rotations), [`key_rotations`](Kms::key_rotations) |
/// | import | [`get_parameters_for_import`](Kms::get_parameters_for_import), [`import_key_material`](Kms::import_key_material), [`delete_imported_key_material`](Kms::delete_imported_key_material) |
/// | cryptography | [`encrypt`](Kms::encrypt), [`decrypt`](Kms::decrypt), [`re_encrypt`](Kms::re_encrypt), [`generate_data_key`](Kms::generate_data_key), [`generate_data_key_without_plaintext`](Kms::generate_data_key_without_plaintext), [`generate_random`](Kms::generate_random), [`generate_random_in`](Kms::generate_random_in), [`generate_mac`](Kms::generate_mac), [`verify_mac`](Kms::verify_mac), [`sign`](Kms::sign), [`verify`](Kms::verify), [`derive_shared_secret`](Kms::derive_shared_secret), [`encapsulate`](Kms::encapsulate), [`decapsulate`](Kms::decapsulate), [`generate_data_key_pair`](Kms::generate_data_key_pair), [`generate_data_key_pair_without_plaintext`](Kms::generate_data_key_pair_without_plaintext), [`get_public_key`](Kms::get_public_key) |
/// | other stores | [`export_key`](Kms::export_key), [`export_all_keys`](Kms::export_all_keys), [`import_keys`](Kms::import_keys), [`export_deletions`](Kms::export_deletions), [`apply_deletions`](Kms::apply_deletions) |
/// | metering | [`metered_keys`](Kms::metered_keys), [`reset_metering`](Kms::reset_metering), [`get_key_last_usage`](Kms::get_key_last_usage) |
/// | custom key stores | [`create_custom_key_store`](Kms::create_custom_key_store), [`describe_custom_key_stores`](Kms::describe_custom_key_stores), [`describe_custom_key_store`](Kms::describe_custom_key_store), [`describe_custom_key_store_by_name`](Kms::describe_custom_key_store_by_name), [`update_custom_key_store`](Kms::update_custom_key_store), [`connect_custom_key_store`](Kms::connect_custom_key_store), [`disconnect_custom_key_store`](Kms::disconnect_custom_key_store), [`delete_custom_key_store`](Kms::delete_custom_key_store), [`declare_successor`](Kms::declare_successor), [`custom_key_stores`](Kms::custom_key_stores) |
/// | maintenance | [`run_maintenance`](Kms::run_maintenance), [`maintain_every`](Kms::maintain_every), [`confirm_clock`](Kms::confirm_clock), [`verify_store`](Kms::verify_store), [`rotate_root_key`](Kms::rotate_root_key), [`rotate_root_key_with_progress`](Kms::rotate_root_key_with_progress), [`move_root_key`](Kms::move_root_key), [`move_root_key_with_progress`](Kms::move_root_key_with_progress), [`root_key_status`](Kms::root_key_status) |
/// | audit log | [`verify_audit_trail`](Kms::verify_audit_trail), [`verify_signed_audit_trail`](Kms::verify_signed_audit_trail), [`audit_chains`](Kms::audit_chains), [`forget_audit_chain`](Kms::forget_audit_chain), [`record_refused_requests`](Kms::record_refused_requests) |
/// | tests | [`create_insecure_test_key`](Kms::create_insecure_test_key) |
///
/// # Errors of every operation
/// Each operation documents the errors that are specific to it. In addition, any operation can
/// return the following:
///
/// - [`AccessDenied`](crate::ErrorKind::AccessDenied) if no policy and no grant allows the caller
///   to perform the operation, or a policy denies it.
/// - [`NotFound`](crate::ErrorKind::NotFound) if the key belongs to another account and the caller
///   may not use it, or if the text that identifies the key is malformed.
/// - [`InvalidArn`](crate::ErrorKind::InvalidArn) if the text that identifies the key is a
///   malformed ARN, or an alias although the operation accepts only key IDs and key ARNs.
///   [`Kms::create_alias`] and [`Kms::update_alias`] report the latter as
///   [`Validation`](crate::ErrorKind::Validation).
/// - [`InvalidGrantToken`](crate::ErrorKind::InvalidGrantToken) if the request contains a grant
///   token that this `Kms` did not create, and [`Validation`](crate::ErrorKind::Validation) if it
///   contains more than 10 of them.
/// - [`UnsupportedOperation`](crate::ErrorKind::UnsupportedOperation) if a service manages the key
///   and the operation is for customer managed keys only.
/// - [`DryRun`](crate::ErrorKind::DryRun) if the request is a dry run and would have succeeded.
/// - [`Conflict`](crate::ErrorKind::Conflict) if concurrent changes to the same key kept succeeding
///   first. Try again.
/// - [`KeyUnavailable`](crate::ErrorKind::KeyUnavailable) if the material of the key is in a custom
///   provider that cannot be reached. For a key in a custom key store, it is
///   [`InvalidState`](crate::ErrorKind::InvalidState), as in AWS KMS.
/// - [`Store`](crate::ErrorKind::Store) if the store cannot be read or written.
/// - [`RootKey`](crate::ErrorKind::RootKey) if another process has moved the root key to another
///   holder.
/// - [`Integrity`](crate::ErrorKind::Integrity) if the store was modified, or does not match its
///   anchor.
/// - [`Audit`](crate::ErrorKind::Audit) if the audit trail rejects the event. The message says
///   whether a change was committed.
/// - [`Internal`](crate::ErrorKind::Internal) if the operating system provides no randomness, or a
///   provider violates its contract.
///
/// # Spans
/// With the feature `tracing`, a subscriber sees every operation as a span named `kms`, with the
/// level `INFO` and the target `strongroom`. Without a subscriber, a span costs a few instructions.
///
/// | field | value |
/// |---|---|
/// | `kms.operation` | the name of the operation, such as `Decrypt`, or of a method that only the authority may call, such as `run_maintenance` |
/// | `kms.key_id` | the IDs of the keys that its audit event lists, separated by a space |
/// | `kms.result` | `success` or `failure` |
/// | `error.type` | after a failure, the `errorCode` of the audit trail, such as `AccessDeniedException` |
///
/// Its slow steps are child spans with the level `DEBUG`: `store.read` (a record that is not cached),
/// `store.commit`, `key.open` (key material that is not cached), `hsm.call` (a call to a PKCS#11
/// token, with its retries) and `audit.write`. No span contains plaintext, key material or an
/// encryption context.
///
/// # Examples
/// ```
/// use strongroom::request::{DecryptRequest, EncryptRequest};
/// use strongroom::{EncryptionContext, Kms};
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
    request_id: Option<Arc<str>>,
}

impl Kms {
    pub(in crate::kms) fn authority(core: Core, account: AccountId) -> Self {
        let principal = Principal::root(account).with_partition_of(core.registry.locality());
        Self { core: Arc::new(core), principal, via: None, authority: true, request_id: None }
    }

    /// Returns a handle for another principal, which is not the authority.
    pub(in crate::kms) fn narrowed(&self, principal: Principal, via: Option<ServiceName>) -> Self {
        let principal = principal.with_partition_of(self.locality());
        Self { core: Arc::clone(&self.core), principal, via, authority: false, request_id: self.request_id.clone() }
    }

    /// Returns the same handle for the calls of one request.
    pub(in crate::kms) fn of_request(&self, id: Arc<str>) -> Self {
        Self { request_id: Some(id), ..self.clone() }
    }

    /// Returns the ID of the request that the calls of this handle belong to, if it was created with
    /// one.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    ///
    /// let kms = Kms::in_memory()?;
    /// assert_eq!(kms.request_id(), None);
    /// assert_eq!(kms.with_request_id("order-17")?.request_id(), Some("order-17"));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// Returns the ID of the request for an audit event.
    pub(in crate::kms) fn shared_request_id(&self) -> Option<Arc<str>> {
        self.request_id.clone()
    }

    /// Returns the service that forwards the calls of this handle, if there is one.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    ///
    /// let kms = Kms::in_memory()?;
    /// assert_eq!(kms.via_service(), None);
    /// let forwarded = kms.as_service("s3")?.on_behalf_of(&kms)?;
    /// assert_eq!(forwarded.via_service().map(|service| service.as_str()), Some("s3"));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub const fn via_service(&self) -> Option<&ServiceName> {
        self.via.as_ref()
    }

    /// Returns the principal that this handle acts as.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::identity::{AccountId, Principal};
    ///
    /// let kms = Kms::in_memory()?;
    /// assert!(kms.principal().is_account_root());
    /// let alice = Principal::user(AccountId::default(), "alice")?;
    /// assert_eq!(kms.as_principal(alice.clone())?.principal(), &alice);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub const fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Returns the partition and region of the ARNs of this KMS.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    ///
    /// let kms = Kms::in_memory()?;
    /// assert_eq!((kms.locality().partition(), kms.locality().region()), ("aws", "local"));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
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

impl fmt::Debug for Kms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kms")
            .field("principal", &self.principal)
            .field("via", &self.via)
            .field("request_id", &self.request_id)
            .field("locality", self.core.registry.locality())
            .field("backend", &self.core.material.backend.name())
            .finish_non_exhaustive()
    }
}
