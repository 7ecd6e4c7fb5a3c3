//! Lists: which part is wanted, and what the entries tell.

use crate::clock::Timestamp;
use crate::key::{
    AliasArn, AliasName, ExpirationModel, ImportState, KeyArn, KeyId, KeyMaterialId, KeyMaterialState, RotationType,
};

/// Which part of a list is wanted.
#[derive(Clone, Debug, Default)]
pub struct PageRequest {
    pub(in crate::kms) limit: Option<u32>,
    pub(in crate::kms) marker: Option<String>,
}

impl PageRequest {
    /// The most entries wanted. What is allowed, and the default, stands at each list operation.
    #[must_use]
    pub const fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Goes on where an earlier page ended: its [`Page::next_marker`].
    #[must_use]
    pub fn marker(mut self, marker: impl Into<String>) -> Self {
        self.marker = Some(marker.into());
        self
    }
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// What to ask for the next part with; `None` if this was the last.
    pub next_marker: Option<String>,
}

/// A key in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyListEntry {
    /// Its id.
    pub key_id: KeyId,
    /// Its ARN.
    pub key_arn: KeyArn,
}

/// An alias in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AliasListEntry {
    /// Its name.
    pub alias_name: AliasName,
    /// Its ARN.
    pub alias_arn: AliasArn,
    /// The key it stands for.
    pub target_key_id: KeyId,
    /// When it was made.
    pub creation_date: Timestamp,
    /// When it was made or last pointed elsewhere.
    pub last_updated_date: Timestamp,
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
