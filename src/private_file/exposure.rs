//! Reasons why a file is exposed to other users, and the users to trust.

use std::io;
#[cfg(unix)]
use std::path::Path;
use std::path::PathBuf;

/// Users of the machine that are trusted with the files of a store, an audit trail, an anchor, or a
/// root key, on Unix.
///
/// A file is checked together with every directory and symbolic link on its path. A user with write
/// access to one of them could substitute another file. Root and the user of the process are always
/// trusted.
///
/// # Examples
/// ```
/// use strongroom::TrustedUsers;
/// use strongroom::seal::RootKey;
///
/// # let directory = tempfile::tempdir()?;
/// # let secret = directory.path().join("root.key");
/// # RootKey::generate_file(&secret)?;
/// # #[cfg(unix)]
/// std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o440))?;
/// # #[cfg(unix)]
/// assert!(RootKey::from_file(&secret).is_err(), "its group may read it");
/// RootKey::from_file_trusting(&secret, TrustedUsers::Group)?; // such as a mounted Kubernetes secret
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrustedUsers {
    /// Only the user of the process and root.
    #[default]
    Owner,
    /// Also the group of each file and directory, as in a Kubernetes volume with `fsGroup`. The
    /// group may be able to read a root key file, but not to write it.
    Group,
    /// Everyone: nothing is checked. For containers without other users.
    Everyone,
}

/// The ways in which a file is exposed to other users.
#[cfg_attr(not(unix), expect(dead_code, reason = "permissions are not checked on this platform"))]
#[derive(Debug, thiserror::Error)]
pub(crate) enum Exposure {
    #[error(
        "{} can be written by other users (mode {mode:03o}): remove that permission with chmod, or trust them with \
         TrustedUsers",
        path.display()
    )]
    Writable { path: PathBuf, mode: u32 },
    #[error(
        "{} can be accessed by other users (mode {mode:03o}): remove that permission with chmod, or trust them \
         with TrustedUsers",
        path.display()
    )]
    Readable { path: PathBuf, mode: u32 },
    #[error(
        "{} belongs to another user (uid {owner}), who could replace it: change its owner to the user of this \
         process or root with chown, or accept every user with TrustedUsers::Everyone",
        path.display()
    )]
    Owner { path: PathBuf, owner: u32 },
    #[error("cannot determine which users can change {}", path.display())]
    Unknown { path: PathBuf, source: io::Error },
}

#[cfg(unix)]
impl Exposure {
    pub(super) fn unknown(path: &Path, source: io::Error) -> Self {
        Self::Unknown { path: path.to_owned(), source }
    }
}
