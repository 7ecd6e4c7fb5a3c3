//! Stores in PostgreSQL: TLS to the database, and several servers on one store.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::kills::{change_until_killed, check};
use super::process::{Program, Running, command};
use crate::support::postgres::{self, Certificate, SUPERUSER, Server};

/// A database server that accepts TLS only, with the database `keys` of the role `app`.
struct World {
    certificate: Certificate,
    server: Server,
}

impl World {
    fn new(test: &str) -> Option<Self> {
        postgres::is_installed(test)?;
        let certificate = Certificate::create(test)?;
        let server = Server::start_with_tls(&certificate).unwrap();
        server.sql(SUPERUSER, "CREATE ROLE owner LOGIN PASSWORD 'owned'").unwrap();
        server.sql(SUPERUSER, "CREATE ROLE app LOGIN PASSWORD 'secret'").unwrap();
        server.sql(SUPERUSER, "CREATE DATABASE keys OWNER owner").unwrap();
        Some(Self { certificate, server })
    }

    /// Returns a folder for a server, with the files that the URL names.
    fn program(&self) -> Program {
        let program = Program::new();
        fs::write(program.path("ca.pem"), &self.certificate.authority).unwrap();
        for (name, password) in [("owner.password", "owned\n"), ("app.password", "secret")] {
            fs::write(program.path(name), password).unwrap();
            fs::set_permissions(program.path(name), fs::Permissions::from_mode(0o600)).unwrap();
        }
        program
    }

    /// Returns a URL with these parameters.
    fn url(&self, role: &str, host: &str, parameters: &str) -> String {
        // A busy machine may need longer than usual for a handshake.
        format!("postgres://{role}@{host}:{}/keys?connect_timeout=60&{parameters}", self.server.port())
    }

