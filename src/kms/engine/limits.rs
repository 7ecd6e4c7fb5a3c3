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
    /// Wrapping keys of each size that [`Kms::run_maintenance`](crate::Kms::run_maintenance) generates in advance once that size
    /// was requested: 2. If none is ready, [`Kms::get_parameters_for_import`](crate::Kms::get_parameters_for_import) generates one, which
    /// takes longer.
    pub prepared_wrapping_keys: usize,
    /// Keys cached in memory: 4,096. Other keys are read and opened again when they are used.
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
