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
    /// Maximum number of on-demand rotations of a key. Defaults to 25.
    pub on_demand_rotations: OnDemandRotationLimit,
    /// Maximum number of aliases per key. Defaults to 50.
    pub aliases_per_key: usize,
    /// Maximum number of grants per key. Defaults to 50,000.
    pub grants_per_key: usize,
    /// Number of wrapping keys of each size that
    /// [`Kms::run_maintenance`](crate::Kms::run_maintenance) pre-generates once that size was
    /// requested. Defaults to 2. If none is ready,
    /// [`Kms::get_parameters_for_import`](crate::Kms::get_parameters_for_import) generates one,
    /// which takes longer.
    pub prepared_wrapping_keys: usize,
    /// Number of keys cached in memory. Defaults to 4,096. Other keys are read and opened again
    /// when they are used.
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
