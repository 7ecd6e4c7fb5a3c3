//! Branch keys: keys below a KMS key that wrap the data keys of many messages in this process.

mod item;
mod json;
mod key;
mod store;
mod transfer;
mod wrapper;

pub use item::BranchKeyItem;
pub use key::{BeaconKey, BranchKey, BranchKeyVersion, MAX_BRANCH_KEY_ID};
pub use store::BranchKeyStore;
pub use wrapper::{BranchKeyWrapper, KmsBranchKeyWrapper};
