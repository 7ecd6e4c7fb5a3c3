//! Modules: the libraries of HSM vendors, one value for each file in a process.
//!
//! A PKCS#11 library has a single state for the whole process (PKCS#11 v3.1, section 5.4:
//! `C_Initialize` is called once). Loading the same file again therefore returns the same
//! [`Module`].
//!
//! Recovery of a token may require the library to be finalized and initialized again, which ends
//! all sessions of all its tokens. An initialization waits for the calls inside the module's gate,
//! up to a deadline. Each initialization starts a new *generation*. Sessions and handles of an
//! older generation are invalid, as a token may reuse their numbers.

pub(in crate::provider::pkcs11) mod deadline_executor;
mod gate;
mod options;
mod registry;
pub(in crate::provider::pkcs11) mod timed_mutex;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as CryptokiError, RvError};

use self::gate::{Gate, Inside};
pub use self::options::ModuleOptions;
pub use self::registry::Modules;
use self::timed_mutex::{TimedMutex, TimedMutexGuard};
use crate::crypto::FASTEST;
use crate::fork_guard::ForkGuard;
use crate::lock::{Mutex, MutexGuard};
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::quirks::{Quirks, quirks_of};

/// All modules that this process has loaded, by canonical path. They are never unloaded: unloading
/// a library that has threads or exit handlers crashes the process.
static LOADED: Mutex<BTreeMap<PathBuf, Module>> = Mutex::new(BTreeMap::new());

/// Maximum number of attempts to find a token that may be temporarily hidden
/// ([`Quirks::hidden_by_logins`]).
pub(in crate::provider::pkcs11) const MAX_DISCOVERY_ATTEMPTS: u32 = 6;

/// The library of an HSM vendor. Cheap to clone. There is one for each file in a process.
///
/// # Examples
/// ```
/// use strongroom::provider::pkcs11::{ErrorClass, Module};
///
/// // The path of SoftHSM on Debian. Loading the same file again returns the same module.
/// if let Ok(module) = Module::load("/usr/lib/softhsm/libsofthsm2.so") {
///     assert!(module.path().ends_with("libsofthsm2.so"));
///     assert!(!module.is_wedged());
///     println!("initialized {} times", module.generation());
/// }
/// assert_eq!(Module::load("/no/such/module.so").unwrap_err().class(), ErrorClass::Fatal);
/// ```
#[derive(Clone)]
pub struct Module(Arc<Loaded>);

struct Loaded {
    path: PathBuf,
    client: Pkcs11,
    options: ModuleOptions,
    /// Known facts about the vendor. Empty until the first initialization.
    quirks: OnceLock<&'static Quirks>,
    process: ArcSwap<Process>,
}

/// State of the module in one process. A forked child gets a new state, as locks of the old one may
/// be held by threads that do not exist in the child.
struct Process {
    fork_guard: ForkGuard,
    gate: Gate,
    generation: AtomicU64,
    initialized: AtomicBool,
    /// `true` if strongroom initialized the module. Otherwise, it must not finalize it.
    owned: AtomicBool,
    /// `true` if the module still has the state of the parent process that this one was forked
    /// from.
    inherited: AtomicBool,
    stuck: AtomicUsize,
    waited_in_vain: AtomicBool,
    lifecycle: Mutex<Lifecycle>,
    /// Used for tokens whose object operations must run one at a time.
    objects: Arc<TimedMutex>,
}

/// State that only one thread at a time may change.
#[derive(Default)]
struct Lifecycle {
    users: usize,
    /// End of the current interval, and the number of reinitializations in it.
    interval: Option<(Instant, u32)>,
}

