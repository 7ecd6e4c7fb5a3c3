//! What the import of key material takes and returns.

use super::key_reference::KeyReference;
use crate::algorithm::{WrappingAlgorithm, WrappingKeySpec};
use crate::clock::Timestamp;
use crate::key::{ImportType, KeyArn, KeyMaterialId};

/// What [`Kms::get_parameters_for_import`](crate::Kms::get_parameters_for_import) takes.
#[derive(Clone, Debug)]
pub struct GetParametersForImportRequest<K> {
    pub(in crate::kms) key: K,
    pub(in crate::kms) wrapping_algorithm: WrappingAlgorithm,
    pub(in crate::kms) wrapping_key_spec: WrappingKeySpec,
}

impl<K: KeyReference> GetParametersForImportRequest<K> {
    /// Asks for a wrapping key of this kind, for material that will be wrapped like this.
    pub const fn new(key: K, wrapping_algorithm: WrappingAlgorithm, wrapping_key_spec: WrappingKeySpec) -> Self {
        Self { key, wrapping_algorithm, wrapping_key_spec }
    }
}

/// What [`Kms::get_parameters_for_import`](crate::Kms::get_parameters_for_import) returns.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GetParametersForImportResponse {
    /// The key that waits for material.
    pub key_arn: KeyArn,
    /// The wrapping key: an RSA public key, SubjectPublicKeyInfo in DER (RFC 5280, section 4.1.2.7).
    pub public_key: Vec<u8>,
    /// What must come back with the wrapped material, unchanged: at most 6,144 bytes.
    pub import_token: Vec<u8>,
    /// The end of the 24 hours in which both can be used.
    pub parameters_valid_to: Timestamp,
}

/// When imported material is deleted by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kms) enum Expiration {
    At(Timestamp),
    Never,
}

/// What [`Kms::import_key_material`](crate::Kms::import_key_material) takes. Whether the material expires must be said, with
/// [`valid_to`](Self::valid_to) or [`does_not_expire`](Self::does_not_expire).
#[derive(Clone, Debug)]
pub struct ImportKeyMaterialRequest<'a, K> {
    pub(in crate::kms) key: K,
    pub(in crate::kms) import_token: &'a [u8],
    pub(in crate::kms) encrypted_key_material: &'a [u8],
    pub(in crate::kms) expiration: Option<Expiration>,
    pub(in crate::kms) import_type: Option<ImportType>,
    pub(in crate::kms) key_material_id: Option<KeyMaterialId>,
    pub(in crate::kms) description: Option<&'a str>,
}

impl<'a, K: KeyReference> ImportKeyMaterialRequest<'a, K> {
    /// Imports wrapped material, with the token that came with the wrapping key. Each has 1 to 6,144 bytes.
    pub const fn new(key: K, import_token: &'a [u8], encrypted_key_material: &'a [u8]) -> Self {
        Self {
            key,
            import_token,
            encrypted_key_material,
            expiration: None,
            import_type: None,
            key_material_id: None,
            description: None,
        }
    }

    /// Has the material deleted at a time in the future, at most 365 days from now (`KEY_MATERIAL_EXPIRES`).
    #[must_use]
    pub const fn valid_to(mut self, time: Timestamp) -> Self {
        self.expiration = Some(Expiration::At(time));
        self
    }

    /// Keeps the material until somebody deletes it (`KEY_MATERIAL_DOES_NOT_EXPIRE`).
    #[must_use]
    pub const fn does_not_expire(mut self) -> Self {
        self.expiration = Some(Expiration::Never);
        self
    }

    /// Says whether the material is new to the key; without it, the first material is unless it is named, and what comes
    /// later is not.
    #[must_use]
    pub const fn import_type(mut self, import_type: ImportType) -> Self {
        self.import_type = Some(import_type);
        self
    }

    /// Insists that the material is this one, which the key had before: no other is taken, nor any as the first.
    #[must_use]
    pub const fn key_material_id(mut self, id: KeyMaterialId) -> Self {
        self.key_material_id = Some(id);
        self
    }

    /// A text about the material for people, of at most 256 characters; without it, an earlier one stays.
    #[must_use]
    pub const fn key_material_description(mut self, description: &'a str) -> Self {
        self.description = Some(description);
        self
    }
}

/// What [`Kms::import_key_material`](crate::Kms::import_key_material) and
/// [`Kms::delete_imported_key_material`](crate::Kms::delete_imported_key_material) return.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportedKeyMaterial {
    /// The key.
    pub key_arn: KeyArn,
    /// The material.
    pub key_material_id: KeyMaterialId,
}
