//! Keys for tests that are the same in every run.

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeyArn, KeyEvent, KeyId, KeyMetadata, KeyState, Origin, RotationType, SpecClass};
use crate::kms::engine::core::Settings;
use crate::kms::engine::handle::Kms;
use crate::kms::operations::key_creation::{creation_call, creation_conditions};
use crate::kms::pipeline::change::commit_change;
use crate::kms::records::key::KeyRecord;
use crate::kms::records::tombstone::Tombstone;
use crate::kms::request::{CreateKeyRequest, checked_tags};
use crate::kms::storage::edit::Edit;
use crate::secret::SecretBytes;

impl Kms {
    /// Creates a key whose ID and material the caller chooses. A test then finds the same key in
    /// every run and can decrypt ciphertexts from other runs. **For tests only**: material that is
    /// embedded in a program is not secret. To use your own material, create a key of origin
    /// `EXTERNAL` and [import](Kms::import_key_material) it.
    ///
    /// Requires the authority's handle and a `Kms` that was built with
    /// [`allow_insecure_test_keys`](crate::KmsBuilder::allow_insecure_test_keys). The key reports
    /// the origin `AWS_KMS`. A [custom policy](crate::KmsBuilder::policy), however, is asked about
    /// a key of origin `EXTERNAL`, which is where the material comes from.
    ///
    /// `versions` contains the versions of its material, oldest first: 32 bytes for symmetric keys,
    /// the bytes of HMAC keys, and PKCS#8 in DER for private keys. Only symmetric keys can have
    /// more than one version. The request works as in [`Kms::create_key`], including its policy and
    /// tags. So does the audit trail, in which the key is marked.
    ///
    /// # Errors
    /// - [`AccessDenied`](ErrorKind::AccessDenied) if the handle is narrowed.
    /// - [`UnsupportedOperation`](ErrorKind::UnsupportedOperation) if the builder did not allow
    ///   such keys.
    /// - [`AlreadyExists`](ErrorKind::AlreadyExists) if a key has this ID.
    /// - [`InvalidState`](ErrorKind::InvalidState) if a key had this ID and was deleted.
    /// - [`Validation`](ErrorKind::Validation) if the origin is not `AWS_KMS`, the key is in a
    ///   custom key store, or its spec does not allow this number of versions.
    /// - [`IncorrectKeyMaterial`](ErrorKind::IncorrectKeyMaterial) if material does not fit the
    ///   spec.
    /// - The errors of [`Kms::create_key`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::key::KeyId;
    /// use strongroom::request::{CreateKeyRequest, DecryptRequest, EncryptRequest};
    ///
    /// let id = KeyId::parse("1234abcd-12ab-34cd-56ef-1234567890ab")?;
    /// let in_one_run = Kms::builder().allow_insecure_test_keys().build()?;
    /// in_one_run.create_insecure_test_key(id, CreateKeyRequest::default(), &[&[7; 32]])?;
    /// let sealed = in_one_run.encrypt(EncryptRequest::new(id, b"four words"))?;
    ///
    /// let in_another = Kms::builder().allow_insecure_test_keys().build()?;
    /// in_another.create_insecure_test_key(id, CreateKeyRequest::default(), &[&[7; 32]])?;
    /// let opened = in_another.decrypt(DecryptRequest::new(&sealed.ciphertext_blob))?;
    /// assert_eq!(opened.plaintext.expose_secret(), b"four words");
    ///
    /// let in_earnest = Kms::in_memory()?;
    /// assert!(in_earnest.create_insecure_test_key(id, CreateKeyRequest::default(), &[&[7; 32]]).is_err());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn create_insecure_test_key(
        &self,
        key_id: KeyId,
        request: CreateKeyRequest,
        versions: &[&[u8]],
    ) -> Result<KeyMetadata> {
        let _in_progress = self.check_authority("create_insecure_test_key")?;
        let tags = checked_tags(&request.tags).unwrap_or_default();
        let brought = request.clone().origin(Origin::External);
        let conditions = creation_conditions(&brought, &tags);
        let call = creation_call(&request, &tags, &conditions).parameter("insecureTestKey", "true");
        self.account_call(call, |call_context| {
            self.core.settings.check_test_keys_allowed()?;
            let mut record = self.known_key(key_id, &request, versions, call_context.now())?;
            self.permit_first_tags(call_context, &record)?;
            self.set_first_policy(call_context, &mut record, &request)?;
            self.set_first_alias(call_context, &mut record, &request)?;
            let arn = KeyArn::new(self.locality().clone(), record.account, record.key_id);
            let now = call_context.now();
            commit_change(&self.core, call_context, |call_context| {
                if self.core.registry.read::<Tombstone>(&Tombstone::record_id(record.account, key_id))?.is_some() {
                    return Err(Error::new(
                        ErrorKind::InvalidState,
                        format!("cannot create {arn}: it was deleted from this store"),
                    ));
                }
                if self.core.registry.key(record.account, key_id)?.is_some() {
                    return Err(Error::new(ErrorKind::AlreadyExists, format!("{arn} already exists")));
                }
                call_context.record_key(record.account, key_id);
                let mut edits = self.first_alias_edits(&record, now)?;
                edits.push(Edit::put_key(record.clone(), None));
                Ok((edits, record.metadata(&arn, now)))
            })
        })
    }

    fn known_key(
        &self,
        key_id: KeyId,
        request: &CreateKeyRequest,
        versions: &[&[u8]],
        now: Timestamp,
    ) -> Result<KeyRecord> {
        let invalid = |text: &'static str| Err(Error::new(ErrorKind::Validation, text));
        if request.origin != Origin::Kms || request.custom_key_store.is_some() || request.provider.is_some() {
            return invalid(
                "a key with known material must have the origin AWS_KMS, without a custom key store or a provider",
            );
        }
        let is_symmetric = request.spec.class() == SpecClass::Symmetric;
        if versions.is_empty() || (versions.len() > 1 && !is_symmetric) {
            return invalid(
                "a key must have exactly one version of material, or at least one for a symmetric encryption key",
            );
        }
        // Created without material, which is added below.
        let without = self.new_key(&request.clone().origin(Origin::External), now)?;
        let mut record = KeyRecord { key_id, origin: Origin::Kms, state: KeyState::Creating, ..without };
        for (index, material) in versions.iter().enumerate() {
            let rotation = (index > 0).then_some(RotationType::OnDemand);
            self.core.material.add_known_version(
                &self.core.registry,
                &mut record,
                &SecretBytes::copy_from_slice(material),
                now,
                rotation,
            )?;
        }
        record.state = record.state.next(KeyEvent::CreatedWithMaterial).unwrap_or(record.state);
        Ok(record)
    }
}

impl Settings {
    fn check_test_keys_allowed(&self) -> Result<()> {
        if self.insecure_test_keys {
            return Ok(());
        }
        let text =
            "keys with known material are not allowed: enable them for tests with KmsBuilder::allow_insecure_test_keys";
        Err(Error::new(ErrorKind::UnsupportedOperation, text))
    }
}
