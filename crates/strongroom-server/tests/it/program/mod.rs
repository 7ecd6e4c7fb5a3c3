//! The built program: its first start, its commands, and its signals.

mod anchors;
mod crowds;
mod kills;
mod policies;
#[cfg(feature = "postgres")]
mod postgres;
pub(crate) mod process;
mod refusals;
mod trails;

use std::fs;

use process::{Program, Running, command};

use crate::support::peer;

#[test]
fn first_start_prints_a_command_that_works() {
    let program = Program::new();
    let running = program.serve(&[]);
    let try_line = running.output.lines().find(|line| line.starts_with("try: ")).unwrap();
    let profile = program.path("keys.db.aws");
    assert!(try_line.contains(&format!("AWS_SHARED_CREDENTIALS_FILE={} aws kms list-keys", profile.display())));
    assert!(try_line.ends_with(&format!("--endpoint-url {} --region us-east-1", running.url)), "{try_line}");
    assert!(running.output.contains("created the root key"), "{}", running.output);
    let Some(python) = peer::python("first_start_prints_a_command_that_works") else { return };
    let report = running.boto3(&python, &profile);
    assert_eq!(report["round_trip"]["plaintext"], "4711", "{report}");
    let log = running.stop("TERM");
    let secret = fs::read_to_string(&profile).unwrap();
    let secret = secret.lines().find_map(|line| line.strip_prefix("aws_secret_access_key = ")).unwrap().to_owned();
    assert!(!log.contains(&secret), "the log contains the secret");
    // Every line is JSON, and requests have their fields.
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let created = lines.iter().find(|line| line["operation"] == "CreateKey").unwrap();
    assert_eq!((&created["status"], &created["message"]), (&200.into(), &"request".into()));
    assert_eq!(created["principal"], "arn:aws:iam::000000000000:root");
    assert_eq!(lines.last().unwrap()["message"], "stopped");

    // A second start finds the keys and creates nothing.
    let running = program.serve(&[]);
    assert!(!running.output.contains("created"), "{}", running.output);
    let report = running.boto3(&python, &profile);
    assert_eq!(report["round_trip"]["keys"], 5, "{report}");
    running.stop("INT");
}

#[test]
fn missing_root_key_is_not_replaced() {
    let program = Program::new();
    program.serve(&[]).stop("TERM");
    fs::remove_file(program.path("keys.db.root-key")).unwrap();
    let refused = program.fail(&[]);
    assert!(refused.contains("its root key") && refused.contains("is missing"), "{refused}");
    assert!(!program.path("keys.db.root-key").exists());
}

#[test]
fn other_addresses_need_tls_and_signatures() {
    let program = Program::new();
    assert!(program.fail(&["--listen", "0.0.0.0:0"]).contains("without TLS"));
    assert!(program.fail(&["--listen", "0.0.0.0:0", "--insecure-local"]).contains("not a loopback address"));
}

#[test]
fn access_keys_are_reloaded_and_broken_files_are_not() {
    let program = Program::new();
    let running = program.serve(&[]);
    let python = peer::python("access_keys_are_reloaded_and_broken_files_are_not");
    let created =
        program.credentials(&["create", "--principal", "arn:aws:iam::000000000000:user/alice", "--session-token"]);
    let profile = program.path("alice.aws");
    fs::write(&profile, &created).unwrap();
    let id = created.lines().find_map(|line| line.strip_prefix("aws_access_key_id = ")).unwrap().to_owned();
    let listed = program.credentials(&["list"]);
    assert!(listed.contains(&id) && listed.contains("user/alice  with session token"), "{listed}");

    let code =
        |running: &Running| python.as_ref().map(|python| running.boto3(python, &profile)["missing"]["code"].clone());
    let before = code(&running);
    running.reload("reloaded the access keys");
    let after = code(&running);
    if let Some(python) = &python {
        assert_eq!(before, Some("UnrecognizedClientException".into()));
        // Alice is known, and may not learn whether the key exists.
        assert_eq!(after, Some("NotFoundException".into()));
        assert_eq!(running.boto3(python, &profile)["identity"]["Arn"], "arn:aws:iam::000000000000:user/alice");
    }
    let file = program.path("keys.db.credentials.json");
    let valid = fs::read(&file).unwrap();
    fs::write(&file, b"{").unwrap();
    running.reload("the previous access keys stay in use");
    assert_eq!(code(&running), after);
    fs::write(&file, valid).unwrap();
    assert!(program.credentials(&["delete", &id]).contains("deleted"));
    running.reload("reloaded the access keys");
    assert_eq!(code(&running), before);
    running.stop("TERM");
}

