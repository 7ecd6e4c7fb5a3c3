//! The builder of a KMS.

#[cfg(feature = "sqlite")]
mod open;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::audit::{AuditSink, MemoryTrail};
use crate::clock::{Clock, SystemClock};
use crate::crypto::CryptoBackend;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{AccountId, Locality, ServiceName};
use crate::key::{ClusterId, Origin};
use crate::kms::engine::audit_log::AuditLog;
use crate::kms::engine::connections::Hsms;
use crate::kms::engine::core::{Core, Settings};
use crate::kms::engine::handle::Kms;
use crate::kms::engine::limits::KmsLimits;
use crate::kms::engine::material::Material;
use crate::kms::engine::metering::Metering;
use crate::kms::engine::wrapping_keys::WrappingKeys;
use crate::kms::pipeline::service_key::SERVICES;
use crate::kms::storage::registry::Registry;
use crate::kms::storage::trusted_time::{DEFAULT_TOLERANCE, TrustedClock, check_tolerance};
use crate::policy::Policy;
use crate::provider::{CryptoUserCredential, HsmCluster, ImportedProvider, KeyMaterialProvider, MemoryProvider};
use crate::seal::RootKey;
use crate::store::{Anchor, KeyStore, MemoryStore};

impl Kms {
    /// Makes an empty KMS in memory, with defaults for everything. Its keys live as long as the process.
    ///
    /// # Errors
    /// [`Internal`](ErrorKind::Internal) if the operating system gives no randomness.
    pub fn in_memory() -> Result<Self> {
        Self::builder().build()
    }

    /// Starts to put a KMS together.
    pub fn builder() -> KmsBuilder {
        KmsBuilder::default()
    }
}

/// Puts a [`Kms`] together. Whatever is not given has a default.
///
/// | part | default |
/// |---|---|
/// | store and root key | in memory, under a root key drawn at random |
/// | anchor | none |
/// | providers | software keys, generated or imported; [`KmsBuilder::provider`] adds more |
/// | policy | key policies, identity policies and grants ([`evaluate`](crate::policy::evaluate)) |
/// | audit | the latest events in memory |
/// | clock | the system's |
/// | clock tolerance | 26 hours |
/// | backend | the fastest parts compiled in |
/// | account, partition, region | `000000000000`, `aws`, `local` |
/// | limits | those of AWS KMS |
/// | insecure test keys | refused |
#[derive(Debug, Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct KmsBuilder {
    store: Option<(Arc<dyn KeyStore>, RootKey)>,
    anchor: Option<Arc<dyn Anchor>>,
    providers: Vec<Arc<dyn KeyMaterialProvider>>,
    policy: Option<Arc<dyn Policy>>,
    audit: Option<Arc<dyn AuditSink>>,
    clock: Option<Arc<dyn Clock>>,
    clock_tolerance: Option<Duration>,
    backend: CryptoBackend,
    account: AccountId,
    locality: Locality,
    limits: KmsLimits,
    services: BTreeSet<ServiceName>,
    clusters: Vec<(ClusterId, Arc<dyn HsmCluster>)>,
    cluster_credentials: Vec<(ClusterId, Arc<dyn CryptoUserCredential>)>,
    insecure_test_keys: bool,
}

impl KmsBuilder {
    /// Keeps records in this store, sealed under this root key. Whoever opens the store again needs the same root key.
    pub fn store(mut self, store: impl KeyStore + 'static, root: RootKey) -> Self {
        self.store = Some((Arc::new(store), root));
        self
    }

    /// Compares the store with an anchor outside of it, when it is opened and before every change, and moves the anchor after
    /// every change: so that the whole store cannot be set back unnoticed. An anchor that was nowhere yet is dropped where the
    /// store is. If it cannot be moved after a change, that fails with an error which says that it was committed.
    pub fn anchor(mut self, anchor: impl Anchor + 'static) -> Self {
        self.anchor = Some(Arc::new(anchor));
        self
    }

