//! Parameters and results of the operations on rotation.

use crate::clock::Timestamp;
use crate::key::{ExpirationModel, ImportState, KeyMaterialId, KeyMaterialState, RotationPeriod, RotationType};

/// What [`Kms::get_key_rotation_status`](crate::kms::Kms::get_key_rotation_status) tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GetKeyRotationStatusResponse {
    /// Whether the key rotates by itself. `false` while its deletion is pending.
    pub enabled: bool,
    /// How often, if it is enabled.
    pub rotation_period: Option<RotationPeriod>,
    /// When next, if it is enabled. This may lie in the past, also for long while the key is disabled: it rotates once it is enabled
    /// and makes a ciphertext, or maintenance runs.
    pub next_rotation_date: Option<Timestamp>,
}

/// One version of a key's material in the list of rotations.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RotationListEntry {
    /// The material.
    pub key_material_id: KeyMaterialId,
    /// Whether new ciphertexts are made under it.
    pub key_material_state: KeyMaterialState,
    /// How it came to be; `None` for the material that the key was created with.
    pub rotation_type: Option<RotationType>,
    /// When it became current; `None` for the material that the key was created with.
    pub rotation_date: Option<Timestamp>,
    /// Whether imported material is there; `None` for keys whose material was made here.
    pub import_state: Option<ImportState>,
    /// Whether imported material expires, while it is there.
    pub expiration_model: Option<ExpirationModel>,
    /// When imported material expires, if it does.
    pub valid_to: Option<Timestamp>,
    /// What was said of imported material.
    pub key_material_description: Option<String>,
}

/// Which versions of the material [`Kms::list_key_rotations`](crate::kms::Kms::list_key_rotations) lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum IncludeKeyMaterial {
    /// Those made by a rotation.
    #[default]
    RotationsOnly,
    /// All, with the first one.
    AllKeyMaterial,
}
