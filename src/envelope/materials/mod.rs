//! The materials of a message, and the managers that obtain them.

mod cache;
mod caching_manager;
mod encryption;
mod manager;
mod required_context;

pub use cache::{CacheStatistics, DEFAULT_CACHE_CAPACITY, DataKeyCache};
pub use caching_manager::{
    CachingMaterialsManager, CachingMaterialsManagerBuilder, DEFAULT_MAX_MESSAGES, MAX_MESSAGES,
};
pub use encryption::{DecryptionMaterials, EncryptionMaterials};
pub use manager::{DefaultMaterialsManager, MaterialsManager};
pub use required_context::RequiredContextManager;
