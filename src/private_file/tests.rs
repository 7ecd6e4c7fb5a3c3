use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// A user and group ID that no machine uses.
const NOBODY: u32 = 54_321;

struct Place(TempDir);

impl Place {
    fn new() -> io::Result<Self> {
        tempfile::tempdir().map(Self)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn directory(&self, path: &str, mode: u32) -> io::Result<PathBuf> {
        let path = self.at(path);
        fs::create_dir(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
        Ok(path)
    }

    fn file(&self, path: &str, mode: u32) -> io::Result<PathBuf> {
        let path = self.at(path);
        fs::write(&path, b"content")?;
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
        Ok(path)
    }
}

/// Returns `true` if the tests can change the owner of files.
fn is_root(test: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        // Not `println!`, because the test runner captures its output for passing tests.
        let _ = writeln!(io::stderr(), "run only in part, because the user is not root: {test}");
    }
    is_root
}

/// Returns the rejected path, with the mode or the owner that caused the rejection.
fn refusal(checked: Result<(), Exposure>) -> Option<(PathBuf, u32)> {
    match checked {
        Ok(()) => None,
        Err(Exposure::Writable { path, mode } | Exposure::Readable { path, mode }) => Some((path, mode)),
        Err(Exposure::Owner { path, owner }) => Some((path, owner)),
        Err(Exposure::Unknown { path, source }) => panic!("{}: {source}", path.display()),
    }
}

#[test]
fn every_directory_on_the_path_counts() -> TestResult {
    let place = Place::new()?;
    let open = place.directory("open", 0o777)?;
    let inner = place.directory("open/inner", 0o700)?;
    let file = place.file("open/inner/file", 0o600)?;
    for users in [TrustedUsers::Owner, TrustedUsers::Group] {
        assert_eq!(refusal(check_file(&file, users)), Some((open.clone(), 0o777)));
        assert_eq!(refusal(check_secret(&file, users)), Some((open.clone(), 0o777)));
        assert_eq!(refusal(check_directory(&inner, users)), Some((open.clone(), 0o777)));
        assert_eq!(refusal(check_directory(&inner.join("missing").join("too"), users)), Some((open.clone(), 0o777)));
        let detour = inner.join("..").join("inner").join(".").join("file");
        assert_eq!(refusal(check_file(&detour, users)), Some((open.clone(), 0o777)));
    }
    for checked in [check_file(&file, TrustedUsers::Everyone), check_directory(&open, TrustedUsers::Everyone)] {
        assert_eq!(refusal(checked), None);
    }
    fs::set_permissions(&open, Permissions::from_mode(0o755))?;
    assert_eq!(refusal(check_secret(&file, TrustedUsers::Owner)), None);
    assert_eq!(refusal(check_directory(&inner.join("missing"), TrustedUsers::Owner)), None);
    assert!(matches!(check_file(&inner.join("missing"), TrustedUsers::Owner), Err(Exposure::Unknown { .. })));
    Ok(())
}

#[test]
fn in_a_sticky_directory_a_file_is_safe_and_new_ones_are_not() -> TestResult {
    let place = Place::new()?;
    let sticky = place.directory("sticky", 0o1777)?;
    let file = place.file("sticky/file", 0o600)?;
    assert_eq!(refusal(check_secret(&file, TrustedUsers::Owner)), None);
    assert_eq!(refusal(check_reachable(&sticky.join("new"))), None);
    assert_eq!(refusal(check_directory(&sticky, TrustedUsers::Owner)), Some((sticky.clone(), 0o1777)));
    if is_root("in_a_sticky_directory_a_file_is_safe_and_new_ones_are_not") {
        symlink(&file, sticky.join("link"))?;
        lchown(sticky.join("link"), Some(NOBODY), None)?;
        let refused = refusal(check_secret(&sticky.join("link"), TrustedUsers::Owner));
        assert_eq!(refused, Some((sticky.join("link"), NOBODY)), "the owner of the link can redirect it");
        chown(&file, Some(NOBODY), None)?;
        assert_eq!(refusal(check_secret(&file, TrustedUsers::Group)), Some((file.clone(), NOBODY)));
    }
    Ok(())
}

#[test]
fn a_file_or_directory_of_another_user_is_refused() -> TestResult {
    if !is_root("a_file_or_directory_of_another_user_is_refused") {
        return Ok(());
    }
    let place = Place::new()?;
    let theirs = place.directory("theirs", 0o755)?;
    let file = place.file("theirs/file", 0o600)?;
    for (owned, users) in [(&theirs, TrustedUsers::Owner), (&file, TrustedUsers::Group)] {
        chown(owned, Some(NOBODY), None)?;
        for checked in [check_file(&file, users), check_secret(&file, users)] {
            assert_eq!(refusal(checked), Some((owned.clone(), NOBODY)));
        }
        chown(owned, Some(0), None)?;
    }
    assert_eq!(refusal(check_secret(&file, TrustedUsers::Owner)), None);
    Ok(())
}

#[test]
fn a_group_counts_as_others_unless_it_is_trusted_or_the_users_own() -> TestResult {
    let place = Place::new()?;
    let shared = place.directory("shared", 0o775)?;
    let file = place.file("shared/file", 0o660)?;
    let (user, group) = (fs::metadata(&shared)?.uid(), fs::metadata(&shared)?.gid());
    #[cfg(target_os = "linux")]
    assert_eq!(
        refusal(check_directory(&shared, TrustedUsers::Owner)).is_none(),
        private_group::is_private_group(&shared, group, user)
    );
    let _ = (user, group);
    if is_root("a_group_counts_as_others_unless_it_is_trusted_or_the_users_own") {
        chown(&shared, None, Some(NOBODY))?;
        assert_eq!(refusal(check_directory(&shared, TrustedUsers::Owner)), Some((shared.clone(), 0o775)));
        assert_eq!(refusal(check_file(&file, TrustedUsers::Owner)), Some((shared.clone(), 0o775)));
    }
    assert_eq!(refusal(check_directory(&shared, TrustedUsers::Group)), None);
    assert_eq!(refusal(check_file(&file, TrustedUsers::Group)), None);
    fs::set_permissions(&shared, Permissions::from_mode(0o755))?;
    assert_eq!(refusal(check_file(&file, TrustedUsers::Owner)), Some((file.clone(), 0o660)));
    for (mode, owner, group) in
        [(0o600, true, true), (0o440, false, true), (0o460, false, false), (0o444, false, false)]
    {
        fs::set_permissions(&file, Permissions::from_mode(mode))?;
        let is_fine = |users| refusal(check_secret(&file, users)).is_none();
        assert_eq!((is_fine(TrustedUsers::Owner), is_fine(TrustedUsers::Group)), (owner, group), "{mode:o}");
        assert!(is_fine(TrustedUsers::Everyone));
    }
    Ok(())
}

#[test]
fn links_are_followed_and_count_themselves() -> TestResult {
    let place = Place::new()?;
    let (open, safe) = (place.directory("open", 0o777)?, place.directory("safe", 0o755)?);
    let (exposed, file) = (place.file("open/file", 0o600)?, place.file("safe/file", 0o600)?);
    symlink(&exposed, safe.join("to-open"))?;
    symlink(&file, open.join("to-safe"))?;
    symlink("../safe/file", safe.join("relative"))?;
    symlink("relative", safe.join("twice"))?;
    symlink("around", safe.join("around"))?;
    let check = |path: &Path| check_secret(path, TrustedUsers::Owner);
    assert_eq!(refusal(check(&safe.join("to-open"))), Some((open.clone(), 0o777)));
    assert_eq!(refusal(check(&open.join("to-safe"))), Some((open.clone(), 0o777)));
    assert_eq!(refusal(check(&safe.join("twice"))), None);
    assert!(matches!(check(&safe.join("around")), Err(Exposure::Unknown { .. })));
    Ok(())
}

/// The permissions with which the kubelet mounts a secret for a container with an `fsGroup`.
#[test]
fn a_mounted_secret_needs_a_trusted_group() -> TestResult {
    let place = Place::new()?;
    let mount = place.directory("mount", 0o1777)?;
    place.directory("mount/..2026_01_01", 0o755)?;
    symlink("..2026_01_01", mount.join("..data"))?;
    symlink("..data/root.key", mount.join("root.key"))?;
    let file = place.file("mount/..2026_01_01/root.key", 0o440)?;
    if is_root("a_mounted_secret_needs_a_trusted_group") {
        chown(&file, None, Some(NOBODY))?;
    }
    let secret = mount.join("root.key");
    assert_eq!(refusal(check_secret(&secret, TrustedUsers::Owner)), Some((file, 0o440)));
    assert_eq!(refusal(check_secret(&secret, TrustedUsers::Group)), None);
    Ok(())
}
