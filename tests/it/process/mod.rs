//! Several processes: forks, kills, crashes, and shared work.

mod audit_crash;
mod crash;
#[cfg(unix)]
mod forks;
mod metering;
mod trail_kills;
