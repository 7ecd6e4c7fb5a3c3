//! A clock that cannot be set and counts the time for which the machine was suspended.
//!
//! A bound that is measured with a clock that stands still meanwhile would still seem to hold when
//! the machine resumes, hours later.

use std::time::Duration;

/// Returns the time since the machine was started.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn uptime() -> Duration {
    duration(rustix::time::clock_gettime(rustix::time::ClockId::Boottime))
}

/// Returns the time since a fixed moment. On macOS, this clock counts suspended time.
#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
pub(super) fn uptime() -> Duration {
    duration(rustix::time::clock_gettime(rustix::time::ClockId::Monotonic))
}

#[cfg(unix)]
fn duration(time: rustix::time::Timespec) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Returns the time since the first call. On Windows, this clock counts suspended time.
#[cfg(not(unix))]
pub(super) fn uptime() -> Duration {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on() {
        let (start, before) = (std::time::Instant::now(), uptime());
        std::thread::sleep(Duration::from_millis(20));
        let (passed, elapsed) = (uptime() - before, start.elapsed());
        assert!(Duration::from_millis(20) <= passed && passed <= elapsed + Duration::from_millis(1), "{passed:?}");
    }
}
