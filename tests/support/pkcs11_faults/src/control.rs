//! The interface through which tests control the module.

use std::fs;
use std::path::{Path, PathBuf};

use libloading::Library;

use crate::module::{HANG, KILL, KILL_AFTER, RETURN, SLEEP};

macro_rules! functions {
    ($($name:ident),* $(,)?) => {
        /// A function of PKCS#11 for which tests can inject faults.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Function { $(#[doc = concat!("`C_", stringify!($name), "`.")] $name,)* }

        impl Function {
            /// All functions.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

functions! {
    Initialize, Finalize, GetSlotList, GetTokenInfo, GetMechanismList, GetMechanismInfo, OpenSession, CloseSession,
    Login, CreateObject, DestroyObject, GetAttributeValue, SetAttributeValue, FindObjectsInit, FindObjects,
    FindObjectsFinal, EncryptInit, Encrypt, DecryptInit, Decrypt, SignInit, Sign, GenerateKey, GenerateKeyPair, WrapKey,
    UnwrapKey, GenerateRandom,
}

/// The fault that replaces or precedes a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Returns a value without forwarding the call.
    Return(u64),
    /// Sleeps for this number of milliseconds first.
    Sleep(u64),
    /// Waits until the rules are cleared first.
    Hang,
    /// Kills the process, as `kill -9` does.
    Kill,
    /// Kills the process after the call, before the result is returned.
    KillAfter,
}

/// A loaded copy of the shim. Other copies have their own rules.
#[derive(Debug)]
pub struct Shim {
    path: PathBuf,
    library: Library,
}

impl Shim {
    /// Copies the shim to `folder` and puts it in front of a module, which is initialized with
    /// `reserved`.
    pub fn new(folder: &Path, name: &str, module: &Path, reserved: &str) -> Self {
        let path = folder.join(format!("{name}.so"));
        fs::copy(built(), &path).unwrap_or_else(|error| panic!("{}: {error}", built().display()));
        let module = module.to_str().expect("a path in UTF-8");
        // SAFETY: The library is the shim. The function has this type, and is called once, with
        // valid text.
        let (library, status) = unsafe {
            let library = Library::new(&path).expect("the shim can be loaded");
            let configure = library
                .get::<unsafe extern "C" fn(*const u8, usize, *const u8, usize) -> i32>(b"faults_configure\0")
                .expect("the shim exports the function");
            let status = configure(module.as_ptr(), module.len(), reserved.as_ptr(), reserved.len());
            (library, status)
        };
        assert_eq!(status, 0, "{module} cannot be loaded behind the shim");
        Self { path, library }
    }

    /// Returns the file, to be loaded as a module.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Applies an action to `times` calls of a function, after the next `skip` calls.
    pub fn rule(&self, function: Function, skip: u64, times: u64, action: Action) {
        self.add_rule(function as usize, skip, times, action);
    }

    /// Same as [`Shim::rule`], but for calls of any function.
    pub fn rule_for_all(&self, skip: u64, times: u64, action: Action) {
        self.add_rule(usize::MAX, skip, times, action);
    }

    fn add_rule(&self, function: usize, skip: u64, times: u64, action: Action) {
        let (action, value) = match action {
            Action::Return(value) => (RETURN, value),
            Action::Sleep(value) => (SLEEP, value),
            Action::Hang => (HANG, 0),
            Action::Kill => (KILL, 0),
            Action::KillAfter => (KILL_AFTER, 0),
        };
        // SAFETY: The function has this type.
        unsafe {
            let rule = self.library.get::<extern "C" fn(usize, u64, u64, u64, u64)>(b"faults_rule\0");
            rule.expect("the shim exports the function")(function, skip, times, action, value);
        }
    }

    /// Removes every rule and every false claim. Hanging calls continue, and a token that vanished
    /// comes back.
    pub fn clear(&self) {
        // SAFETY: The function has this type.
        unsafe { self.library.get::<extern "C" fn()>(b"faults_clear\0").expect("the shim exports the function")() }
    }

    /// Removes the tokens from all slots. Every call fails accordingly.
    pub fn vanish(&self) {
        // SAFETY: The function has this type.
        unsafe { self.library.get::<extern "C" fn()>(b"faults_vanish\0").expect("the shim exports the function")() }
    }

    /// Behaves like a token that writes (1), prepends (2) or appends (3) the initialization vectors
    /// of AES-GCM.
    pub fn iv_mode(&self, mode: usize) {
        // SAFETY: The function has this type.
        unsafe {
            self.library.get::<extern "C" fn(usize)>(b"faults_iv_mode\0").expect("the shim exports the function")(mode)
        }
    }

    /// Adds these flags (`CKF_...`) to those that every token reports.
    pub fn token_flags(&self, flags: u64) {
        // SAFETY: The function has this type.
        unsafe {
            self.library.get::<extern "C" fn(u64)>(b"faults_token_flags\0").expect("the shim exports the function")(
                flags,
            )
        }
    }

    /// Conceals the manufacturer of every token from now on, so that no quirks of it are known. The
    /// rules can be cleared.
    pub fn conceal_manufacturer(&self) {
        // SAFETY: the function has this type.
        unsafe { self.library.get::<extern "C" fn()>(b"faults_anonymous\0").expect("the shim exports the function")() }
    }

    /// Gives new keys this value of a Boolean attribute, overriding their template.
    pub fn weaken(&self, attribute: u64, value: bool) {
        // SAFETY: The function has this type.
        unsafe {
            self.library.get::<extern "C" fn(u64, bool)>(b"faults_weaken\0").expect("the shim exports the function")(
                attribute, value,
            )
        }
    }

    /// Reports this value of a Boolean attribute for every object, after reporting the true value
    /// `truths` times.
    pub fn claim(&self, attribute: u64, value: bool, truths: u64) {
        // SAFETY: The function has this type.
        unsafe {
            let claim = self.library.get::<extern "C" fn(u64, bool, u64)>(b"faults_claim\0");
            claim.expect("the shim exports the function")(attribute, value, truths);
        }
    }

    /// Returns how many more times [`Shim::claim`] reports the true value.
    pub fn truths_left(&self) -> u64 {
        // SAFETY: The function has this type.
        unsafe {
            self.library.get::<extern "C" fn() -> u64>(b"faults_truths_left\0").expect("the shim exports the function")(
            )
        }
    }

    /// Hides the objects with a CKA_ID from the next `looks` searches, each of which is for one
    /// class of objects.
    pub fn hide(&self, id: &[u8], looks: u64) {
        // SAFETY: The function has this type.
        unsafe {
            let hide = self.library.get::<unsafe extern "C" fn(*const u8, usize, u64)>(b"faults_hide\0");
            hide.expect("the shim exports the function")(id.as_ptr(), id.len(), looks);
        }
    }

    /// Returns the number of calls of a function.
    pub fn calls(&self, function: Function) -> u64 {
        // SAFETY: The function has this type.
        unsafe {
            self.library.get::<extern "C" fn(usize) -> u64>(b"faults_calls\0").expect("the shim exports the function")(
                function as usize,
            )
        }
    }

    /// Returns the maximum number of open sessions since the last call of this function.
    pub fn most_sessions(&self) -> u64 {
        // SAFETY: The function has this type.
        unsafe {
            self.library
                .get::<extern "C" fn() -> u64>(b"faults_most_sessions\0")
                .expect("the shim exports the function")()
        }
    }

    /// Returns the number of calls of all functions.
    pub fn all_calls(&self) -> u64 {
        Function::ALL.iter().map(|function| self.calls(*function)).sum()
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Returns the path of the shim as built by cargo, next to the test binary.
fn built() -> PathBuf {
    let binary = std::env::current_exe().expect("the path of this program");
    binary.parent().expect("the program is in a directory").join("libstrongroom_pkcs11_faults.so")
}
