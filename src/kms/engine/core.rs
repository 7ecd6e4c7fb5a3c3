//! What all handles of one KMS share, in parts that each hold the fields of one concern.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::audit_log::AuditLog;
use super::connections::Connections;
use super::limits::KmsLimits;
use super::metering::Metering;
use super::wrapping_keys::WrappingKeys;
use crate::crypto::CryptoBackend;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::ServiceName;
use crate::key::Origin;
use crate::kms::storage::registry::Registry;
use crate::kms::storage::trusted_time::TrustedClock;
use crate::policy::Policy;
use crate::provider::{KeyMaterialProvider, ProviderId};

/// The parts of one KMS. A method that needs one of them is a method of that part. `impl Core` is left to what combines several.
pub(in crate::kms) struct Core {
    /// The keys, and everything else in the store.
    pub(in crate::kms) registry: Registry,
    pub(in crate::kms) providers: Vec<Arc<dyn KeyMaterialProvider>>,
    pub(in crate::kms) backend: CryptoBackend,
    pub(in crate::kms) wrapping_keys: WrappingKeys,
    pub(in crate::kms) connections: Connections,
    pub(in crate::kms) audit: AuditLog,
    pub(in crate::kms) time: TrustedClock,
    pub(in crate::kms) metering: Metering,
    pub(in crate::kms) settings: Settings,
}

/// What the builder was told and what never changes.
pub(in crate::kms) struct Settings {
    /// Decides instead of policy documents and grants, if the application has its own.
    pub(in crate::kms) policy: Option<Arc<dyn Policy>>,
    pub(in crate::kms) limits: KmsLimits,
    pub(in crate::kms) services: BTreeSet<ServiceName>,
    /// Allows keys of known material.
    pub(in crate::kms) insecure_test_keys: bool,
}

impl Drop for Core {
    fn drop(&mut self) {
        // Without this, truncation of the events since the last change or maintenance would not be detected.
        let _ = self.audit.save_chain(&self.registry);
        // What was counted since the last maintenance; the manual says that a process that is killed loses it.
        let _ = self.metering.add_usage(&self.registry);
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
