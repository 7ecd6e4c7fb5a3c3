//! Time windows, rotation periods, and limits of a key's life cycle, each within the bounds of the
//! service.

use super::KeyId;
use crate::error::{Error, ErrorKind, Result};

/// Declares a number of days within bounds.
macro_rules! days {
    ($(#[$doc:meta])* $name:ident as $what:literal, $least:literal to $most:literal, default $default:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u32);

        impl $name {
            /// The minimum number of days.
            pub const MIN: Self = Self($least);
            /// The maximum number of days.
            pub const MAX: Self = Self($most);

            /// Creates a value from a number of days.
            ///
            /// # Errors
            /// - [`Validation`](ErrorKind::Validation) if the number is not in the range
            ///   [`Self::MIN`] to [`Self::MAX`].
            pub fn from_days(days: u32) -> Result<Self> {
                if (Self::MIN.0..=Self::MAX.0).contains(&days) {
                    return Ok(Self(days));
                }
                let message = format!(concat!($what, " must be {} to {} days, not {}"), Self::MIN.0, Self::MAX.0, days);
                Err(Error::new(ErrorKind::Validation, message))
            }

            /// Returns the number of days.
            pub const fn days(self) -> u32 {
                self.0
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self($default)
            }
        }
    };
}

days! {
    /// The waiting period in which a scheduled deletion can be canceled: 7 to 30 days, 30 by
    /// default.
    ///
    /// # Examples
    /// ```
    /// use strongroom::ErrorKind;
    /// use strongroom::key::DeletionWindow;
    ///
    /// assert_eq!(DeletionWindow::default().days(), 30);
    /// assert_eq!(DeletionWindow::from_days(7)?, DeletionWindow::MIN);
    /// assert_eq!(DeletionWindow::from_days(6).unwrap_err().kind(), ErrorKind::Validation);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    DeletionWindow as "the pending window of the deletion", 7 to 30, default 30
}

days! {
    /// The interval between automatic rotations: 90 to 2560 days, 365 by default.
    ///
    /// # Examples
    /// ```
    /// use strongroom::ErrorKind;
    /// use strongroom::key::RotationPeriod;
    ///
    /// assert_eq!(RotationPeriod::default().days(), 365);
    /// assert_eq!(RotationPeriod::from_days(90)?, RotationPeriod::MIN);
    /// assert_eq!(RotationPeriod::from_days(30).unwrap_err().kind(), ErrorKind::Validation);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    RotationPeriod as "the rotation period", 90 to 2560, default 365
}

/// The maximum number of on-demand rotations in the lifetime of a key. By default 25.
///
/// # Examples
/// ```
/// use strongroom::ErrorKind;
/// use strongroom::key::{KeyId, OnDemandRotationLimit};
///
/// let (limit, key) = (OnDemandRotationLimit::new(2), KeyId::from_bytes([0; 16]));
/// assert!(limit.check(1, key).is_ok());
/// assert_eq!(limit.check(2, key).unwrap_err().kind(), ErrorKind::LimitExceeded);
/// assert_eq!(OnDemandRotationLimit::default().rotations(), 25);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OnDemandRotationLimit(u32);

impl OnDemandRotationLimit {
    /// The limit of the service, which was 10 before 2025.
    pub const DEFAULT: Self = Self(25);

    /// Creates a limit of `rotations`. Zero forbids on-demand rotation.
    pub const fn new(rotations: u32) -> Self {
        Self(rotations)
    }

    /// Returns the number of rotations.
    pub const fn rotations(self) -> u32 {
        self.0
    }

    /// Rejects another rotation of a key that has already been rotated `done` times.
    ///
    /// # Errors
    /// - [`LimitExceeded`](ErrorKind::LimitExceeded) if `done` has reached the limit.
    pub fn check(self, done: u32, key: KeyId) -> Result<()> {
        if done < self.0 {
            return Ok(());
        }
        let message = format!("The on-demand rotations limit has been reached for the given keyId: {key}");
        Err(Error::new(ErrorKind::LimitExceeded, message))
    }
}

impl Default for OnDemandRotationLimit {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deletion_waits_7_to_30_days() {
        for (days, fits) in [(0, false), (6, false), (7, true), (30, true), (31, false), (u32::MAX, false)] {
            assert_eq!(DeletionWindow::from_days(days).is_ok_and(|window| window.days() == days), fits, "{days}");
        }
        assert_eq!(DeletionWindow::default().days(), 30);
    }

    #[test]
    fn a_rotation_period_is_90_to_2560_days() {
        for (days, fits) in [(0, false), (89, false), (90, true), (2560, true), (2561, false)] {
            assert_eq!(RotationPeriod::from_days(days).is_ok_and(|period| period.days() == days), fits, "{days}");
        }
        assert_eq!(RotationPeriod::default().days(), 365);
    }

    #[test]
    fn the_error_says_bounds_and_value() {
        let error = RotationPeriod::from_days(7).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Validation);
        assert_eq!(error.to_string(), "the rotation period must be 90 to 2560 days, not 7");
    }

    #[test]
    fn the_last_rotation_on_demand_is_the_25th() {
        let key = KeyId::from_bytes([1; 16]);
        assert!(OnDemandRotationLimit::default().check(24, key).is_ok());
        let error = OnDemandRotationLimit::default().check(25, key).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitExceeded);
        assert!(error.to_string().contains(&key.to_string()));
        assert!(OnDemandRotationLimit::new(0).check(0, key).is_err());
        assert_eq!(OnDemandRotationLimit::new(10).rotations(), 10);
    }
}
