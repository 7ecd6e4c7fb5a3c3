//! Results of maintenance, root key rotation, and store verification.

use crate::clock::Timestamp;
use crate::error::Error;
use crate::key::KeyArn;

/// The result of [`Kms::run_maintenance`](crate::kms::Kms::run_maintenance).
///
/// # Examples
/// ```
/// use strongroom::Kms;
///
/// let kms = Kms::in_memory()?;
/// let report = kms.run_maintenance()?;
/// for (key, error) in &report.failed {
///     eprintln!("{key}: {error}");
/// }
/// assert!(report.is_complete());
/// assert!(report.rotated.is_empty() && report.expired.is_empty() && report.deleted.is_empty());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct MaintenanceReport {
    /// Keys that received new material because their rotation was due.
    pub rotated: Vec<KeyArn>,
    /// Keys with imported material that was deleted, in part or entirely, because it had expired.
    pub expired: Vec<KeyArn>,
    /// Keys that were deleted because their waiting period had ended.
    pub deleted: Vec<KeyArn>,
    /// Keys for which maintenance failed, with the error. The next run tries again.
    pub failed: Vec<(KeyArn, Error)>,
    /// Set if the clock jumped implausibly far forward. Nothing was deleted, and the first run that
    /// may delete anything is one at this time or later. Check the clock. If it is right, wait or
    /// call [`Kms::confirm_clock`](crate::kms::Kms::confirm_clock). Until then, pending key
    /// deletions can still be canceled even if they are due.
    pub destruction_postponed_until: Option<Timestamp>,
    /// The error, if the store could not overwrite all remains of deleted records. The next run
    /// tries again.
    pub not_scrubbed: Option<Error>,
    /// The errors of other steps that were skipped or not completed. The next run tries again.
    pub unfinished: Vec<Error>,
}

impl MaintenanceReport {
    /// Returns `true` if all due work was completed.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty()
            && self.destruction_postponed_until.is_none()
            && self.not_scrubbed.is_none()
            && self.unfinished.is_empty()
    }
}

/// The result of [`Kms::declare_successor`](crate::Kms::declare_successor), including the work that
/// could not be done yet.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use strongroom::Kms;
/// use strongroom::key::ClusterId;
/// use strongroom::provider::MemoryCluster;
///
/// let cluster = Arc::new(MemoryCluster::new([("hsm-1", "zone-a"), ("hsm-2", "zone-b")], b"kmsPswd1"));
/// let kms = Kms::builder().cluster(ClusterId::parse("vault")?, Arc::clone(&cluster)).build()?;
/// let report = kms.declare_successor()?;
/// assert!(report.postponed.is_empty());
/// // No custom key store uses the cluster yet, so there is nothing to mark.
/// assert!(report.is_complete());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct SuccessionReport {
    /// Keys pending deletion whose material is outside the store. Their waiting periods start
    /// again.
    pub postponed: Vec<KeyArn>,
    /// The names of clusters and providers that could not be marked yet, with the error. Each is
    /// marked by the first operation that reaches it. Until then, it does not supersede other
    /// copies of the store.
    pub not_marked: Vec<(String, Error)>,
}

impl SuccessionReport {
    /// Returns `true` if every cluster and provider was marked.
    pub fn is_complete(&self) -> bool {
        self.not_marked.is_empty()
    }
}

/// The status of a store's root key.
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
    /// Returns the version that all new data is sealed under.
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// Returns the [`id`](crate::seal::RootKeyHolder::id) of the holder that wraps the root key.
    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// Returns `true` if a rotation has started but not finished. An earlier version or an earlier
    /// holder is then still in use as well.
    pub const fn is_rotating(&self) -> bool {
        self.is_rotating
    }
}

/// The result of a root key rotation.
///
/// # Examples
/// ```
/// use strongroom::Kms;
///
/// let kms = Kms::in_memory()?;
/// kms.create_key(Default::default())?;
/// let rotation = kms.rotate_root_key()?;
/// assert_eq!((rotation.version(), rotation.was_resumed()), (2, false));
/// assert!(rotation.resealed() > 0);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootKeyRotation {
    pub(in crate::kms) version: u32,
    pub(in crate::kms) resealed: u64,
    pub(in crate::kms) was_resumed: bool,
}

impl RootKeyRotation {
    /// Returns the version that all data is now sealed under.
    pub const fn version(self) -> u32 {
        self.version
    }

    /// Returns the number of records that this call resealed.
    pub const fn resealed(self) -> u64 {
        self.resealed
    }

    /// Returns `true` if this call resumed an interrupted rotation instead of starting one.
    pub const fn was_resumed(self) -> bool {
        self.was_resumed
    }
}

/// The progress of [`Kms::verify_store`](crate::Kms::verify_store).
///
/// # Examples
/// ```
/// use strongroom::Kms;
///
/// let kms = Kms::in_memory()?;
/// kms.create_key(Default::default())?;
/// let mut shown = Vec::new();
/// kms.verify_store(|progress| shown.push(format!("{} of {}", progress.checked(), progress.total())))?;
/// assert_eq!(shown.last().map(String::as_str), Some("4 of 4")); // the key, and records of the store
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreVerificationProgress {
    pub(in crate::kms) checked: u64,
    pub(in crate::kms) total: u64,
}

impl StoreVerificationProgress {
    /// Returns the number of records checked so far.
    pub const fn checked(self) -> u64 {
        self.checked
    }

    /// Returns the number of records at the start. Records may have been added or removed since.
    pub const fn total(self) -> u64 {
        self.total
    }
}

/// The result of [`Kms::verify_store`](crate::Kms::verify_store).
///
/// # Examples
/// ```
/// use strongroom::Kms;
///
/// let kms = Kms::in_memory()?;
/// kms.create_key(Default::default())?;
/// let report = kms.verify_store(|_| {})?;
/// for problem in report.problems() {
///     eprintln!("{problem}");
/// }
/// assert!(report.is_intact());
/// assert_eq!(report.records(), 4);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Debug)]
pub struct StoreVerificationReport {
    pub(in crate::kms) records: u64,
    pub(in crate::kms) problems: Vec<Error>,
}

impl StoreVerificationReport {
    /// Returns `true` if everything is as this crate left it.
    pub const fn is_intact(&self) -> bool {
        self.problems.is_empty()
    }

    /// Returns the number of records that were checked.
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// Returns the problems found, one error per record, mostly of kind
    /// [`Integrity`](crate::ErrorKind::Integrity). Damage to the structures that hold the records
    /// together is reported as one error of kind [`Store`](crate::ErrorKind::Store), with
    /// [`StoreError::Damaged`](crate::store::StoreError::Damaged) as its source.
    pub fn problems(&self) -> &[Error] {
        &self.problems
    }
}
