//! Checks whether other users could change the target of a path or replace it.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf, absolute};

use super::exposure::{Exposure, TrustedUsers};
#[cfg(target_os = "linux")]
use super::private_group::is_private_group;

/// The permission bits of a mode.
const PERMISSIONS: u32 = 0o7777;
const GROUP_WRITE: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
/// The sticky bit: only the owner of a file in such a directory can rename or delete it.
const STICKY: u32 = 0o1000;

/// The maximum number of symbolic links on a path, as on Linux.
const MAX_LINKS: usize = 40;

/// Rejects a directory in which other users could create, replace, or delete files. The caller must
/// create any missing part and check again.
pub(crate) fn check_directory(path: &Path, trusted: TrustedUsers) -> Result<(), Exposure> {
    if trusted == TrustedUsers::Everyone {
        return Ok(());
    }
    match walk(path, trusted)? {
        // The sticky bit does not help here: another user could create a file first.
        Some((found, metadata)) => check_writable(&found, &metadata, trusted),
        None => Ok(()),
    }
}

/// Rejects a file that other users could write or replace.
pub(crate) fn check_file(path: &Path, trusted: TrustedUsers) -> Result<(), Exposure> {
    let allowed = match trusted {
        TrustedUsers::Everyone => return Ok(()),
        TrustedUsers::Group => OTHERS_WRITE,
        TrustedUsers::Owner => OTHERS_WRITE | GROUP_WRITE,
    };
    let (path, metadata) = existing(path, trusted)?;
    let mode = metadata.mode() & PERMISSIONS;
    if mode & allowed == 0 { Ok(()) } else { Err(Exposure::Writable { path, mode }) }
}

/// Rejects a file that other users could read, write, or replace.
pub(crate) fn check_secret(path: &Path, trusted: TrustedUsers) -> Result<(), Exposure> {
    let refused = match trusted {
        TrustedUsers::Everyone => return Ok(()),
        TrustedUsers::Group => 0o027,
        TrustedUsers::Owner => 0o077,
    };
    let (path, metadata) = existing(path, trusted)?;
    let mode = metadata.mode() & PERMISSIONS;
    if mode & refused == 0 { Ok(()) } else { Err(Exposure::Readable { path, mode }) }
}

/// Rejects a path on which other users could replace an existing component, or the file created at
/// its end.
pub(crate) fn check_reachable(path: &Path) -> Result<(), Exposure> {
    walk(path, TrustedUsers::Owner).map(drop)
}

fn existing(path: &Path, trusted: TrustedUsers) -> Result<(PathBuf, Metadata), Exposure> {
    walk(path, trusted)?.ok_or_else(|| Exposure::unknown(path, ErrorKind::NotFound.into()))
}

/// Follows a path from the root. Rejects it at the first file, directory, or symbolic link of
/// another user, and at the first directory in which other users could replace the next component.
/// Returns the target of the path without links, or `None` if a component is missing.
fn walk(path: &Path, trusted: TrustedUsers) -> Result<Option<(PathBuf, Metadata)>, Exposure> {
    let start = absolute(path).map_err(|error| Exposure::unknown(path, error))?;
    let mut left = names(&start);
    let mut links = 0;
    let mut found = PathBuf::from("/");
    let mut metadata = look_at(&found)?;
    check_owner(&found, &metadata)?;
    check_replaceable(&found, &metadata, trusted)?;
    while let Some(name) = left.pop() {
        let next = if name == ".." { parent_of(&found) } else { found.join(name) };
        metadata = match fs::symlink_metadata(&next) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            found => found.map_err(|error| Exposure::unknown(&next, error))?,
        };
        check_owner(&next, &metadata)?;
        if metadata.is_symlink() {
            links += 1;
            if links > MAX_LINKS {
                return Err(Exposure::unknown(path, io::Error::other("too many symbolic links")));
            }
            let target = fs::read_link(&next).map_err(|error| Exposure::unknown(&next, error))?;
            if target.is_absolute() {
                found = PathBuf::from("/");
            }
            left.extend(names(&target));
            continue;
        }
        check_replaceable(&next, &metadata, trusted)?;
        found = next;
    }
    // The last component may have been a link to the root.
    let metadata = look_at(&found)?;
    Ok(Some((found, metadata)))
}

/// Returns the components of a path in reverse order.
fn names(path: &Path) -> Vec<OsString> {
    let names = path.components().rev().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    names.map(|part| part.as_os_str().to_owned()).collect()
}

fn parent_of(path: &Path) -> PathBuf {
    path.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned)
}

fn look_at(path: &Path) -> Result<Metadata, Exposure> {
    fs::symlink_metadata(path).map_err(|error| Exposure::unknown(path, error))
}

fn check_owner(path: &Path, metadata: &Metadata) -> Result<(), Exposure> {
    let owner = metadata.uid();
    if owner == 0 || owner == current_user() {
        return Ok(());
    }
    Err(Exposure::Owner { path: path.to_owned(), owner })
}

/// Rejects a directory in which other users could rename or delete files that they do not own.
fn check_replaceable(path: &Path, metadata: &Metadata, trusted: TrustedUsers) -> Result<(), Exposure> {
    if !metadata.is_dir() || metadata.mode() & STICKY != 0 {
        return Ok(());
    }
    check_writable(path, metadata, trusted)
}

fn check_writable(path: &Path, metadata: &Metadata, trusted: TrustedUsers) -> Result<(), Exposure> {
    let mode = metadata.mode() & PERMISSIONS;
    let is_group_trusted = || trusted == TrustedUsers::Group || is_private_group(path, metadata.gid(), current_user());
    if mode & OTHERS_WRITE != 0 || (mode & GROUP_WRITE != 0 && !is_group_trusted()) {
        return Err(Exposure::Writable { path: path.to_owned(), mode });
    }
    Ok(())
}

fn current_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// On other platforms, the other members of a group are unknown.
#[cfg(not(target_os = "linux"))]
fn is_private_group(_: &Path, _: u32, _: u32) -> bool {
    false
}
