//! Helpers of several areas.

pub(crate) mod peer;
pub(crate) mod server;
