//! Parameters and results of key material import.

use super::key_reference::KeyReference;
use crate::algorithm::{WrappingAlgorithm, WrappingKeySpec};
use crate::clock::Timestamp;
use crate::key::{ImportType, KeyArn, KeyMaterialId};

/// Parameters for [`Kms::get_parameters_for_import`](crate::Kms::get_parameters_for_import).
#[derive(Clone, Debug)]
pub struct GetParametersForImportRequest<K> {
    pub(in crate::kms) key: K,
    pub(in crate::kms) wrapping_algorithm: WrappingAlgorithm,
    pub(in crate::kms) wrapping_key_spec: WrappingKeySpec,
}

impl<K: KeyReference> GetParametersForImportRequest<K> {
    /// Requests a wrapping key of this spec, for material to be wrapped with this algorithm.
    pub const fn new(key: K, wrapping_algorithm: WrappingAlgorithm, wrapping_key_spec: WrappingKeySpec) -> Self {
        Self { key, wrapping_algorithm, wrapping_key_spec }
    }
}

/// The result of [`Kms::get_parameters_for_import`](crate::Kms::get_parameters_for_import).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GetParametersForImportResponse {
    /// The key to import material into.
    pub key_arn: KeyArn,
    /// The wrapping key: an RSA public key, SubjectPublicKeyInfo in DER (RFC 5280, section
    /// 4.1.2.7).
    pub public_key: Vec<u8>,
    /// The token to pass unchanged with the wrapped material, at most 6,144 bytes.
    pub import_token: Vec<u8>,
    /// The end of the 24 hours for which the wrapping key and the token are valid.
    pub parameters_valid_to: Timestamp,
}

/// The time at which imported material is deleted automatically.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kms) enum Expiration {
    At(Timestamp),
    Never,
}

/// Parameters for [`Kms::import_key_material`](crate::Kms::import_key_material). You must specify
/// whether the material expires, with [`valid_to`](Self::valid_to) or
/// [`does_not_expire`](Self::does_not_expire).
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
    /// Imports wrapped material with the token that was issued with the wrapping key. Each has 1 to
    /// 6,144 bytes.
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

    /// Deletes the material at a time in the future, at most 365 days from now
    /// (`KEY_MATERIAL_EXPIRES`).
    #[must_use]
    pub const fn valid_to(mut self, time: Timestamp) -> Self {
        self.expiration = Some(Expiration::At(time));
        self
    }

    /// Keeps the material until it is deleted explicitly (`KEY_MATERIAL_DOES_NOT_EXPIRE`).
    #[must_use]
    pub const fn does_not_expire(mut self) -> Self {
        self.expiration = Some(Expiration::Never);
        self
    }

    /// Specifies whether the material is new to the key. By default, the first material is new
    /// unless its ID is specified, and any later material is existing.
    #[must_use]
    pub const fn import_type(mut self, import_type: ImportType) -> Self {
        self.import_type = Some(import_type);
        self
    }

    /// Requires the material to have this ID, which the key must have had before. Any other
    /// material is rejected, and so is first material.
    #[must_use]
    pub const fn key_material_id(mut self, id: KeyMaterialId) -> Self {
        self.key_material_id = Some(id);
        self
    }

    /// Sets a human-readable description of the material, of up to 256 characters. Without it, an
    /// earlier description remains.
    #[must_use]
    pub const fn key_material_description(mut self, description: &'a str) -> Self {
        self.description = Some(description);
        self
    }
}

/// The result of [`Kms::import_key_material`](crate::Kms::import_key_material) and
/// [`Kms::delete_imported_key_material`](crate::Kms::delete_imported_key_material).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportedKeyMaterial {
    /// The key.
    pub key_arn: KeyArn,
    /// The material.
    pub key_material_id: KeyMaterialId,
}