impl Module {
    /// Loads a module with the default options.
    ///
    /// # Errors
    /// - [`ErrorClass::Fatal`] if the file does not exist or is not a PKCS#11 module.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, TokenError> {
        Self::load_with(path, ModuleOptions::default())
    }

    /// Loads a module. If the file is already loaded, returns the existing module with its existing
    /// options.
    ///
    /// # Errors
    /// - The errors of [`Module::load`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::provider::pkcs11::{ErrorClass, Module, ModuleOptions};
    ///
    /// // Another library in this process uses the same module.
    /// let options = ModuleOptions::default().keep_initialized();
    /// let missing = Module::load_with("/no/such/module.so", options).unwrap_err();
    /// assert_eq!(missing.class(), ErrorClass::Fatal);
    /// ```
    pub fn load_with(path: impl AsRef<Path>, options: ModuleOptions) -> Result<Self, TokenError> {
        let path = path.as_ref();
        let path = path.canonicalize().map_err(|error| {
            TokenError::new(ErrorClass::Fatal, format!("cannot find module {}: {error}", path.display()))
        })?;
        let mut loaded = LOADED.lock();
        if let Some(module) = loaded.get(&path) {
            return Ok(module.clone());
        }
        let client =
            Pkcs11::new(&path).map_err(|error| TokenError::from(error).at(&format!("module {}", path.display())))?;
        let process = ArcSwap::from_pointee(Process::new(0));
        let module = Self(Arc::new(Loaded { path: path.clone(), client, options, quirks: OnceLock::new(), process }));
        loaded.insert(path, module.clone());
        Ok(module)
    }

    /// Returns the canonical path of the file.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Returns the number of initializations. Sessions and handles of one generation are invalid in
    /// another.
    pub fn generation(&self) -> u64 {
        self.process().generation.load(Ordering::Acquire)
    }

    /// Returns `true` if a call has not returned. Such a module is never finalized, as the call
    /// still runs in it. Operations of its tokens that do not require this remain available.
    pub fn is_wedged(&self) -> bool {
        let process = self.process();
        process.stuck.load(Ordering::Acquire) > 0
            || (process.waited_in_vain.load(Ordering::Acquire) && process.gate.is_in_use())
    }

    /// Returns `true` if its tokens may be hidden while other processes log in to them
    /// ([`Quirks::hidden_by_logins`]).
    pub(in crate::provider::pkcs11) fn hides_tokens(&self) -> bool {
        self.0.quirks.get().is_some_and(|quirks| quirks.hidden_by_logins)
    }

    /// Joins the users of the module. The first one initializes it.
    pub(in crate::provider::pkcs11) fn join(&self) -> Result<ModuleLease, TokenError> {
        let process = self.process();
        let mut lifecycle = self.lock_lifecycle(&process)?;
        if !process.initialized.load(Ordering::Acquire) {
            self.initialize(&process)?;
        }
        lifecycle.users += 1;
        Ok(ModuleLease { module: self.clone(), process: Arc::clone(&process) })
    }

    /// Locks the objects of tokens that allow only one object operation at a time. Returns `None`
    /// on timeout.
    pub(in crate::provider::pkcs11) fn lock_objects(&self, wait: Duration) -> Option<TimedMutexGuard> {
        self.process().objects.lock(wait)
    }

    /// Returns the bindings. Only a caller inside the gate may call them.
    pub(in crate::provider::pkcs11) fn client(&self) -> &Pkcs11 {
        &self.0.client
    }

    /// Finalizes and initializes the module, unless that happened since `generation`.
    pub(in crate::provider::pkcs11) fn reinitialize(&self, generation: u64) -> Result<(), TokenError> {
        let process = self.process();
        let mut lifecycle = self.lock_lifecycle(&process)?;
        if process.generation.load(Ordering::Acquire) != generation {
            return Ok(());
        }
        if process.stuck.load(Ordering::Acquire) > 0 {
            return Err(self.error("cannot be reinitialized while a call to it does not return"));
        }
        let now = Instant::now();
        let (end, times) = lifecycle
            .interval
            .filter(|(end, _)| now < *end)
            .unwrap_or_else(|| (now + extended(self.0.options.reinitialize_interval), 0));
        // While another of its tokens is in use, the sessions of that token take precedence.
        let most = if self.hides_tokens() && lifecycle.users <= 1 { MAX_DISCOVERY_ATTEMPTS } else { 1 };
        if times >= most {
            return Err(self.error("was initialized only a moment ago"));
        }
        lifecycle.interval = Some((end, times + 1));
        let Some(_closed) = process.gate.close(self.0.options.wait) else {
            process.waited_in_vain.store(true, Ordering::Release);
            return Err(self.error("cannot be reinitialized while a call to it does not return"));
        };
        process.waited_in_vain.store(false, Ordering::Release);
        if process.owned.load(Ordering::Acquire) && !self.0.options.keep_initialized {
            self.finalize(&process)?;
            return self.initialize(&process);
        }
        // The other user that initialized the module may have finalized it too.
        self.initialize(&process)?;
        if !process.owned.load(Ordering::Acquire) {
            let what = "is in use by another part of this process, so it cannot be finalized and reinitialized";
            return Err(self.error(what));
        }
        process.generation.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// Records a call that its caller abandoned and that is still running.
    pub(in crate::provider::pkcs11) fn call_is_stuck(&self) -> StuckCall {
        let process = self.process();
        process.stuck.fetch_add(1, Ordering::AcqRel);
        StuckCall(process)
    }

    /// Returns the state for this process, which is new in a forked child.
    fn process(&self) -> Arc<Process> {
        let process = self.0.process.load_full();
        if process.fork_guard.is_here() {
            return process;
        }
        let child = Process::new(process.generation.load(Ordering::Acquire) + 1);
        let inherited = process.initialized.load(Ordering::Acquire) && process.owned.load(Ordering::Acquire);
        child.inherited.store(inherited, Ordering::Release);
        self.0.process.compare_and_swap(&process, Arc::new(child));
        self.0.process.load_full()
    }

    fn lock_lifecycle<'a>(&self, process: &'a Process) -> Result<MutexGuard<'a, Lifecycle>, TokenError> {
        let deadline = Instant::now() + self.0.options.wait;
        loop {
            match process.lifecycle.try_lock() {
                Some(lifecycle) => return Ok(lifecycle),
                None if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
                None => return Err(self.error("is being initialized")),
            }
        }
    }

    fn initialize(&self, process: &Process) -> Result<(), TokenError> {
        if process.inherited.swap(false, Ordering::AcqRel) && !self.0.options.keep_initialized {
            // This is the parent's state. The result is ignored, as only the following
            // initialization matters.
            let _ = self.0.client.clone().finalize();
        }
        match self.0.client.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) => process.owned.store(true, Ordering::Release),
            Err(CryptokiError::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {
                process.owned.store(false, Ordering::Release);
            }
            Err(error) => return Err(TokenError::from(error).at(&format!("module {}", self.0.path.display()))),
        }
        process.initialized.store(true, Ordering::Release);
        if let Ok(info) = self.0.client.get_library_info() {
            self.0.quirks.get_or_init(|| quirks_of(info.manufacturer_id()));
        }
        Ok(())
    }

    fn finalize(&self, process: &Process) -> Result<(), TokenError> {
        process.generation.fetch_add(1, Ordering::AcqRel);
        process.initialized.store(false, Ordering::Release);
        match self.0.client.clone().finalize() {
            Ok(()) | Err(CryptokiError::Pkcs11(RvError::CryptokiNotInitialized, _)) => Ok(()),
            Err(error) => {
                // Whatever its state, the next user that joins initializes it.
                Err(TokenError::from(error).at(&format!("module {}", self.0.path.display())))
            }
        }
    }

    fn error(&self, what: &str) -> TokenError {
        TokenError::new(ErrorClass::TokenLost, format!("module {} {what}", self.0.path.display()))
    }
}