    /// Adds a provider of key material, alongside those of software keys. To create a key with it, specify
    /// its name: [`CreateKeyRequest::provider`](crate::request::CreateKeyRequest::provider). Add it again whenever you
    /// open the store: without it, its keys cannot be used. Its origin is `AWS_KMS` or `AWS_CLOUDHSM`, as
    /// imported material is always in the store.
    pub fn provider(mut self, provider: impl KeyMaterialProvider + 'static) -> Self {
        self.providers.push(Arc::new(provider));
        self
    }

    /// Gives a cluster of HSMs the name by which custom key stores know it
    /// ([`Kms::create_custom_key_store`]). Keep an `Arc` of the cluster to see how its members are.
    pub fn cluster(mut self, id: ClusterId, cluster: impl HsmCluster + 'static) -> Self {
        self.clusters.push((id, Arc::new(cluster)));
        self
    }

    /// Asks for the password of a cluster's crypto user here, whenever a connection needs it, so that the store need not
    /// keep it.
    pub fn cluster_credential(mut self, id: ClusterId, credential: impl CryptoUserCredential + 'static) -> Self {
        self.cluster_credentials.push((id, Arc::new(credential)));
        self
    }

    /// Decides who may do what, in place of [`evaluate`](crate::policy::evaluate), which it may ask.
    pub fn policy(mut self, policy: impl Policy + 'static) -> Self {
        self.policy = Some(Arc::new(policy));
        self
    }

    /// Receives the audit trail. Keep an `Arc` of a [`MemoryTrail`] to read it.
    pub fn audit(mut self, sink: impl AuditSink + 'static) -> Self {
        self.audit = Some(Arc::new(sink));
        self
    }

