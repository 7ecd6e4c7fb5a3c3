//! Authorization: policies, grants, accounts, and the management types of keys.

mod accounts;
mod delegated_grants;
mod grants;
mod management_types;
mod partitions;
mod policies;
mod policy_decisions;
mod sessions;
