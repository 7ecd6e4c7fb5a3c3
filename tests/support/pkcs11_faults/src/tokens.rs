//! Tokens in software: SoftHSM 2 and NSS, each test with tokens of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;

use crate::control::Shim;

/// The PIN of every token.
pub const PIN: &str = "1234";

/// Where SoftHSM looks for its configuration unless it is told otherwise, in Debian's build.
const DEFAULT_CONFIGURATION: &[u8] = b"/etc/softhsm/softhsm2.conf\0";

/// The variable that tells it otherwise.
const VARIABLE: &[u8] = b"SOFTHSM2_CONF\0";

/// The module of SoftHSM, if it is installed.
pub fn soft_hsm_module() -> Option<PathBuf> {
    first(&[
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    ])
}

/// The module of NSS, if it is installed.
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

/// A copy of SoftHSM with tokens of its own, behind a shim.
///
/// Copies in one process are told apart by the path of their configuration. The environment is the same for all of
/// them, and changing it while other threads read it is not sound: so the path is written into the copy of the file.
#[derive(Debug)]
pub struct SoftHsm {
    folder: PathBuf,
    shim: Shim,
    /// Deletes the folder when it is dropped: by the one that made it.
    _made: Option<TempDir>,
}

impl SoftHsm {
    /// Makes a copy with an initialised token for each label.
    pub fn new(labels: &[&str]) -> Option<Self> {
        let module = soft_hsm_module()?;
        // The path must not be longer than the one that it takes the place of.
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

    /// The same copy and tokens in another process, behind a shim of its own.
    pub fn of_other_process(folder: &Path) -> Self {
        let name = format!("other {}", std::process::id());
        let shim = Shim::new(folder, &name, &folder.join("softhsm.so"), "");
        Self { folder: folder.to_owned(), shim, _made: None }
    }

    /// Where all of it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The shim in front of it.
    pub fn shim(&self) -> &Shim {
        &self.shim
    }

    /// The module without a shim.
    pub fn bare_path(&self) -> PathBuf {
        self.folder.join("softhsm.so")
    }

    /// The configuration, for programs that use the same tokens.
    pub fn configuration(&self) -> PathBuf {
        self.folder.join("c")
    }

    /// Takes the tokens away.
    pub fn take_away(&self) {
        fs::rename(self.folder.join("tokens"), self.folder.join("away")).expect("a folder is moved");
        fs::create_dir(self.folder.join("tokens")).expect("a folder");
    }

    /// Brings them back.
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

/// NSS softokn is one library in the process, with one state: whoever uses it has it alone.
static NSS: Mutex<()> = Mutex::new(());

/// NSS softokn with a database of its own, behind a shim. Another one is made when this one is dropped, which must be after
/// all tokens on it.
#[derive(Debug)]
pub struct Nss {
    _folder: TempDir,
    shim: Shim,
    _alone: MutexGuard<'static, ()>,
}

impl Nss {
    /// The label of its one token.
    pub const LABEL: &'static str = "NSS Certificate DB";

    /// Makes a database with a PIN.
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
        // The library is found by name among its friends, which a copy would not have.
        let shim = Shim::new(folder.path(), "nss", &module, &reserved);
        Some(Self { _folder: folder, shim, _alone: alone })
    }

    /// The shim in front of it.
    pub fn shim(&self) -> &Shim {
        &self.shim
    }
}
