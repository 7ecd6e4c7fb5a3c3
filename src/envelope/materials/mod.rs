//! The materials of a message, and the managers that obtain them.

mod cache;
mod caching_manager;
mod data_key;
mod decryption;
mod encryption;
mod manager;
mod required_context;

pub use cache::{CacheStatistics, DEFAULT_CACHE_CAPACITY, DataKeyCache};
pub(crate) use cache::{CachedKey, Entrance, Terms};
pub use caching_manager::{
    CachingMaterialsManager, CachingMaterialsManagerBuilder, DEFAULT_MAX_MESSAGES, MAX_MESSAGES,
};
pub use decryption::DecryptionMaterials;
pub use encryption::EncryptionMaterials;
pub use manager::{IntoMaterialsManager, MaterialsManager};
pub use required_context::RequiredContextManager;