    fn create_schema(&self, program: &Program) {
        let url = self.url("owner", "localhost", "sslrootcert=ca.pem");
        let arguments = ["--postgres-password-file", "owner.password", "--grant-to", "app"];
        let output = run(program, &["create-schema", "--store", &url], &arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn serve(&self, program: &Program) -> Running {
        let url = self.url("app", "localhost", "sslmode=verify-full&sslrootcert=ca.pem");
        program.serve_store(&url, &["--insecure-local", "--postgres-password-file", "app.password"])
    }

    /// Lists access keys with a role and its URL, and returns the error.
    fn refused(&self, program: &Program, url: &str, arguments: &[&str]) -> String {
        let output = run(program, &["credentials", "list", "--store", url], arguments);
        assert!(!output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }
}

fn run(program: &Program, first: &[&str], rest: &[&str]) -> Output {
    command(first).args(rest).current_dir(program.path("")).output().unwrap()
}

/// Performs a call, which must succeed.
fn call(running: &Running, operation: &str, body: &str) -> Value {
    let (status, body) = running.call(operation, body).unwrap();
    assert_eq!(status, 200, "{operation}: {body}");
    serde_json::from_str(&body).unwrap_or_default()
}

#[test]
fn two_servers_share_a_store_and_one_is_killed() {
    let Some(world) = World::new("two_servers_share_a_store_and_one_is_killed") else { return };
    let (first, second) = (world.program(), world.program());
    world.create_schema(&first);
    let one = world.serve(&first);
    assert!(one.output.contains("created the root key"), "{}", one.output);
    for name in ["strongroom-server.root-key", "strongroom-server.credentials.json"] {
        fs::copy(first.path(name), second.path(name)).unwrap();
    }
    let two = world.serve(&second);
    assert!(!two.output.contains("created"), "{}", two.output);

    let created = call(&one, "CreateKey", "{}");
    let key = created["KeyMetadata"]["Arn"].as_str().unwrap();
    let encrypt = format!(r#"{{"KeyId": "{key}", "Plaintext": "NDcxMQ=="}}"#);
    let encrypted = call(&one, "Encrypt", &encrypt);
    let blob = encrypted["CiphertextBlob"].as_str().unwrap();
    let decrypt = format!(r#"{{"CiphertextBlob": "{blob}"}}"#);
    assert_eq!(call(&two, "Decrypt", &decrypt)["Plaintext"], "NDcxMQ==");

    // The access keys are the same, and their secrets are sealed under a key of the shared store.
    let listed = run(
        &second,
        &["credentials", "list", "--store"],
        &[&world.url("app", "localhost", "sslrootcert=ca.pem"), "--postgres-password-file", "app.password"],
    );
    assert!(String::from_utf8(listed.stdout).unwrap().contains(":root"));

    // A change of one takes effect in the other.
    call(&one, "DisableKey", &format!(r#"{{"KeyId": "{key}"}}"#));
    let disabled = Instant::now();
    while two.call("Encrypt", &encrypt).unwrap().0 == 200 {
        assert!(disabled.elapsed() < Duration::from_secs(60), "the key is still used");
    }
    call(&two, "EnableKey", &format!(r#"{{"KeyId": "{key}"}}"#));

    let acknowledged = change_until_killed(&one, 0, Duration::from_secs(3));
    drop(one);
    assert!(acknowledged.len() > 3, "{acknowledged:?}");
    // The other server may use records for one second after it has read them.
    std::thread::sleep(Duration::from_millis(1_100));
    acknowledged.iter().for_each(|key| check(&two, key));
    assert_eq!(call(&two, "Decrypt", &decrypt)["Plaintext"], "NDcxMQ==");
    let one = world.serve(&first);
    assert_eq!(call(&one, "Decrypt", &decrypt)["Plaintext"], "NDcxMQ==");
    for running in [one, two] {
        running.stop("TERM");
    }
    let log = world.server.log();
    let accepted: Vec<&str> = log.lines().filter(|line| line.contains("connection authorized: user=app")).collect();
    assert!(accepted.len() >= 3 && accepted.iter().all(|line| line.contains("SSL enabled")), "{accepted:?}");
}

#[test]
fn a_database_that_no_authority_vouches_for_receives_nothing() {
    let test = "a_database_that_no_authority_vouches_for_receives_nothing";
    let Some(world) = World::new(test) else { return };
    let program = world.program();
    world.create_schema(&program);
    let password = ["--postgres-password-file", "app.password"];
    let before = world.server.log().len();
    fs::write(program.path("other.pem"), Certificate::create(test).unwrap().authority).unwrap();
    for (host, parameters, reason) in [
        ("localhost", "sslrootcert=other.pem", "certificate"),
        // The certificate is valid for another name.
        ("127.0.0.1", "sslrootcert=ca.pem", "certificate"),
        ("127.0.0.1", "sslmode=require&sslrootcert=ca.pem", "certificate"),
        ("localhost", "sslmode=verify-full", "sslrootcert=FILE"),
        ("localhost", "sslrootcert=missing.pem", "cannot read missing.pem"),
        ("localhost", "sslrootcert=app.password", "does not contain certificates"),
        // On this machine, TLS is not the default, and the server refuses plaintext.
        ("localhost", "sslmode=disable", "no encryption"),
    ] {
        let text = world.refused(&program, &world.url("app", host, parameters), &password);
        assert!(text.contains(reason) && !text.contains("secret\n"), "{host} {parameters}: {text}");
    }
    let log = world.server.log();
    assert!(!log[before..].contains("connection authorized: user=app"), "{}", &log[before..]);
    assert!(!log[before..].contains("password authentication"), "{}", &log[before..]);
}

/// A server in the middle that has a certificate could otherwise ask for less than a proof that is
/// bound to its certificate.
#[test]
fn a_password_needs_channel_binding() {
    let Some(world) = World::new("a_password_needs_channel_binding") else { return };
    let program = world.program();
    let owner = |parameters: &str| world.url("owner", "localhost", parameters);
    let create = |url: &str| {
        let mut command = command(&["create-schema", "--store", url]);
        command.env("PGPASSWORD", "owned").current_dir(program.path("")).output().unwrap()
    };
    assert!(create(&owner("sslrootcert=ca.pem")).status.success());
    // The rules of the server ask the superuser for no password.
    let trusting = |parameters: &str| create(&world.url(SUPERUSER, "localhost", parameters));
    let refused = trusting("sslrootcert=ca.pem");
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && text.contains("channel binding"), "{text}");
    let accepted = trusting("sslrootcert=ca.pem&channel_binding=prefer");
    assert!(accepted.status.success(), "{}", String::from_utf8_lossy(&accepted.stderr));
}

#[cfg(unix)]
#[test]
fn exposed_passwords_are_refused() {
    let Some(world) = World::new("exposed_passwords_are_refused") else { return };
    let program = world.program();
    fs::set_permissions(program.path("app.password"), fs::Permissions::from_mode(0o640)).unwrap();
    let url = world.url("app", "localhost", "sslrootcert=ca.pem");
    let password = ["--postgres-password-file", "app.password"];
    let text = world.refused(&program, &url, &password);
    assert!(text.contains("other users"), "{text}");
    // Trusted, it is read; the schema is missing.
    let text = world.refused(&program, &url, &[&password[..], &["--trusted-users", "group"]].concat());
    assert!(!text.contains("other users"), "{text}");
}

#[test]
fn a_changed_password_is_read_again() {
    let Some(world) = World::new("a_changed_password_is_read_again") else { return };
    let program = world.program();
    world.create_schema(&program);
    let running = world.serve(&program);
    call(&running, "CreateKey", "{}");
    fs::write(program.path("app.password"), "changed\n").unwrap();
    world.server.sql(SUPERUSER, "ALTER ROLE app PASSWORD 'changed'").unwrap();
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'app'";
    assert_ne!(world.server.sql(SUPERUSER, end).unwrap(), "0");
    let ended = Instant::now();
    while running.call("CreateKey", "{}").is_none_or(|(status, _)| status != 200) {
        assert!(ended.elapsed() < Duration::from_secs(60), "the server does not connect again");
        std::thread::sleep(Duration::from_millis(100));
    }
    running.stop("TERM");
}

#[test]
fn a_client_certificate_replaces_the_password() {
    let Some(world) = World::new("a_client_certificate_replaces_the_password") else { return };
    let program = world.program();
    let superuser = world.url(SUPERUSER, "localhost", "sslrootcert=ca.pem");
    let created = run(&program, &["create-schema", "--store", &superuser], &["--grant-to", "app"]);
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    let openssl = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=app", "-keyout", "client.key", "-out", "client.pem"])
        .current_dir(program.path(""))
        .output()
        .unwrap();
    assert!(openssl.status.success(), "{}", String::from_utf8_lossy(&openssl.stderr));
    let clients = world.server.folder().join("clients.pem");
    fs::copy(program.path("client.pem"), &clients).unwrap();
    fs::set_permissions(&clients, fs::Permissions::from_mode(0o644)).unwrap();
    let rules = format!("hostssl all {SUPERUSER} 127.0.0.1/32 trust\nhostssl all app 127.0.0.1/32 cert\n");
    fs::write(world.server.folder().join("rules"), rules).unwrap();
    world.server.configure(&[("ssl_ca_file", clients.to_str().unwrap())]).unwrap();
    world.server.reload().unwrap();

    let url = |parameters: &str| world.url("app", "localhost", &format!("sslrootcert=ca.pem{parameters}"));
    let reloaded = Instant::now();
    while !world.refused(&program, &url(""), &[]).contains("certificate") {
        assert!(reloaded.elapsed() < Duration::from_secs(60), "the rules are not in effect");
    }
    let accepted = |url: &str| run(&program, &["credentials", "list", "--store", url], &[]);
    let with_certificate = url("&sslcert=client.pem&sslkey=client.key");
    let output = accepted(&with_certificate);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::set_permissions(program.path("client.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let exposed = accepted(&with_certificate);
    assert!(String::from_utf8_lossy(&exposed.stderr).contains("other users"));
}

#[test]
fn an_anchor_in_another_database_refuses_an_older_copy() {
    let Some(world) = World::new("an_anchor_in_another_database_refuses_an_older_copy") else { return };
    let (first, second) = (world.program(), world.program());
    world.create_schema(&first);
    world.server.sql(SUPERUSER, "CREATE ROLE notary LOGIN PASSWORD 'anchored'").unwrap();
    world.server.sql(SUPERUSER, "CREATE DATABASE anchors OWNER notary").unwrap();
    let anchor = world.url("notary", "localhost", "sslrootcert=ca.pem").replace("/keys?", "/anchors?");
    for program in [&first, &second] {
        fs::write(program.path("notary.password"), "anchored\n").unwrap();
        fs::set_permissions(program.path("notary.password"), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let schema = ["--postgres-schema", "strongroom_anchor", "--postgres-password-file", "notary.password"];
    assert!(run(&first, &["create-schema", "--store", &anchor], &schema).status.success());
    let store = world.url("app", "localhost", "sslrootcert=ca.pem");
    let anchored = ["--anchor", &anchor, "--anchor-password-file", "notary.password"];
    let arguments = [&["--postgres-password-file", "app.password"], &anchored[..]].concat();
    let serve = |program| Program::serve_store(program, &store, &[&["--insecure-local"], &arguments[..]].concat());
    let one = serve(&first);
    for name in ["strongroom-server.root-key", "strongroom-server.credentials.json"] {
        fs::copy(first.path(name), second.path(name)).unwrap();
    }
    let two = serve(&second);
    call(&one, "CreateKey", "{}");
    call(&two, "CreateKey", "{}");
    one.stop("TERM");
    two.stop("TERM");
    world.server.sql(SUPERUSER, "CREATE DATABASE older TEMPLATE keys").unwrap();
    let one = serve(&first);
    call(&one, "CreateKey", "{}");
    one.stop("TERM");

    let list = |url: &str, rest: &[&str]| run(&first, &["credentials", "list", "--store", url], rest);
    let text = |output: &Output| String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
    let accepted = list(&store, &arguments);
    assert!(accepted.status.success(), "{}", text(&accepted));
    let refused = list(&store.replace("/keys?", "/older?"), &arguments);
    assert!(!refused.status.success() && text(&refused).contains("anchor"), "{}", text(&refused));

    // An anchor that was removed is missed, and created only on request.
    world.server.sql("anchors", "DELETE FROM strongroom_anchor.record").unwrap();
    let refused = list(&store, &arguments);
    assert!(!refused.status.success() && text(&refused).contains("--create-anchor"), "{}", text(&refused));
    assert!(list(&store, &[&arguments[..], &["--create-anchor"]].concat()).status.success());
    assert!(list(&store, &arguments).status.success());
}
