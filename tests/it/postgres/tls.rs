//! TLS with the connector of `examples/shared_store.rs`, which the manual shows.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

use strongroom::store::{PostgresOptions, PostgresStore, StoreError};
use tempfile::TempDir;

use crate::support::external_tools;
use crate::support::postgres::{self, Certificate, Database, SUPERUSER, Server};

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// A server that accepts TLS only, with a database in which the role `app` may create schemas.
struct World {
    certificate: Certificate,
    server: Server,
    program: PathBuf,
    folder: TempDir,
}

impl World {
    fn new(test: &str) -> Result<Option<Self>, Box<dyn std::error::Error>> {
        // `cargo test` builds the examples first, into a folder next to that of this test.
        let tests = env::current_exe()?;
        let program = tests.ancestors().nth(2).ok_or("the folder of the profile")?.join("examples/shared_store");
        if !program.exists() {
            external_tools::missing(test, "the example shared_store is not built");
            return Ok(None);
        }
        let Some(certificate) = postgres::is_installed(test).and_then(|()| Certificate::create(test)) else {
            return Ok(None);
        };
        let server = Server::start_with_tls(&certificate)?;
        server.sql(SUPERUSER, "CREATE ROLE app LOGIN PASSWORD 'secret'")?;
        server.sql(SUPERUSER, "CREATE DATABASE keys OWNER app")?;
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("ca.pem"), &certificate.authority)?;
        Ok(Some(Self { certificate, server, program, folder }))
    }

    /// Returns a connection string that names the server as a host.
    fn database(&self, host: &str, settings: &str) -> String {
        format!("host={host} port={} user=app password=secret dbname=keys {settings}", self.server.port())
    }

    /// Runs the example, which starts a second process.
    fn run(&self, database: &str, authority: &Path) -> std::io::Result<Output> {
        let root_key = self.folder.path().join("root.key");
        Command::new(&self.program).arg(database).arg(root_key).arg(authority).output()
    }

    /// Runs the example, and returns the text of its error.
    fn refused(&self, database: &str, authority: &Path) -> Result<String, Box<dyn std::error::Error>> {
        let output = self.run(database, authority)?;
        assert!(!output.status.success(), "{database}");
        Ok(String::from_utf8(output.stderr)?)
    }

    fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Returns the lines of the log about connections of the role that were accepted.
    fn accepted(&self) -> Vec<String> {
        let is_accepted = |line: &&str| line.contains("connection authorized: user=app");
        self.server.log().lines().filter(is_accepted).map(str::to_owned).collect()
    }
}

#[test]
fn two_processes_share_a_store_over_tls() -> TestResult {
    let Some(world) = World::new("postgres::tls::two_processes_share_a_store_over_tls")? else { return Ok(()) };
    // With channel binding, the password proves nothing to a server with another certificate.
    for settings in ["sslmode=require channel_binding=require", "sslmode=require channel_binding=disable", ""] {
        let output = world.run(&world.database("localhost", settings), &world.authority())?;
        let printed = [&output.stdout[..], &output.stderr].concat();
        assert!(output.status.success(), "{settings}: {}", String::from_utf8_lossy(&printed));
        assert!(String::from_utf8_lossy(&printed).contains("5. Enabled again"), "{settings}");
    }
    let accepted = world.accepted();
    assert!(accepted.len() >= 12, "two processes with several connections each: {accepted:?}");
    assert!(accepted.iter().all(|line| line.contains("SSL enabled (protocol=TLSv1.3")), "{accepted:?}");
    Ok(())
}

#[test]
fn a_server_that_no_authority_vouches_for_receives_nothing() -> TestResult {
    let test = "postgres::tls::a_server_that_no_authority_vouches_for_receives_nothing";
    let Some(world) = World::new(test)? else { return Ok(()) };
    let other = world.folder.path().join("other.pem");
    fs::write(&other, Certificate::create(test).ok_or("OpenSSL is installed")?.authority)?;
    let text = world.refused(&world.database("localhost", ""), &other)?;
    assert!(text.contains("unreachable") && text.contains("certificate"), "{text}");
    // The certificate is valid for another name.
    let text = world.refused(&world.database("127.0.0.1", "sslmode=require"), &world.authority())?;
    assert!(text.contains("unreachable") && text.contains("certificate"), "{text}");
    assert_eq!(world.accepted(), [""; 0]);
    assert!(!world.server.log().contains("authentication"), "{}", world.server.log());
    drop(world.certificate);
    Ok(())
}

#[test]
fn a_connector_does_not_fall_back_to_plaintext_that_is_forbidden() -> TestResult {
    let Some(world) = World::new("postgres::tls::a_connector_does_not_fall_back_to_plaintext_that_is_forbidden")?
    else {
        return Ok(());
    };
    // This server has no TLS.
    let Some(plain) = postgres::shared("postgres::tls") else { return Ok(()) };
    let database = Database::create(plain)?;
    let required = format!("{}?sslmode=require", database.url().replace("127.0.0.1", "localhost"));
    let text = world.refused(&required, &world.authority())?;
    assert!(text.contains("unreachable") && text.contains("TLS"), "{text}");

    // Without a connector, a server on this machine is asked without TLS, and it refuses.
    let options = PostgresOptions::new(&world.database("localhost", ""))?;
    let refused = PostgresStore::open(&options).expect_err("the server accepts TLS only");
    assert!(matches!(refused.downcast_ref(), Some(StoreError::AccessDenied(_))), "{refused}");
    assert!(refused.to_string().contains("no encryption"), "{refused}");
    // Channel binding needs TLS.
    let options = PostgresOptions::new(&format!("{}?channel_binding=require", database.url()))?;
    let refused = PostgresStore::open(&options).expect_err("no channel");
    assert!(refused.to_string().contains("channel binding"), "{refused}");
    Ok(())
}

/// The manual cannot compile a connector, because the library depends on none.
#[test]
fn the_manual_shows_the_connector_of_the_example() {
    let manual = include_str!("../../../src/manual/sharing.md");
    let example = include_str!("../../../examples/shared_store.rs");
    let block = manual.split("```rust,ignore\n").nth(1).and_then(|rest| rest.split("```").next());
    let block = block.expect("a block that is not compiled");
    for line in block.lines().filter(|line| !line.is_empty()) {
        assert!(example.lines().any(|other| other == line), "not in the example: {line}");
    }
    assert!(block.contains("MakeRustlsConnect::new"));
}
