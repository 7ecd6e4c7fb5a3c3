//! The [`Kms`] builder.

mod defaults;
#[cfg(feature = "sqlite")]
mod open;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use self::defaults::{with_default_providers, with_known_services};
use crate::audit::{AuditSink, MemoryTrail};
use crate::clock::{Clock, SystemClock};
use crate::crypto::CryptoBackend;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{AccountId, Locality, ServiceName};
use crate::key::ClusterId;
use crate::kms::engine::audit_log::AuditLog;
use crate::kms::engine::connections::Hsms;
use crate::kms::engine::core::{Core, Settings};
use crate::kms::engine::due_keys::KeptDueKeys;
use crate::kms::engine::gate::Gate;
use crate::kms::engine::handle::Kms;
use crate::kms::engine::limits::KmsLimits;
use crate::kms::engine::material::Material;
use crate::kms::engine::metering::Metering;
use crate::kms::engine::wrapping_keys::WrappingKeys;
use crate::kms::storage::registry::Registry;
use crate::kms::storage::trusted_time::{DEFAULT_TOLERANCE, TrustedClock, check_tolerance};
use crate::metrics::{Metrics, Recorder};
use crate::policy::Policy;
use crate::provider::{CryptoUserCredential, HsmCluster, KeyMaterialProvider};
use crate::seal::RootKey;
use crate::store::{Anchor, KeyStore, MemoryStore};

impl Kms {
    /// Creates an empty in-memory KMS with default settings. Its keys exist as long as the process.
    ///
    /// # Errors
    /// - [`Internal`](ErrorKind::Internal) if the operating system provides no randomness.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    ///
    /// let kms = Kms::in_memory()?;
    /// assert!(kms.list_keys(Default::default())?.entries.is_empty());
    /// let key = kms.create_key(Default::default())?;
    /// assert_eq!(key.arn().to_string(), format!("arn:aws:kms:local:000000000000:key/{}", key.key_id()));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn in_memory() -> Result<Self> {
        Self::builder().build()
    }

    /// Returns a builder for a KMS.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::identity::{AccountId, Locality};
    ///
    /// let account = AccountId::parse("123456789012")?;
    /// let kms = Kms::builder().account(account).locality(Locality::new("aws", "eu-central-1")?).build()?;
    /// let key = kms.create_key(Default::default())?;
    /// assert!(key.arn().to_string().starts_with("arn:aws:kms:eu-central-1:123456789012:key/"));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn builder() -> KmsBuilder {
        KmsBuilder::default()
    }
}

