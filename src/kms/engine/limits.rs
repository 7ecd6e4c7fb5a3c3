//! Quotas.

use crate::key::OnDemandRotationLimit;

/// Quotas of a [`Kms`](crate::Kms), by default those of AWS KMS.
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
