//! Who may do what: policies, grants, accounts and the management types of keys.

mod accounts;
mod delegated_grants;
mod grants;
pub(crate) mod management_types;
pub(crate) mod policies;
mod policy_decisions;