/// Builds a [`Kms`]. Every part has a default:
///
/// | part | default |
/// |---|---|
/// | store and root key | in memory, under a randomly generated root key |
/// | anchor | none |
/// | providers | software keys, generated or imported; [`KmsBuilder::provider`] adds more |
/// | policy | key policies, identity policies and grants ([`evaluate`](crate::policy::evaluate)) |
/// | audit | the latest events in memory |
/// | metrics | none |
/// | clock | the system's |
/// | clock tolerance | 26 hours |
/// | backend | the fastest parts compiled in |
/// | account, partition, region | `000000000000`, `aws`, `local` |
/// | limits | those of AWS KMS |
/// | insecure test keys | refused |
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use strongroom::audit::{Action, MemoryTrail};
/// use strongroom::identity::{AccountId, Locality};
/// use strongroom::key::Operation;
/// use strongroom::seal::RootKey;
/// use strongroom::store::MemoryStore;
/// use strongroom::{Kms, KmsLimits, SystemClock};
///
/// let trail = Arc::new(MemoryTrail::default());
/// let kms = Kms::builder()
///     .store(MemoryStore::new(&Default::default())?, RootKey::from_bytes(&[7; 32]))
///     .audit(Arc::clone(&trail))
///     .clock(SystemClock)
///     .account(AccountId::parse("123456789012")?)
///     .locality(Locality::new("aws", "eu-central-1")?)
///     .limits(KmsLimits { aliases_per_key: 3, ..KmsLimits::default() })
///     .build()?;
/// let key = kms.create_key(Default::default())?;
/// assert_eq!(key.account().as_str(), "123456789012");
/// assert!(trail.events().iter().any(|event| event.action == Action::Call(Operation::CreateKey)));
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Debug, Default)]
#[must_use = "a builder does nothing until `build` or `open` is called"]
pub struct KmsBuilder {
    store: Option<(Arc<dyn KeyStore>, RootKey)>,
    anchor: Option<Arc<dyn Anchor>>,
    providers: Vec<Arc<dyn KeyMaterialProvider>>,
    policy: Option<Arc<dyn Policy>>,
    audit: Option<Arc<dyn AuditSink>>,
    metrics: Metrics,
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
    /// Stores records in this store, sealed under this root key. Opening the store again requires
    /// the same root key. For a store in a file, `open` (feature `sqlite`) is shorter.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    ///
    /// use strongroom::seal::RootKey;
    /// use strongroom::store::MemoryStore;
    /// use strongroom::{ErrorKind, Kms};
    ///
    /// let store = Arc::new(MemoryStore::new(&Default::default())?);
    /// let open = |secret: [u8; 32]| Kms::builder().store(Arc::clone(&store), RootKey::from_bytes(&secret)).build();
    /// let key = open([7; 32])?.create_key(Default::default())?;
    /// assert_eq!(open([7; 32])?.describe_key(key.arn())?, key);
    /// assert_eq!(open([8; 32]).unwrap_err().kind(), ErrorKind::RootKey);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn store(mut self, store: impl KeyStore + 'static, root: RootKey) -> Self {
        self.store = Some((Arc::new(store), root));
        self
    }

    /// Detects a rollback of the whole store by comparing it with an external anchor, when the
    /// store is opened and before every change. Every change then moves the anchor.
    ///
    /// An anchor that has no position yet is set to that of the store. If the anchor cannot be
    /// moved after a change, the operation fails with an error that says that the change was
    /// committed.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    ///
    /// use strongroom::Kms;
    /// use strongroom::seal::RootKey;
    /// use strongroom::store::{Anchor, MemoryAnchor, MemoryStore};
    ///
    /// let anchor = Arc::new(MemoryAnchor::default());
    /// let store = MemoryStore::new(&Default::default())?;
    /// let kms = Kms::builder().store(store, RootKey::generate()).anchor(Arc::clone(&anchor)).build()?;
    /// let before = anchor.last()?.map(|last| last.revision);
    /// kms.create_key(Default::default())?;
    /// assert!(anchor.last()?.map(|last| last.revision) > before);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn anchor(mut self, anchor: impl Anchor + 'static) -> Self {
        self.anchor = Some(Arc::new(anchor));
        self
    }

    /// Adds a provider of key material, in addition to those for software keys. To create a key
    /// with it, specify its name:
    /// [`CreateKeyRequest::provider`](crate::request::CreateKeyRequest::provider). Add it again
    /// whenever you open the store: without it, its keys cannot be used. Its origin is `AWS_KMS` or
    /// `AWS_CLOUDHSM`, because imported material is always in the store.
    ///
    /// # Examples
    /// A provider that leaves the work to a built-in one, and that could count or delay it. The
    /// example `custom_provider` has one whose keys are elsewhere.
    /// ```
    /// use strongroom::crypto::CryptoBackend;
    /// use strongroom::key::Origin;
    /// use strongroom::provider::{
    ///     Capabilities, KeyMaterialProvider, MaterialBinding, MaterialGenerator, MemoryProvider, OpenedKey, ProviderId,
    /// };
    /// use strongroom::request::{CreateKeyRequest, DecryptRequest, EncryptRequest};
    /// use strongroom::{ErrorKind, Kms, Result, SecretBytes};
    ///
    /// #[derive(Debug)]
    /// struct Vault(ProviderId, MemoryProvider);
    ///
    /// impl KeyMaterialProvider for Vault {
    ///     fn id(&self) -> &ProviderId { &self.0 }
    ///     fn origin(&self) -> Origin { self.1.origin() }
    ///     fn capabilities(&self) -> &Capabilities { self.1.capabilities() }
    ///     fn open(&self, backend: &CryptoBackend, binding: &MaterialBinding, stored: &SecretBytes) -> Result<OpenedKey> { self.1.open(backend, binding, stored) }
    ///     fn destroy(&self, binding: &MaterialBinding, stored: &SecretBytes) -> Result<()> { self.1.destroy(binding, stored) }
    ///     fn generator(&self) -> Option<&dyn MaterialGenerator> { self.1.generator() }
    /// }
    ///
    /// let vault = Vault(ProviderId::new("vault"), MemoryProvider::default());
    /// let kms = Kms::builder().provider(vault).build()?;
    /// let key = kms.create_key(CreateKeyRequest::default().provider("vault"))?.key_id();
    /// let blob = kms.encrypt(EncryptRequest::new(key, b"data"))?.ciphertext_blob;
    /// assert_eq!(kms.decrypt(DecryptRequest::new(&blob))?.plaintext.expose_secret(), b"data");
    ///
    /// // A name can be used once, and the built-in provider already has this one.
    /// let refused = Kms::builder().provider(MemoryProvider::default()).build().unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::Validation);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn provider(mut self, provider: impl KeyMaterialProvider + 'static) -> Self {
        self.providers.push(Arc::new(provider));
        self
    }

    /// Registers an HSM cluster under the name by which custom key stores refer to it
    /// ([`Kms::create_custom_key_store`]). Keep an `Arc` of the cluster to monitor the state of its
    /// members.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    ///
    /// use strongroom::Kms;
    /// use strongroom::key::ClusterId;
    /// use strongroom::provider::{HsmCluster, MemberState, MemoryCluster};
    ///
    /// let cluster = Arc::new(MemoryCluster::new([("hsm-1", "zone-a"), ("hsm-2", "zone-b")], b"kmsPswd1"));
    /// let kms = Kms::builder().cluster(ClusterId::parse("vault")?, Arc::clone(&cluster)).build()?;
    /// cluster.set_active("hsm-2", false);
    /// assert_eq!(cluster.members()[1].state, MemberState::Unreachable);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn cluster(mut self, id: ClusterId, cluster: impl HsmCluster + 'static) -> Self {
        self.clusters.push((id, Arc::new(cluster)));
        self
    }

    /// Sets the source of the password for a cluster's crypto user. It is called whenever a
    /// connection needs the password, so the store need not contain it.
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::ClusterId;
    /// use strongroom::provider::{CryptoUserCredential, MemoryCluster};
    /// use strongroom::request::CreateCustomKeyStoreRequest;
    /// use strongroom::{Kms, Result, SecretBytes};
    ///
    /// #[derive(Debug)]
    /// struct FromAgent;
    ///
    /// impl CryptoUserCredential for FromAgent {
    ///     fn password(&self) -> Result<SecretBytes> {
    ///         Ok(SecretBytes::copy_from_slice(b"kmsPswd1")) // ask an agent or a vault
    ///     }
    /// }
    ///
    /// let vault = ClusterId::parse("vault")?;
    /// let cluster = MemoryCluster::new([("hsm-1", "zone-a"), ("hsm-2", "zone-b")], b"kmsPswd1");
    /// let kms = Kms::builder().cluster(vault.clone(), cluster).cluster_credential(vault.clone(), FromAgent).build()?;
    /// let store = kms.create_custom_key_store(CreateCustomKeyStoreRequest::new("safe", vault))?;
    /// assert!(kms.connect_custom_key_store(store).is_ok());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn cluster_credential(mut self, id: ClusterId, credential: impl CryptoUserCredential + 'static) -> Self {
        self.cluster_credentials.push((id, Arc::new(credential)));
        self
    }

    /// Replaces the authorization policy. The default is [`evaluate`](crate::policy::evaluate),
    /// which a custom policy may call.
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::Operation;
    /// use strongroom::policy::{AttachedPolicies, Decision, Policy, PolicyRequest, evaluate};
    /// use strongroom::{ErrorKind, Kms, Result};
    ///
    /// /// The default rules, except that no key can be deleted.
    /// #[derive(Debug)]
    /// struct NoDeletion;
    ///
    /// impl Policy for NoDeletion {
    ///     fn decide(&self, request: &PolicyRequest<'_>, attached: &AttachedPolicies<'_>) -> Result<Decision> {
    ///         match request.operation {
    ///             Operation::ScheduleKeyDeletion => Ok(Decision::Deny),
    ///             _ => Ok(evaluate(request, attached)?.decision()),
    ///         }
    ///     }
    /// }
    ///
    /// let kms = Kms::builder().policy(NoDeletion).build()?;
    /// let key = kms.create_key(Default::default())?;
    /// let refused = kms.schedule_key_deletion(key.key_id(), Default::default()).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::AccessDenied);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn policy(mut self, policy: impl Policy + 'static) -> Self {
        self.policy = Some(Arc::new(policy));
        self
    }

    /// Sets the sink for the audit trail. The default is a [`MemoryTrail`] with the latest events.
    /// Keep an `Arc` of a sink to read it or to write checkpoints.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    ///
    /// use strongroom::audit::{MemoryTrail, Outcome};
    /// use strongroom::{ErrorKind, Kms};
    ///
    /// let trail = Arc::new(MemoryTrail::default());
    /// let kms = Kms::builder().audit(Arc::clone(&trail)).build()?;
    /// assert!(kms.describe_key("alias/missing").is_err());
    /// // Refused calls leave an event, too.
    /// assert_eq!(trail.events()[0].outcome, Outcome::Failure(ErrorKind::NotFound));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn audit(mut self, sink: impl AuditSink + 'static) -> Self {
        self.audit = Some(Arc::new(sink));
        self
    }

    /// Sets the recorder of metrics, such as the number and duration of operations, cache hits, and
    /// overdue rotations. See [`Recorder`] for the list. The default is none, which costs nothing.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// use strongroom::Kms;
    /// use strongroom::metrics::{Label, Metric, Recorder};
    ///
    /// /// Prints every duration.
    /// #[derive(Debug)]
    /// struct Printer;
    ///
    /// impl Recorder for Printer {
    ///     fn increment_counter(&self, _: Metric, _: &[Label], _: u64) {}
    ///     fn set_gauge(&self, _: Metric, _: &[Label], _: u64) {}
    ///     fn record_duration(&self, metric: Metric, _: &[Label], duration: Duration) {
    ///         println!("{} {duration:?}", metric.name());
    ///     }
    /// }
    ///
    /// let kms = Kms::builder().metrics(Printer).build()?;
    /// assert!(kms.create_key(Default::default())?.is_enabled());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn metrics(mut self, recorder: impl Recorder + 'static) -> Self {
        self.metrics = Metrics::new(Arc::new(recorder));
        self
    }

    /// Sets the clock. The default is [`SystemClock`]. Tests pass a
    /// [`ManualClock`](crate::ManualClock): see [`KmsBuilder::clock_tolerance`].
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Sets the longest step of the clock that is trusted immediately. The default is 26 hours and
    /// the minimum is one hour. A longer step is a jump, and [`Kms::run_maintenance`] destroys
    /// nothing until it is confirmed.
    ///
    /// A clock that jumps by no more than the tolerance makes deletions due that much too early, so
    /// keep it well below your shortest deletion window. If you run maintenance less often than
    /// once a day, each time in a new process, set the tolerance slightly higher than the time
    /// between two runs. Otherwise every second run waits. With `Duration::MAX`, every clock is
    /// trusted; use this only in tests.
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

    /// Sets the cryptographic backend. The default is [`FASTEST`](crate::crypto::FASTEST).
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    ///
    /// use strongroom::Kms;
    /// use strongroom::crypto::{CryptoBackend, FASTEST, RUST_CRYPTO};
    /// use strongroom::request::{DecryptRequest, EncryptRequest};
    /// use strongroom::seal::RootKey;
    /// use strongroom::store::MemoryStore;
    ///
    /// let store = Arc::new(MemoryStore::new(&CryptoBackend::default())?);
    /// let open = |backend| {
    ///     Kms::builder().store(Arc::clone(&store), RootKey::from_bytes(&[7; 32])).backend(backend).build()
    /// };
    /// // Every backend reads what any other wrote.
    /// let pure_rust = open(RUST_CRYPTO)?;
    /// let key = pure_rust.create_key(Default::default())?.key_id();
    /// let blob = pure_rust.encrypt(EncryptRequest::new(key, b"data"))?.ciphertext_blob;
    /// let fastest = open(FASTEST)?;
    /// assert_eq!(fastest.decrypt(DecryptRequest::new(&blob))?.plaintext.expose_secret(), b"data");
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub const fn backend(mut self, backend: CryptoBackend) -> Self {
        self.backend = backend;
        self
    }

    /// Sets the account whose root the authority acts as. The default is `000000000000`. Keys
    /// belong to the account that created them and are not visible to other accounts.
    pub const fn account(mut self, account: AccountId) -> Self {
        self.account = account;
        self
    }

    /// Registers a service in addition to `s3`, `ebs`, `rds`, `redshift`, and `ssm`.
    /// [`Kms::as_service`] creates its handle, and its key in an account is `alias/aws/<name>`.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::identity::ServiceName;
    /// use strongroom::request::GenerateDataKeyRequest;
    ///
    /// let kms = Kms::builder().service(ServiceName::parse("photos")?).build()?;
    /// let photos = kms.as_service("photos")?;
    /// let request = GenerateDataKeyRequest::new("alias/aws/photos");
    /// photos.on_behalf_of(&kms)?.generate_data_key(request)?;
    /// assert!(kms.as_service("videos").is_err());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn service(mut self, name: ServiceName) -> Self {
        self.services.insert(name);
        self
    }

    /// Sets the partition and region of all ARNs. The default is `aws` and `local`. Choose them
    /// once for a store and everything encrypted under its keys: messages identify their keys by
    /// ARN, so a message written under another locality cannot be decrypted.
    pub fn locality(mut self, locality: Locality) -> Self {
        self.locality = locality;
        self
    }

    /// Sets the quotas. The default is [`KmsLimits::default`], with the quotas of AWS KMS.
    pub const fn limits(mut self, limits: KmsLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Allows [`Kms::create_insecure_test_key`], which is otherwise rejected and shows an example.
    /// **For tests only**: anyone who can read the program knows the material of such keys.
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::KeyId;
    /// use strongroom::{ErrorKind, Kms};
    ///
    /// let id = KeyId::parse("1234abcd-12ab-34cd-56ef-1234567890ab")?;
    /// let kms = Kms::builder().allow_insecure_test_keys().build()?;
    /// assert_eq!(kms.create_insecure_test_key(id, Default::default(), &[&[7; 32]])?.key_id(), id);
    /// let refused = Kms::in_memory()?.create_insecure_test_key(id, Default::default(), &[&[7; 32]]).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::UnsupportedOperation);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub const fn allow_insecure_test_keys(mut self) -> Self {
        self.insecure_test_keys = true;
        self
    }

    /// Builds the KMS and returns its authority.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if two providers or two clusters have the same name,
    ///   a provider has the origin `EXTERNAL`, the clock tolerance is less than one hour, or the
    ///   account is that of services.
    /// - [`RootKey`](ErrorKind::RootKey) if the root key does not match the store.
    /// - [`Integrity`](ErrorKind::Integrity) if the root key is correct and the store was altered.
    /// - [`UnsupportedOperation`](ErrorKind::UnsupportedOperation) if the backend rejects the root key.
    /// - [`Internal`](ErrorKind::Internal) without randomness, or outside of FIPS mode if required.
    /// - [`Store`](ErrorKind::Store) if the store fails.
    /// - [`Audit`](ErrorKind::Audit) if the trail cannot be written or does not match the store.
    pub fn build(self) -> Result<Kms> {
        if self.account == AccountId::SERVICES {
            let text = format!("only services can act in the account {}", AccountId::SERVICES);
            return Err(Error::new(ErrorKind::Validation, text));
        }
        self.backend.check_ready()?;
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
        let registry = Registry::new(
            (store, root),
            self.anchor,
            &self.backend,
            self.locality,
            self.limits.cached_keys,
            self.metrics,
        )?;
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
            due_keys: KeptDueKeys::default(),
            gate: Gate::default(),
            settings: Settings {
                policy: self.policy,
                limits: self.limits,
                services,
                insecure_test_keys: self.insecure_test_keys,
            },
        };
        if has_outside_material {
            // Recorded as early as possible: a copy without such a record is treated as the
            // original.
            core.copy_guard().instance()?;
        }
        Ok(Kms::authority(core, self.account))
    }
}
