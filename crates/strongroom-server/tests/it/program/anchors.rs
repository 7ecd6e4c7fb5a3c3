//! The anchor of a store: a copy of an earlier state is not opened.

use std::fs;
use std::path::Path;

use super::process::{Program, command};

/// Creates a key, and returns its ID.
fn create_key(program: &Program, arguments: &[&str]) -> String {
    let running = program.serve(&[&["--insecure-local"], arguments].concat());
    let (status, body) = running.call("CreateKey", "{}").unwrap();
    assert_eq!(status, 200, "{body}");
    running.stop("TERM");
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    body["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()
}

fn back_up(store: &Path, copy: &Path) {
    let paths = [store, copy].map(|path| path.to_str().unwrap());
    assert!(command(&["back-up", "--store", paths[0], paths[1]]).status().unwrap().success());
}

#[test]
fn a_store_that_is_older_than_its_anchor_is_refused() {
    let program = Program::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let anchor = elsewhere.path().join("keys.anchor");
    let arguments = ["--anchor", anchor.to_str().unwrap()];
    create_key(&program, &arguments);
    let (store, copy) = (program.path("keys.db"), program.path("copy.db"));
    back_up(&store, &copy);
    let first = fs::read(&anchor).unwrap();
    // Every process moves the anchor, and a restart finds it.
    create_key(&program, &arguments);
    let listed = program.credentials(&[&["list"], &arguments[..]].concat());
    assert!(listed.contains("arn:aws:iam::000000000000:root"), "{listed}");
    assert_ne!(fs::read(&anchor).unwrap(), first);
    assert!(program.verify(&arguments).unwrap().contains("which match the anchor\n"));

    for name in ["keys.db", "keys.db-wal", "keys.db-shm"] {
        let _ = fs::remove_file(program.path(name));
    }
    fs::rename(&copy, &store).unwrap();
    let refused = program.fail(&arguments);
    assert!(refused.contains("anchor"), "{refused}");
    // The option does not replace an anchor.
    assert_eq!(program.fail(&[&arguments[..], &["--create-anchor"]].concat()), refused);
    assert!(program.verify(&arguments).unwrap_err().contains("anchor"));

    fs::remove_file(&anchor).unwrap();
    let refused = program.fail(&arguments);
    assert!(refused.contains("is missing") && refused.contains("--create-anchor"), "{refused}");
    assert!(!anchor.exists());
    create_key(&program, &[&arguments[..], &["--create-anchor"]].concat());
    create_key(&program, &arguments);
}

#[test]
fn a_store_that_was_removed_is_not_created_again() {
    let program = Program::new();
    let anchor = program.path("keys.anchor");
    let arguments = ["--anchor", anchor.to_str().unwrap()];
    program.serve(&arguments).stop("TERM");
    for name in ["keys.db", "keys.db-wal", "keys.db-shm"] {
        let _ = fs::remove_file(program.path(name));
    }
    let refused = program.fail(&arguments);
    assert!(refused.contains("cannot create the store") && refused.contains("exists"), "{refused}");
    assert!(!program.path("keys.db").exists());
    let missing = program.verify(&[]).unwrap_err();
    assert!(missing.contains("there is no store") && !program.path("keys.db").exists(), "{missing}");
}

#[test]
fn a_store_in_memory_has_no_anchor() {
    let output = command(&["--store", "memory", "--anchor", "anchor"]).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("a store in memory needs no anchor"));
}
