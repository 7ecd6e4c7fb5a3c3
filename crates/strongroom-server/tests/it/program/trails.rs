//! The audit trail: signed checkpoints, and verification by the command `verify`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::process::{Program, Running};

const WRONG_KEY: &str = "does not match the public key";

/// Runs OpenSSL, which must succeed.
fn openssl(arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A signer that OpenSSL implements, with the private key in `NAME.key` and the public one in
/// `NAME.pem`. Returns the arguments of the server.
fn signer(program: &Program, name: &str, algorithm: &[&str], sign: &str) -> Vec<String> {
    let path = |suffix: &str| program.path(&format!("{name}{suffix}")).to_str().unwrap().to_owned();
    let (key, public) = (path(".key"), path(".pem"));
    openssl(&[&["genpkey", "-out", &key], algorithm].concat());
    openssl(&["pkey", "-in", &key, "-pubout", "-out", &public]);
    let script = program.script(&format!("{name}.sh"), &sign.replace("KEY", &key));
    ["--checkpoint-signer", &script, "--checkpoint-public-key", &public].map(str::to_owned).to_vec()
}

fn p256(program: &Program, name: &str) -> Vec<String> {
    let algorithm = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    signer(program, name, &algorithm, "exec openssl dgst -sha256 -sign KEY")
}

fn serve(program: &Program, arguments: &[String], rest: &[&str]) -> Running {
    let arguments = arguments.iter().map(String::as_str);
    program.serve(&arguments.chain(["--insecure-local"]).chain(rest.iter().copied()).collect::<Vec<_>>())
}

fn list_keys(running: &Running) {
    assert_eq!(running.call("ListKeys", "{}").unwrap().0, 200);
}

/// Returns the file of the trail.
fn trail(program: &Program) -> PathBuf {
    let files = fs::read_dir(program.path("keys.db.audit")).unwrap().map(|file| file.unwrap().path());
    let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl")).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

/// Returns the numbers of checkpoints and of records that `verify` prints.
fn verified(program: &Program, public: &[&str]) -> (u64, u64) {
    let text = program.verify(public).unwrap();
    assert!(text.ends_with("intact\n"), "{text}");
    let line = text.lines().find(|line| line.starts_with("chain ")).unwrap();
    let number = |after: &str, before: &str| {
        let rest = line.split_once(after).unwrap().1.split_once(before).unwrap().0;
        rest.parse().unwrap_or_else(|_| panic!("{line}"))
    };
    (number("records, ", " checkpoints"), number(": ", " records"))
}

#[test]
fn checkpoints_are_signed_and_verified_across_a_restart() {
    let program = Program::new();
    let arguments = p256(&program, "auditor");
    let public = ["--checkpoint-public-key", arguments[3].as_str()];
    let running = serve(&program, &arguments, &["--checkpoint-interval", "1"]);
    list_keys(&running);
    let started = Instant::now();
    let before = verified(&program, &public);
    while verified(&program, &public).0 < before.0 + 2 {
        assert!(started.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(100));
    }
    running.stop("TERM");
    let (checkpoints, records) = verified(&program, &public);
    // The next server continues the chain, and signs at its start and its end.
    let running = serve(&program, &arguments, &[]);
    list_keys(&running);
    running.stop("TERM");
    let (after, all) = verified(&program, &public);
    assert_eq!(after, checkpoints + 2);
    assert!(all >= records + 3, "{records} {all}");
    assert!(program.verify(&[]).unwrap().contains("not verified without --checkpoint-public-key"));

    let stranger = p256(&program, "stranger");
    let refused = program.verify(&["--checkpoint-public-key", &stranger[3]]).unwrap_err();
    assert!(refused.contains("the signature of the checkpoint is invalid"), "{refused}");
    assert!(refused.contains("the audit trail was altered"), "{refused}");
}

#[test]
fn keys_of_other_kinds_sign_checkpoints() {
    let signers = [
        ("rsa", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"][..], "RSASSA_PKCS1_V1_5_SHA_256"),
        ("p384", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"], "ECDSA_SHA_384"),
    ];
    for (name, algorithm, wire_name) in signers {
        let program = Program::new();
        let digest = if name == "rsa" { "-sha256" } else { "-sha384" };
        let arguments = signer(&program, name, algorithm, &format!("exec openssl dgst {digest} -sign KEY"));
        serve(&program, &arguments, &["--checkpoint-algorithm", wire_name]).stop("TERM");
        let public = ["--checkpoint-public-key", arguments[3].as_str(), "--checkpoint-algorithm", wire_name];
        assert_eq!(verified(&program, &public).0, 2);
    }
    // PSS and Ed25519 are the defaults of their keys. OpenSSL signs with Ed25519 from a file only.
    let program = Program::new();
    let sign = "exec openssl dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest -sign KEY";
    let arguments = signer(&program, "pss", &["-algorithm", "RSA"], sign);
    serve(&program, &arguments, &[]).stop("TERM");
    assert_eq!(verified(&program, &["--checkpoint-public-key", &arguments[3]]).0, 2);
    let program = Program::new();
    let sign = "cat > \"$0.message\" && exec openssl pkeyutl -sign -inkey KEY -rawin -in \"$0.message\"";
    let arguments = signer(&program, "ed25519", &["-algorithm", "ED25519"], sign);
    serve(&program, &arguments, &[]).stop("TERM");
    assert_eq!(verified(&program, &["--checkpoint-public-key", &arguments[3]]).0, 2);
}

#[test]
fn a_signer_that_fails_is_reported() {
    let program = Program::new();
    let arguments = p256(&program, "auditor");
    let start = |arguments: &[String]| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        program.fail(&[&["--listen", "127.0.0.1:0"], &arguments[..]].concat())
    };
    let mut other = arguments.clone();
    other[3] = p256(&program, "stranger")[3].clone();
    let refused = start(&other);
    assert!(refused.contains("cannot sign the audit trail") && refused.contains(WRONG_KEY), "{refused}");
    let refused = start(&arguments[2..]);
    assert!(refused.contains("pass the --checkpoint-signer"), "{refused}");
    assert!(start(&arguments[..2]).contains("--checkpoint-public-key"));
    let mut broken = arguments.clone();
    broken[3] = arguments[1].clone();
    assert!(start(&broken).contains("does not contain a public key in PEM"));
    broken = [&arguments[..], &["--checkpoint-algorithm".to_owned(), "ED25519_SHA_512".to_owned()]].concat();
    assert!(start(&broken).contains("cannot verify signatures with ED25519_SHA_512"));

    // Calls continue if the signer fails later.
    let running = serve(&program, &arguments, &["--checkpoint-interval", "1"]);
    fs::rename(program.path("auditor.key"), program.path("moved.key")).unwrap();
    std::thread::sleep(Duration::from_millis(2_500));
    list_keys(&running);
    let log = running.stop("TERM");
    assert!(log.contains("the audit trail continues without a checkpoint"), "{log}");
    assert!(log.contains("the last events of the audit trail have no checkpoint"), "{log}");
    fs::rename(program.path("moved.key"), program.path("auditor.key")).unwrap();
    verified(&program, &["--checkpoint-public-key", &arguments[3]]);
}

#[test]
fn a_signer_gets_no_secrets_of_the_server() {
    let program = Program::new();
    let environment = program.path("environment");
    let sign = format!("env > '{}'; exec openssl dgst -sha256 -sign KEY", environment.display());
    let algorithm = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let arguments = signer(&program, "auditor", &algorithm, &sign);
    let names = ["--root-key-environment", "ROOT_OF_THE_TEST"];
    let root = "5a".repeat(32);
    let variables = [("ROOT_OF_THE_TEST", root.as_str()), ("PGPASSWORD", "secret"), ("VENDOR_LIBRARY", "/lib/hsm")];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(names).collect();
    program.serve_with(&arguments, &variables).stop("TERM");
    let seen = fs::read_to_string(environment).unwrap();
    assert!(seen.contains("VENDOR_LIBRARY=/lib/hsm"), "{seen}");
    assert!(!seen.contains("ROOT_OF_THE_TEST") && !seen.contains("PGPASSWORD") && !seen.contains(&root), "{seen}");
}

#[test]
fn an_altered_trail_is_detected() {
    let program = Program::new();
    let running = serve(&program, &[], &[]);
    list_keys(&running);
    running.stop("TERM");
    let file = trail(&program);
    let intact = fs::read_to_string(&file).unwrap();
    assert!(verified(&program, &[]).1 > 2);

    // Its end is missing: the store knows the length, so the server does not continue the chain.
    let lines: Vec<&str> = intact.split_inclusive('\n').collect();
    fs::write(&file, lines[..lines.len() - 2].concat()).unwrap();
    let refused = program.fail(&["--listen", "127.0.0.1:0"]);
    assert!(refused.contains("audit"), "{refused}");
    let found = program.verify(&[]).unwrap_err();
    assert!(found.contains("ALTERED") && found.contains("missing"), "{found}");

    // An event is another one.
    fs::write(&file, intact.replacen("ListKeys", "ListGrants", 1)).unwrap();
    let found = program.verify(&[]).unwrap_err();
    assert!(found.contains("the record was changed"), "{found}");

    // The files are elsewhere: the server starts another chain, and verification finds the first one
    // with its directory.
    fs::write(&file, &intact).unwrap();
    fs::rename(program.path("keys.db.audit"), program.path("moved")).unwrap();
    serve(&program, &[], &[]).stop("TERM");
    let found = program.verify(&[]).unwrap_err();
    assert!(found.contains("are missing"), "{found}");
    for entry in fs::read_dir(program.path("moved")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, program.path("keys.db.audit").join(path.file_name().unwrap())).unwrap();
    }
    assert!(program.verify(&[]).unwrap().ends_with("intact\n"));
}

#[test]
fn a_damaged_store_is_detected() {
    let program = Program::new();
    serve(&program, &[], &[]).stop("TERM");
    let mut bytes = fs::read(program.path("keys.db")).unwrap();
    let middle = bytes.len() - 100;
    bytes[middle..].fill(0x5a);
    fs::write(program.path("keys.db"), bytes).unwrap();
    assert!(!program.verify(&[]).unwrap_err().is_empty());
}
