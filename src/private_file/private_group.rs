//! The private group that Linux distributions create for each user, which has no other members.
//!
//! Debian, Ubuntu, and Fedora give each user a group of the same name and number. Some of them also
//! use a umask of 002, so that directories in a home directory are writable by that group.

use std::fs;
use std::path::Path;

/// Returns `true` if only the owner and the owner's private group may write a directory. Reads only
/// the local user and group files: members added by a directory service are not detected.
pub(super) fn is_private_group(path: &Path, group: u32, user: u32) -> bool {
    group == user && !has_access_list(path) && {
        let (users, groups) = (fs::read_to_string("/etc/passwd"), fs::read_to_string("/etc/group"));
        users.is_ok_and(|users| groups.is_ok_and(|groups| is_private_in(group, user, &users, &groups)))
    }
}

/// Returns `true` if there is an access control list. The group permissions are then those of
/// everyone in the list.
fn has_access_list(path: &Path) -> bool {
    use rustix::io::Errno;
    let found = rustix::fs::getxattr(path, "system.posix_acl_access", &mut [0; 0][..]);
    !matches!(found, Err(Errno::NODATA | Errno::OPNOTSUPP))
}

/// Returns `true` if the group has the name and number of the user, and no member except the user.
/// `users` and `groups` are in the formats of `passwd(5)` and `group(5)`.
fn is_private_in(group: u32, user: u32, users: &str, groups: &str) -> bool {
    let fields = |line: &'_ str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    let users: Vec<_> = users.lines().map(fields).filter(|line| line.len() >= 4).collect();
    let groups: Vec<_> = groups.lines().map(fields).filter(|line| line.len() >= 4).collect();
    let (group, user) = (group.to_string(), user.to_string());
    let Some(name) = users.iter().find(|line| line[2] == user).map(|line| line[0].as_str()) else { return false };
    let mut same = groups.iter().filter(|line| line[2] == group).peekable();
    let is_alone = users.iter().all(|line| line[3] != group || line[2] == user);
    let members_are = |line: &Vec<String>| line[3].split(',').all(|member| member.is_empty() || member == name);
    is_alone && same.peek().is_some() && same.all(|line| line[0] == name && members_are(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str =
        "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\nbob:x:1001:1001::/:/bin/sh\n";

    #[test]
    fn only_a_group_of_the_user_s_own_name_and_number_without_others_is_private() {
        let is_private = |users: &str, groups: &str| is_private_in(1000, 1000, users, groups);
        assert!(is_private(USERS, "root:x:0:\nalice:x:1000:\n"));
        assert!(is_private(USERS, "alice:x:1000:alice\n"));
        assert!(!is_private(USERS, "alice:x:1000:bob\n"), "another member");
        assert!(!is_private(USERS, "alice:x:1000:alice,bob\n"));
        assert!(!is_private(USERS, "users:x:1000:\n"), "another name");
        assert!(!is_private(USERS, "alice:x:1000:\nteam:x:1000:bob\n"), "two groups with the same id");
        assert!(!is_private(USERS, "alice:x:100:\n"), "an unknown group");
        assert!(
            !is_private(&format!("{USERS}carol:x:1002:1000::/:/bin/sh\n"), "alice:x:1000:\n"),
            "the group of another user"
        );
        assert!(!is_private("root:x:0:0::/:/bin/sh\n", "alice:x:1000:\n"), "an unknown user");
        assert!(!is_private("", "") && !is_private("alice", "alice:x"));
    }

    /// Returns an access control list that lets user 54,321 write, in the format of the kernel
    /// (acl(5)).
    fn access_list() -> Vec<u8> {
        let entries: [(u16, u16, u32); 5] =
            [(1, 7, u32::MAX), (2, 7, 54_321), (4, 7, u32::MAX), (0x10, 7, u32::MAX), (0x20, 5, u32::MAX)];
        let mut bytes = 2_u32.to_le_bytes().to_vec();
        for (tag, permissions, id) in entries {
            bytes.extend(tag.to_le_bytes().into_iter().chain(permissions.to_le_bytes()).chain(id.to_le_bytes()));
        }
        bytes
    }

    #[test]
    fn a_directory_with_an_access_list_is_shared() -> std::io::Result<()> {
        let directory = tempfile::tempdir()?;
        assert!(!has_access_list(directory.path()));
        let name = "system.posix_acl_access";
        match rustix::fs::setxattr(directory.path(), name, &access_list(), rustix::fs::XattrFlags::empty()) {
            Ok(()) => assert!(has_access_list(directory.path())),
            // The file system does not support access control lists.
            Err(error) => assert_eq!(error, rustix::io::Errno::OPNOTSUPP),
        }
        Ok(())
    }
}
