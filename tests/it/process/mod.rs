//! Several processes: forks, kills, crashes, and work that processes share.

mod audit_crash;
mod crash;
#[cfg(unix)]
mod forks;
mod metering;
mod trail_kills;
