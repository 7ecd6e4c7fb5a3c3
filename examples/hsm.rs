//! Keys in an HSM: a cluster of two tokens, one of which fails.
//!
//!     cargo run --features pkcs11 --example hsm -- soft
//!     cargo run --features pkcs11 --example hsm -- MODULE PIN LABEL LABEL
//!
//! With `soft`, it creates two SoftHSM tokens in a temporary folder, and removes them at the end.
//! With a module, its PIN and the labels of two of its tokens, it uses these tokens, and creates a
//! key there that it does not destroy.

use std::error::Error;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::{env, fs};

use strongroom::key::ClusterId;
use strongroom::provider::pkcs11::{Module, Pkcs11Cluster, TokenConfig, TokenSelector};
use strongroom::request::{CreateCustomKeyStoreRequest, CreateKeyRequest, DecryptRequest, EncryptRequest};
use strongroom::{ErrorKind, Kms, SecretBytes};

const MODULES: [&str; 2] = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so"];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["soft"] => with_soft_tokens(),
        [module, pin, east, west] => use_tokens(module, pin, [east, west]).map(|()| ExitCode::SUCCESS),
        _ => {
            eprintln!("usage: hsm soft | hsm MODULE PIN LABEL LABEL");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Creates the tokens and starts this program again. SoftHSM reads its configuration from the
/// environment, which can be changed safely only for a new process.
fn with_soft_tokens() -> Result<ExitCode, Box<dyn Error>> {
    let Some(module) = MODULES.into_iter().find(|path| Path::new(path).exists()) else {
        println!("SoftHSM is not installed: run `apt-get install softhsm2`, or specify another module.");
        return Ok(ExitCode::SUCCESS);
    };
    let folder = tempfile::tempdir()?;
    let (tokens, configuration) = (folder.path().join("tokens"), folder.path().join("softhsm2.conf"));
    fs::create_dir(&tokens)?;
    fs::write(&configuration, format!("directories.tokendir = {}\nobjectstore.backend = file\n", tokens.display()))?;
    for label in ["east", "west"] {
        let mut make = Command::new("softhsm2-util");
        make.args(["--init-token", "--free", "--label", label, "--pin", "1234", "--so-pin", "5678"]);
        if !make.env("SOFTHSM2_CONF", &configuration).status()?.success() {
            return Err("softhsm2-util could not create a token".into());
        }
    }
    let mut again = Command::new(env::current_exe()?);
    let done = again.args([module, "1234", "east", "west"]).env("SOFTHSM2_CONF", &configuration).status()?;
    Ok(if done.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn use_tokens(module: &str, pin: &str, labels: [&str; 2]) -> Result<(), Box<dyn Error>> {
    let module = Module::load(module)?;
    let [east, west] = labels.map(|label| TokenConfig::new(TokenSelector::Label(label.to_owned())));
    let cluster = Pkcs11Cluster::from_members(b"replication key")
        .member("east", "zone-a", &module, east)
        .member("west", "zone-b", &module, west);
    let vault = ClusterId::parse("vault")?;
    let kms = Kms::builder().cluster(vault.clone(), cluster.clone()).build()?;
    let password = SecretBytes::copy_from_slice(pin.as_bytes());
    let store =
        kms.create_custom_key_store(CreateCustomKeyStoreRequest::new("safe", vault).key_store_password(password))?;
    kms.connect_custom_key_store(store)?;
    // A production HSM receives this key in a key ceremony of its vendor. Tokens that were used
    // before already have one.
    match cluster.install_replication_key(&kms.generate_random(32)?) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        installed => installed?,
    }

    let key = kms.create_key(CreateKeyRequest::default().custom_key_store(store).description("never leaves"))?;
    println!(
        "created {} with origin {} in cluster {}",
        key.arn(),
        key.origin(),
        key.cluster_id().map_or("", ClusterId::as_str)
    );
    let sealed = kms.encrypt(EncryptRequest::new(key.key_id(), b"attack at dawn"))?.ciphertext_blob;

    let gone = cluster.token("east").ok_or("the member does not exist")?;
    gone.disconnect();
    let opened = kms.decrypt(DecryptRequest::new(&sealed))?;
    assert_eq!(opened.plaintext.expose_secret(), b"attack at dawn");
    for member in kms.describe_custom_key_store(store)?.members {
        println!("{} in {}: {:?} {}", member.name, member.zone, member.state, member.reason.unwrap_or_default());
    }
    kms.disconnect_custom_key_store(store)?;
    println!("disconnected: the key is {}", kms.describe_key(key.key_id())?.state());
    Ok(())
}
