//! The system calls of the server are those that the unit allows.

use std::collections::BTreeSet;
use std::process::Command;

use super::{Service, unit};
use crate::support::peer;

/// Returns the system calls of a group of systemd, and of the groups in it.
fn group(name: &str) -> Option<BTreeSet<String>> {
    let output = Command::new("systemd-analyze").args(["syscall-filter", "--no-pager", name]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut calls = BTreeSet::new();
    for line in text.lines().skip(1).map(str::trim).filter(|line| !line.starts_with('#') && !line.is_empty()) {
        if line.starts_with('@') {
            calls.extend(group(line)?);
        } else {
            calls.insert(line.to_owned());
        }
    }
    Some(calls)
}

/// systemd would end the service at the first other call. A test cannot run systemd, so it observes
/// the calls instead.
#[test]
fn system_calls_of_the_service_are_allowed() {
    let test = "system_calls_of_the_service_are_allowed";
    let filters = &unit()["SystemCallFilter"];
    let mut allowed = BTreeSet::new();
    for filter in filters {
        let (is_denied, names) = filter.strip_prefix('~').map_or((false, filter.as_str()), |names| (true, names));
        for name in names.split_whitespace() {
            let Some(calls) = group(name) else {
                peer::not_run(test, "systemd-analyze is missing");
                return;
            };
            assert!(calls.len() > 5, "{name}: {calls:?}");
            if is_denied { allowed.retain(|call| !calls.contains(call)) } else { allowed.extend(calls) }
        }
    }
    // systemd starts the program itself.
    assert!(allowed.contains("execve") && !allowed.contains("chown") && !allowed.contains("ptrace"));
    let mut service = Service::new();
    let summary = service.directory.path().join("calls");
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qq", "-o"]).arg(&summary).arg(service.command.get_program()).args(service.command.get_args());
    traced.env("NOTIFY_SOCKET", service.directory.path().join("notify")).env_remove("HOME").current_dir("/");
    traced.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    service.command = traced;
    let Ok(mut child) = service.command.spawn() else {
        peer::not_run(test, "strace is missing");
        return;
    };
    assert_eq!(service.notification(), "READY=1\n");
    // strace forwards no signal, so the server gets its own.
    let server = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap();
    for name in ["HUP", "TERM"] {
        assert!(Command::new("kill").args(["-s", name, server.trim()]).status().unwrap().success());
    }
    assert_eq!(service.notification(), "STOPPING=1\n");
    assert!(child.wait().unwrap().success());
    let calls = std::fs::read_to_string(&summary).unwrap();
    let name = |line: &str| {
        let call = line.split_once(' ')?.1.trim_start().split_once('(')?.0;
        call.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_').then(|| call.to_owned())
    };
    let made: BTreeSet<String> = calls.lines().filter_map(name).collect();
    assert!(made.contains("accept4") || made.contains("epoll_wait") || made.contains("epoll_pwait"), "{made:?}");
    // SQLite gives new files to the owner of the database if it runs as root, as this test may.
    if rustix::process::geteuid().is_root() {
        allowed.insert("fchown".to_owned());
    }
    let refused: Vec<&String> = made.difference(&allowed).collect();
    assert!(refused.is_empty(), "the unit does not allow {refused:?}");
}
