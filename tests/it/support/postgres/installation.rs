//! The programs of PostgreSQL, and the user who runs them.

use std::ffi::OsStr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::{env, fs};

/// The environment variable with the folder of the programs.
const VARIABLE: &str = "STRONGROOM_POSTGRES";

/// Debian has a folder for each major version, and none of them is on the path.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The programs, and the user who runs them.
#[derive(Debug)]
pub(super) struct Installation {
    programs: PathBuf,
    /// User and group, if not those of this process.
    user: Option<(u32, u32)>,
}

/// Returns the installation, or the reason why servers cannot run here.
pub(super) fn found() -> Result<&'static Installation, &'static str> {
    static FOUND: OnceLock<Result<Installation, String>> = OnceLock::new();
    FOUND.get_or_init(Installation::find).as_ref().map_err(String::as_str)
}

impl Installation {
    fn find() -> Result<Self, String> {
        let programs = programs().ok_or_else(|| {
            format!("PostgreSQL is not installed, and {VARIABLE} is not set to its programs; ./test.sh installs it")
        })?;
        let is_root = rustix::process::geteuid().is_root();
        let user = if is_root { Some((number_of_nobody("-u")?, number_of_nobody("-g")?)) } else { None };
        Ok(Self { programs, user })
    }

    pub(super) fn path(&self, program: &str) -> PathBuf {
        self.programs.join(program)
    }

    /// Returns a command that runs as the unprivileged user.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        // The working directory of this process may be inaccessible to the user.
        command.current_dir("/").env("LC_ALL", "C");
        command
    }

    /// Returns the same for `sh`, on a machine whose folder `place` is a separate disk of this size
    /// in bytes. Only the command and the processes that it starts see that disk, through the same
    /// path. The folder `folder`, which may contain it, is removed at the end.
    ///
    /// # Panics
    /// If this process may not mount a disk.
    pub(super) fn command_with_disk(&self, place: &Path, size: u64, folder: &Path) -> Command {
        const MOUNT: &str = r#"mount -t tmpfs -o "size=$1,uid=$2,gid=$3,mode=700" tmpfs "$0" || exit
            place=$0 user=$2 group=$3 folder=$4
            shift 4
            setpriv --reuid="$user" --regid="$group" --clear-groups "$@"
            umount "$place"
            rm -rf "$folder""#;
        let (user, group) = self.user.expect("only root may mount a disk");
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", MOUNT]).arg(place);
        command.args([size.to_string(), user.to_string(), group.to_string()]).arg(folder).arg("sh");
        command.current_dir("/").env("LC_ALL", "C");
        command
    }

    /// Returns `true` if this process may mount disks that only its children see.
    pub(super) fn may_mount(&self) -> bool {
        let mounts = ["-m", "sh", "-c", "mount -t tmpfs -o size=4096 tmpfs /mnt && setpriv --version"];
        let tried = || Command::new("unshare").args(mounts).stdout(Stdio::null()).stderr(Stdio::null()).status();
        self.user.is_some() && tried().is_ok_and(|status| status.success())
    }

    /// Makes the unprivileged user the owner of a file or folder.
    pub(super) fn give(&self, path: &Path) -> std::io::Result<()> {
        self.user.map_or(Ok(()), |(user, group)| chown(path, Some(user), Some(group)))
    }
}

/// Returns the folder of the programs of a server, of the latest version.
fn programs() -> Option<PathBuf> {
    let has_server = |folder: &PathBuf| ["initdb", "postgres", "psql"].iter().all(|name| folder.join(name).is_file());
    if let Some(set) = env::var_os(VARIABLE).filter(|set| !set.is_empty()) {
        return Some(PathBuf::from(set)).filter(has_server);
    }
    let mut debian: Vec<(u32, PathBuf)> = fs::read_dir(DEBIAN)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))
        })
        .filter(|(_, folder)| has_server(folder))
        .collect();
    debian.sort();
    let on_path = || env::split_paths(&env::var_os("PATH")?).find(has_server);
    debian.pop().map(|(_, folder)| folder).or_else(on_path)
}

/// Returns the user or group number of `nobody`.
fn number_of_nobody(which: &str) -> Result<u32, String> {
    let output = Command::new("id").args([which, "nobody"]).output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| "PostgreSQL does not run as root, and there is no user nobody".to_owned())
}