impl PartialEq for Module {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Module {}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module")
            .field("path", &self.0.path)
            .field("generation", &self.generation())
            .field("wedged", &self.is_wedged())
            .finish_non_exhaustive()
    }
}

impl Process {
    fn new(generation: u64) -> Self {
        Self {
            fork_guard: ForkGuard::here(),
            gate: Gate::default(),
            generation: AtomicU64::new(generation),
            initialized: AtomicBool::new(false),
            owned: AtomicBool::new(false),
            inherited: AtomicBool::new(false),
            stuck: AtomicUsize::new(0),
            waited_in_vain: AtomicBool::new(false),
            lifecycle: Mutex::default(),
            objects: Arc::default(),
        }
    }
}

/// Membership in the users of a module. Dropping the last one finalizes the module, if strongroom
/// initialized it and no call is running.
#[derive(Debug)]
pub(in crate::provider::pkcs11) struct ModuleLease {
    module: Module,
    process: Arc<Process>,
}

impl ModuleLease {
    /// Returns the module.
    pub(in crate::provider::pkcs11) fn module(&self) -> &Module {
        &self.module
    }

    /// Returns `true` if it was obtained in this process, and not before a fork.
    pub(in crate::provider::pkcs11) fn is_of_this_process(&self) -> bool {
        self.process.fork_guard.is_here()
    }

