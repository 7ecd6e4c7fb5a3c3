//! Import of key material (bring your own key).

use std::time::Duration;

use crate::clock::Timestamp;
use crate::crypto::DigestAlgorithm;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{ExpirationModel, KeyMaterialId, Operation};
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::authorized_key::AuthorizedKey;
use crate::kms::pipeline::call::{CallSpec, truncated_for_audit};
use crate::kms::pipeline::change::CallContext;
use crate::kms::records::imported::{ImportRequest, ImportTarget, import_target};
use crate::kms::records::key::KeyRecord;
use crate::kms::records::key_version::Imported;
use crate::kms::request::{
    DeleteImportedKeyMaterialResponse, Expiration, GetParametersForImportRequest, GetParametersForImportResponse,
    ImportKeyMaterialRequest, ImportedKeyMaterial, KeyReference,
};
use crate::policy::RequestParameter;
use crate::provider::{GeneratedMaterial, ImportToken, MAX_WRAPPED_MATERIAL, TokenBinding, check_fit, unwrap};

/// The lifetime of a wrapping key and its token.
const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// The maximum time until imported material expires.
const MAX_VALIDITY_DAYS: u32 = 365;

/// The maximum length of a description of material, in characters.
const MAX_DESCRIPTION: usize = 256;

impl Kms {
    /// Generates a wrapping key for the import of key material, and its import token. Both can be
    /// used for 24 hours, any number of times, for this key only. Each call generates a new pair,
    /// and earlier pairs remain valid.
    ///
    /// The token contains the private half of the wrapping key, sealed under the root key. The
    /// store keeps nothing, and the pair survives a restart. Generating an RSA key takes from
    /// tenths of a second to seconds, without blocking other calls. [`Kms::run_maintenance`]
    /// generates keys in advance, in the sizes that were requested before
    /// ([`KmsLimits::prepared_wrapping_keys`](crate::KmsLimits::prepared_wrapping_keys)).
    ///
    /// # Errors
    /// - [`UnsupportedOperation`](ErrorKind::UnsupportedOperation) unless the key's origin is
    ///   `EXTERNAL`.
    /// - [`Validation`](ErrorKind::Validation) if the material of the key does not fit into such a
    ///   wrapping.
    /// - [`InvalidState`](ErrorKind::InvalidState) if the key state does not allow the operation.
    /// - [`NotFound`](ErrorKind::NotFound) if the key does not exist.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::algorithm::{WrappingAlgorithm, WrappingKeySpec};
    /// use strongroom::key::{KeyState, Origin};
    /// use strongroom::request::{CreateKeyRequest, GetParametersForImportRequest};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(CreateKeyRequest::default().origin(Origin::External))?;
    /// assert_eq!(key.state(), KeyState::PendingImport);
    /// let (algorithm, spec) = (WrappingAlgorithm::RsaesOaepSha256, WrappingKeySpec::Rsa2048);
    /// let parameters = kms.get_parameters_for_import(GetParametersForImportRequest::new(key.key_id(), algorithm, spec))?;
    /// assert!(parameters.import_token.len() <= 6_144);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn get_parameters_for_import(
        &self,
        request: GetParametersForImportRequest<impl KeyReference>,
    ) -> Result<GetParametersForImportResponse> {
        let GetParametersForImportRequest { wrapping_algorithm, wrapping_key_spec, .. } = request;
        let conditions = [
            RequestParameter::WrappingAlgorithm(wrapping_algorithm),
            RequestParameter::WrappingKeySpec(wrapping_key_spec),
        ];
        let call = CallSpec::new(Operation::GetParametersForImport)
            .conditions(&conditions)
            .parameter("wrappingAlgorithm", wrapping_algorithm.as_str())
            .parameter("wrappingKeySpec", wrapping_key_spec.as_str());
        self.key_call(call, &request.key, |target, call_context| {
            check_fit(target.record().spec, wrapping_key_spec, wrapping_algorithm)?;
            let key = self.core.material.wrapping_keys.take(&self.core.material.backend, wrapping_key_spec)?;
            let token = ImportToken {
                wrapping_key_spec,
                algorithm: wrapping_algorithm,
                valid_to: call_context.now().plus(TOKEN_LIFETIME),
                private_key: key.to_pkcs8()?,
            };
            // The latest version, because a token under an earlier one is rejected.
            let root = self.core.registry.sealed().latest_root()?;
            Ok(GetParametersForImportResponse {
                key_arn: target.arn().clone(),
                public_key: key.public_key_der(),
                import_token: token.seal(&root.versions, &self.token_binding(target.record()))?,
                parameters_valid_to: token.valid_to,
            })
        })
    }

    /// Imports key material that was wrapped under a wrapping key from
    /// [`Kms::get_parameters_for_import`].
    ///
    /// The first material makes the key usable. An asymmetric or HMAC key accepts only its first
    /// material. A symmetric key accepts further material, which waits until
    /// [`Kms::rotate_key_on_demand`] makes it current. To restore deleted or expired material,
    /// import the same material again. Repeating a request succeeds.
    ///
    /// The wrapped material is the 32 bytes of an AES key, the bytes of an HMAC key, or a private
    /// key as unencrypted PKCS#8 in DER. The public key is always computed from the private key and
    /// never trusted.
    ///
    /// If this method fails, nothing has changed.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if a length, the expiration, or the description is
    ///   out of range, the request does not specify whether the material expires, or it specifies
    ///   an ID for new material.
    /// - [`InvalidImportToken`](ErrorKind::InvalidImportToken) if the token does not belong to this
    ///   key.
    /// - [`ExpiredImportToken`](ErrorKind::ExpiredImportToken) if the token is older than 24 hours.
    /// - [`InvalidCiphertext`](ErrorKind::InvalidCiphertext) if the material cannot be unwrapped.
    ///   The message is the same for every reason except an impossible length and text in place of
    ///   bytes.
    /// - [`IncorrectKeyMaterial`](ErrorKind::IncorrectKeyMaterial) if the material does not fit the
    ///   key, with the reason, or is not the material that the key had.
    /// - [`InvalidState`](ErrorKind::InvalidState) if other new material is waiting for a rotation.
    /// - [`UnsupportedOperation`](ErrorKind::UnsupportedOperation) unless the key's origin is
    ///   `EXTERNAL`.
    /// - [`NotFound`](ErrorKind::NotFound) if the key does not exist.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::algorithm::{WrappingAlgorithm, WrappingKeySpec};
    /// use strongroom::crypto::{CryptoBackend, KeyPairKind, RsaOaep};
    /// use strongroom::key::{KeyState, Origin};
    /// use strongroom::request::{CreateKeyRequest, GetParametersForImportRequest, ImportKeyMaterialRequest};
    /// use strongroom::{ErrorKind, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(CreateKeyRequest::default().origin(Origin::External))?.key_id();
    /// let (algorithm, spec) = (WrappingAlgorithm::RsaesOaepSha256, WrappingKeySpec::Rsa2048);
    /// let parameters = kms.get_parameters_for_import(GetParametersForImportRequest::new(key, algorithm, spec))?;
    ///
    /// // Where the material is kept, usually with OpenSSL or an HSM:
    /// let backend = CryptoBackend::default();
    /// let wrapping_key = backend.key_pairs().public_key(KeyPairKind::Rsa2048, &parameters.public_key)?;
    /// let wrapped = wrapping_key.encrypt(RsaOaep::Sha256, &[7; 32], backend.random())?;
    ///
    /// let request = ImportKeyMaterialRequest::new(key, &parameters.import_token, &wrapped);
    /// let refused = kms.import_key_material(request.clone()).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::Validation); // does the material expire?
    /// kms.import_key_material(request.does_not_expire())?;
    /// assert_eq!(kms.describe_key(key)?.state(), KeyState::Enabled);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn import_key_material(
        &self,
        request: ImportKeyMaterialRequest<'_, impl KeyReference>,
    ) -> Result<ImportedKeyMaterial> {
        let conditions = conditions(request.expiration);
        let mut call =
            CallSpec::new(Operation::ImportKeyMaterial).conditions(&conditions).valid(check_members(&request));
        if let Some(expiration) = request.expiration {
            call = call.parameter("expirationModel", expiration_model(expiration).as_str());
            if let Expiration::At(time) = expiration {
                call = call.parameter("validTo", time.to_string());
            }
        }
        if let Some(import_type) = request.import_type {
            call = call.parameter("importType", import_type.as_str());
        }
        if let Some(id) = request.key_material_id {
            call = call.parameter("keyMaterialId", id.to_string());
        }
        if let Some(description) = request.description {
            call = call.parameter("keyMaterialDescription", truncated_for_audit(description));
        }
        let mut opened = None;
        self.key_change(call, &request.key, |target, call_context| {
            let material = match opened.take() {
                Some(material) => material,
                None => self.open_import(target, &request, call_context.now())?,
            };
            let (record, imported) = self.import_into(target, &request, &material, call_context)?;
            call_context.set_param("keyMaterialId", imported.key_material_id.to_string());
            opened = Some(material);
            Ok((target.put(record), imported))
        })
    }

    /// Deletes imported material. `None` selects the current material. The key cannot be used until
    /// the same material is imported again, but is otherwise unchanged. Material that is waiting
    /// for a rotation is forgotten.
    ///
    /// The store is asked to overwrite the remains. If it cannot do so now, for example because a
    /// reader holds an earlier state, the next [`Kms::run_maintenance`] does so and reports any
    /// failure.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound) if the key does not exist or does not have the material.
    /// - [`UnsupportedOperation`](ErrorKind::UnsupportedOperation) unless the key's origin is
    ///   `EXTERNAL`.
    /// - [`InvalidState`](ErrorKind::InvalidState) if the key state does not allow the operation.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::algorithm::{WrappingAlgorithm, WrappingKeySpec};
    /// use strongroom::crypto::{CryptoBackend, KeyPairKind, RsaOaep};
    /// use strongroom::key::{KeyState, Origin};
    /// use strongroom::request::{CreateKeyRequest, GetParametersForImportRequest, ImportKeyMaterialRequest};
    /// use strongroom::{Kms, Result};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(CreateKeyRequest::default().origin(Origin::External))?.key_id();
    /// let import = |material: [u8; 32]| -> Result<_> {
    ///     // ...
    ///     # let (algorithm, spec) = (WrappingAlgorithm::RsaesOaepSha256, WrappingKeySpec::Rsa2048);
    ///     # let parameters = kms.get_parameters_for_import(GetParametersForImportRequest::new(key, algorithm, spec))?;
    ///     # let backend = CryptoBackend::default();
    ///     # let wrapping_key = backend.key_pairs().public_key(KeyPairKind::Rsa2048, &parameters.public_key)?;
    ///     # let wrapped = wrapping_key.encrypt(RsaOaep::Sha256, &material, backend.random())?;
    ///     # let request = ImportKeyMaterialRequest::new(key, &parameters.import_token, &wrapped);
    ///     # kms.import_key_material(request.does_not_expire())
    /// };
    /// import([7; 32])?;
    /// kms.delete_imported_key_material(key, None)?;
    /// assert_eq!(kms.describe_key(key)?.state(), KeyState::PendingImport);
    /// assert!(import([8; 32]).is_err()); // only the same material brings the key back
    /// import([7; 32])?;
    /// assert_eq!(kms.describe_key(key)?.state(), KeyState::Enabled);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn delete_imported_key_material(
        &self,
        key: impl KeyReference,
        material: Option<KeyMaterialId>,
    ) -> Result<DeleteImportedKeyMaterialResponse> {
        let mut call = CallSpec::new(Operation::DeleteImportedKeyMaterial);
        if let Some(id) = material {
            call = call.parameter("keyMaterialId", id.to_string());
        }
        let deleted = self.key_change(call, &key, |target, call_context| {
            let record = target.record();
            let index = match material {
                None => record.current_index(),
                Some(id) => {
                    let found = record.versions.iter().position(|version| version.material_id == id);
                    Some(found.ok_or_else(|| {
                        let text = format!("{} does not have the key material {id}", target.arn());
                        Error::new(ErrorKind::NotFound, text)
                    })?)
                }
            };
            let mut deleted =
                DeleteImportedKeyMaterialResponse { key_arn: target.arn().clone(), key_material_id: None };
            // A key that never had material has nothing to delete.
            let Some(index) = index else { return Ok((Vec::new(), deleted)) };
            let id = record.versions[index].material_id;
            deleted.key_material_id = Some(id);
            call_context.set_param("keyMaterialId", id.to_string());
            let mut changed = record.clone();
            changed.remove_material(index, call_context.now());
            Ok((target.put(changed), deleted))
        })?;
        // The deletion is already committed, and maintenance repeats the overwrite.
        self.core.registry.scrub().ok();
        Ok(deleted)
    }

    /// Unseals the token, unwraps the material, and checks it.
    fn open_import(
        &self,
        target: &AuthorizedKey<'_>,
        request: &ImportKeyMaterialRequest<'_, impl KeyReference>,
        now: Timestamp,
    ) -> Result<GeneratedMaterial> {
        let record = target.record();
        check_expiration(request.expiration, now)?;
        // The latest versions, because another process may have created the token just after a root
        // key rotation.
        let root = self.core.registry.sealed().latest_root()?;
        let token = ImportToken::open(request.import_token, &root.versions, &self.token_binding(record))?;
        if token.valid_to <= now {
            let text = format!("the import token expired at {}: request new import parameters", token.valid_to);
            return Err(Error::new(ErrorKind::ExpiredImportToken, text));
        }
        let backend = &self.core.material.backend;
        let kind = crate::provider::public_key_kind(token.wrapping_key_spec);
        let key = backend.key_pairs().private_key(kind, token.private_key.expose_secret())?;
        let material = unwrap(backend, token.algorithm, &*key, request.encrypted_key_material)?;
        self.core.material.check_import(record, &material)
    }

    /// Returns the record of the key with the material added.
    fn import_into(
        &self,
        target: &AuthorizedKey<'_>,
        request: &ImportKeyMaterialRequest<'_, impl KeyReference>,
        material: &GeneratedMaterial,
        call_context: &CallContext,
    ) -> Result<(KeyRecord, ImportedKeyMaterial)> {
        let (record, now) = (target.record(), call_context.now());
        let wanted = ImportRequest {
            material_id: self.core.registry.sealed().material_id(record.key_id, &material.stored),
            import_type: request.import_type,
            named: request.key_material_id,
            token_digest: self.token_digest(request.import_token),
        };
        let mut changed = record.clone();
        changed.forget_expired_new_material(now);
        let place = import_target(&changed, target.arn(), &wanted)?;
        let imported = ImportedKeyMaterial { key_arn: target.arn().clone(), key_material_id: wanted.material_id };
        let valid_to = match request.expiration {
            Some(Expiration::At(time)) => Some(time),
            Some(Expiration::Never) | None => None,
        };
        let before = match place {
            ImportTarget::Known(index) => changed.versions[index].imported.clone().unwrap_or_default(),
            ImportTarget::New { is_pending_rotation } => Imported { is_pending_rotation, ..Imported::default() },
        };
        let description = request.description.map_or_else(|| before.description.clone(), str::to_owned);
        let after = Imported { description, valid_to, token_digest: wanted.token_digest, ..before.clone() };

        match place {
            ImportTarget::Known(index) if changed.versions[index].is_usable(now) && before == after => {}
            ImportTarget::Known(index) => {
                self.core.registry.sealed().replace_material(&mut changed, index, material)?;
                changed.versions[index].imported = Some(after);
            }
            ImportTarget::New { .. } => {
                self.core.material.add_imported_version(&self.core.registry, &mut changed, material, after, now)?;
            }
        }
        changed.note_imported_material(now, record.state_at(now));
        Ok((changed, imported))
    }

    fn token_binding(&self, record: &KeyRecord) -> TokenBinding {
        TokenBinding { store: self.core.registry.store_id().0, account: record.account, key_id: record.key_id }
    }

    fn token_digest(&self, token: &[u8]) -> [u8; 32] {
        let digest = self.core.material.backend.digest().digest(DigestAlgorithm::Sha256, &[token]);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        bytes
    }
}

