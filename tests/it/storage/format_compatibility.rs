//! Files written by earlier releases, which every later release must read.
//!
//! `tests/data/stores/` contains, for each format, a store, an export of its keys, a list of its
//! deletions, and data that was encrypted under its keys. To write these files for this release
//! into a new folder:
//!
//! ```sh
//! STRONGROOM_WRITE_STORES=tests/data/stores/N cargo test --features parameters,passphrase,pkcs11 --test it -- --ignored storage::format_compatibility::writes_the_files_of_this_release
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs};

use serde_json::{Value, json};
use strongroom::crypto::CryptoBackend;
use strongroom::export::{ApplyDeletionsReport, ExportIdentity, ExportRecipient};
use strongroom::key::{DeletionWindow, KeyId, KeySpec, KeyState, KeyUsage, RotationPeriod};
use strongroom::request::{
    CreateKeyRequest, DecryptRequest, EncryptRequest, GenerateMacRequest, SignRequest, VerifyMacRequest, VerifyRequest,
};
use strongroom::seal::RootKey;
use strongroom::store::SqliteStore;
use strongroom::{ErrorKind, Kms, ManualClock, SecretBytes, Timestamp};

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// The root key of all these stores.
const ROOT: [u8; 32] = [0x5A; 32];

/// The time at which the files were written, according to their own clocks.
const WRITTEN: Timestamp = Timestamp::from_unix_millis(1_800_000_000_000);

const NAME: &str = "keys.strongroom";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/stores")
}

/// Returns the recipient's private key for all exports, in PKCS#8.
fn recipient() -> std::io::Result<SecretBytes> {
    Ok(SecretBytes::copy_from_slice(&fs::read(folder().join("recipient.der"))?))
}

fn open(path: &Path, clock: Arc<ManualClock>) -> strongroom::Result<Kms> {
    let store = SqliteStore::open(path, &CryptoBackend::default())?;
    Kms::builder()
        .store(store, RootKey::from_bytes(&ROOT))
        .clock(clock)
        .clock_tolerance(std::time::Duration::MAX)
        .build()
}

#[test]
#[ignore = "writes files"]
fn writes_the_files_of_this_release() -> TestResult {
    let target = PathBuf::from(env::var_os("STRONGROOM_WRITE_STORES").ok_or("STRONGROOM_WRITE_STORES is not set")?);
    fs::create_dir(&target)?;
    let clock = Arc::new(ManualClock::new(WRITTEN));
    let kms = open(&target.join(NAME), Arc::clone(&clock))?;

    let gone = kms.create_key(Default::default())?.key_id();
    kms.schedule_key_deletion(gone, DeletionWindow::MIN)?;
    clock.advance_days(7);
    kms.run_maintenance()?;
    kms.run_maintenance()?;

    let symmetric = kms.create_key(CreateKeyRequest::default().description("größer").tag("team", "billing"))?.key_id();
    kms.create_alias("alias/symmetric", symmetric)?;
    let first = kms.encrypt(EncryptRequest::new(symmetric, b"first version"))?.ciphertext_blob;
    kms.rotate_key_on_demand(symmetric)?;
    kms.enable_key_rotation(symmetric, RotationPeriod::from_days(365)?)?;
    let second = kms.encrypt(EncryptRequest::new(symmetric, b"second version"))?.ciphertext_blob;
    let hmac = CreateKeyRequest::default().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
    let hmac = kms.create_key(hmac)?.key_id();
    let algorithm = KeySpec::Hmac256.mac_algorithms(KeyUsage::GenerateVerifyMac)[0];
    let mac = kms.generate_mac(GenerateMacRequest::new(hmac, algorithm, b"message"))?.mac;
    let signing = CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::SignVerify);
    let signing = kms.create_key(signing)?.key_id();
    let algorithm = KeySpec::EccNistP256.signing_algorithms(KeyUsage::SignVerify)[0];
    let signature = kms.sign(SignRequest::new(signing, algorithm, b"message"))?.signature;
    let disabled = kms.create_key(Default::default())?.key_id();
    kms.disable_key(disabled)?;

    let pair = CryptoBackend::default().key_pairs();
    let private = pair.private_key(strongroom::crypto::KeyPairKind::Rsa2048, recipient()?.expose_secret())?;
    fs::write(target.join("export"), kms.export_all_keys(&ExportRecipient::rsa(&private.public_key_der())?)?.file)?;
    fs::write(target.join("deletions"), kms.export_deletions()?)?;
    let contents = json!({
        "gone": gone.to_string(), "symmetric": symmetric.to_string(), "hmac": hmac.to_string(),
        "signing": signing.to_string(), "disabled": disabled.to_string(), "first": hex::encode(first),
        "second": hex::encode(second), "mac": hex::encode(mac), "signature": hex::encode(signature),
    });
    fs::write(target.join("contents.json"), serde_json::to_string_pretty(&contents)? + "\n")?;
    drop(kms); // leaves one file
    Ok(())
}

