//! Keys in a token: created, found again by their CKA_ID, and verified before they are used.

pub(in crate::provider::pkcs11) mod adoption;
mod create;
mod destroy;
mod diagnosis;
pub(in crate::provider::pkcs11) mod disk_space;
mod proof;
pub(in crate::provider::pkcs11) mod public_key;
mod search;
mod template;

pub use create::KeyProtection;
pub(in crate::provider::pkcs11) use create::{generate, keep_provided, protection};
pub(in crate::provider::pkcs11) use destroy::{destroy, destroy_labelled};
pub(in crate::provider::pkcs11) use diagnosis::{key_is_well, token_is_well};
pub(in crate::provider::pkcs11) use proof::{prove, reference};
pub(in crate::provider::pkcs11) use search::{find_one, find_public, labels, objects, remaining_objects, resolve};
pub use template::NewKey;
pub(in crate::provider::pkcs11) use template::{ValueSource, passing_template, secret_template};
