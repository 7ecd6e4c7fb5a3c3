//! Keys in a PostgreSQL database, shared by two processes: a key that one disables is rejected by
//! the other.
//!
//!     cargo run --features postgres --example shared_store -- temporary
//!     cargo run --features postgres --example shared_store -- 'host=/run/postgresql' root.key
//!     cargo run --features postgres --example shared_store -- 'host=db1.internal' root.key ca.pem
//!
//! With `temporary`, it starts a server in a temporary folder, and removes it at the end. With a
//! connection string, it uses that database, and creates the schema `strongroom_example` in it. The
//! root key is in a file, which it creates if it does not exist. The third argument is a file with
//! the certificates of the authorities that may vouch for the server: the connections then use TLS.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;
use std::{env, fs};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use strongroom::request::{CreateKeyRequest, EncryptRequest};
use strongroom::seal::RootKey;
use strongroom::store::{PostgresOptions, PostgresStore};
use strongroom::{ErrorKind, Kms};
use tokio_postgres_rustls::MakeRustlsConnect;

const ALIAS: &str = "alias/orders";

/// The configuration that all processes of a fleet share.
#[derive(Clone, Copy)]
struct Place<'a> {
    database: &'a str,
    root_key: &'a str,
    authorities: Option<&'a str>,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["temporary"] => return with_temporary_server(),
        ["second", database, root_key] => second_process(Place { database, root_key, authorities: None })?,
        ["second", database, root_key, authorities] => {
            second_process(Place { database, root_key, authorities: Some(authorities) })?;
        }
        [database, root_key] => first_process(Place { database, root_key, authorities: None })?,
        [database, root_key, authorities] => {
            first_process(Place { database, root_key, authorities: Some(authorities) })?;
        }
        _ => {
            eprintln!("usage: shared_store temporary | shared_store CONNECTION_STRING ROOT_KEY_FILE [CA_FILE]");
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Opens the KMS. Every process does the same, with the same root key.
fn open(place: Place<'_>) -> Result<Kms, Box<dyn Error>> {
    let store = PostgresStore::open(&options(place)?)?;
    Ok(Kms::builder().store(store, RootKey::from_file(place.root_key)?).build()?)
}

fn options(place: Place<'_>) -> Result<PostgresOptions, Box<dyn Error>> {
    let options = PostgresOptions::new(place.database)?.schema("strongroom_example");
    Ok(match place.authorities {
        Some(authorities) => options.tls(tls(authorities)?),
        None => options,
    })
}

/// Returns a connector for TLS. It accepts a server if one of the authorities in a file has signed
/// its certificate, and the certificate has its name.
fn tls(authorities: &str) -> Result<MakeRustlsConnect, Box<dyn Error>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authorities)? {
        roots.add(certificate?)?;
    }
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn first_process(place: Place<'_>) -> Result<(), Box<dyn Error>> {
    if !Path::new(place.root_key).exists() {
        RootKey::generate_file(place.root_key)?;
    }
    // A DBA may do this instead: the program needs no right to create tables.
    PostgresStore::create_schema(&options(place)?)?;
    let kms = open(place)?;
    let key = kms.get_or_create_key(ALIAS, CreateKeyRequest::default())?;
    println!("1. The first process created a key in the database: {}", key.arn());

    let mut second = Command::new(env::current_exe()?);
    second.args(["second", place.database, place.root_key]).args(place.authorities);
    let mut second = second.stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(second.stdout.take().expect("the output is a pipe")).lines();
    println!("2. The second process: {}", lines.next().ok_or("the second process ended early")??);

    let disabled = Instant::now();
    kms.disable_key(key.key_id())?;
    println!("3. The first process disabled the key, and rejects it immediately.");
    assert_eq!(encrypt(&kms).expect_err("disabled").kind(), ErrorKind::Disabled);

    println!("4. The second process: {}", lines.next().ok_or("the second process ended early")??);
    println!("   That took {} ms.", disabled.elapsed().as_millis());
    if !second.wait()?.success() {
        return Err("the second process failed".into());
    }

    kms.enable_key(key.key_id())?;
    encrypt(&kms)?;
    println!("5. Enabled again, the key works again. Nothing was lost.");
    kms.close()?;
    Ok(())
}

/// Encrypts until the key is rejected.
fn second_process(place: Place<'_>) -> Result<(), Box<dyn Error>> {
    let kms = open(place)?;
    encrypt(&kms)?;
    say("encrypts under the same key.")?;
    let mut calls = 1;
    let refusal = loop {
        match encrypt(&kms) {
            Ok(()) => calls += 1,
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(refusal.kind(), ErrorKind::Disabled);
    say(&format!("after {calls} calls: {refusal}"))?;
    kms.close()?;
    Ok(())
}

/// Writes a line that the first process reads at once.
fn say(line: &str) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}")?;
    output.flush()
}

fn encrypt(kms: &Kms) -> strongroom::Result<()> {
    kms.encrypt(EncryptRequest::new(ALIAS, b"order 4711")).map(drop)
}

/// Starts a server that listens on a socket in a temporary folder only, and starts this program
/// again to use it.
fn with_temporary_server() -> Result<ExitCode, Box<dyn Error>> {
    let Some(programs) = programs() else {
        println!("PostgreSQL is not installed: run `apt-get install postgresql`, or specify a database.");
        return Ok(ExitCode::SUCCESS);
    };
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data").display().to_string();
    let socket = folder.path().display().to_string();
    let run = |program: &str, arguments: &[&str]| -> Result<(), Box<dyn Error>> {
        let mut command = Command::new(programs.join(program));
        command.args(arguments).current_dir("/").stdout(Stdio::null());
        if let Some((user, group)) = unprivileged_user()? {
            chown(folder.path(), Some(user), Some(group))?;
            command.uid(user).gid(group);
        }
        if command.status()?.success() { Ok(()) } else { Err(format!("{program} failed").into()) }
    };
    run("initdb", &["-D", &data, "-U", "postgres", "-A", "trust", "--no-sync"])?;
    let (log, settings) = (format!("{socket}/log"), format!("-k {socket} -c listen_addresses="));
    run("pg_ctl", &["-D", &data, "-l", &log, "-o", &settings, "-w", "start"])?;
    let secrets = tempfile::tempdir()?;
    let root_key = secrets.path().join("root.key");
    let mut again = Command::new(env::current_exe()?);
    let done = again.arg(format!("host={socket} user=postgres")).arg(root_key).status();
    run("pg_ctl", &["-D", &data, "-m", "fast", "-w", "stop"])?;
    Ok(if done?.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Returns the folder of the programs of the server: Debian has one for each version.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let path = env::var_os("PATH")?;
    let mut folders = versions.map(|version| version.path().join("bin")).chain(env::split_paths(&path));
    folders.find(|folder| folder.join("initdb").exists() && folder.join("pg_ctl").exists())
}

/// Returns the user and the group that run the server if this program runs as root, which PostgreSQL
/// rejects.
fn unprivileged_user() -> Result<Option<(u32, u32)>, Box<dyn Error>> {
    let number = |arguments: &[&str]| -> Result<u32, Box<dyn Error>> {
        Ok(String::from_utf8(Command::new("id").args(arguments).output()?.stdout)?.trim().parse()?)
    };
    if number(&["-u"])? != 0 {
        return Ok(None);
    }
    Ok(Some((number(&["-u", "nobody"])?, number(&["-g", "nobody"])?)))
}