    /// Tells the time.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Sets the longest step of the clock that is trusted at once: 26 hours if you do not set it, and at least one hour. A
    /// longer step is a jump, and [`Kms::run_maintenance`] destroys nothing until it is confirmed.
    ///
    /// A clock that jumps by no more than the tolerance makes deletions due that much too early, so keep it well below
    /// your shortest deletion window. If you sweep less often than once a day, in a new process each time, set it to a little more
    /// than the time between two sweeps, or every second sweep waits. `Duration::MAX` believes every clock: for tests.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// use strongroom::key::DeletionWindow;
    /// use strongroom::{Kms, ManualClock, Timestamp};
    ///
    /// let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
    /// let kms = Kms::builder().clock(Arc::clone(&clock)).clock_tolerance(Duration::MAX).build()?;
    /// let key = kms.create_key(Default::default())?;
    /// kms.schedule_key_deletion(key.key_id(), DeletionWindow::default())?;
    /// clock.advance_days(30);
    /// assert_eq!(kms.run_maintenance()?.deleted, [key.arn().clone()]);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub const fn clock_tolerance(mut self, tolerance: Duration) -> Self {
        self.clock_tolerance = Some(tolerance);
        self
    }

    /// Does the cryptography.
    pub const fn backend(mut self, backend: CryptoBackend) -> Self {
        self.backend = backend;
        self
    }

    /// Sets the account whose root the authority acts as. Keys belong to the account that created them, and
    /// are not visible to others.
    pub const fn account(mut self, account: AccountId) -> Self {
        self.account = account;
        self
    }

    /// Registers a service in addition to `s3`, `ebs`, `rds`, `redshift` and `ssm`: [`Kms::as_service`] creates
    /// its handle, and its key in an account is `alias/aws/<name>`.
    pub fn service(mut self, name: ServiceName) -> Self {
        self.services.insert(name);
        self
    }

    /// Partition and region of all ARNs. A message names its keys by their ARNs, and one that was written under another locality
    /// does not open: choose it once, for a store and all that is encrypted under its keys.
    pub fn locality(mut self, locality: Locality) -> Self {
        self.locality = locality;
        self
    }

    /// Quotas.
    pub const fn limits(mut self, limits: KmsLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Allows [`Kms::create_insecure_test_key`], which is refused otherwise. **For tests only**: anyone who can read the
    /// program knows the material of such keys.
    pub const fn allow_insecure_test_keys(mut self) -> Self {
        self.insecure_test_keys = true;
        self
    }

    /// Builds the KMS and returns its authority.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if two providers or two clusters have the same name, a provider is
    ///   of origin `EXTERNAL`, the clock tolerance is less than one hour, or the account is that of services.
    /// - [`RootKey`](ErrorKind::RootKey) if the root key is not that of the store.
    /// - [`Integrity`](ErrorKind::Integrity) if the root key is right and the store was altered.
    /// - [`Internal`](ErrorKind::Internal) if the operating system provides no randomness.
    /// - [`Store`](ErrorKind::Store) if the store fails.
    /// - [`Audit`](ErrorKind::Audit) if the audit trail cannot be written or does not fit the store.
    pub fn build(self) -> Result<Kms> {
        if self.account == AccountId::SERVICES {
            let text = format!("nobody but services acts in the account {}", AccountId::SERVICES);
            return Err(Error::new(ErrorKind::Validation, text));
        }
        let tolerance = self.clock_tolerance.unwrap_or(DEFAULT_TOLERANCE);
        check_tolerance(tolerance)?;
        let services = with_known_services(self.services)?;
        let providers = with_default_providers(self.providers)?;
        let (store, root) = match self.store {
            Some(given) => given,
            None => {
                let store: Arc<dyn KeyStore> = Arc::new(MemoryStore::new(&self.backend)?);
                (store, RootKey::generate())
            }
        };
        let registry =
            Registry::new((store, root), self.anchor, &self.backend, self.locality, self.limits.cached_keys)?;
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock));
        let time = TrustedClock::open(&registry, clock, tolerance)?;
        let sink = self.audit.unwrap_or_else(|| Arc::new(MemoryTrail::default()));
        let audit = AuditLog::attach(sink, &registry, &self.backend)?;
        let has_outside_material =
            !self.clusters.is_empty() || providers.iter().any(|provider| provider.importer().is_none());
        let core = Core {
            registry,
            material: Material {
                providers,
                backend: self.backend,
                wrapping_keys: WrappingKeys::new(self.limits.prepared_wrapping_keys),
            },
            hsms: Hsms::new(self.clusters, self.cluster_credentials)?,
            audit,
            time,
            metering: Metering::default(),
            settings: Settings {
                policy: self.policy,
                limits: self.limits,
                services,
                insecure_test_keys: self.insecure_test_keys,
            },
        };
        if has_outside_material {
            // Recorded as early as possible: a copy without such a record is treated as the original.
            core.copy_guard().instance()?;
        }
        Ok(Kms::authority(core, self.account))
    }
}

/// Adds the services that every KMS knows.
fn with_known_services(mut services: BTreeSet<ServiceName>) -> Result<BTreeSet<ServiceName>> {
    for name in SERVICES {
        services.insert(ServiceName::parse(name)?);
    }
    Ok(services)
}

/// Puts the providers of software keys before those of the application.
fn with_default_providers(added: Vec<Arc<dyn KeyMaterialProvider>>) -> Result<Vec<Arc<dyn KeyMaterialProvider>>> {
    let mut providers: Vec<Arc<dyn KeyMaterialProvider>> =
        vec![Arc::new(MemoryProvider::default()), Arc::new(ImportedProvider::default())];
    for provider in added {
        let name = provider.id().as_str();
        if providers.iter().any(|other| other.id() == provider.id()) {
            return Err(Error::new(ErrorKind::Validation, format!("two providers are named '{name}'")));
        }
        if provider.origin() == Origin::External {
            let text = format!(
                "the provider '{name}' is of origin EXTERNAL: imported material lies in the store, by the provider of this library"
            );
            return Err(Error::new(ErrorKind::Validation, text));
        }
        providers.push(provider);
    }
    Ok(providers)
}
