//! Parameters and results of key material import.

use super::key_reference::KeyReference;
use super::setters::key_id_accessor;
use crate::algorithm::{WrappingAlgorithm, WrappingKeySpec};
use crate::clock::Timestamp;
use crate::key::{ImportType, KeyArn, KeyMaterialId};

/// Parameters for [`Kms::get_parameters_for_import`](crate::Kms::get_parameters_for_import).
///
/// # Examples
/// ```
/// use strongroom::algorithm::{WrappingAlgorithm, WrappingKeySpec};
/// use strongroom::key::{KeySpec, KeyUsage, Origin};
/// use strongroom::request::{CreateKeyRequest, GetParametersForImportRequest};
/// use strongroom::{ErrorKind, Kms};
///
/// let kms = Kms::in_memory()?;
/// let request = CreateKeyRequest::default().spec(KeySpec::Rsa2048).usage(KeyUsage::SignVerify);
/// let key = kms.create_key(request.origin(Origin::External))?.key_id();
///
/// // RSA-OAEP alone is too short for a private RSA key: wrap it with AES-KWP.
/// let (direct, wrapped) = (WrappingAlgorithm::RsaesOaepSha256, WrappingAlgorithm::RsaAesKeyWrapSha256);
/// let request = GetParametersForImportRequest::new(key, direct, WrappingKeySpec::Rsa2048);
/// assert_eq!(kms.get_parameters_for_import(request).unwrap_err().kind(), ErrorKind::Validation);
/// let request = GetParametersForImportRequest::new(key, wrapped, WrappingKeySpec::Rsa2048);
/// assert!(kms.get_parameters_for_import(request).is_ok());
/// # Ok::<(), strongroom::Error>(())
/// ```
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
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use strongroom::algorithm::{WrappingAlgorithm, WrappingKeySpec};
/// use strongroom::crypto::{CryptoBackend, KeyPairKind, RsaOaep};
/// use strongroom::key::{ImportType, KeyState, Origin};
/// use strongroom::request::{CreateKeyRequest, GetParametersForImportRequest, ImportKeyMaterialRequest};
/// use strongroom::{Clock, Kms, ManualClock, Timestamp};
///
/// let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
/// let kms = Kms::builder().clock(Arc::clone(&clock)).build()?;
/// let key = kms.create_key(CreateKeyRequest::default().origin(Origin::External))?.key_id();
/// let (algorithm, spec) = (WrappingAlgorithm::RsaesOaepSha256, WrappingKeySpec::Rsa2048);
/// let parameters = kms.get_parameters_for_import(GetParametersForImportRequest::new(key, algorithm, spec))?;
/// let wrap = |material: &[u8]| {
///     let backend = CryptoBackend::default();
///     let wrapping_key = backend.key_pairs().public_key(KeyPairKind::Rsa2048, &parameters.public_key)?;
///     wrapping_key.encrypt(RsaOaep::Sha256, material, backend.random())
/// };
///
/// // The first material, deleted automatically after 30 days:
/// let first = wrap(&[1; 32])?;
/// let request = ImportKeyMaterialRequest::new(key, &parameters.import_token, &first)
///     .key_material_description("backup of 2026");
/// let first_id = kms.import_key_material(request.clone().valid_to(clock.now().plus_days(30)))?.key_material_id;
/// // The same material again, this time forever:
/// kms.import_key_material(request.key_material_id(first_id).does_not_expire())?;
/// // Material for the next rotation:
/// let second = wrap(&[2; 32])?;
/// let request = ImportKeyMaterialRequest::new(key, &parameters.import_token, &second).does_not_expire();
/// kms.import_key_material(request.import_type(ImportType::NewKeyMaterial))?;
/// kms.rotate_key_on_demand(key)?;
/// assert_eq!(kms.describe_key(key)?.state(), KeyState::Enabled);
/// # Ok::<(), strongroom::Error>(())
/// ```
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

    /// Sets a human-readable description of the material: 1 to 256 ASCII letters, digits, white space
    /// and `:/_.-`. Without it, an earlier description remains.
    #[must_use]
    pub const fn key_material_description(mut self, description: &'a str) -> Self {
        self.description = Some(description);
        self
    }
}

/// The result of [`Kms::import_key_material`](crate::Kms::import_key_material).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportedKeyMaterial {
    /// The key.
    pub key_arn: KeyArn,
    /// The material.
    pub key_material_id: KeyMaterialId,
}

/// The result of
/// [`Kms::delete_imported_key_material`](crate::Kms::delete_imported_key_material).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeleteImportedKeyMaterialResponse {
    /// The key.
    pub key_arn: KeyArn,
    /// The deleted material, or `None` if the key never had any.
    pub key_material_id: Option<KeyMaterialId>,
}

key_id_accessor!(GetParametersForImportResponse, ImportedKeyMaterial, DeleteImportedKeyMaterialResponse);