/// Returns the request parameters about expiration for policies. Material expires unless the
/// request specifies otherwise.
fn conditions<'a>(expiration: Option<Expiration>) -> Vec<RequestParameter<'a>> {
    let model = expiration.map_or(ExpirationModel::Expires, expiration_model);
    let valid_to = match expiration {
        Some(Expiration::At(time)) => Some(RequestParameter::ValidTo(time)),
        Some(Expiration::Never) | None => None,
    };
    [RequestParameter::ExpirationModel(model)].into_iter().chain(valid_to).collect()
}

const fn expiration_model(expiration: Expiration) -> ExpirationModel {
    match expiration {
        Expiration::At(_) => ExpirationModel::Expires,
        Expiration::Never => ExpirationModel::DoesNotExpire,
    }
}

/// Checks what does not depend on the key and the time.
fn check_members(request: &ImportKeyMaterialRequest<'_, impl KeyReference>) -> Result<()> {
    let invalid = |text: String| Err(Error::new(ErrorKind::Validation, text));
    for (what, bytes) in
        [("the import token", request.import_token), ("wrapped material", request.encrypted_key_material)]
    {
        if !(1..=MAX_WRAPPED_MATERIAL).contains(&bytes.len()) {
            return invalid(format!("{what} must have 1 to {MAX_WRAPPED_MATERIAL} bytes, not {}", bytes.len()));
        }
    }
    let is_known = |character: char| character.is_ascii_alphanumeric() || ":/_.- \t\n\u{b}\u{c}\r".contains(character);
    if request
        .description
        .is_some_and(|text| !(1..=MAX_DESCRIPTION).contains(&text.len()) || !text.chars().all(is_known))
    {
        return invalid(format!(
            "a description of key material must be 1 to {MAX_DESCRIPTION} letters, digits, spaces and :/_.-"
        ));
    }
    Ok(())
}

fn check_expiration(expiration: Option<Expiration>, now: Timestamp) -> Result<()> {
    match expiration {
        None => {
            let text = "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES";
            let advice = "this model is the default unless the request specifies that the material does not expire";
            Err(Error::new(ErrorKind::Validation, text).with_advice(advice))
        }
        Some(Expiration::At(time)) if time <= now || time > now.plus_days(MAX_VALIDITY_DAYS) => {
            let text = format!("validTo must be within the next {MAX_VALIDITY_DAYS} days, not {time}");
            Err(Error::new(ErrorKind::Validation, text))
        }
        Some(_) => Ok(()),
    }
}
