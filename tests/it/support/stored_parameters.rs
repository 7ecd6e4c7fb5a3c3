//! Stores with parameters that a build with the feature `parameters` wrote, for tests of builds
//! without it.
//!
//! `tests/data/parameters/` contains the same content twice: as a file of SQLite, and as a list of
//! records for a store in memory. To write both again:
//!
//! ```sh
//! STRONGROOM_WRITE_PARAMETERS=tests/data/parameters cargo test --features parameters,passphrase,pkcs11 --test it -- --ignored parameters::elsewhere::writes_the_stores
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{error, fs};

use strongroom::identity::{AccountId, Principal};
use strongroom::request::{DecryptRequest, EncryptRequest};
use strongroom::seal::RootKey;
use strongroom::store::{KeyStore, Record, RecordId, RecordKind, Revision, Scan};
use strongroom::{Kms, KmsBuilder, ManualClock, Timestamp};

use crate::support::tampering_store::TamperingStore;

type Result<T = ()> = std::result::Result<T, Box<dyn error::Error>>;

/// The records of the parameter store.
pub(crate) const KINDS: [RecordKind; 3] =
    [RecordKind::Parameter, RecordKind::ParameterVersion, RecordKind::ParameterCount];

/// The number of records of each kind.
pub(crate) const COUNTS: [usize; 3] = [5, 5, 1];

/// The file of SQLite, and the folder of its audit trail.
#[cfg(feature = "sqlite")]
pub(crate) const FILE: &str = "keys.strongroom";
#[cfg(feature = "sqlite")]
pub(crate) const TRAIL: &str = "trail";
/// The list of records.
pub(crate) const RECORDS: &str = "records.txt";
/// A ciphertext under the key `alias/shop` of each store.
const BLOBS: [&str; 2] = ["file.blob", "records.blob"];
const TEXT: &[u8] = b"encrypted in another build";

/// The policy of the user Alice.
pub(crate) const POLICY: &str = r#"{"Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Action": "ssm:GetParameter*", "Resource": "arn:aws:ssm:*:*:parameter/shop/*"}}"#;

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/parameters")
}

pub(crate) fn alice() -> strongroom::Result<Principal> {
    Principal::user(AccountId::default(), "alice")
}

/// Returns a builder for one of these stores.
pub(crate) fn builder(store: impl KeyStore + 'static) -> KmsBuilder {
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(1_800_000_000_000)));
    Kms::builder().store(store, RootKey::from_bytes(&[0x5A; 32])).clock(clock).clock_tolerance(Duration::MAX)
}

/// Writes the records of a store as text: kind, account, name, revision and body.
#[cfg(all(feature = "parameters", feature = "sqlite"))]
pub(crate) fn listed(store: &TamperingStore) -> String {
    let state = store.state();
    let line = |(id, record): (&RecordId, &Record)| {
        let (name, body) = (hex::encode(&id.name), hex::encode(&record.body));
        format!("{} {} {name} {} {body}\n", id.kind.code(), id.account, record.revision.0)
    };
    let records: String = state.records.iter().map(line).collect();
    format!("{}\n{records}", state.revision)
}

/// Returns a store with the listed records.
pub(crate) fn in_memory() -> Result<Arc<TamperingStore>> {
    let text = fs::read_to_string(folder().join(RECORDS))?;
    let (revision, records) = text.split_once('\n').ok_or("no revision")?;
    let store = TamperingStore::new();
    let mut state = store.state();
    state.revision = revision.parse()?;
    for line in records.lines() {
        let [kind, account, name, revision, body] = line.split(' ').collect::<Vec<_>>()[..] else {
            return Err(format!("a line with other fields: {line}").into());
        };
        let kind = RecordKind::from_code(kind.parse()?).ok_or("an unknown kind")?;
        let id = RecordId { kind, account: AccountId::parse(account)?, name: hex::decode(name)? };
        state.records.insert(id, Record { revision: Revision(revision.parse()?), body: hex::decode(body)?.into() });
    }
    store.change(|current| *current = state);
    Ok(store)
}

/// Copies the file and its trail into a folder, because opening them changes them. Returns the path of
/// the file.
#[cfg(feature = "sqlite")]
pub(crate) fn copied_to(target: &Path) -> Result<PathBuf> {
    let path = target.join(FILE);
    fs::copy(folder().join(FILE), &path)?;
    let trail = target.join(TRAIL);
    fs::create_dir(&trail)?;
    for entry in fs::read_dir(folder().join(TRAIL))? {
        let entry = entry?;
        fs::copy(entry.path(), trail.join(entry.file_name()))?;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let files = fs::read_dir(&trail)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
        files.iter().chain([&path]).try_for_each(|file| fs::set_permissions(file, PermissionsExt::from_mode(0o600)))?;
        fs::set_permissions(&trail, PermissionsExt::from_mode(0o700))?;
    }
    Ok(path)
}

/// Writes a ciphertext under the key `alias/shop`.
#[cfg(all(feature = "parameters", feature = "sqlite"))]
pub(crate) fn write_blob(kms: &Kms, target: &Path, is_file: bool) -> Result {
    let blob = kms.encrypt(EncryptRequest::new("alias/shop", TEXT))?.ciphertext_blob;
    Ok(fs::write(target.join(BLOBS[usize::from(!is_file)]), blob)?)
}

/// Returns the number of records of the parameter store, of each kind.
pub(crate) fn counts(store: &dyn KeyStore) -> Result<[usize; 3]> {
    let mut counts = [0; 3];
    for (count, kind) in counts.iter_mut().zip(KINDS) {
        *count = store.scan(&Scan { kind, account: None, after: None, limit: 1_000 })?.len();
    }
    Ok(counts)
}

/// Does with a store what any program may do that knows nothing about parameters. None of their
/// records is lost.
pub(crate) fn use_without_parameters(kms: &Kms, store: &dyn KeyStore, is_file: bool) -> Result {
    let is_intact =
        || Ok::<_, Box<dyn error::Error>>(kms.verify_store(|_| {})?.is_intact() && counts(store)? == COUNTS);
    let blob = fs::read(folder().join(BLOBS[usize::from(!is_file)]))?;
    let opens =
        || Ok::<_, strongroom::Error>(kms.decrypt(DecryptRequest::new(&blob))?.plaintext.expose_secret() == TEXT);
    assert!(is_intact()? && opens()?);
    assert_eq!(kms.get_identity_policy(&alice()?, "shop")?, POLICY);
    assert!(kms.describe_key("alias/aws/ssm").is_ok());

    let key = kms.create_key(Default::default())?.key_id();
    let sealed = kms.encrypt(EncryptRequest::new(key, TEXT))?.ciphertext_blob;
    kms.run_maintenance()?;
    kms.export_deletions()?;
    assert!(is_intact()? && opens()?);
    for _ in 0..2 {
        kms.rotate_root_key()?;
        assert!(is_intact()? && opens()?);
    }
    kms.move_root_key(RootKey::from_bytes(&[0x5B; 32]))?;
    assert!(is_intact()? && opens()?);
    kms.move_root_key(RootKey::from_bytes(&[0x5A; 32]))?;
    assert!(is_intact()? && opens()?);
    assert_eq!(kms.decrypt(DecryptRequest::new(&sealed))?.plaintext.expose_secret(), TEXT);
    Ok(())
}
