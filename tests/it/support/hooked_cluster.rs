//! An in-memory cluster that runs a hook when it is connected and when a key is generated or
//! erased.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use strongroom::crypto::CryptoBackend;
use strongroom::key::{KeySpec, KeyUsage, Origin};
use strongroom::provider::{
    Capabilities, ClusterManagement, ClusterMember, ConnectionFailure, CryptoUserCredential, GeneratedMaterial,
    HsmCluster, InstanceMark, InstanceMarks, KeyMaterialProvider, MaterialBinding, MaterialGenerator, MemoryCluster,
    OpenedKey, ProviderId,
};
use strongroom::{Result, SecretBytes};

/// The moment at which the hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    BeforeConnect,
    BeforeGenerate,
    AfterGenerate,
    BeforeErase,
    AfterErase,
}

type Hook = Box<dyn Fn(Moment) + Send + Sync>;

/// A cluster that wraps another one and forwards every call. It knows the state of the members at
/// the last probe.
pub(crate) struct HookedCluster {
    inner: Arc<MemoryCluster>,
    has_marks: bool,
    hidden: AtomicUsize,
    seen: Mutex<Vec<ClusterMember>>,
    hook: Hook,
}

impl HookedCluster {
    pub(crate) fn new(inner: &Arc<MemoryCluster>, hook: impl Fn(Moment) + Send + Sync + 'static) -> Self {
        let seen = Mutex::new(inner.members());
        let hidden = AtomicUsize::new(0);
        Self { inner: Arc::clone(inner), has_marks: true, hidden, seen, hook: Box::new(hook) }
    }

    /// Returns the same cluster with or without the marks by which copies of a store are
    /// recognized.
    pub(crate) fn with_marks(self, has_marks: bool) -> Self {
        Self { has_marks, ..self }
    }

    /// Hides the marks from the next reads.
    #[cfg(feature = "sqlite")]
    pub(crate) fn hide_marks(&self, times: usize) {
        self.hidden.store(times, Ordering::SeqCst);
    }
}

impl HsmCluster for HookedCluster {
    fn management(&self) -> ClusterManagement {
        self.inner.management()
    }

    fn members(&self) -> Vec<ClusterMember> {
        self.seen.lock().expect("no thread panicked").clone()
    }

    fn probe(&self) {
        *self.seen.lock().expect("no thread panicked") = self.inner.members();
    }

    fn unsupported_reason(&self, spec: KeySpec, _: KeyUsage) -> Option<String> {
        Some(format!("{spec} keys are not supported by the test"))
    }

    fn connect(&self, credential: &Arc<dyn CryptoUserCredential>) -> Result<(), ConnectionFailure> {
        (self.hook)(Moment::BeforeConnect);
        self.inner.connect(credential)
    }

    fn disconnect(&self) {
        self.inner.disconnect();
    }

    fn provider(&self) -> &dyn KeyMaterialProvider {
        self
    }

    fn erase(&self, binding: &MaterialBinding) -> Result<()> {
        (self.hook)(Moment::BeforeErase);
        self.inner.erase(binding)?;
        (self.hook)(Moment::AfterErase);
        Ok(())
    }

    fn random(&self, length: usize) -> Result<SecretBytes> {
        self.inner.random(length)
    }
}

impl KeyMaterialProvider for HookedCluster {
    fn id(&self) -> &ProviderId {
        self.inner.id()
    }

    fn origin(&self) -> Origin {
        self.inner.origin()
    }

    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    fn open(&self, backend: &CryptoBackend, binding: &MaterialBinding, stored: &SecretBytes) -> Result<OpenedKey> {
        self.inner.open(backend, binding, stored)
    }

    fn destroy(&self, binding: &MaterialBinding, stored: &SecretBytes) -> Result<()> {
        self.inner.destroy(binding, stored)
    }

    fn generator(&self) -> Option<&dyn MaterialGenerator> {
        Some(self)
    }

    fn instance_marks(&self) -> Option<&dyn InstanceMarks> {
        self.has_marks.then_some(self)
    }
}

impl InstanceMarks for HookedCluster {
    fn marks(&self, store: [u8; 16]) -> Result<Vec<InstanceMark>> {
        let hides = |times: usize| times.checked_sub(1);
        match self.hidden.fetch_update(Ordering::SeqCst, Ordering::SeqCst, hides) {
            Ok(_) => Ok(Vec::new()),
            Err(_) => self.inner.marks(store),
        }
    }

    fn add_mark(&self, store: [u8; 16], mark: InstanceMark) -> Result<()> {
        self.inner.add_mark(store, mark)
    }
}

impl MaterialGenerator for HookedCluster {
    fn generate(&self, backend: &CryptoBackend, binding: &MaterialBinding) -> Result<GeneratedMaterial> {
        (self.hook)(Moment::BeforeGenerate);
        let made = self.inner.generate(backend, binding)?;
        (self.hook)(Moment::AfterGenerate);
        Ok(made)
    }
}

impl fmt::Debug for HookedCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HookedCluster").field(&self.inner).finish()
    }
}
