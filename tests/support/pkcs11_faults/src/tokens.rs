//! Software tokens: SoftHSM 2 and NSS. Each test has its own tokens.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;

use crate::control::Shim;

/// The PIN of every token.
pub const PIN: &str = "1234";

/// The default path of SoftHSM's configuration in Debian's build.
const DEFAULT_CONFIGURATION: &[u8] = b"/etc/softhsm/softhsm2.conf\0";

/// The environment variable that overrides it.
const VARIABLE: &[u8] = b"SOFTHSM2_CONF\0";

/// Returns the module of SoftHSM, if it is installed.
pub fn soft_hsm_module() -> Option<PathBuf> {
    first(&[
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    ])
}

/// Returns the module of NSS, if it is installed.
pub fn nss_module() -> Option<PathBuf> {
    first(&[
        "/usr/lib/x86_64-linux-gnu/libsoftokn3.so",
        "/usr/lib/x86_64-linux-gnu/nss/libsoftokn3.so",
        "/usr/lib/aarch64-linux-gnu/libsoftokn3.so",
    ])
}

fn first(paths: &[&str]) -> Option<PathBuf> {
    paths.iter().map(PathBuf::from).find(|path| path.exists())
}

/// A copy of SoftHSM with its own tokens, behind a shim.
///
/// Copies in one process differ in the path of their configuration. All of them share one
/// environment, and changing it while other threads read it is unsound. So the path is written into
/// the copy of the module's file.
#[derive(Debug)]
pub struct SoftHsm {
    folder: PathBuf,
    shim: Shim,
    /// Deletes the folder when dropped, in the instance that created it.
    _made: Option<TempDir>,
}

impl SoftHsm {
    /// Creates a copy with an initialized token for each label.
    pub fn new(labels: &[&str]) -> Option<Self> {
        let module = soft_hsm_module()?;
        // The path must not be longer than the one that it replaces.
        let folder = tempfile::Builder::new().prefix("sr").rand_bytes(6).tempdir_in("/tmp").expect("a folder");
        let (tokens, configuration) = (folder.path().join("tokens"), folder.path().join("c"));
        fs::create_dir(&tokens).expect("a folder");
        let text =
            format!("directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n", tokens.display());
        fs::write(&configuration, text).expect("a file");
        for label in labels {
            let made = Command::new("softhsm2-util")
                .args(["--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "5678"])
                .env("SOFTHSM2_CONF", &configuration)
                .output()
                .ok()?;
            assert!(made.status.success(), "softhsm2-util: {}", String::from_utf8_lossy(&made.stderr));
        }
        let copy = folder.path().join("softhsm.so");
        fs::write(&copy, patched(fs::read(module).expect("the module"), &configuration)).expect("a file");
        let shim = Shim::new(folder.path(), "shim", &copy, "");
        Some(Self { folder: folder.path().to_owned(), shim, _made: Some(folder) })
    }

    /// Returns the copy and tokens of another process, behind a separate shim.
    pub fn of_other_process(folder: &Path) -> Self {
        let name = format!("other {}", std::process::id());
        let shim = Shim::new(folder, &name, &folder.join("softhsm.so"), "");
        Self { folder: folder.to_owned(), shim, _made: None }
    }

    /// Returns the folder that contains everything.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the shim in front of it.
    pub fn shim(&self) -> &Shim {
        &self.shim
    }

    /// Returns the path of the module without a shim.
    pub fn bare_path(&self) -> PathBuf {
        self.folder.join("softhsm.so")
    }

    /// Returns the path of the configuration, for programs that use the same tokens.
    pub fn configuration(&self) -> PathBuf {
        self.folder.join("c")
    }

    /// Removes the tokens.
    pub fn take_away(&self) {
        fs::rename(self.folder.join("tokens"), self.folder.join("away")).expect("a folder is moved");
        fs::create_dir(self.folder.join("tokens")).expect("a folder");
    }

    /// Restores the removed tokens.
    pub fn bring_back(&self) {
        fs::remove_dir(self.folder.join("tokens")).expect("an empty folder");
        fs::rename(self.folder.join("away"), self.folder.join("tokens")).expect("a folder is moved");
    }
}

fn patched(mut module: Vec<u8>, configuration: &Path) -> Vec<u8> {
    let path = configuration.to_str().expect("a path in UTF-8").as_bytes();
    assert!(path.len() < DEFAULT_CONFIGURATION.len(), "{} is too long", configuration.display());
    let mut value = path.to_vec();
    value.resize(DEFAULT_CONFIGURATION.len(), 0);
    for (old, new) in [(DEFAULT_CONFIGURATION, &value[..]), (VARIABLE, b"strongroom---\0")] {
        let at = module.windows(old.len()).position(|bytes| bytes == old).expect("Debian's build of SoftHSM");
        module[at..at + old.len()].copy_from_slice(new);
    }
    module
}

/// NSS softokn is one library with one state per process, so only one user at a time may have it.
static NSS: Mutex<()> = Mutex::new(());

/// NSS softokn with its own database, behind a shim. The next instance is created once this one is
/// dropped, which must be after all tokens on it.
#[derive(Debug)]
pub struct Nss {
    _folder: TempDir,
    shim: Shim,
    _alone: MutexGuard<'static, ()>,
}

impl Nss {
    /// The label of its only token.
    pub const LABEL: &'static str = "NSS Certificate DB";

    /// Creates a database with a PIN.
    pub fn new() -> Option<Self> {
        let module = nss_module()?;
        let alone = NSS.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = TempDir::new().expect("a folder");
        let database = folder.path().join("db");
        fs::create_dir(&database).expect("a folder");
        fs::write(folder.path().join("pin"), PIN).expect("a file");
        let database = format!("sql:{}", database.display());
        let made = Command::new("certutil")
            .args(["-N", "-d", &database, "-f"])
            .arg(folder.path().join("pin"))
            .output()
            .ok()?;
        assert!(made.status.success(), "certutil: {}", String::from_utf8_lossy(&made.stderr));
        let reserved = format!("configdir='{database}' certPrefix='' keyPrefix='' secmod='secmod.db' flags=");
        // NSS finds its companion libraries by name in its own folder, where a copy would not find
        // them.
        let shim = Shim::new(folder.path(), "nss", &module, &reserved);
        Some(Self { _folder: folder, shim, _alone: alone })
    }

    /// Returns the shim in front of it.
    pub fn shim(&self) -> &Shim {
        &self.shim
    }
}
