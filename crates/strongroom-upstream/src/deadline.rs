//! Bounds of the time that a call may take.

use std::time::Duration;

use strongroom::{Error, ErrorKind, Result};

/// The deadline of a call, retries included, unless the program sets another: 10 seconds.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);

/// The longest deadline: one hour.
pub const MAX_DEADLINE: Duration = Duration::from_secs(3_600);

/// Checks a deadline that a program sets.
///
/// # Errors
/// - [`ErrorKind::Validation`] if the deadline is zero or longer than [`MAX_DEADLINE`].
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use strongroom_upstream::{MAX_DEADLINE, check_deadline};
///
/// assert_eq!(check_deadline(MAX_DEADLINE)?, MAX_DEADLINE);
/// assert!(check_deadline(Duration::ZERO).is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
pub fn check_deadline(deadline: Duration) -> Result<Duration> {
    if deadline.is_zero() || deadline > MAX_DEADLINE {
        let text = format!("the deadline must be more than zero and at most {} s", MAX_DEADLINE.as_secs());
        return Err(Error::new(ErrorKind::Validation, text));
    }
    Ok(deadline)
}
