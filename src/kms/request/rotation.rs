//! Parameters and results of rotation operations.

use super::setters::key_id_accessor;
use crate::clock::Timestamp;
use crate::key::{ExpirationModel, ImportState, KeyArn, KeyMaterialId, KeyMaterialState, RotationPeriod, RotationType};
use crate::text::string_enum;

/// The result of [`Kms::get_key_rotation_status`](crate::kms::Kms::get_key_rotation_status).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GetKeyRotationStatusResponse {
    /// The key.
    pub key_arn: KeyArn,
    /// `true` if the key rotates automatically. `false` while its deletion is pending.
    pub enabled: bool,
    /// The rotation period, if automatic rotation is enabled.
    pub rotation_period: Option<RotationPeriod>,
    /// The next rotation time, if automatic rotation is enabled. It may be in the past, even far in
    /// the past while the key is disabled. Once the key is enabled again, it rotates when it next
    /// encrypts or when maintenance runs.
    pub next_rotation_date: Option<Timestamp>,
}

/// One version of a key's material in the list of rotations.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RotationListEntry {
    /// The key.
    pub key_arn: KeyArn,
    /// The material.
    pub key_material_id: KeyMaterialId,
    /// Indicates whether new ciphertexts are encrypted under the material.
    pub key_material_state: KeyMaterialState,
    /// The type of the rotation, or `None` for the material that the key was created with.
    pub rotation_type: Option<RotationType>,
    /// The time at which the material became current, or `None` for the material that the key was
    /// created with.
    pub rotation_date: Option<Timestamp>,
    /// Indicates whether imported material is present, or `None` for locally generated material.
    pub import_state: Option<ImportState>,
    /// Indicates whether imported material expires, while it is present.
    pub expiration_model: Option<ExpirationModel>,
    /// The expiration time of imported material, if it expires.
    pub valid_to: Option<Timestamp>,
    /// The description of imported material.
    pub key_material_description: Option<String>,
}

string_enum! {
    /// Selects the versions of key material that
    /// [`Kms::list_key_rotations`](crate::kms::Kms::list_key_rotations) lists.
    ///
    /// # Examples
    /// ```
    /// use strongroom::request::IncludeKeyMaterial;
    ///
    /// assert_eq!(IncludeKeyMaterial::default(), IncludeKeyMaterial::RotationsOnly);
    /// assert_eq!(IncludeKeyMaterial::parse("ALL_KEY_MATERIAL")?, IncludeKeyMaterial::AllKeyMaterial);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub enum IncludeKeyMaterial as "selection of key material" {
        /// Lists only versions created by a rotation.
        RotationsOnly => "ROTATIONS_ONLY",
        /// Lists all versions, including the first one.
        AllKeyMaterial => "ALL_KEY_MATERIAL",
    }
}

impl Default for IncludeKeyMaterial {
    /// Returns [`IncludeKeyMaterial::RotationsOnly`].
    fn default() -> Self {
        Self::RotationsOnly
    }
}

key_id_accessor!(GetKeyRotationStatusResponse, RotationListEntry);
