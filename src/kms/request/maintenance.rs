//! Results of maintenance, of the rotation of the root key, and of the verification of a store.

use crate::clock::Timestamp;
use crate::error::Error;
use crate::key::KeyArn;

/// What [`Kms::run_maintenance`](crate::kms::Kms::run_maintenance) did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct MaintenanceReport {
    /// Keys that got new material because their rotation was due.
    pub rotated: Vec<KeyArn>,
    /// Keys whose imported material was deleted, some or all, because its time was over.
    pub expired: Vec<KeyArn>,
    /// Keys that were deleted because their waiting period had ended.
    pub deleted: Vec<KeyArn>,
    /// Keys for which it failed, and why; the next run tries again.
    pub failed: Vec<(KeyArn, Error)>,
    /// If the clock has made an implausible jump forward: nothing was deleted, nor will be before a run at this moment or later.
    /// Look at the clock. If it is right, wait or call [`Kms::confirm_clock`](crate::kms::Kms::confirm_clock); the deletion of
    /// keys that are due can still be cancelled.
    pub destruction_postponed_until: Option<Timestamp>,
    /// Why the store could not overwrite all that is left of deleted records, if so; the next run tries again.
    pub not_scrubbed: Option<Error>,
    /// Why other steps were not done, or not to their end; the next run tries again.
    pub unfinished: Vec<Error>,
}

impl MaintenanceReport {
    /// Whether all that was due was done.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty()
            && self.destruction_postponed_until.is_none()
            && self.not_scrubbed.is_none()
            && self.unfinished.is_empty()
    }
}

/// What [`Kms::declare_successor`](crate::Kms::declare_successor) did, and what it could not do yet.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct SuccessionReport {
    /// Keys with material outside of the store whose deletion is pending: their waiting periods start again.
    pub postponed: Vec<KeyArn>,
    /// Clusters and providers by their names that could not be marked now, and why. They are marked with the first operation
    /// that reaches them; until then other copies of the store are not left behind there.
    pub not_marked: Vec<(String, Error)>,
}

impl SuccessionReport {
    /// Returns `true` if every cluster and provider was marked.
    pub fn is_complete(&self) -> bool {
        self.not_marked.is_empty()
    }
}

/// What is known of a store's root key.
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::seal::RootKey;
/// use strongroom::store::MemoryStore;
///
/// let kms = Kms::builder().store(MemoryStore::new(&Default::default())?, RootKey::from_bytes(&[7; 32])).build()?;
/// let status = kms.root_key_status()?;
/// assert_eq!((status.version(), status.is_rotating()), (1, false));
/// assert!(status.holder().starts_with("secret "));
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootKeyStatus {
    pub(in crate::kms) version: u32,
    pub(in crate::kms) holder: String,
    pub(in crate::kms) is_rotating: bool,
}

impl RootKeyStatus {
    /// The version that everything is sealed under from now on.
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// The [`id`](crate::seal::RootKeyHolder::id) of the holder that keeps the root key.
    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// Whether a rotation was begun and is not finished: an earlier version, or an earlier holder, still counts too.
    pub const fn is_rotating(&self) -> bool {
        self.is_rotating
    }
}

/// What a rotation of the root key did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootKeyRotation {
    pub(in crate::kms) version: u32,
    pub(in crate::kms) resealed: u64,
    pub(in crate::kms) was_resumed: bool,
}

impl RootKeyRotation {
    /// The version that everything is sealed under now.
    pub const fn version(self) -> u32 {
        self.version
    }

    /// How many records this call has sealed anew.
    pub const fn resealed(self) -> u64 {
        self.resealed
    }

    /// Whether this call went on with a rotation that was begun before, instead of beginning one.
    pub const fn was_resumed(self) -> bool {
        self.was_resumed
    }
}

/// How far [`Kms::verify_store`](crate::Kms::verify_store) has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreVerificationProgress {
    pub(in crate::kms) checked: u64,
    pub(in crate::kms) total: u64,
}

impl StoreVerificationProgress {
    /// Records that were looked at.
    pub const fn checked(self) -> u64 {
        self.checked
    }

    /// Records that there were at the start. Others may have come since, or gone.
    pub const fn total(self) -> u64 {
        self.total
    }
}

/// What [`Kms::verify_store`](crate::Kms::verify_store) found.
#[derive(Debug)]
pub struct StoreVerificationReport {
    pub(in crate::kms) records: u64,
    pub(in crate::kms) problems: Vec<Error>,
}

impl StoreVerificationReport {
    /// Whether everything is as this library left it.
    pub const fn is_intact(&self) -> bool {
        self.problems.is_empty()
    }

    /// How many records were looked at.
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// What was found: an error for each record, most of kind [`Integrity`](crate::ErrorKind::Integrity), and for damage to what
    /// holds the records together one of kind [`Store`](crate::ErrorKind::Store), with
    /// [`StoreError::Damaged`](crate::store::StoreError::Damaged) as its source.
    pub fn problems(&self) -> &[Error] {
        &self.problems
    }
}
