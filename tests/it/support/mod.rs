//! Helpers that several tests share.

pub(crate) mod external_tools;
pub(crate) mod hooked_store;
pub(crate) mod openssl;
#[cfg(feature = "sqlite")]
pub(crate) mod parallel;
pub(crate) mod sdk_process;
pub(crate) mod tampering_store;
