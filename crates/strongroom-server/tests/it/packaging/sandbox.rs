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

/// Returns `true` if strace exists and may trace processes. Reports the reason otherwise: a sandbox
/// may forbid tracing, as some containers do, which is no fault of the machine's set-up.
fn can_trace(test: &str) -> bool {
    let Ok(tried) = Command::new("strace").args(["-f", "-qq", "-o", "/dev/null", "true"]).env("LC_ALL", "C").output()
    else {
        peer::missing(test, "strace is missing; ./test.sh installs it");
        return false;
    };
    if tried.status.success() {
        return true;
    }
    let said = String::from_utf8_lossy(&tried.stderr);
    assert!(is_forbidden(&said), "strace does not work: {said}");
    let refusal = said.lines().next().unwrap_or_default();
    peer::not_run(test, &format!("the system calls are not observed, because tracing is forbidden: {refusal}"));
    false
}

/// Returns `true` for the messages of strace if the kernel or a sandbox refuses `ptrace`.
fn is_forbidden(said: &str) -> bool {
    let refusals = ["Operation not permitted", "Permission denied", "Function not implemented"];
    said.lines().any(|line| {
        line.to_ascii_uppercase().contains("PTRACE") && refusals.iter().any(|refusal| line.contains(refusal))
    })
}

#[test]
fn only_a_refusal_of_ptrace_counts_as_forbidden_tracing() {
    for said in [
        "strace: test_ptrace_get_syscall_info: PTRACE_TRACEME: Operation not permitted\n",
        "strace: ptrace(PTRACE_TRACEME, ...): Operation not permitted\nstrace: PTRACE_SETOPTIONS: Operation not permitted",
        "strace: test_ptrace_get_syscall_info: PTRACE_TRACEME: Function not implemented\nstrace: detach: waitpid(7): No child processes",
    ] {
        assert!(is_forbidden(said), "{said}");
    }
    for said in
        ["", "strace: Can't stat 'true': No such file or directory", "strace: cannot open /x: Permission denied"]
    {
        assert!(!is_forbidden(said), "{said}");
    }
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
                peer::missing(test, "systemd-analyze is missing; ./test.sh installs it");
                return;
            };
            assert!(calls.len() > 5, "{name}: {calls:?}");
            if is_denied { allowed.retain(|call| !calls.contains(call)) } else { allowed.extend(calls) }
        }
    }
    // systemd starts the program itself.
    assert!(allowed.contains("execve") && !allowed.contains("chown") && !allowed.contains("ptrace"));
    if !can_trace(test) {
        return;
    }
    let mut service = Service::new();
    let summary = service.directory.path().join("calls");
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qq", "-o"]).arg(&summary).arg(service.command.get_program()).args(service.command.get_args());
    traced.env("NOTIFY_SOCKET", service.directory.path().join("notify")).env_remove("HOME").current_dir("/");
    traced.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    service.command = traced;
    let mut child = service.command.spawn().unwrap();
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