#[test]
fn tls_with_a_reloaded_certificate() {
    let program = Program::new();
    let certificate = program.certificate("first");
    let Some(python) = peer::python("tls_with_a_reloaded_certificate") else { return };
    let arguments = ["--tls-certificate", &certificate.0, "--tls-key", &certificate.1];
    let running = program.serve(&arguments);
    assert!(running.url.starts_with("https://"), "{}", running.url);
    let profile = program.path("keys.db.aws");
    let works = |ca: &str| {
        running.try_boto3(&python, &profile, Some(ca)).is_some_and(|report| report["round_trip"]["plaintext"] == "4711")
    };
    let first_ca = program.copy(&certificate.0, "first-ca.pem");
    assert!(works(&first_ca));
    let second = program.certificate("second");
    fs::copy(&second.0, &certificate.0).unwrap();
    running.reload("the previous certificate stays in use"); // the key does not belong to it
    assert!(works(&first_ca));
    fs::copy(&second.1, &certificate.1).unwrap();
    running.reload("reloaded the certificate");
    assert!(!works(&first_ca));
    assert!(works(&second.0));
    running.stop("TERM");
}

#[test]
fn store_in_memory() {
    let program = Program::new();
    for _ in 0..2 {
        let running = program.serve_store("memory", &[]);
        if let Some(python) = peer::python("store_in_memory") {
            let report = running.boto3(&python, &program.path("strongroom-server.aws"));
            assert_eq!(report["round_trip"]["keys"], 3, "{report}");
        }
        running.stop("TERM");
    }
}

#[test]
fn a_backup_is_opened_with_the_same_root_key() {
    let program = Program::new();
    let running = program.serve(&["--insecure-local"]);
    let (status, before) = running.call("CreateKey", "{}").unwrap();
    assert_eq!(status, 200, "{before}");
    let path = |name: &str| program.path(name).to_str().unwrap().to_owned();
    let (store, copy) = (path("keys.db"), path("copy.db"));
    let back_up = |store: &str| command(&["back-up", "--store", store, &copy]).output().unwrap();
    assert!(back_up(&store).status.success());
    let again = back_up(&store);
    assert!(String::from_utf8_lossy(&again.stderr).contains("exists"), "a backup is not replaced");
    let (_, after) = running.call("CreateKey", "{}").unwrap();
    running.stop("TERM");
    let missing = back_up(&path("missing.db"));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("not a file") && !program.path("missing.db").exists());

    let (root_key, keys) = (path("keys.db.root-key"), path("keys.db.credentials.json"));
    let arguments = ["--insecure-local", "--root-key-file", &root_key, "--credentials", &keys];
    let running = program.serve_store(&copy, &arguments);
    for (created, expected) in [(before, 200), (after, 400)] {
        let created: serde_json::Value = serde_json::from_str(&created).unwrap();
        let body = format!(r#"{{"KeyId": {}}}"#, created["KeyMetadata"]["KeyId"]);
        assert_eq!(running.call("DescribeKey", &body).unwrap().0, expected);
    }
    running.stop("TERM");
}

#[test]
fn usage() {
    let output = command(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--store"));
    let help = command(&["--help"]).output().unwrap();
    assert!(String::from_utf8_lossy(&help.stdout).contains("--insecure-local"));
}