/// Returns the folders of all releases.
fn releases() -> Result<Vec<PathBuf>, std::io::Error> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(folder())?.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
    found.retain(|path| path.is_dir());
    found.sort();
    Ok(found)
}

struct Contents(Value);

impl Contents {
    fn of(release: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        Ok(Self(serde_json::from_str(&fs::read_to_string(release.join("contents.json"))?)?))
    }

    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().expect("a text")
    }

    fn key(&self, name: &str) -> KeyId {
        KeyId::parse(self.text(name)).expect("a key id")
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        hex::decode(self.text(name)).expect("hexadecimal digits")
    }
}

/// Checks that all data created under the keys can still be decrypted and verified.
fn check_keys(kms: &Kms, contents: &Contents) -> TestResult {
    for (blob, text) in [("first", &b"first version"[..]), ("second", b"second version")] {
        let opened = kms.decrypt(DecryptRequest::new(&contents.bytes(blob)))?;
        assert_eq!(opened.plaintext.expose_secret(), text);
    }
    let algorithm = KeySpec::Hmac256.mac_algorithms(KeyUsage::GenerateVerifyMac)[0];
    kms.verify_mac(VerifyMacRequest::new(contents.key("hmac"), algorithm, b"message", &contents.bytes("mac")))?;
    let algorithm = KeySpec::EccNistP256.signing_algorithms(KeyUsage::SignVerify)[0];
    let signature = contents.bytes("signature");
    kms.verify(VerifyRequest::new(contents.key("signing"), algorithm, b"message", &signature))?;
    let symmetric = kms.describe_key("alias/symmetric")?;
    assert_eq!((symmetric.key_id(), symmetric.description().as_str()), (contents.key("symmetric"), "größer"));
    assert_eq!(kms.describe_key(contents.key("disabled"))?.state(), KeyState::Disabled);
    Ok(())
}

#[test]
fn stores_of_every_release_are_read() -> TestResult {
    let releases = releases()?;
    assert!(!releases.is_empty());
    for release in releases {
        let contents = Contents::of(&release)?;
        // Use a copy, because opening may migrate the store to a later format.
        let home = tempfile::tempdir()?;
        let path = home.path().join(NAME);
        fs::copy(release.join(NAME), &path)?;
        #[cfg(unix)]
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        let clock = Arc::new(ManualClock::new(WRITTEN));
        clock.advance_days(8);
        let kms = open(&path, clock)?;
        let report = kms.verify_store(|_| {})?;
        assert!(report.is_intact(), "{}: {report:?}", release.display());
        check_keys(&kms, &contents)?;
        assert_eq!(kms.describe_key(contents.key("gone")).expect_err("deleted").kind(), ErrorKind::NotFound);

        // The store remains usable: it accepts changes, and the deletions that were listed then.
        kms.rotate_key_on_demand("alias/symmetric").expect_err("by id only");
        kms.rotate_key_on_demand(contents.key("symmetric"))?;
        assert_eq!(kms.apply_deletions(&fs::read(release.join("deletions"))?, &[])?, ApplyDeletionsReport::default());
        check_keys(&kms, &contents)?;
    }
    Ok(())
}

/// Opening migrates the file. All of those that open it at the same time can use it.
#[test]
fn stores_of_every_release_can_be_opened_by_many_at_once() -> TestResult {
    const OPENERS: usize = 8;
    for release in releases()? {
        let home = tempfile::tempdir()?;
        let path = home.path().join(NAME);
        fs::copy(release.join(NAME), &path)?;
        #[cfg(unix)]
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        let barrier = std::sync::Barrier::new(OPENERS);
        let open_and_change = || {
            barrier.wait();
            let kms = open(&path, Arc::new(ManualClock::new(WRITTEN)))?;
            kms.create_key(Default::default())
        };
        let keys: Vec<_> = std::thread::scope(|scope| {
            let openers = [(); OPENERS].map(|()| scope.spawn(open_and_change));
            openers.into_iter().map(|opener| opener.join().expect("no thread panicked")).collect()
        });
        let kms = open(&path, Arc::new(ManualClock::new(WRITTEN)))?;
        for key in keys {
            kms.describe_key(key?.key_id())?;
        }
        assert!(kms.verify_store(|_| {})?.is_intact(), "{}", release.display());
    }
    Ok(())
}

#[test]
fn exports_of_every_release_are_read() -> TestResult {
    for release in releases()? {
        let kms = Kms::in_memory()?;
        let keys = kms.import_keys(&fs::read(release.join("export"))?, &ExportIdentity::rsa(&recipient()?)?)?;
        assert_eq!(keys.len(), 4, "{}", release.display());
        check_keys(&kms, &Contents::of(&release)?)?;
    }
    Ok(())
}
