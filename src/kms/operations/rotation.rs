//! New material for old keys: by schedule and on demand.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeyArn, KeyMaterialState, KeyState, Operation, Origin, RotationPeriod, RotationType};
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::authorized_key::AuthorizedKey;
use crate::kms::pipeline::call::CallSpec;
use crate::kms::records::key::{KeyRecord, Rotation};
use crate::kms::records::key_version::VersionRecord;
use crate::kms::request::pagination::{self, PageLimits};
use crate::kms::request::{
    GetKeyRotationStatusResponse, IncludeKeyMaterial, KeyReference, Page, PageRequest, RotationListEntry,
};
use crate::policy::RequestParameter;

/// Page sizes of [`Kms::list_key_rotations`].
const ROTATION_PAGES: PageLimits = PageLimits { most: 1_000, default: 100 };

/// How close an automatic rotation may be for an on-demand one to be refused.
const AUTOMATIC_ROTATION_NEAR: Duration = Duration::from_secs(20 * 60);

impl Kms {
    /// Lets a key rotate by itself every 90 to 2,560 days, counted from now; called again, it changes the period.
    ///
    /// Rotation gives the key new material and changes nothing else: id, ARN, aliases and policy stay, and what was
    /// encrypted before still opens. It happens when the key next makes a ciphertext after it fell due, or in
    /// [`Kms::run_maintenance`].
    ///
    /// # Errors
    /// [`UnsupportedOperation`](ErrorKind::UnsupportedOperation) unless the key is symmetric and was made here, by a provider
    /// that makes further versions; [`Disabled`](ErrorKind::Disabled); [`InvalidState`](ErrorKind::InvalidState); [`NotFound`](ErrorKind::NotFound).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::key::RotationPeriod;
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?;
    /// kms.enable_key_rotation(key.key_id(), RotationPeriod::from_days(180)?)?;
    /// assert!(kms.get_key_rotation_status(key.key_id())?.enabled);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn enable_key_rotation(&self, key: impl KeyReference, period: RotationPeriod) -> Result<()> {
        let conditions = [RequestParameter::RotationPeriodInDays(period.days())];
        let call = CallSpec::new(Operation::EnableKeyRotation)
            .conditions(&conditions)
            .parameter("rotationPeriodInDays", period.days());
        self.key_change(call, &key, |target, call_context| {
            let mut record = target.record().clone();
            self.core.material.check_rotates(&record)?;
            let next = call_context.now().plus_days(period.days());
            // The same period again is the same schedule, not a new start: repeated set-up must not put rotation off.
            let same = record.rotation.filter(|rotation| rotation.period == period);
            record.rotation = Some(same.unwrap_or(Rotation { period, next }));
            Ok((target.put(record), ()))
        })
    }

    /// Stops automatic rotation. On-demand rotation stays possible.
    ///
    /// # Errors
    /// Those of [`Kms::enable_key_rotation`].
    pub fn disable_key_rotation(&self, key: impl KeyReference) -> Result<()> {
        self.key_change(CallSpec::new(Operation::DisableKeyRotation), &key, |target, _| {
            let mut record = target.record().clone();
            record.rotation = None;
            Ok((target.put(record), ()))
        })
    }

    /// Tells whether a key rotates by itself, and when next.
    ///
    /// # Errors
    /// [`UnsupportedOperation`](ErrorKind::UnsupportedOperation) for imported keys and keys of an HSM;
    /// [`NotFound`](ErrorKind::NotFound).
    pub fn get_key_rotation_status(&self, key: impl KeyReference) -> Result<GetKeyRotationStatusResponse> {
        self.key_call(CallSpec::new(Operation::GetKeyRotationStatus), &key, |target, _| {
            let record = target.record();
            let rotation = record.rotation.filter(|_| record.state != KeyState::PendingDeletion);
            Ok(GetKeyRotationStatusResponse {
                enabled: rotation.is_some(),
                rotation_period: rotation.map(|rotation| rotation.period),
                next_rotation_date: rotation.map(|rotation| rotation.next),
            })
        })
    }

    /// Gives a key new material now, 25 times in its life at the most. The automatic schedule is not shifted. A key of
    /// origin `EXTERNAL` gets the material that was imported for this ([`ImportType::NewKeyMaterial`](crate::key::ImportType::NewKeyMaterial)).
    ///
    /// # Errors
    /// [`LimitExceeded`](ErrorKind::LimitExceeded); [`Conflict`](ErrorKind::Conflict) if automatic rotation is due within
    /// 20 minutes; [`UnsupportedOperation`](ErrorKind::UnsupportedOperation) unless the key is symmetric;
    /// [`InvalidState`](ErrorKind::InvalidState) if no imported material waits for it; [`Disabled`](ErrorKind::Disabled); [`InvalidState`](ErrorKind::InvalidState);
    /// [`NotFound`](ErrorKind::NotFound).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::request::{DecryptRequest, EncryptRequest};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?;
    /// let before = kms.encrypt(EncryptRequest::new(key.key_id(), b"data"))?;
    /// kms.rotate_key_on_demand(key.key_id())?;
    /// assert_eq!(kms.decrypt(DecryptRequest::new(&before.ciphertext_blob))?.plaintext.expose_secret(), b"data");
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn rotate_key_on_demand(&self, key: impl KeyReference) -> Result<KeyArn> {
        self.key_change(CallSpec::new(Operation::RotateKeyOnDemand), &key, |target, call_context| {
            self.check_on_demand(target, call_context.now())?;
            let mut record = target.record().clone();
            let before = record.current_version().map(|version| version.material_id);
            match record.origin {
                Origin::External => record.promote_imported_material(target.arn(), call_context.now())?,
                Origin::Kms | Origin::Hsm => {
                    self.core.add_version(&mut record, call_context.now(), Some(RotationType::OnDemand))?;
                }
            }
            let after = record.current_version().map(|version| version.material_id);
            for (name, id) in [("previousKeyMaterialId", before), ("currentKeyMaterialId", after)] {
                if let Some(id) = id {
                    call_context.set_param(name, id.to_string());
                }
            }
            record.on_demand_rotations += 1;
            Ok((target.put(record), target.arn().clone()))
        })
    }

    fn check_on_demand(&self, target: &AuthorizedKey<'_>, now: Timestamp) -> Result<()> {
        let record = target.record();
        self.core.settings.limits.on_demand_rotations.check(record.on_demand_rotations, record.key_id)?;
        if record.rotation.is_some_and(|rotation| rotation.next <= now.plus(AUTOMATIC_ROTATION_NEAR)) {
            let text = format!("the automatic rotation of {} is due within 20 minutes", target.arn());
            return Err(Error::new(ErrorKind::Conflict, text));
        }
        Ok(())
    }

    /// Lists the versions of a key's material, the oldest first: 1 to 1,000 a page, 100 unless said otherwise.
    ///
    /// # Errors
    /// [`UnsupportedOperation`](ErrorKind::UnsupportedOperation) for keys that never rotate;
    /// [`Validation`](ErrorKind::Validation) for a limit outside that range;
    /// [`InvalidMarker`](ErrorKind::InvalidMarker); [`NotFound`](ErrorKind::NotFound).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::key::KeyMaterialState;
    /// use strongroom::request::IncludeKeyMaterial;
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?;
    /// kms.rotate_key_on_demand(key.key_id())?;
    /// let all = kms.list_key_rotations(key.key_id(), IncludeKeyMaterial::AllKeyMaterial, Default::default())?;
    /// let states: Vec<_> = all.entries.iter().map(|entry| entry.key_material_state).collect();
    /// assert_eq!(states, [KeyMaterialState::NonCurrent, KeyMaterialState::Current]);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn list_key_rotations(
        &self,
        key: impl KeyReference,
        include: IncludeKeyMaterial,
        page: PageRequest,
    ) -> Result<Page<RotationListEntry>> {
        self.key_call(CallSpec::new(Operation::ListKeyRotations), &key, |target, call_context| {
            let numbered = numbered_entries(target.record(), include, call_context.now());
            let page =
                pagination::page_of(numbered.into_iter(), &page, ROTATION_PAGES, |(number, _)| number.as_slice())?;
            let entries = page.entries.into_iter().map(|(_, entry)| entry).collect();
            Ok(Page { entries, next_marker: page.next_marker })
        })
    }
}

fn numbered_entries(
    record: &KeyRecord,
    include: IncludeKeyMaterial,
    now: Timestamp,
) -> Vec<([u8; 4], RotationListEntry)> {
    let current = record.current_version().map(|version| version.number);
    let wanted = record
        .versions
        .iter()
        .filter(|version| include == IncludeKeyMaterial::AllKeyMaterial || version.rotation.is_some());
    let entry = |version: &VersionRecord| RotationListEntry {
        key_material_id: version.material_id,
        key_material_state: match Some(version.number) {
            number if number == current => KeyMaterialState::Current,
            _ if version.is_pending_rotation() => KeyMaterialState::PendingRotation,
            _ => KeyMaterialState::NonCurrent,
        },
        rotation_type: version.rotation,
        rotation_date: version.rotation.map(|_| version.created),
        import_state: version.import_state(now),
        expiration_model: version.expiration(now).map(|(model, _)| model),
        valid_to: version.expiration(now).and_then(|(_, valid_to)| valid_to),
        key_material_description: version.imported.as_ref().map(|imported| imported.description.clone()),
    };
    wanted.map(|version| (version.number.number().to_be_bytes(), entry(version))).collect()
}