    /// Returns the generation. The caller must know that the lease was obtained in this process.
    pub(in crate::provider::pkcs11) fn generation(&self) -> u64 {
        self.process.generation.load(Ordering::Acquire)
    }

    /// Enters for calls, unless the generation has changed. The caller must know that the lease was
    /// obtained in this process.
    pub(in crate::provider::pkcs11) fn enter(&self, generation: u64) -> Result<Call<'_>, TokenError> {
        let waited = self.process.gate.enter(self.module.0.options.wait);
        let inside = waited.ok_or_else(|| self.module.error("is being initialized"))?;
        if self.generation() != generation {
            let text = format!("module {} was reinitialized", self.module.0.path.display());
            return Err(TokenError::new(ErrorClass::SessionLost, text));
        }
        Ok(Call { _inside: inside })
    }

    /// Like [`ModuleLease::enter`], but without waiting and in any process. Used for cleanup, which
    /// is unnecessary if this fails.
    pub(in crate::provider::pkcs11) fn enter_now(&self, generation: u64) -> Option<Call<'_>> {
        if !self.is_of_this_process() {
            return None;
        }
        let inside = self.process.gate.enter_now()?;
        (self.generation() == generation).then_some(Call { _inside: inside })
    }
}

impl Drop for ModuleLease {
    fn drop(&mut self) {
        if !self.is_of_this_process() {
            return;
        }
        // If an initialization does not return, there is nothing to finalize.
        let Ok(mut lifecycle) = self.module.lock_lifecycle(&self.process) else { return };
        lifecycle.users -= 1;
        let ours = self.process.owned.load(Ordering::Acquire)
            && self.process.initialized.load(Ordering::Acquire)
            && !self.module.0.options.keep_initialized;
        if lifecycle.users > 0 || !ours || self.module.is_wedged() {
            return;
        }
        if let Some(_closed) = self.process.gate.close(self.module.0.options.wait) {
            // No user is left to receive an error, and the next one that joins initializes it
            // anyway.
            let _ = self.module.finalize(&self.process);
        }
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("fork_guard", &self.fork_guard)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// Permission to call into a module, which is not finalized until this is dropped.
#[derive(Debug)]
pub(in crate::provider::pkcs11) struct Call<'a> {
    _inside: Inside<'a>,
}

/// A call that its caller abandoned. Dropped if the call eventually returns.
#[derive(Debug)]
pub(in crate::provider::pkcs11) struct StuckCall(Arc<Process>);

impl Drop for StuckCall {
    fn drop(&mut self) {
        self.0.stuck.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Returns an interval that is up to a quarter longer, at random.
fn extended(interval: Duration) -> Duration {
    let mut byte = [0];
    // Without randomness, it is not longer, which is harmless.
    let _ = FASTEST.random().fill(&mut byte);
    interval.mul_f64(1.0 + f64::from(byte[0]) / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_becomes_longer_by_up_to_a_quarter() {
        let extended: Vec<u64> = (0..200).map(|_| extended(Duration::from_secs(1_024)).as_secs()).collect();
        assert!(extended.iter().all(|seconds| (1_024..1_280).contains(seconds)), "{extended:?}");
        assert!(extended.iter().any(|seconds| *seconds < 1_088), "{extended:?}");
        assert!(extended.iter().any(|seconds| *seconds >= 1_216), "{extended:?}");
    }
}
