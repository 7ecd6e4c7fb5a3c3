//! Handles for other principals, with fewer permissions than the authority's.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::identity::{AccountId, Locality, Principal, PrincipalKind};
use crate::kms::engine::handle::Kms;

/// Maximum length of a request ID, in characters.
const MAX_REQUEST_ID: usize = 128;

impl Kms {
    /// Creates a handle that acts as another principal, of the same or another account. Requires
    /// the authority's handle. A principal can be a session of a role, for which the policies of
    /// the role and the grants to it apply.
    ///
    /// # Errors
    /// - [`AccessDenied`](ErrorKind::AccessDenied) if this handle is itself narrowed, or if a
    ///   principal of [`AccountId::SERVICES`] is not a service.
    /// - [`Validation`](ErrorKind::Validation) if this KMS does not know the service, or if the ARN
    ///   of the principal is in another partition than `aws` and that of this KMS.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::identity::{AccountId, Principal};
    /// use strongroom::{ErrorKind, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let alice = kms.as_principal(Principal::user(AccountId::default(), "alice")?)?;
    /// let refused = alice.create_key(Default::default()).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::AccessDenied);
    /// assert!(alice.as_principal(Principal::root(AccountId::default())).is_err());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn as_principal(&self, principal: Principal) -> Result<Self> {
        self.authority_call("as_principal", |call_context| {
            call_context.event.parameters.push(("principal", principal.to_string().into()));
            self.check_partition(ErrorKind::Validation, &principal)?;
            match principal.as_service() {
                Some(service) if !self.core.settings.services.contains(service) => {
                    let text = format!("the service {service} is not registered: register it in the builder");
                    Err(Error::new(ErrorKind::Validation, text))
                }
                None if principal.account() == AccountId::SERVICES => {
                    let text = format!("only services can act in the account {}", AccountId::SERVICES);
                    Err(Error::new(ErrorKind::AccessDenied, text))
                }
                Some(_) | None => Ok(()),
            }
        })?;
        Ok(self.narrowed(principal, None))
    }

    /// Rejects a principal whose ARN is in another partition than `aws` and that of this KMS.
    pub(in crate::kms) fn check_partition(&self, kind: ErrorKind, principal: &Principal) -> Result<()> {
        let own = self.locality().partition();
        if [own, Locality::default().partition()].contains(&principal.partition()) {
            return Ok(());
        }
        Err(Error::new(kind, format!("{principal} is in another partition than this KMS, which is in {own}")))
    }

    /// Creates the handle of a service from its short name. Requires the authority's handle.
    ///
    /// With this handle, the service creates its own keys, which no account can see and which it
    /// uses for all accounts. It handles requests of callers with [`Kms::on_behalf_of`]. The known
    /// services are `s3`, `ebs`, `rds`, `redshift`, `ssm`, and those registered with the builder
    /// ([`KmsBuilder::service`](crate::KmsBuilder::service)).
    ///
    /// # Errors
    /// - [`AccessDenied`](ErrorKind::AccessDenied) if this handle is itself narrowed.
    /// - [`Validation`](ErrorKind::Validation) if the service is not known.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::key::KeyManager;
    /// use strongroom::request::{GenerateDataKeyRequest, PageRequest};
    ///
    /// let kms = Kms::in_memory()?;
    /// let s3 = kms.as_service("s3")?;
    /// let owned = s3.create_key(Default::default())?;
    /// assert_eq!(owned.manager(), KeyManager::Owned);
    /// assert!(s3.generate_data_key(GenerateDataKeyRequest::new(owned.key_id())).is_ok());
    /// assert!(kms.describe_key(owned.arn()).is_err());
    /// assert!(kms.list_keys(PageRequest::default())?.entries.is_empty());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn as_service(&self, name: &str) -> Result<Self> {
        let service = Principal::service(AccountId::SERVICES, name);
        self.as_principal(self.authority_call("as_service", |_| service)?)
    }

    /// Creates a handle with which a service forwards the requests of a caller. It has the caller's
    /// permissions, and policies see the service as `kms:ViaService`. The service-managed key in
    /// the caller's account, `alias/aws/<service>`, can be used only this way.
    ///
    /// The caller's own handle proves that the caller made the request: a service cannot act for a
    /// caller that did not pass it a handle.
    ///
    /// # Errors
    /// - [`AccessDenied`](ErrorKind::AccessDenied) if this is not the handle of a service, or if
    ///   the caller's handle is that of a service, belongs to another KMS, or was created by this
    ///   method.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::request::GenerateDataKeyRequest;
    ///
    /// let kms = Kms::in_memory()?;
    /// let s3 = kms.as_service("s3")?;
    /// let request = GenerateDataKeyRequest::new("alias/aws/s3");
    /// s3.on_behalf_of(&kms)?.generate_data_key(request.clone())?;
    /// assert!(kms.generate_data_key(request).is_err());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn on_behalf_of(&self, caller: &Self) -> Result<Self> {
        let _in_progress = self.core.gate.enter()?;
        let refused = |text: &'static str| {
            self.recorded(self.authority_event("on_behalf_of"), |_| Err(Error::new(ErrorKind::AccessDenied, text)))
        };
        let Some(service) = self.principal.as_service() else {
            return refused("only the handle of a service can act on behalf of a caller");
        };
        if caller.via_service().is_some() || caller.principal.kind() == PrincipalKind::Service {
            return refused("a service cannot act on behalf of another service");
        }
        if !Arc::ptr_eq(&self.core, &caller.core) {
            return refused("the caller's handle belongs to another KMS");
        }
        Ok(self.narrowed(caller.principal.clone(), Some(service.clone())))
    }

    /// Returns this handle for the calls of one request: their audit events contain its ID. The
    /// handle has the same rights. Handles that are created from it keep the ID.
    ///
    /// Use it to correlate the audit trail with the logs of the program, such as the request IDs of
    /// its server.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) unless the ID consists of 1 to 128 visible ASCII
    ///   characters, without spaces.
    /// - [`Closed`](ErrorKind::Closed) if the `Kms` was closed.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    ///
    /// use strongroom::Kms;
    /// use strongroom::audit::MemoryTrail;
    ///
    /// let trail = Arc::new(MemoryTrail::default());
    /// let kms = Kms::builder().audit(Arc::clone(&trail)).build()?;
    /// kms.with_request_id("6f3c2a4e-0b1d")?.list_keys(Default::default())?;
    /// assert_eq!(trail.events()[0].request_id.as_deref(), Some("6f3c2a4e-0b1d"));
    /// assert!(kms.with_request_id("two words").is_err());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn with_request_id(&self, id: &str) -> Result<Self> {
        let _in_progress = self.core.gate.enter()?;
        if (1..=MAX_REQUEST_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(self.of_request(id.into()));
        }
        let text = format!("a request id must be 1 to {MAX_REQUEST_ID} visible ASCII characters");
        let error = Error::new(ErrorKind::Validation, text);
        self.recorded(self.authority_event("with_request_id"), |_| Err(error))
    }
}
