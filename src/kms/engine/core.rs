//! The state that all handles of one KMS share, split into parts by concern.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::audit_log::AuditLog;
use super::connections::Hsms;
use super::copy_guard::CopyGuard;
use super::due_keys::KeptDueKeys;
use super::gate::Gate;
use super::limits::KmsLimits;
use super::material::Material;
use super::metering::Metering;
use crate::identity::ServiceName;
use crate::kms::storage::registry::Registry;
use crate::kms::storage::trusted_time::TrustedClock;
use crate::policy::Policy;

/// The parts of one KMS. A method that needs a single part is a method of that part. `impl Core`
/// contains only methods that combine several parts.
pub(in crate::kms) struct Core {
    /// The keys, and everything else in the store.
    pub(in crate::kms) registry: Registry,
    pub(in crate::kms) material: Material,
    pub(in crate::kms) hsms: Hsms,
    pub(in crate::kms) audit: AuditLog,
    pub(in crate::kms) time: TrustedClock,
    pub(in crate::kms) metering: Metering,
    pub(in crate::kms) due_keys: KeptDueKeys,
    pub(in crate::kms) settings: Settings,
    pub(in crate::kms) gate: Gate,
}

/// Settings of the builder, which never change.
pub(in crate::kms) struct Settings {
    /// Decides instead of policy documents and grants, if the application supplies a custom policy.
    pub(in crate::kms) policy: Option<Arc<dyn Policy>>,
    pub(in crate::kms) limits: KmsLimits,
    pub(in crate::kms) services: BTreeSet<ServiceName>,
    /// Allows keys with known material.
    pub(in crate::kms) insecure_test_keys: bool,
}

impl Drop for Core {
    fn drop(&mut self) {
        if self.gate.steps().is_saved {
            return;
        }
        // Without this, truncation of the events since the last change or maintenance would not be
        // detected.
        let _ = self.audit.save_chain(&self.registry);
        // Adds the counts since the last maintenance. A killed process loses them, as the manual
        // says.
        let _ = self.metering.add_usage(&self.registry);
    }
}

impl Core {
    /// Returns the guard against copies of this store.
    pub(in crate::kms) const fn copy_guard(&self) -> CopyGuard<'_> {
        CopyGuard { registry: &self.registry, random: self.material.backend.random(), time: &self.time }
    }
}
