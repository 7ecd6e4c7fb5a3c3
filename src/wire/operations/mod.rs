//! The operations: each reads the members of its request, calls the method of [`Kms`](crate::Kms),
//! and names the members of the answer. An operation of AWS without an answer returns `None`.

pub(super) mod aliases;
pub(super) mod cipher;
pub(super) mod custom_key_stores;
pub(super) mod data_keys;
pub(super) mod grants;
pub(super) mod import;
pub(super) mod keys;
pub(super) mod policies;
pub(super) mod rotation;
pub(super) mod signing;
pub(super) mod tags;
